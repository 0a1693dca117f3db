"""What can be measured, what is known of it, and whether it answers: `cvalues models list|show|check`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cvalues.choice.ask import ask_choice
from cvalues.choice.read import read_response
from cvalues.datasets import load
from cvalues.endpoints import wire
from cvalues.endpoints.base import Answer, Endpoint
from cvalues.endpoints.baselines import DESCRIPTIONS
from cvalues.endpoints.completion import CompletionEndpoint
from cvalues.endpoints.http import HttpEndpoint
from cvalues.endpoints.presets import Preset, preset, presets
from cvalues.endpoints.resolve import ModelEntry, resolve, vendors
from cvalues.endpoints.served_tokens import served_tokens
from cvalues.endpoints.transformers_local import LocalWeights
from cvalues.endpoints.weights import Weights, read_weights
from cvalues.errors import CallError, UsageError, unknown_name
from cvalues.prompts import template
from cvalues.records import now
from cvalues.schema import Choice, Record, Request, Response, Table, response_id
from cvalues.study import Planned
from cvalues.workflows.plan import RunOptions, make_plan, model_entries, rough_tokens
from cvalues.workflows.preset_words import in_words, named

_OTHERS = {
    "recorded:FILE": "recorded",
    "openai:MODEL@URL": "server",
    "completion:MODEL@URL": "completion",
    "hf:FOLDER": "weights",
    "vllm:FOLDER": "weights_vllm",
    "reward:FILE": "reward",
    "reward:FOLDER": "reward_folder",
    "reward:NAME@URL": "reward_server",
    "inspect:PROVIDER/MODEL": "inspect",
}
_KEPT = ("preset", "guided", "params", "sampling", "system", "max_concurrency", "rpm", "attempts", "timeout")


class Checked(Record, frozen=True, kw_only=True):
    """What came of checking one model."""

    model: str
    rendered: str
    """What is sent: the raw prompt, or the JSON body of a chat request."""
    tokens: int
    """Tokens of the prompt."""
    exact: bool
    """True where the model's own tokenizer counted, False for an estimate."""
    sent: bool = False
    mode: str = ""
    text: str = ""
    finish: str = ""
    option_scores: dict[str, float] = {}
    outcome: str = ""
    """What the reply is read as."""
    seconds: float | None = None
    problem: str = ""
    """Why there is no reply."""


def model_table(models_file: str = "", language: str = "en") -> Table:
    """Returns everything that `-m`, `preset` and models.toml can name: presets, built-in models, vendors, own models."""
    rows: list[tuple[str, str, str]] = []
    for name, entry in presets().items():
        kind = named("group.paper" if entry.group == "paper" else "group.family", language)
        rows.append((name, kind, f"{entry.title}. {in_words(entry.weights, language)}"))
    built_in = named("short.baseline", language)
    rows += [(f"baseline:{name}", built_in, in_words(what, language)) for name, what in DESCRIPTIONS.items()]
    rows += [
        (name, named(f"short.{kind}", language), named(f"kind.{kind}", language)) for name, kind in _OTHERS.items()
    ]
    for name, vendor in vendors().items():
        key = f"  {named('vendor.key', language)}: ${vendor.api_key_env}" if vendor.api_key_env else ""
        rows.append((f"{name}:MODEL", named("short.vendor", language), vendor.base_url + key))
    own = model_entries(RunOptions(models_file=models_file))
    rows += [(name, "models.toml", entry.endpoint) for name, entry in own.items()]
    return Table(title="Models", columns=("name", "kind", "what"), rows=tuple(rows))


def describe(name: str, models_file: str = "", language: str = "en") -> Table:
    """Returns all that is known of a preset, vendor, built-in model, own model or folder of weights, with the source of each fact.

    Raises:
        UsageError: nothing has this name.
    """
    own = model_entries(RunOptions(models_file=models_file))
    kind, _, rest = name.partition(":")
    if name in presets():
        rows = _preset_rows(preset(name), language)
    elif name in own:
        rows = _entry_rows(own[name])
    elif kind == "baseline" and rest in DESCRIPTIONS:
        rows = [("what", in_words(DESCRIPTIONS[rest], language), "")]
    elif kind in vendors():
        vendor = vendors()[kind]
        rows = [("address", vendor.base_url, ""), ("key", f"${vendor.api_key_env}" if vendor.api_key_env else "—", "")]
    elif kind in {"hf", "vllm"} and rest:
        rows = _weights_rows(read_weights(Path(rest)))
    elif rest:
        rows = _entry_rows(resolve(name, own).entry)
    else:
        raise unknown_name(
            "model", name, {*presets(), *own, *(f"baseline:{known}" for known in DESCRIPTIONS), *vendors()}
        )
    shown = tuple((named(f"fact.{fact}", language), value, source) for fact, value, source in rows)
    return Table(title=name, columns=("fact", "value", "source"), rows=shown)


def _preset_rows(entry: Preset, language: str) -> list[tuple[str, str, str]]:
    def source(fact: str) -> str:
        text = in_words(entry.sources.get(fact, ""), language)
        return f"{text} ({named('inferred', language)})".strip() if fact in entry.inferred else text

    rows = [("title", entry.title, ""), ("kind", named(f"kind.{entry.kind}", language), source("kind"))]
    if entry.format is None:
        rows.append(("format", named("own template", language), source("format")))
    else:
        for field, value in msgspec.to_builtins(entry.format).items():
            rows.append((f"format.{field}", repr(value), source("format")))
    settings = {
        "stop": list(entry.stop), "sampling": msgspec.to_builtins(entry.sampling), "generation": entry.generation,
        "context": entry.context, "encoder": entry.encoder, "models": list(entry.models),
    }  # fmt: skip
    for fact, value in settings.items():
        if value:
            rows.append((fact, msgspec.json.encode(value).decode(), source(fact)))
    rows.append(("weights", in_words(entry.weights, language), source("weights")))
    rows.append(("licence", in_words(entry.licence, language), source("licence")))
    loose = [fact for fact in entry.inferred if fact not in {*settings, "format", "kind"}]
    rows += [("inferred", in_words(fact, language), "") for fact in loose]
    rows += [("not_public", in_words(fact, language), "") for fact in entry.not_public]
    if entry.note:
        rows.append(("note", in_words(entry.note, language), ""))
    return rows


def _entry_rows(entry: ModelEntry) -> list[tuple[str, str, str]]:
    """The settings of an own model; of keys and headers only the names."""
    rows = [("endpoint", entry.endpoint, "")]
    plain: Mapping[str, Any] = msgspec.to_builtins(entry)
    rows += [(field, msgspec.json.encode(plain[field]).decode(), "") for field in _KEPT if plain.get(field)]
    if entry.api_key_env:
        rows.append(("key", f"${entry.api_key_env}", ""))
    rows += [("header", name, "") for name in entry.headers]
    return rows


def _weights_rows(weights: Weights) -> list[tuple[str, str, str]]:
    matching = [name for name, entry in presets().items() if weights.model_type in entry.models]
    rows = [
        ("model_type", weights.model_type, "config.json"),
        ("context", str(weights.context or "—"), "config.json"),
        ("revision", weights.revision, ""),
        ("chat_template", weights.chat_template or "—", "tokenizer_config.json"),
    ]
    return rows + [("preset", name, "") for name in matching]


# --- check ------------------------------------------------------------------------------------------------------------------


def check_model(spec: str, options: RunOptions | None = None, *, send: bool = True) -> Checked:
    """Renders one item of the starter set for a model, counts its tokens where a tokenizer is at hand, and sends it.

    Args:
        spec: a preset (rendered only), or what `-m` takes.
        options: template, mode, sampling and models file of the check.
        send: False renders only.

    Raises:
        UsageError: nothing has this name, or a preset has no format of its own.
    """
    chosen = options or RunOptions()
    if spec in presets() and spec not in model_entries(chosen):
        return _check_preset(spec, chosen)
    plan = make_plan(msgspec.structs.replace(chosen, sets=("starter-choice",), models=(spec,), limit=1))
    entry = plan.entries[0]
    endpoint = plan.endpoints[entry.request.model]
    return asyncio.run(_check(endpoint, entry, plan.items[entry.item], send=send))


def _check_preset(name: str, options: RunOptions) -> Checked:
    entry = preset(name)
    if entry.format is None:
        raise UsageError(
            f"preset '{name}' has no prompt format of its own to render; check a model instead, for example  "
            "cvalues models check hf:FOLDER"
        )
    item = next(item for item in load("starter-choice") if isinstance(item, Choice))
    asked = ask_choice(item, template(options.template or "public"), system=options.system)
    text = entry.format.render(asked.messages)
    return Checked(model=name, rendered=text, tokens=rough_tokens(text), exact=False, mode="generate")


async def _check(endpoint: Endpoint, entry: Planned, item: Any, *, send: bool) -> Checked:
    request = entry.request
    try:
        rendered, tokens, exact = await asyncio.to_thread(_rendered, endpoint, request, load_weights=send)
    except CallError as error:
        return Checked(model=endpoint.name, rendered="", tokens=0, exact=False, problem=f"{error.kind}: {error.detail}")
    checked = Checked(model=endpoint.name, rendered=rendered, tokens=tokens, exact=exact, mode=request.mode)
    if not send:
        return checked
    if isinstance(endpoint, HttpEndpoint):
        counted = await served_tokens(endpoint, request)
        if counted is not None:
            checked = msgspec.structs.replace(checked, tokens=counted, exact=True)
    began = time.monotonic()
    try:
        answer = await endpoint.ask(request)
    except CallError as error:
        return msgspec.structs.replace(checked, sent=True, problem=f"{error.kind}: {error.detail}")
    finally:
        await endpoint.close()
    outcome = str(read_response(item, _response(entry, answer), request.options).value)
    return msgspec.structs.replace(
        checked, sent=True, text=answer.text, finish=answer.finish, option_scores=answer.option_scores, outcome=outcome,
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


def _rendered(endpoint: Endpoint, request: Request, *, load_weights: bool) -> tuple[str, int, bool]:
    """What is sent for a request, how many tokens it has, and whether that is a count or an estimate."""
    if isinstance(endpoint, LocalWeights):
        text = endpoint.render(request.messages)
        return (text, len(endpoint.tokens(text)), True) if load_weights else (text, rough_tokens(text), False)
    if isinstance(endpoint, CompletionEndpoint):
        text = endpoint.prompt(request)
        return text, rough_tokens(text), False
    said = "\n".join(message.content for message in request.messages)
    if hasattr(endpoint, "url"):
        return wire.request_body(request, getattr(endpoint, "model", endpoint.name)).decode(), rough_tokens(said), False
    return said, rough_tokens(said), False


def _response(entry: Planned, answer: Answer) -> Response:
    origin = f"request:{entry.request_id}"
    return Response(
        id=response_id(origin), origin=origin, text=answer.text, finish=answer.finish, time=now(),
        option_scores=answer.option_scores,
    )  # fmt: skip
