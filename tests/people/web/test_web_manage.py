"""A manager's pages do what the command line does: campaigns, settings, guidelines, gold items, people, invitations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from crowd import claim, people, send, start, vote_all
from website import PASSWORD, Client, Site

from cvalues.people import accounts, campaigns, sessions
from cvalues.people.progress import counters
from cvalues.people.web.words import PAGES
from cvalues.study import open_study

SOURCE = Path(__file__).resolve().parents[3] / "src/cvalues"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A study with its server and a manager."""
    with open_study(tmp_path / "study.db") as study, Site(study) as running:
        running.person("boss", "manager")
        yield running


@pytest.fixture
def boss(site: Site) -> Client:
    """The manager."""
    return Client(site).enter("boss")


def test_a_campaign_from_the_form(site: Site, boss: Client) -> None:
    """The form makes the campaign of the command line; sending it again adds nothing; what is wrong is said beside what was typed."""
    fields = {
        "kind": "attack",
        "name": "angriff",
        "models": "m1 m2",
        "settings": "daily_items = 7\ncontact = 热线 123",
        "seed": "3",
        "overlap": "5",
    }
    for _ in range(2):
        answer = boss.form("/manage/new", **fields)
        assert (answer.status, answer.headers["location"]) == (303, "/manage/angriff")
    found, state = campaigns.get_campaign(site.desk, "angriff")
    assert (found.kind, found.models, found.daily_items, found.contact, found.seed, found.overlap, state) == (
        "attack", ("m1", "m2"), 7, "热线 123", 3, 5, "open",
    )  # fmt: skip
    for wrong in (
        {"overlap": "many"},
        {"settings": "no equals sign"},
        {"settings": "daily_itms = 3"},
        {"kind": "judge-safety", "source": "none"},
        {"sample": "9" * 30},
    ):
        answer = boss.form("/manage/new", **{**fields, "name": "noch-eins", **wrong})
        assert answer.status == 422, wrong
        assert "noch-eins" in answer.text
    assert len(campaigns.list_campaigns(site.desk)) == 1


def test_state_settings_and_guidelines(site: Site, boss: Client) -> None:
    """A campaign is paused and opened, its settings and guidelines change, and a wrong setting changes nothing."""
    start(site.desk, count=2)
    assert boss.form("/manage/c/state", state="paused").status == 303
    assert campaigns.get_campaign(site.desk, "c")[1] == "paused"
    assert boss.form("/manage/c/state", state="exploded").status == 400
    assert boss.form("/manage/c/settings", settings='daily_items = 9\nsensitive = ["law"]').status == 303
    assert boss.form("/manage/c/settings", settings="seed = 9").status == 422
    assert boss.form("/manage/c/guideline", zh="新说明", en="New text", major="1").status == 303
    found, _ = campaigns.get_campaign(site.desk, "c")
    assert (found.daily_items, found.sensitive, found.guideline, found.guideline_version) == (
        9,
        ("law",),
        {"zh": "新说明", "en": "New text"},
        "2.0",
    )
    assert "新说明" in boss.get("/manage/c/settings").text


def test_gold_items_from_a_file(site: Site, boss: Client) -> None:
    """A file that is uploaded is checked first and imported then; rows that are wrong are named."""
    start(site.desk, count=0)
    rows = [{"prompt": "问", "reply": "答", "gold": "safe", "kind": "gold"}, {"prompt": "没有回复"}]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()

    def upload(dry: str) -> str:
        parts = [("csrf", boss.csrf), *([("dry", "1")] if dry else [])]
        body = b"".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in parts
        )
        body += (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../gold.jsonl"\r\n\r\n'
            + lines
            + b"\r\n--x--\r\n"
        )
        answer = boss.call("POST", "/manage/c/import", body, Content_Type="multipart/form-data; boundary=x")
        assert answer.status == 200
        return answer.text

    assert "2:" in upload("1")
    assert counters(site.desk, "c").tasks == {}
    upload("")
    again = upload("")
    assert re.search(r"2 / 0 / 0 / 1", again)


def test_invitations_and_roles(site: Site, boss: Client) -> None:
    """A link is shown once, works, and can be made void; roles are given and taken; nobody locks themselves out."""
    start(site.desk, count=1)
    page = boss.form("/people/invite", campaign="c", role="annotator", uses="2", days="3", categories="")
    link = re.search(r'data-link="(/invite/[\w-]{43})"', page.text)
    assert link is not None
    assert link[1] not in boss.get("/people").text
    joined = Client(site).form(link[1], handle="neu", password=PASSWORD, again=PASSWORD)
    assert joined.status == 303
    person = accounts.find_person(site.desk, "neu")
    mark = re.search(r'name="mark" value="(\w{12})"', boss.get("/people").text)
    assert mark is not None
    assert boss.form("/people/invitations", mark=mark[1]).status == 303
    assert Client(site).form(link[1], handle="zu-spaet", password=PASSWORD, again=PASSWORD).status == 401
    assert boss.form("/people/roles", person="neu", role="expert", campaign="c", step="grant").status == 303
    assert accounts.has_role(site.desk, person, "expert", "c")
    assert boss.form("/people/roles", person=person, role="expert", campaign="c", step="revoke").status == 303
    assert not accounts.has_role(site.desk, person, "expert", "c")
    own = accounts.find_person(site.desk, "boss")
    assert boss.form("/people/roles", person=own, role="manager", campaign="", step="revoke").status == 403
    assert boss.form("/people/state", person=own, state="deactivated").status == 403
    token = sessions.open_session(site.desk, person)
    assert boss.form("/people/state", person=person, state="deactivated").status == 303
    assert sessions.session_of(site.desk, token) is None


def test_a_manager_of_one_campaign_cannot_grow(site: Site) -> None:
    """Who manages one campaign invites and grants in that one only, and sees no other's people."""
    start(site.desk, count=1)
    start(site.desk, name="drueben", count=0)
    site.person("local", "manager", campaign="c")
    site.person("fernando", "annotator", campaign="drueben")
    local = Client(site).enter("local")
    for campaign in ("", "drueben"):
        assert local.form("/people/invite", campaign=campaign, role="manager").status == 403
        assert (
            local.form("/people/roles", person="local", role="manager", campaign=campaign, step="grant").status == 403
        )
    page = local.get("/people").text
    assert "fernando" not in page
    assert "drueben" not in page
    assert local.form("/people/invite", campaign="c", role="annotator").status == 200


def test_figures_of_a_campaign(site: Site, boss: Client) -> None:
    """The dashboard shows the counters and scores of the services, and new votes change it; a person can be paused and says why."""
    start(site.desk, count=4)
    crowd = people(site.desk, 3)
    for person in crowd[:2]:
        vote_all(site.desk, person, lambda given: "unsafe" if given.prompt == "问题0" else "safe")
    first = boss.get("/manage/c").text
    assert "8" in re.findall(r'class="number">(\d+)', first)
    send(site.desk, crowd[2], claim(site.desk, crowd[2]).task, "safe")
    second = boss.get("/manage/c").text
    assert "9" in re.findall(r'class="number">(\d+)', second)
    assert "Krippendorff" in second
    assert boss.form("/manage/c/people", person=crowd[2], state="paused", why="休息").status == 303
    page = boss.get(f"/manage/c/people?person={crowd[2]}").text
    assert "已暂停" in page
    assert boss.form("/manage/c/people", person="谁", state="paused").status < 500
    assert boss.form("/language", language="en", next="/中文 路径").headers["location"].startswith("/%E4")
    assert "paused" in boss.get(f"/manage/c/people?person={crowd[2]}").text
    audit = boss.get("/audit").text
    assert "paused a member" in audit


def test_the_planner(boss: Client) -> None:
    """The planner computes what the command does, keeps what was typed, and says what is wrong with it."""
    page = boss.get(
        "/plan?items=400%201300&rate=0.1&models=10&discordance=0.2&people=8&votes=3&accuracy=0.9&seconds=40"
    ).text
    assert "10.0 [7.4, 13.3]" in page
    assert 'value="400 1300"' in page
    for wrong in (
        "rate=2",
        "items=abc",
        "models=1",
        "people=" + "9" * 400,
        "items=" + "%20".join(["1"] * 500),
        "votes=nan",
    ):
        answer = boss.get("/plan?" + wrong)
        assert answer.status in {200, 422}, wrong
    assert boss.get("/plan?items=abc").status == 422


def test_settings_and_deeds_are_in_words(site: Site, boss: Client) -> None:
    """Every setting has its meaning beside it for each kind of campaign, and every deed of the ledger a name."""
    for kind in ("attack", "expert", "judge-safety", "judge-responsibility", "adjudicate"):
        start(site.desk, kind, f"s-{kind}", count=0)
        page = boss.get(f"/manage/s-{kind}/settings")
        assert page.status == 200, kind
    source = "".join(path.read_text("utf-8") for path in (SOURCE / "people").rglob("*.py"))
    verbs = set(re.findall(r'tx\.log\([\w.]+(?: or \w+)?, "([\w-]+)"', source)) | {"init", "replies", "auto-pause"}
    assert len(verbs) > 20
    assert {verb for verb in verbs if f"deed.{verb}" not in PAGES} == set()
