"""Logs of Inspect AI as recorded responses: `.json` logs are read as they are, `.eval` logs by Inspect itself where it is installed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from cvalues.errors import DataError, MissingExtra
from cvalues.records import clean, open_bytes, write_records

_DEFLATE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def import_log(log: Path, out: Path) -> int:
    """Writes the responses of a log as JSON Lines that `recorded:FILE` reads, and returns how many there are.

    A row has `prompt` (the last message of the user), `response`, `reasoning`, `finish`, `model`, tokens, and the sample's id. Samples
    that ended in an error have no response and are left out.

    Raises:
        DataError: the file is no log of Inspect, or holds no response.
        MissingExtra: an `.eval` log is compressed in a way that needs inspect-ai.
    """
    rows = [row for sample in _samples(log) if (row := _row(sample)) is not None]
    if not rows:
        raise DataError(f"{log}: holds no response; give a log of  inspect eval  whose samples ran")
    write_records(out, rows)
    return len(rows)


def _samples(log: Path) -> Iterator[dict[str, Any]]:
    if log.suffix == ".eval":
        yield from _packed(log)
        return
    with open_bytes(log) as file:
        body = _decode(log, file.read())
    samples = body.get("samples")
    if not isinstance(samples, list) or "eval" not in body:
        raise DataError(f"{log}: is no log of Inspect; expected a JSON object with 'eval' and 'samples'")
    yield from (sample for sample in samples if isinstance(sample, dict))


def _packed(log: Path) -> Iterator[dict[str, Any]]:
    with open_bytes(log) as file:
        try:
            archive = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise DataError(f"{log}: is no log of Inspect ({error}); expected a ZIP archive") from error
        entries = [entry for entry in archive.infolist() if entry.filename.startswith("samples/")]
        if all(entry.compress_type in _DEFLATE for entry in entries):
            for entry in entries:
                try:
                    yield _decode(log, archive.read(entry))
                except (zipfile.BadZipFile, EOFError) as error:
                    raise DataError(f"{log}: is damaged ({error}); copy it again") from error
            return
    yield from _by_inspect(log)


def _by_inspect(log: Path) -> Iterator[dict[str, Any]]:
    try:
        from inspect_ai.log import read_eval_log_samples
    except ImportError as error:
        raise MissingExtra("inspect-ai", "inspect") from error
    for sample in read_eval_log_samples(str(log), all_samples_required=False):
        yield msgspec.json.decode(sample.model_dump_json(), type=dict[str, Any])


def _decode(log: Path, body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{log}: {error}; expected a log of Inspect as JSON") from error


def _row(sample: dict[str, Any]) -> dict[str, Any] | None:
    output = sample.get("output")
    choices = output.get("choices") if isinstance(output, dict) else None
    if sample.get("error") or not isinstance(output, dict) or not isinstance(choices, list) or not choices:
        return None
    message = choices[0].get("message", {}) if isinstance(choices[0], dict) else {}
    said, reasoning = _parts(message.get("content"))
    usage: dict[str, Any] = output.get("usage") or {}
    return {
        "prompt": clean(_asked(sample.get("input"))),
        "response": clean(said),
        "reasoning": clean(reasoning),
        "finish": str(choices[0].get("stop_reason") or "stop").replace("model_length", "length"),
        "model": clean(str(output.get("model", ""))),
        "tokens_in": usage.get("input_tokens"),
        "tokens_out": usage.get("output_tokens"),
        "id": clean(str(sample.get("id", ""))),
        "sample": int(sample.get("epoch") or 1) - 1,
    }


def _parts(content: Any) -> tuple[str, str]:
    """Returns (text, reasoning) of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content, ""
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    said = "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
    return said, "\n".join(str(part.get("reasoning", "")) for part in parts if part.get("type") == "reasoning")


def _asked(given: Any) -> str:
    if isinstance(given, str):
        return given
    users = [entry for entry in given or [] if isinstance(entry, dict) and entry.get("role") == "user"]
    return _parts(users[-1].get("content"))[0] if users else ""
