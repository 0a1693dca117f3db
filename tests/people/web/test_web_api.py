"""The interface of the scripts against its own description: whatever is sent, the server answers and never fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crowd import claim, start
from website import Client, Site

from cvalues.people import accounts, sessions
from cvalues.study import open_study

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXT = st.text(max_size=40)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A study with a campaign and somebody who has a task."""
    with open_study(tmp_path_factory.mktemp("api") / "study.db") as study, Site(study) as running:
        start(running.desk, count=50)
        running.person("anna", "annotator", "author", "adjudicator")
        for role in ("expert", "manager", "author", "adjudicator"):
            running.person(role, role)
        yield running


@pytest.fixture(scope="module")
def client(site: Site) -> Client:
    """Somebody who is signed in."""
    return signed_in(site, "anna")


def signed_in(site: Site, handle: str) -> Client:
    """A client of a person; of nobody for an empty handle."""
    found = Client(site)
    if not handle:
        return found
    token = sessions.open_session(site.desk, accounts.find_person(site.desk, handle))
    state = sessions.session_of(site.desk, token)
    assert state is not None
    found.csrf = state.csrf
    found.opener.addheaders = [("Cookie", f"cvalues={token}")]
    return found


def test_the_description_covers_the_interface(site: Site, client: Client) -> None:
    """The description is for who is signed in; it names every route of the interface and no page."""
    assert Client(site).get("/api/schema/openapi.json").status == 401
    described = client.get("/api/schema/openapi.json").json["paths"]
    assert all(path.startswith("/api/v1/") for path in described)
    assert len(described) >= 11


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handle", "examples"),
    [("anna", 15), ("expert", 4), ("manager", 4), ("author", 4), ("adjudicator", 4), ("", 4)],
)
def test_schemathesis_finds_no_failure(site: Site, client: Client, handle: str, examples: int) -> None:
    """Values that fit the description and values that do not, sent in each role and by nobody: no answer is a failure of the server."""
    description = client.get("/api/schema/openapi.json").json
    who = signed_in(site, handle)
    schema = schemathesis.openapi.from_dict(description)
    seen: set[str] = set()
    for operation in (result.ok() for result in schema.get_all_operations()):

        def attempt(case: Any) -> None:
            known = isinstance(case.body, dict | list | str | int | float | bool)
            answer = who.api(case.method, case.formatted_path, case.body if known else None)
            assert answer.status < 500, (case.operation.label, answer.status)
            assert handle or answer.status >= 400, case.operation.label
            seen.add(case.operation.label)

        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)
            run = settings(
                max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )(given(strategy)(attempt))
            run()
    assert len(seen) >= 11


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    answer=st.dictionaries(
        st.sampled_from(["safe", "reasons", "opinion", "points", "best", "claims", "value"]) | TEXT, JSON, max_size=4
    ),
    raw=st.binary(max_size=60),
)
def test_any_answer_is_answered(site: Site, client: Client, answer: dict[str, Any], raw: bytes) -> None:
    """Any JSON as an answer, and any bytes as a body, get an answer below 500; nothing of it is stored as a vote."""
    task = claim(site.desk, accounts.find_person(site.desk, "anna")).task
    try:
        sent = client.api("PUT", "/api/v1/answers/key-from-hypothesis", {"task": task, "answer": answer})
    except ValueError:  # a lone surrogate has no UTF-8
        return
    assert sent.status < 500
    broken = client.call("PUT", "/api/v1/drafts/x", raw, X_CSRF=client.csrf, Content_Type="application/json")
    assert 400 <= broken.status < 500
    form = client.call("POST", "/work/c", raw, Content_Type="application/x-www-form-urlencoded")
    assert form.status < 500
    upload = client.call("POST", "/work/c", raw, Content_Type="multipart/form-data; boundary=x")
    assert upload.status < 500


def test_a_browser_without_scripts(site: Site, client: Client, tmp_path: Path) -> None:
    """The forms alone do the work: an answer, a skip, and the same form twice is one answer."""
    import re

    site.person("plain", "annotator")
    person = Client(site).enter("plain")
    page = person.get("/work/c").text
    fields = {name: re.findall(rf'name="{name}" value="([^"]*)"', page)[-1] for name in ("key", "task")}
    first = person.form("/work/c", **fields, safe="unsafe", reasons=["insults", "false"], opinion="没有脚本")
    again = person.form("/work/c", **fields, safe="unsafe", reasons=["insults", "false"], opinion="没有脚本")
    assert (first.status, again.status) == (303, 303)
    page = person.get("/history").text
    assert page.count("没有脚本") == 1
    task = re.findall(r'name="task" value="([^"]*)"', person.get("/work/c").text)[0]
    assert task != fields["task"]
    assert person.form("/work/c", task=task, skip="distress", note="").status == 303
    assert person.form("/work/c", task=task, key="another-key", safe="wrong").status in {400, 422}
    assert re.findall(r'name="task" value="([^"]*)"', person.get("/work/c").text)[0] != task
