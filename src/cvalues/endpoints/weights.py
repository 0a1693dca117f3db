"""A folder of weights as files: its configuration, chat template and revision. Needs neither torch nor transformers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from cvalues.errors import ConfigError, UsageError
from cvalues.records import content_hash, file_hash, open_bytes
from cvalues.schema import Record

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_SMALL = (".json", ".jinja", ".model", ".txt", ".py", ".tiktoken", ".vocab")
_BLOCK = 1 << 16
_BLOCKS = 64
"""Blocks of each file of weights that its fingerprint reads: 4 MiB, evenly spread, so that 100 GB take a second."""
_POSITIONS = ("max_position_embeddings", "n_positions", "seq_length", "n_ctx")


class Weights(Record, frozen=True, kw_only=True):
    """What the files of a folder say of a model."""

    path: str
    model_type: str
    encoder_decoder: bool
    chat_template: str
    """Jinja text of the tokenizer's chat template; empty where it has none."""
    special_tokens: dict[str, str] = {}
    """Special tokens by their names, for example `bos_token`."""
    context: int | None
    """Most positions by the configuration; None where it does not say."""
    revision: str
    """Content hash of configuration, tokenizer and weights."""


def read_weights(path: Path) -> Weights:
    """Returns what a folder in the layout of transformers holds.

    Raises:
        UsageError: the path is no folder of weights.
        ConfigError: config.json or tokenizer_config.json is not JSON.
    """
    if not path.is_dir():
        raise UsageError(
            f"'{path}' is no folder of weights; download the model first and give the folder that holds its config.json"
        )
    if not (path / "config.json").is_file():
        raise UsageError(f"'{path}' holds no config.json; give the folder of a model in the layout of transformers")
    config = _json(path / "config.json")
    positions = [config.get(name) for name in _POSITIONS]
    known = [value for value in positions if isinstance(value, int) and 0 < value < 1 << 30]
    encoder_decoder = bool(config.get("is_encoder_decoder"))
    return Weights(
        path=str(path),
        model_type=str(config.get("model_type", "")),
        encoder_decoder=encoder_decoder,
        chat_template=_chat_template(path),
        special_tokens=_special_tokens(path),
        # Relative positions have no end: what T5 calls n_positions is no limit.
        context=None if encoder_decoder or not known else known[0],
        revision=_revision(path),
    )


def _json(path: Path) -> dict[str, Any]:
    with open_bytes(path) as file:
        try:
            return msgspec.json.decode(file.read(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path}: {error}; get the file again, it should hold one JSON object") from error


def _chat_template(path: Path) -> str:
    """Returns the template of `chat_template.jinja`, else of tokenizer_config.json; of several the one called `default`."""
    own = path / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8", errors="replace")
    if not (path / "tokenizer_config.json").is_file():
        return ""
    found = _json(path / "tokenizer_config.json").get("chat_template") or ""
    if isinstance(found, list):
        named = {str(entry.get("name")): str(entry.get("template", "")) for entry in found if isinstance(entry, dict)}
        return named.get("default", "")
    return str(found)


def _special_tokens(path: Path) -> dict[str, str]:
    """Returns `bos_token` and the like of special_tokens_map.json and tokenizer_config.json."""
    found = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in (_json(path / name) if (path / name).is_file() else {}).items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(text, str):
                found[key] = text
    return found


def _revision(path: Path) -> str:
    """Returns the content hash of what shapes the answers: small files whole, weights by size and evenly spread blocks."""
    seen = []
    for file in sorted(path.iterdir()):
        if not file.is_file() or file.name.startswith("."):
            continue
        if file.suffix in _WEIGHTS:
            seen.append((file.name, file.stat().st_size, _spread(file)))
        elif file.suffix in _SMALL:
            seen.append((file.name, file.stat().st_size, file_hash(file)))
    return content_hash(seen)


def _spread(file: Path) -> str:
    size = file.stat().st_size
    digest = hashlib.sha256()
    with open_bytes(file) as raw:
        if size <= _BLOCK * _BLOCKS:
            digest.update(raw.read())
        else:
            step = (size - _BLOCK) / (_BLOCKS - 1)
            for number in range(_BLOCKS):
                raw.seek(round(number * step))
                digest.update(raw.read(_BLOCK))
    return "sha256:" + digest.hexdigest()
