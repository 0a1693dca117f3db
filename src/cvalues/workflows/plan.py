"""What a run asks, from its options: sets, models, settings → items, requests and the run's record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

import cvalues
from cvalues.choice.ask import ask
from cvalues.choice.read import RATER
from cvalues.datasets import load
from cvalues.endpoints.base import Endpoint, Price
from cvalues.endpoints.guided import guidance
from cvalues.endpoints.presets import Shaping
from cvalues.endpoints.resolve import Model, ModelEntry, build, load_models, resolve
from cvalues.errors import ConfigError, UsageError, unknown_name
from cvalues.pairs.taints import SETTING as TAINTED
from cvalues.prompts import Example, Template, template
from cvalues.records import content_hash, derive_seed, now, open_bytes
from cvalues.schema import Ask, Choice, Mode, Prompt, Record, Request, Run, Sampling, SetRef
from cvalues.study import Planned
from cvalues.taxonomy import Taxonomy
from cvalues.taxonomy import load as load_taxonomy
from cvalues.workflows.pairs_taint import tainted_items

Item = Choice | Prompt


class RunOptions(Record, frozen=True, kw_only=True):
    """Everything that `cvalues run` can be told; a run.toml has the same fields."""

    sets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    rubrics: tuple[str, ...] = ()
    name: str = ""
    template: str = ""
    system: str = ""
    examples: tuple[Example, ...] = ()
    samples: int = 1
    mode: Literal["", "generate", "choose"] = ""
    sampling: Sampling = Sampling()
    params: dict[str, Any] = {}
    filters: dict[str, str] = {}
    limit: int | None = None
    seed: int = 0
    max_concurrency: int | None = None
    rpm: float | None = None
    attempts: int | None = None
    timeout: float | None = None
    models_file: str = ""
    taxonomy: str = ""


@dataclass(frozen=True)
class Plan:
    """A run that is ready to be asked."""

    run: Run
    entries: tuple[Planned, ...]
    items: Mapping[str, Item]
    """By content hash."""
    endpoints: Mapping[str, Endpoint]
    taxonomy: Taxonomy


def make_plan(options: RunOptions) -> Plan:
    """Returns the plan of a run; loads the sets, opens no connection and no study.

    Raises:
        UsageError: a set, model, template or filter does not exist, or they do not fit together.
        DataError: a set cannot be read.
    """
    if not options.sets:
        raise UsageError("name at least one set, for example  cvalues run starter-choice -m baseline:ngram")
    if not options.models:
        raise UsageError("name at least one model with -m, for example  -m openai:NAME@http://localhost:8000/v1")
    taxonomy = load_taxonomy(Path(options.taxonomy) if options.taxonomy else None)
    refs, items = _load_sets(options, taxonomy)
    models = _models(options)
    endpoints = {model.name: build(model) for model in models}
    entries: list[Planned] = []
    hashes = {item.id: content_hash(item) for item in items}
    kind: Literal["choice", "response"] = "choice" if isinstance(items[0], Choice) else "response"
    chosen = template(options.template or ("public" if kind == "choice" else "plain"))
    for model in models:
        system = model.entry.system or options.system
        maker = _Maker(model, endpoints[model.name], options)
        for item, asked in ask(items, chosen, samples=options.samples, system=system, examples=options.examples):
            request = maker.request(asked)
            entries.append(Planned(asked, request, request.id, hashes[item.id]))
    settings = _settings(options, chosen, models, endpoints)
    tainted = tainted_items(endpoints, items)
    if tainted:
        settings[TAINTED] = tainted
    run = Run(
        name=options.name or default_name(options, settings),
        sets=refs,
        models=tuple(endpoints),
        kind=kind,
        settings=settings,
        versions={"cvalues": cvalues.__version__, "reader": RATER, "template": chosen.id},
        start=now(),
    )
    return Plan(run, tuple(entries), {hashes[item.id]: item for item in items}, endpoints, taxonomy)


def default_name(options: RunOptions, settings: Mapping[str, Any]) -> str:
    """Returns the name of a run that was given none: its first set and a hash of sets, models and settings.

    The same command so continues the same run. The content of the sets is not part of it: data that changed under a run is
    refused instead of measured under a new name.
    """
    digest = content_hash((options.sets, options.models, settings))[3:9]
    stem = "".join(char if char.isalnum() or char in "-_." else "-" for char in Path(options.sets[0]).stem)
    return f"{stem}-{digest}"


@dataclass(frozen=True)
class _Maker:
    """Turns asks into requests for one model."""

    model: Model
    endpoint: Endpoint
    options: RunOptions

    def request(self, asked: Ask) -> Request:
        mode = self._mode(asked)
        if mode not in self.endpoint.modes:
            offered = ", ".join(sorted(self.endpoint.modes))
            raise UsageError(f"model '{self.endpoint.name}' cannot {mode}; it can {offered}")
        chooses = mode != "generate"
        return Request(
            mode=mode,
            model=self.endpoint.name,
            revision=self.endpoint.revision,
            messages=asked.messages,
            question=asked.question if chooses else "",
            options=asked.options if chooses else (),
            sampling=self._sampling(mode),
            extra=self._extra(asked, mode),
            sample=asked.sample,
        )

    def _mode(self, asked: Ask) -> Mode:
        if self.options.mode:
            return self.options.mode
        built_in = not _is_http(self.endpoint) and _shaping(self.endpoint) is None
        if asked.options and built_in and "choose" in self.endpoint.modes:
            # A built-in model chooses by its scores; what it would write need not be read then.
            return "choose"
        if "generate" in self.endpoint.modes or not asked.options:
            return "generate"
        return "choose"

    def _extra(self, asked: Ask, mode: Mode) -> dict[str, Any]:
        """Returns vendor fields and, of local weights and completion servers, what else shapes the answer."""
        own = _shaping(self.endpoint)
        shaped = (own.generate if mode == "generate" else own.choose) if own else {}
        if not _is_http(self.endpoint):
            return shaped
        labels = [option.label for option in asked.options] if mode == "generate" else []
        guided = guidance(self.model.entry.guided, labels)
        params = {**self.options.params, **self.model.entry.params}
        if own is not None:
            params.pop("preset", None)  # it chose the prompt format and is no field of the server
        return {**guided, **params, **shaped}

    def _sampling(self, mode: Mode) -> Sampling:
        """Returns the run's sampling, overridden field by field by the model's own, over a preset's; built-in models take a seed."""
        own = _shaping(self.endpoint)
        merged = {
            **(msgspec.to_builtins(own.sampling) if own else {}),
            **msgspec.to_builtins(self.options.sampling),
            **msgspec.to_builtins(self.model.entry.sampling),
        }
        if not _is_http(self.endpoint) and (own is None or mode != "generate"):
            merged = {}
        if self.options.seed:
            merged.setdefault("seed", self.options.seed)
        return msgspec.convert(merged, Sampling)


def _is_http(endpoint: Endpoint) -> bool:
    return hasattr(endpoint, "url")


def _shaping(endpoint: Endpoint) -> Shaping | None:
    found = getattr(endpoint, "shaping", None)
    return found if isinstance(found, Shaping) else None


def model_entries(options: RunOptions) -> dict[str, ModelEntry]:
    """Returns the models of the options' models.toml, or of ./models.toml when it exists; empty without either."""
    path = Path(options.models_file) if options.models_file else Path("models.toml")
    return load_models(path if options.models_file or path.exists() else None)


def load_prices(path: Path | None) -> dict[str, Price]:
    """Returns a price table (TOML: `[model]` with input, output, currency per million tokens); empty for None.

    Raises:
        ConfigError: the file is not valid.
    """
    if path is None:
        return {}
    with open_bytes(path) as file:
        try:
            return msgspec.toml.decode(file.read(), type=dict[str, Price])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}; each [model] has input, output and currency") from error


def apply_prices(endpoints: Mapping[str, Endpoint], prices: Mapping[str, Price]) -> None:
    """Gives endpoints that have no price of their own that of the table, by model name."""
    for name, endpoint in endpoints.items():
        if endpoint.price is None and name in prices:
            endpoint.price = prices[name]


def _models(options: RunOptions) -> list[Model]:
    entries = model_entries(options)
    given = {
        field: value
        for field in ("max_concurrency", "rpm", "attempts", "timeout")
        if (value := getattr(options, field)) is not None
    }
    resolved = []
    for spec in options.models:
        model = resolve(spec, entries, ModelEntry(endpoint=spec))
        # What the command line says counts over models.toml, for every model of the run.
        entry = msgspec.structs.replace(model.entry, **given)
        if entry.endpoint.startswith(("hf:", "vllm:", "completion:")):
            entry = _with_own_settings(entry, options.params)
        resolved.append(msgspec.structs.replace(model, entry=entry))
    names = [model.name for model in resolved]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two models are called '{name}'; give one of them a name of its own in models.toml")
    return resolved


def _with_own_settings(entry: ModelEntry, params: Mapping[str, Any]) -> ModelEntry:
    """Returns an entry with --param preset=NAME as its preset and, for local weights, the other parameters as their settings."""
    named = str(params.get("preset", "")) or entry.preset
    if not entry.endpoint.startswith(("hf:", "vllm:")):
        return msgspec.structs.replace(entry, preset=named)
    own = {key: value for key, value in params.items() if key != "preset"}
    # They are needed to make the endpoint; what is a server's vendor field joins each request later.
    return msgspec.structs.replace(entry, preset=named, params={**own, **entry.params})


def _load_sets(options: RunOptions, taxonomy: Taxonomy) -> tuple[tuple[SetRef, ...], list[Item]]:
    refs, items = [], []
    for name in options.sets:
        loaded: Sequence[Item] = load(name, taxonomy=taxonomy)
        kinds = {type(item) for item in loaded}
        if not kinds <= {Choice, Prompt}:
            raise UsageError(f"set '{name}' holds neither prompts nor two-choice items; see  cvalues data show {name}")
        refs.append(SetRef(name=name, hash=content_hash([content_hash(item) for item in loaded]), items=len(loaded)))
        items += select(loaded, options)
    if not items:
        raise UsageError("no item is left after --filter; see  cvalues data show SET  for the values that exist")
    if len({type(item) for item in items}) > 1:
        raise UsageError("a run asks either two-choice items or prompts; give sets of one kind, or make two runs")
    ids = [item.id for item in items]
    if len(set(ids)) < len(ids):
        twice = next(item for item in ids if ids.count(item) > 1)
        raise UsageError(f"item '{twice}' occurs twice in these sets; drop one of the sets or give the item another id")
    return tuple(refs), items


def select(items: Sequence[Item], options: RunOptions) -> list[Item]:
    """Returns the items that pass every filter, at most `limit` of them, in their order.

    A limit draws whole pairs by a hash of seed and pair id, so that categories stay mixed, both orders stay together, and the
    draw does not depend on what else is in the set.
    """
    kept = [item for item in items if all(_passes(item, key, value) for key, value in options.filters.items())]
    if options.limit is None or options.limit >= len(kept):
        return kept
    units: dict[str, list[Item]] = {}
    for item in kept:
        units.setdefault(item.pair_id if isinstance(item, Choice) else item.id, []).append(item)
    chosen: set[str] = set()
    count = 0
    for unit in sorted(units, key=lambda unit: derive_seed("limit", options.seed, unit)):
        if count >= options.limit:
            break
        chosen.add(unit)
        count += len(units[unit])
    return [item for item in kept if (item.pair_id if isinstance(item, Choice) else item.id) in chosen]


def _passes(item: Item, key: str, value: str) -> bool:
    if key in item.tags:
        found = item.tags[key]
    elif hasattr(item, key) and isinstance(getattr(item, key), str | int):
        found = str(getattr(item, key))
    else:
        fields = [name for name in item.__struct_fields__ if isinstance(getattr(item, name), str | int)]
        raise unknown_name("filter", key, [*fields, *item.tags])
    return found in value.split(",")


def _settings(
    options: RunOptions, chosen: Template, models: Iterable[Model], endpoints: Mapping[str, Endpoint]
) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(options)
    for key in (
        "sets",
        "models",
        "name",
        "models_file",
        "max_concurrency",
        "rpm",
        "attempts",
        "timeout",
        "template",
        "judges",
        "rubrics",
    ):
        plain.pop(key, None)
    plain["template"] = chosen.id
    plain["template_text"] = chosen.text
    plain["model_settings"] = {model.name: _model_settings(model, endpoints[model.name]) for model in models}
    return plain


def _model_settings(model: Model, endpoint: Endpoint) -> dict[str, Any]:
    entry = msgspec.to_builtins(model.entry)
    shown = {key: entry[key] for key in ("preset", "guided", "params", "sampling", "system") if entry.get(key)}
    own = _shaping(endpoint)
    described = own.described if own else {}
    return {"endpoint": model.entry.endpoint, "revision": endpoint.revision, **described, **shown}


def rough_tokens(text: str) -> int:
    """Returns about how many tokens a text has: 0.7 for a character beyond Latin-1, 0.28 for any other; a planning figure only."""
    wide = sum(1 for char in text if ord(char) > 0xFF)
    return round(0.7 * wide + 0.28 * (len(text) - wide))
