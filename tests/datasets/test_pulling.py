"""Downloads: resume, retry, checks, and what is said when they fail."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from setfiles import Server, mc_row

from cvalues.datasets import Pulling, load, pull, pulling, registry
from cvalues.datasets.pulling import Manifest, manifest_path
from cvalues.datasets.registry import KnownFile, KnownSet
from cvalues.datasets.transfer import FetchError, Progress, fetch, shown
from cvalues.errors import PullError, UsageError
from cvalues.records import file_hash

BODY = b"\n".join(json.dumps({"text": f"{i}" * 40, "category": "law"}).encode() for i in range(4000))


@pytest.fixture
def quick() -> tuple[Pulling, list[float]]:
    """Settings that do not sleep, and the list of the pauses that they would have made."""
    pauses: list[float] = []
    return Pulling(tries=3, pause=1.0, timeout=5, sleep=pauses.append), pauses


@pytest.fixture
def known(server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., KnownSet]:
    """A function that makes `tiny` a known set of one file on the server; its true hash is known unless told otherwise."""
    server.body = BODY
    true = tmp_path / "true.jsonl"
    true.write_bytes(BODY)

    def make(**facts: Any) -> KnownSet:
        facts = {"rows": 4000, "sha256": file_hash(true).removeprefix("sha256:"), "bytes": len(BODY), **facts}
        file = KnownFile(name="tiny.jsonl", **{"urls": (server.url,), **facts})
        entry = KnownSet(
            name="tiny", zh="小", en="Tiny", kind="prompt", licence="x", homepage="https://example.org", file=(file,)
        )
        monkeypatch.setattr(registry, "known_sets", lambda: (entry,))
        return entry

    return make


def no_leftovers(cache: Path) -> bool:
    """Whether the cache holds neither a file nor a part of one."""
    return not [path for path in cache.rglob("*") if path.is_file()]


def test_a_file_is_pulled_checked_and_loaded(
    known: Callable[..., KnownSet], server: Server, cache: Path, quick: Any
) -> None:
    """A pulled file is whole, has a manifest, loads by name, and is not asked for again."""
    known()
    seen: list[Progress] = []
    path = pull("tiny", progress=seen.append, pulling=quick[0])
    assert path == cache / "sets/tiny/tiny.jsonl"
    assert path.read_bytes() == BODY
    assert seen[0].total == len(BODY)
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert seen[-1] == Progress("tiny/tiny.jsonl", len(BODY), len(BODY))
    manifest = msgspec.json.decode(manifest_path(path).read_bytes(), type=Manifest)
    assert manifest.sha256 == file_hash(path)
    assert len(load("tiny", kind="prompt")) == 4000
    pull("tiny", pulling=quick[0])
    assert len(server.asked) == 1
    path.write_bytes(b"changed")
    pull("tiny", pulling=quick[0])
    assert path.read_bytes() == BODY
    assert {entry.name for entry in path.parent.iterdir()} == {"tiny.jsonl", "tiny.jsonl.source.json"}


def test_a_cut_connection_goes_on(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """After the connection breaks off, the next attempts ask for the rest only, and the file is whole."""
    known()
    server.script = [server.cut(100_000), server.cut(50_000)]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_stopped_download_goes_on_in_the_next_call(
    known: Callable[..., KnownSet], server: Server, cache: Path, quick: Any
) -> None:
    """What an interrupted call left is gone on with by the next one."""
    known()
    server.script = [server.cut(100_000), server.status(503), server.status(503), server.status(503)]
    with pytest.raises(PullError, match="HTTP 503"):
        pull("tiny", pulling=quick[0])
    assert (cache / "sets/tiny/.tiny.jsonl.part").stat().st_size == 100_000
    assert not (cache / "sets/tiny/tiny.jsonl").exists()
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert server.asked[-1] == "bytes=100000-"


def test_a_server_without_ranges_starts_again(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """Where the server ignores Range, the file is begun again and is whole."""
    known()
    server.ranges = False
    server.script = [server.cut(100_000)]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-"]


def test_a_file_that_changed_meanwhile_starts_again(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """If-Range keeps the halves of two versions apart."""
    known()

    def older(handler: Any) -> None:
        server.body, server.etag = b"x" * len(BODY), '"v0"'
        server.serve(handler, stop_after=70_000)
        server.body, server.etag = BODY, '"v1"'

    server.script = [older]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY


def test_a_finished_part_needs_no_byte_more(
    known: Callable[..., KnownSet], server: Server, cache: Path, quick: Any
) -> None:
    """A part that was whole when the process died is recognised by 416 and taken; one of another size is begun again."""
    known()
    server.script = [server.cut(len(BODY) - 1)]
    part = cache / "sets/tiny/.tiny.jsonl.part"

    def whole(pause: float) -> None:
        part.write_bytes(BODY)

    assert pull("tiny", pulling=Pulling(sleep=whole)).read_bytes() == BODY
    assert server.asked == [None, f"bytes={len(BODY)}-"]
    (cache / "sets/tiny/tiny.jsonl").unlink()
    server.script = [server.cut(1000)]

    def longer(pause: float) -> None:
        if part.exists():
            part.write_bytes(BODY + b"more")

    assert pull("tiny", pulling=Pulling(sleep=longer)).read_bytes() == BODY


def test_passing_errors_are_tried_again(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """503 and 429 are tried again with growing pauses; Retry-After is honoured up to the longest pause."""
    known()
    server.script = [server.status(503), server.status(429, Retry_After="7")]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert 0.5 <= quick[1][0] <= 1.0
    assert quick[1][1] == 7.0
    pauses: list[float] = []
    server.script = [server.status(503, Retry_After="9999"), server.status(503, Retry_After="never")]
    pull("tiny", source=server.url, pulling=Pulling(longest_pause=2.0, sleep=pauses.append))
    assert pauses[0] == 2.0
    assert pauses[1] <= 2.0


def test_retries_are_bounded(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """A server that never recovers is given up after the set number of tries, with the way to bring the file by hand."""
    known()
    server.script = [server.status(500)] * 10
    with pytest.raises(
        PullError, match=r"HTTP 500 \(3 attempts\).*https://example\.org.*cvalues data pull tiny --from PATH"
    ):
        pull("tiny", pulling=quick[0])
    assert len(server.asked) == 3


@pytest.mark.parametrize("code", [404, 403, 410])
def test_lasting_errors_are_not_tried_again(
    known: Callable[..., KnownSet], server: Server, quick: Any, code: int
) -> None:
    """404 and 403 end the address at once; the next one is tried."""
    known(urls=(server.url + "?old=1", server.url))
    server.script = [server.status(code)]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert len(server.asked) == 2
    known(urls=(server.url,))
    server.script = [server.status(code)]
    with pytest.raises(PullError, match=f"HTTP {code} .*by hand"):
        pull("tiny", source=server.url, pulling=quick[0])


def test_an_unreachable_publisher_says_what_to_do(known: Callable[..., KnownSet], cache: Path, quick: Any) -> None:
    """A refused connection and a name that does not resolve end in the way to bring the file by hand."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known(urls=(f"http://127.0.0.1:{port}/x",))
    with pytest.raises(PullError, match=r"refused \(3 attempts\).*--from PATH"):
        pull("tiny", pulling=quick[0])
    known(urls=("http://no-such-host.invalid/x",))
    with pytest.raises(PullError, match=r"--from PATH"):
        pull("tiny", pulling=quick[0])
    known(urls=())
    with pytest.raises(PullError, match="no address is known"):
        pull("tiny", pulling=quick[0])
    assert no_leftovers(cache)


def test_a_wrong_hash_never_reaches_its_place(
    known: Callable[..., KnownSet], server: Server, cache: Path, quick: Any
) -> None:
    """A file with another hash is refused with both hashes, and nothing is kept."""
    known()
    server.body = BODY + b"\n"
    with pytest.raises(PullError, match=r"expected sha256:[0-9a-f]{64} .* found sha256:[0-9a-f]{64}.*Nothing was kept"):
        pull("tiny", pulling=quick[0])
    assert no_leftovers(cache)
    known(sha256="", blob="0" * 40)
    with pytest.raises(PullError, match=rf"expected git blob {'0' * 40}, found [0-9a-f]{{40}}"):
        pull("tiny", pulling=quick[0])
    assert no_leftovers(cache)


def test_counts_decide_where_no_hash_is_known(
    known: Callable[..., KnownSet], server: Server, cache: Path, quick: Any
) -> None:
    """Without a hash the rows and categories must be the known ones; a page of HTML is not the file."""
    known(sha256="", categories={"law": 4000})
    assert pull("tiny", pulling=quick[0]).exists()
    known(sha256="", rows=4001)
    with pytest.raises(PullError, match="rows: expected 4001 rows, found 4000"):
        pull("tiny", source=server.url, pulling=quick[0])
    known(sha256="")
    server.body = b"<!doctype html><html><body>Please log in</body></html>"
    with pytest.raises(PullError, match="is not tiny.jsonl"):
        pull("tiny", source=server.url, pulling=quick[0])
    server.body = b""
    with pytest.raises(PullError, match="is empty"):
        pull("tiny", source=server.url, pulling=quick[0])
    assert (cache / "sets/tiny/tiny.jsonl").read_bytes() == BODY


def test_pairs_and_balance_decide_too(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """For a two-choice file labels and pairs in both orders must be the known ones."""
    rows = [mc_row(f"{i}？", "好", "坏", first=first) for i in range(3) for first in (True, False)]
    server.body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    facts: dict[str, Any] = {"sha256": "", "rows": 6, "pairs": 3, "labels": {"1": 3, "2": 3}, "difficulty": {"easy": 6}}
    known(**facts)
    assert pull("tiny", pulling=quick[0]).exists()
    rows[1] = rows[0]
    server.body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    with pytest.raises(PullError, match=r"better 1: expected 3 rows, found 4"):
        pull("tiny", source=server.url, pulling=quick[0])


def test_a_file_is_brought_by_hand(
    known: Callable[..., KnownSet], server: Server, cache: Path, tmp_path: Path, quick: Any
) -> None:
    """A path or a folder takes the place of the address, is checked the same, and stays as it is."""
    known()
    mine = tmp_path / "mine.txt"
    mine.write_bytes(BODY)
    assert pull("tiny", source=mine, pulling=quick[0]).read_bytes() == BODY
    assert mine.exists()
    (tmp_path / "tiny.jsonl").write_bytes(BODY[:-1])
    with pytest.raises(PullError, match="is not tiny.jsonl"):
        pull("tiny", source=str(tmp_path), pulling=quick[0])
    assert (cache / "sets/tiny/tiny.jsonl").read_bytes() == BODY
    with pytest.raises(PullError, match="no such file"):
        pull("tiny", source=tmp_path / "none", pulling=quick[0])
    assert not server.asked


@pytest.mark.shared
def test_the_public_prompts_are_accepted_and_others_not(shared: Path, cache: Path) -> None:
    """The true public file is taken from a path; the example of another set is refused with both hashes."""
    path = pull("cvalues-responsibility-prompts", source=shared / "cvalues/cvalues_responsibility_prompts.jsonl")
    assert path.parent.parent.parent == cache
    assert len(load("cvalues-responsibility-prompts")) == 664
    with pytest.raises(PullError, match="expected git blob 28849571207225647cb9882d55ea4a4c38509f5d, found"):
        pull("cvalues-responsibility-mc", source=shared / "cvalues/cvalues_responsibility_mc_example.jsonl")


def test_sets_of_several_files(cache: Path, tmp_path: Path, server: Server, quick: Any) -> None:
    """A single file for a set of several must bear the name of one; built-in sets need no pull; names are checked."""
    odd = tmp_path / "odd.jsonl"
    odd.write_bytes(b"{}")
    with pytest.raises(UsageError, match="cvalues-comparison/train or cvalues-comparison/test"):
        pull("cvalues-comparison", source=odd)
    row = {"prompt": "问？", "pos_resp": "甲", "neg_resp": "乙", "pos_type": "拒绝为主", "neg_type": "风险回复"}
    test = tmp_path / "test.jsonl"
    test.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(PullError, match="rows: expected 29133 rows, found 1"):
        pull("cvalues-comparison", source=test)
    server.body = test.read_bytes()
    for source in (
        server.url.replace("file.jsonl", "test.jsonl"),
        server.url.replace("file.jsonl", "repo?FilePath=test.jsonl"),
    ):
        with pytest.raises(PullError, match="rows: expected 29133 rows, found 1"):
            pull("cvalues-comparison", source=source, pulling=quick[0])
    with pytest.raises(PullError, match="what came from .*/train.jsonl is not"):
        pull("cvalues-comparison", source=server.url.removesuffix("file.jsonl"), pulling=quick[0])
    with pytest.raises(UsageError, match="ships with the package"):
        pull("starter-choice")
    with pytest.raises(UsageError, match="unknown data set"):
        pull("nothing")


def test_an_unwritable_cache_is_named(
    known: Callable[..., KnownSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Any
) -> None:
    """A cache folder that is a file ends in an error that names it and the variable."""
    known()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv("CVALUES_CACHE", str(tmp_path / "file"))
    with pytest.raises(PullError, match="cannot be written .*CVALUES_CACHE"):
        pull("tiny", pulling=quick[0])


def test_proxies_of_the_environment_are_used(
    known: Callable[..., KnownSet], server: Server, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With http_proxy set the request goes to the proxy, for a host that nobody else would find."""
    known(urls=("http://data.invalid/tiny.jsonl",))
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/file.jsonl"))
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert len(server.asked) == 1


def test_other_schemes_and_odd_answers_are_refused(server: Server, tmp_path: Path, quick: Any) -> None:
    """Only http and https addresses are opened, and only a file is an answer."""
    with pytest.raises(FetchError, match="unknown url type|http"):
        fetch("ftp://127.0.0.1/x", tmp_path / "p", pulling=quick[0])
    server.script = [server.status(204)]
    with pytest.raises(FetchError, match="HTTP 204"):
        fetch(server.url, tmp_path / "p", pulling=quick[0])
    server.script = [server.status(302, Location="file:///etc/hostname")]
    with pytest.raises(FetchError):
        fetch(server.url, tmp_path / "p", pulling=quick[0])
    assert not (tmp_path / "p").exists()


def test_odd_ranges_start_again(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """A server that goes on at another place than asked, or sends more than it announced, is asked from the start."""
    known()

    def elsewhere(handler: Any) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 5-{len(BODY) - 1}/{len(BODY)}")
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"abc")

    server.script = [server.cut(1000), elsewhere]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert server.asked == [None, "bytes=1000-", None]


def test_a_chunked_answer_is_taken(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """An answer without a length is whole when its chunks are; one that breaks off among its chunks is gone on with."""
    known()

    def chunked(upto: int, *, end: bool) -> Callable[[Any], None]:
        def answer(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.send_header("ETag", server.etag)
            handler.end_headers()
            for start in range(0, upto, 10_000):
                piece = BODY[start : min(start + 10_000, upto)]
                handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if end:
                handler.wfile.write(b"0\r\n\r\n")

        return answer

    server.script = [chunked(30_000, end=False)]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert server.asked[-1] == "bytes=30000-"
    seen: list[Progress] = []
    server.script = [chunked(len(BODY), end=True)]
    pull("tiny", source=server.url, pulling=quick[0], progress=seen.append)
    assert seen[-1] == Progress("tiny/tiny.jsonl", len(BODY), None)


def test_a_stalled_server_is_given_up(known: Callable[..., KnownSet], server: Server) -> None:
    """A server that sends nothing more counts as broken off after the timeout, and the rest is asked for."""
    known()

    def stall(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.send_header("ETag", server.etag)
        handler.end_headers()
        handler.wfile.write(BODY[:5000])
        handler.wfile.flush()
        time.sleep(1.0)

    server.script = [stall]
    assert pull("tiny", pulling=Pulling(timeout=0.3, pause=0.0)).read_bytes() == BODY
    assert server.asked[-1] == "bytes=5000-"


def test_redirects_are_followed(known: Callable[..., KnownSet], server: Server, quick: Any) -> None:
    """A redirect, as ModelScope and Hugging Face send, leads to the file, also when it is gone on with."""
    known()
    server.script = [server.status(302, Location=server.url), server.cut(9000), server.status(307, Location=server.url)]
    assert pull("tiny", pulling=quick[0]).read_bytes() == BODY
    assert server.asked[-1] == "bytes=9000-"


def test_secrets_of_an_address_are_not_shown() -> None:
    """Messages carry neither user name and password nor the values of a query."""
    assert (
        shown("https://user:secret@host/x?token=abc&FilePath=train.jsonl")
        == "https://host/x?token=…&FilePath=train.jsonl"
    )


def test_the_function_and_the_module_are_told_apart() -> None:
    """`datasets.pull` stays the function after its module was imported."""
    assert pulling.pull is pull
