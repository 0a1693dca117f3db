"""Reward models as endpoints: the embedded one and servers of three shapes."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cvalues.datasets import starter
from cvalues.datasets.pairing import comparisons_of
from cvalues.endpoints.base import Answer, Endpoint
from cvalues.endpoints.resolve import ModelEntry, build, resolve
from cvalues.endpoints.reward import HttpRewardEndpoint, read_scores
from cvalues.endpoints.sequence import FolderCard, read_card, read_fitted, save_fitted
from cvalues.errors import CallError, ConfigError, DataError, UsageError
from cvalues.pairs.embedded import EmbeddedReward, RewardCard
from cvalues.pairs.fitted import fitted_on
from cvalues.pairs.pair import pair_of
from cvalues.schema import Message, Option, Request

Reply = Callable[[str, dict[str, Any]], tuple[int, Any]]


class Scorer:
    """A server that answers every POST by a script; `asked` holds (path, body, headers)."""

    def __init__(self, script: Reply) -> None:
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, body, dict(self.headers)))
                status, answer = script(self.path, body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], Scorer]]:
    """Starts servers and stops them."""
    started: list[Scorer] = []

    def start(script: Reply) -> Scorer:
        started.append(Scorer(script))
        return started[-1]

    yield start
    for server in started:
        server.close()


def request(*replies: str) -> Request:
    """A scoring request."""
    options = tuple(Option(label=str(number), text=reply) for number, reply in enumerate(replies, 1))
    return Request(
        mode="score", model="m", messages=(Message(role="user", content="问题"),), question="问题", options=options
    )


def ask(endpoint: Endpoint, asked: Request) -> Answer:
    """Asks once and closes."""

    async def once() -> Answer:
        try:
            return await endpoint.ask(asked)
        finally:
            await endpoint.close()

    return asyncio.run(once())


def test_the_embedded_model_chooses_and_scores(tmp_path: Path) -> None:
    """The better option is the answer, the scores are the model's, equal replies name none, and the revision is the file's."""
    model = EmbeddedReward(RewardCard())
    model.fit(starter.preference_pairs("train"))
    path = model.save(tmp_path / "rm.npz")
    endpoint = build(resolve(f"reward:{path}", {}))
    assert (endpoint.name, endpoint.revision, endpoint.modes) == ("rm", model.revision, {"choose", "score"})
    better, worse = starter.preference_pairs("train")[0]
    answer = ask(endpoint, request(worse, better))
    assert answer.text == "2"
    assert answer.option_scores == dict(zip("12", model.scores([worse, better]).tolist(), strict=True))
    assert ask(endpoint, request(better, better)).text == ""
    with pytest.raises(CallError, match="cannot write one"):
        ask(endpoint, request())


def test_a_scoring_server_gets_prompt_and_responses(
    serve: Callable[[Reply], Scorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain shape: prompt and responses out, scores back; model, key and headers go along; the key is not in the name."""
    server = serve(lambda _path, body: (200, {"scores": [len(text) for text in body["responses"]]}))
    monkeypatch.setenv("RM_KEY", "secret-1")
    entry = ModelEntry(endpoint=f"reward:big-rm@{server.url}/score-it", api_key_env="RM_KEY", headers={"X-Team": "a"})
    endpoint = build(resolve("mine", {"mine": entry}))
    assert ask(endpoint, request("短", "长一些")).option_scores == {"1": 1.0, "2": 3.0}
    path, body, headers = server.asked[0]
    assert (path, body) == ("/score-it", {"model": "big-rm", "prompt": "问题", "responses": ["短", "长一些"]})
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer secret-1", "a")
    bare = build(resolve(f"reward:{server.url}/score-it", {}))
    ask(bare, request("短", "长一些"))
    assert "model" not in server.asked[1][1]


@pytest.mark.parametrize(
    ("path", "answer", "scores"),
    [
        ("/classify", {"data": [{"probs": [0.2]}, {"probs": [0.9]}]}, [0.2, 0.9]),
        ("/classify", {"data": [{"probs": [0.75, 0.25]}, {"probs": [0.1, 0.9]}]}, [math.log(0.25), math.log(0.9)]),
        ("/classify", {"data": [{"index": 1, "probs": [0.9]}, {"index": 0, "probs": [0.2]}]}, [0.2, 0.9]),
        ("/pooling", {"data": [{"data": [0.5]}, {"data": [-1.5]}]}, [0.5, -1.5]),
        ("/pooling", {"data": [{"data": [[0.1], [0.7]]}, {"data": [[0.3], [0.2]]}]}, [0.7, 0.2]),
        ("/v1/rank", {"scores": [1, 2]}, [1.0, 2.0]),
    ],
)
def test_every_shape_of_a_server_is_read(
    serve: Callable[[Reply], Scorer], path: str, answer: Any, scores: list[float]
) -> None:
    """One score for each reply, in the order asked, from plain servers and from vLLM's classify and pooling."""
    server = serve(lambda _path, _body: (200, answer))
    endpoint = build(resolve(f"reward:rm@{server.url}{path}", {}))
    assert list(ask(endpoint, request("甲", "乙")).option_scores.values()) == pytest.approx(scores)
    body = server.asked[0][1]
    if path != "/v1/rank":
        assert body["input"][1] == "### 问题：\n问题\n\n### 回答：\n乙"


@pytest.mark.parametrize(
    ("status", "answer", "kind", "transient"),
    [
        (200, b"no json", "bad_reply", True), (200, {"scores": [1]}, "bad_reply", False), (200, {"scores": [1, "x"]}, "bad_reply", False),
        (200, {"scores": [1, float("1e999")]}, "bad_reply", True), (200, [1, 2], "bad_reply", False), (404, {}, "not_found", False),
        (401, {}, "unauthorised", False), (429, {}, "rate_limited", True), (503, {}, "server_error", True), (400, {}, "rejected", False),
    ],
)  # fmt: skip
def test_what_is_no_score_is_a_failed_call(
    serve: Callable[[Reply], Scorer], status: int, answer: Any, kind: str, transient: bool
) -> None:
    """A wrong form, a missing score, infinity and every error status are named failures, never a score."""
    server = serve(lambda _path, _body: (status, answer))
    with pytest.raises(CallError) as caught:
        ask(build(resolve(f"reward:rm@{server.url}/s", {})), request("甲", "乙"))
    assert (caught.value.kind, caught.value.transient) == (kind, transient)


def test_a_key_that_is_not_set_and_a_dead_server_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key names its variable; a server that is not there is a failed connection."""
    monkeypatch.delenv("RM_KEY", raising=False)
    with pytest.raises(CallError, match=r"\$RM_KEY, which is not set"):
        ask(HttpRewardEndpoint("m", "http://127.0.0.1:9/s", api_key_env="RM_KEY"), request("甲", "乙"))
    with pytest.raises(CallError) as caught:
        ask(HttpRewardEndpoint("m", "http://127.0.0.1:9/s"), request("甲", "乙"))
    assert caught.value.kind == "connection"
    with pytest.raises(ConfigError, match="must begin with http"):
        HttpRewardEndpoint("m", "ftp://x")


def test_names_and_mistakes_of_reward_models(tmp_path: Path) -> None:
    """A file gives its stem as name, a server the name before the address or the address; a folder and a missing file are explained."""
    assert resolve("reward:models/rm.npz", {}).name == "rm"
    assert resolve("reward:rm@http://h:1/score", {}).name == "rm"
    assert resolve("reward:http://h:1/score", {}).name == "http://h:1/score"
    with pytest.raises(UsageError, match=r"holds no config\.json"):
        build(resolve(f"reward:{tmp_path}", {}))
    with pytest.raises(DataError, match="no such file"):
        build(resolve(f"reward:{tmp_path}/none.npz", {}))
    with pytest.raises(UsageError, match=r"reward:model\.npz"):
        resolve("reward:", {})


def test_hostile_replies_of_a_server_are_refused() -> None:
    """Forms that only look like scores give none."""
    for value in (None, 1, [], {}, {"scores": "1"}, {"scores": [True]}, {"data": 1}, {"data": [1]}, {"data": [{"probs": []}]},
                  {"data": [{"data": [[[]]]}]}):  # fmt: skip
        assert read_scores(value, "scores") is None
        assert read_scores(value, "classify") is None
        assert read_scores(value, "pooling") is None
    assert read_scores({"score": 2}, "scores") == [2.0]


def test_a_folder_says_what_it_was_fitted_on_and_how_it_grades(tmp_path: Path) -> None:
    """Card and hashes of a folder are read back; a folder without them, or with a card of another program, says nothing."""
    assert read_card(tmp_path) == FolderCard()
    assert read_fitted(tmp_path, FolderCard()) is None
    (tmp_path / "reward.json").write_text('{"loss": 0.1, "cuts": [1.0]}', encoding="utf-8")
    assert read_card(tmp_path) == FolderCard()
    (tmp_path / "reward.json").write_text("[1]", encoding="utf-8")
    assert read_card(tmp_path) == FolderCard()
    card = {"identity": "x", "cuts": [-1.5, 0.5], "heldout": 2, "source": "own.jsonl"}
    (tmp_path / "reward.json").write_bytes(msgspec.json.encode(card))
    found = read_card(tmp_path)
    assert found == FolderCard(cuts=(-1.5, 0.5), heldout=2, source="own.jsonl")
    bare = read_fitted(tmp_path, found)
    assert bare is not None
    assert (bare.heldout, len(bare.pairs)) == (2, 0)
    save_fitted(
        tmp_path, fitted_on([pair_of(entry) for graded in starter.graded()[:2] for entry in comparisons_of(graded)])
    )
    known = read_fitted(tmp_path, found)
    assert known is not None
    assert (len(known.pairs), len(known.prompts), known.source) == (6, 2, "own.jsonl")
    (tmp_path / "fitted.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataError, match="train the model again"):
        read_fitted(tmp_path, found)
