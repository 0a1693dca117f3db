"""Model names on the command line and in `models.toml` → endpoints.

`KIND:REST`, where the kind ends at the first `:` and the address begins at the first `@http`: `openai:NAME@BASE_URL`, a vendor of
`data/presets/vendors.toml` (`deepseek:deepseek-chat`), `completion:NAME@URL`, `hf:FOLDER`, `vllm:FOLDER`, `recorded:FILE`, `baseline:NAME`,
`reward:FILE`, `reward:FOLDER`, `reward:NAME@URL`, `inspect:PROVIDER/MODEL`; or a name of `models.toml`.
"""

from __future__ import annotations

import functools
import importlib.util
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from cvalues.endpoints.base import Endpoint, Limits, Price
from cvalues.endpoints.baselines import baseline
from cvalues.endpoints.completion import CompletionEndpoint
from cvalues.endpoints.http import HttpEndpoint
from cvalues.endpoints.inspect_model import InspectEndpoint
from cvalues.endpoints.recorded import RecordedEndpoint
from cvalues.endpoints.reward import EmbeddedRewardEndpoint, HttpRewardEndpoint
from cvalues.endpoints.sequence import SequenceRewardEndpoint
from cvalues.endpoints.transformers_local import LocalWeights
from cvalues.endpoints.vllm_local import VllmWeights
from cvalues.errors import ConfigError, MissingExtra, UsageError, unknown_name
from cvalues.records import open_bytes
from cvalues.schema import Record, Sampling


class Vendor(Record, frozen=True, kw_only=True):
    """Address of a vendor's OpenAI-compatible server and the variable that holds its key."""

    base_url: str
    api_key_env: str = ""


class ModelEntry(Record, frozen=True, kw_only=True):
    """One `[name]` of models.toml."""

    endpoint: str
    """`openai:NAME@URL`, `VENDOR:NAME`, `completion:NAME@URL`, `hf:FOLDER`, `recorded:FILE`, `baseline:NAME`, `reward:…`."""
    preset: str = ""
    """Prompt format and decoding defaults by name (`cvalues models list`), for `hf:` and `completion:`."""
    guided: Literal["", "structured_outputs", "guided_choice", "regex", "json_schema"] = ""
    """How the server is told to answer with one of a choice's labels: vLLM, vLLM before 0.12, SGLang, or any with JSON schemas."""
    api_key_env: str | None = None
    headers: dict[str, str] = {}
    params: dict[str, Any] = {}
    """Vendor fields that are sent as they are, for example `enable_thinking`; for `hf:` its settings (docs/local-weights.md)."""
    sampling: Sampling = Sampling()
    system: str = ""
    max_concurrency: int = 256
    rpm: float | None = None
    attempts: int = 5
    timeout: float = 120.0
    price: Price | None = None


class Model(Record, frozen=True, kw_only=True):
    """A model that was resolved: its name, its entry, and where the name came from."""

    name: str
    entry: ModelEntry


@functools.cache
def vendors() -> dict[str, Vendor]:
    """Returns the vendor presets by name."""
    body = resources.files("cvalues").joinpath("data/presets/vendors.toml").read_bytes()
    return msgspec.toml.decode(body, type=dict[str, Vendor])


KINDS = ("openai", "completion", "hf", "vllm", "recorded", "baseline", "reward", "inspect")


def load_models(path: Path | None) -> dict[str, ModelEntry]:
    """Returns the entries of a models.toml by name; empty for None.

    Raises:
        ConfigError: the file is not valid; the message names the file and the field.
    """
    if path is None:
        return {}
    with open_bytes(path) as file:
        try:
            return msgspec.toml.decode(file.read(), type=dict[str, ModelEntry])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}; see docs/models.md for the fields of an entry") from error


def resolve(spec: str, entries: dict[str, ModelEntry], defaults: ModelEntry | None = None) -> Model:
    """Returns the model that a `-m` value names.

    Args:
        spec: a name of models.toml, or `KIND:REST`.
        entries: what `load_models` returned.
        defaults: limits and parameters for models that are not in models.toml.

    Raises:
        UsageError: the name or kind does not exist.
    """
    if spec in entries:
        return Model(name=spec, entry=entries[spec])
    kind, colon, rest = spec.partition(":")
    known = [*KINDS, *vendors()]
    if not colon:
        raise unknown_name("model", spec, [*entries, *(f"{kind}:…" for kind in known)])
    if kind not in known:
        raise unknown_name("kind of model", kind, known)
    if not rest:
        raise UsageError(f"'{spec}' names no model; write for example {_example(kind)}")
    base = defaults or ModelEntry(endpoint=spec)
    entry = msgspec.structs.replace(base, endpoint=spec)
    name = rest.partition("@http")[0] if kind not in {"recorded", "baseline"} else spec
    if kind == "reward":
        name = reward_place(rest)[0]
    if kind in {"hf", "vllm"}:
        name = Path(rest).name
    return Model(name=Path(rest).stem if kind == "recorded" else name, entry=entry)


def reward_place(rest: str) -> tuple[str, str, str]:
    """Returns (name, path, address) of what follows `reward:`; one of path and address is empty."""
    if rest.startswith(("http://", "https://")):
        return rest, "", rest
    served, at, address = rest.partition("@http")
    if at:
        return served, "", f"http{address}"
    return Path(rest).stem, rest, ""


def _example(kind: str) -> str:
    return {
        "openai": "openai:qwen2.5-7b-instruct@http://localhost:8000/v1",
        "completion": "completion:moss@http://localhost:8000/v1",
        "hf": "hf:models/Qwen2.5-7B-Instruct",
        "vllm": "vllm:models/Qwen2.5-7B-Instruct",
        "recorded": "recorded:responses.jsonl",
        "baseline": "baseline:ngram",
        "reward": "reward:model.npz",
        "inspect": "inspect:anthropic/claude-sonnet-4-0",
    }.get(kind, f"{kind}:MODEL")


def build(model: Model) -> Endpoint:
    """Returns the endpoint of a resolved model; opens no connection.

    Raises:
        UsageError: the entry's endpoint is malformed.
    """
    entry = model.entry
    kind, _, rest = entry.endpoint.partition(":")
    limits = Limits(max_concurrency=entry.max_concurrency, rpm=entry.rpm, attempts=entry.attempts)
    if entry.preset and kind not in {"hf", "vllm", "completion"}:
        raise UsageError(
            f"model '{model.name}': a preset is for hf:, vllm: and completion:, since a chat server formats the prompt by itself"
        )
    own = _own(model, kind, rest, limits)
    if own is not None:
        return own
    served, at, address = rest.partition("@http")
    vendor = vendors().get(kind)
    if vendor is None and kind not in {"openai", "completion"}:
        raise unknown_name("kind of model", kind, [*KINDS, *vendors()])
    if vendor is None and not at:
        raise UsageError(f"'{entry.endpoint}' has no address; write for example {_example(kind)}")
    base_url = f"http{address}" if at or vendor is None else vendor.base_url
    # A preset's key is for the preset's address; a server that is named by address gets a key only when models.toml says which.
    preset_key = vendor.api_key_env if vendor is not None and not at else ""
    key = preset_key if entry.api_key_env is None else entry.api_key_env
    if kind == "completion":
        return CompletionEndpoint(
            model.name,
            base_url,
            preset_name=entry.preset or "plain",
            model=served,
            api_key_env=key,
            headers=entry.headers,
            timeout=entry.timeout,
            limits=limits,
            price=entry.price,
        )
    return HttpEndpoint(
        model.name,
        base_url,
        model=served,
        api_key_env=key,
        headers=entry.headers,
        timeout=entry.timeout,
        limits=limits,
        price=entry.price,
    )


def _own(model: Model, kind: str, rest: str, limits: Limits) -> Endpoint | None:
    """Returns the endpoint of a kind that is no chat or completion server; None for those."""
    found: Endpoint | None = None
    if kind == "hf":
        found = _local(model, rest)
    elif kind == "vllm":
        if importlib.util.find_spec("vllm") is None:
            raise MissingExtra("vllm", "vllm")
        found = VllmWeights(model.name, Path(rest), params=model.entry.params, preset_name=model.entry.preset)
    elif kind == "baseline":
        found = baseline(rest)
        found.name = model.name
    elif kind == "recorded":
        found = RecordedEndpoint(model.name, Path(rest))
    elif kind == "reward":
        found = _reward(model, rest, limits)
    elif kind == "inspect":
        if importlib.util.find_spec("inspect_ai") is None:
            raise MissingExtra("inspect-ai", "inspect")
        found = InspectEndpoint(model.name, rest)
    return found


def _need_torch() -> None:
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "hf")


def _local(model: Model, rest: str) -> Endpoint:
    _need_torch()
    return LocalWeights(model.name, Path(rest), params=model.entry.params, preset_name=model.entry.preset)


def _reward(model: Model, rest: str, limits: Limits) -> Endpoint:
    name, path, address = reward_place(rest)
    if path and Path(path).is_dir():
        classifier = SequenceRewardEndpoint(model.name, Path(path))
        _need_torch()
        return classifier
    if path:
        return EmbeddedRewardEndpoint(model.name, Path(path))
    entry = model.entry
    return HttpRewardEndpoint(
        model.name,
        address,
        model="" if name == address else name,
        api_key_env=entry.api_key_env or "",
        headers=entry.headers,
        timeout=entry.timeout,
        limits=limits,
        price=entry.price,
    )
