"""The container files by their own rules; `make container-lint` holds the Dockerfile against hadolint as well."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECRET = re.compile(r"pass(word|wd)?|secret|token|api_?key|credential", re.IGNORECASE)


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile as (name, rest), continued lines joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = re.sub(r"\\\n", " ", kept).splitlines()
    return [
        (name.upper(), rest.strip())
        for line in lines
        if line.strip()
        for name, _, rest in [line.strip().partition(" ")]
    ]


def tree(text: str) -> dict[str, Any]:
    """The subset of YAML that compose.yaml is written in: nested mappings by two spaces, lists of scalars, one-line scalars."""
    root: dict[str, Any] = {}
    stack: list[tuple[int, Any, str, Any]] = [(-1, None, "", root)]
    for number, line in enumerate(text.splitlines(), 1):
        body = line.strip()
        if not body or body.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip(" "))
        assert "\t" not in line, f"line {number}: a tab"
        assert indent % 2 == 0, f"line {number}: odd indent"
        while stack[-1][0] >= indent:
            stack.pop()
        depth, parent, key, here = stack[-1]
        if body.startswith("- "):
            if here == {}:
                here = parent[key] = []
                stack[-1] = (depth, parent, key, here)
            here.append(body[2:].strip('"'))
            continue
        name, colon, value = body.partition(":")
        assert colon, f"line {number}: no key"
        assert name not in here, f"line {number}: '{name}' twice"
        here[name] = {} if value.strip() in {"", "{}"} else value.strip().strip('"')
        if not value.strip():
            stack.append((indent, here, name, here[name]))
    return root


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """The instructions of our Dockerfile."""
    return instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Our compose file."""
    return tree((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_every_image_is_pinned_to_a_slim_version(dockerfile: list[tuple[str, str]], compose: dict[str, Any]) -> None:
    """No base image is `latest` or without a version; ours are slim and of a Python that the project supports."""
    bases = [rest.split()[0] for name, rest in dockerfile if name == "FROM"]
    assert len(bases) == 2, "a build stage and a final stage"
    for base in bases:
        assert re.fullmatch(r"python:3\.1[1-3](\.\d+)?-slim-[a-z]+", base), base
    assert re.fullmatch(r"postgres:\d+\.\d+-[a-z]+", compose["services"]["db"]["image"])


def test_the_image_runs_as_nobody_special(dockerfile: list[tuple[str, str]]) -> None:
    """The final stage ends as a numbered user that is not root, so that a cluster can check it."""
    last = max(index for index, (name, _) in enumerate(dockerfile) if name == "FROM")
    users = [rest for name, rest in dockerfile[last:] if name == "USER"]
    assert users
    uid, _, gid = users[-1].partition(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000
    assert not any("sudo" in rest or "chmod 777" in rest for _, rest in dockerfile)


def test_no_secret_is_built_in(dockerfile: list[tuple[str, str]], compose: dict[str, Any]) -> None:
    """No ARG or ENV of the image names a secret, and in compose.yaml every secret comes from the environment."""
    assert [rest for name, rest in dockerfile if name in {"ARG", "ENV"} and SECRET.search(rest)] == []
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name):
                assert re.fullmatch(r"\$\{POSTGRES_PASSWORD:\?.+\}", value), name
            assert not re.search(r"://[^/@]*:[^/@]*@", value), f"{name} holds a password"
    example = (ROOT / "compose.env.example").read_text(encoding="utf-8")
    assert re.findall(r"^POSTGRES_PASSWORD=(.*)$", example, re.MULTILINE) == [""]


def test_the_image_has_the_wheel_and_the_extras(dockerfile: list[tuple[str, str]]) -> None:
    """The final stage copies an environment made from the wheel, with extras that exist, and no build tool of the system."""
    runs = " ".join(rest for name, rest in dockerfile if name == "RUN")
    extras = re.search(r"\.\[([a-z,]+)\]", runs)
    assert extras is not None
    with (ROOT / "pyproject.toml").open("rb") as file:
        known = tomllib.load(file)["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) == {"people", "postgres", "parquet", "xlsx"}
    assert set(extras[1].split(",")) <= set(known)
    assert "pip wheel" in runs
    assert "apt-get" not in runs
    assert ("COPY", "--from=build /opt/cvalues /opt/cvalues") in dockerfile


def test_the_image_says_whether_it_is_well(dockerfile: list[tuple[str, str]]) -> None:
    """HEALTHCHECK asks a route of the application at the port that CMD serves, without a shell or a tool that slim lacks."""
    check = next(rest for name, rest in dockerfile if name == "HEALTHCHECK")
    command = next(rest for name, rest in dockerfile if name == "CMD")
    port = re.search(r'"--port", "(\d+)"', command)
    assert port is not None
    assert f"127.0.0.1:{port[1]}/ready" in check
    assert ("EXPOSE", port[1]) in dockerfile
    assert 'CMD ["python"' in check
    assert "curl" not in check
    routes = (ROOT / "src/cvalues/people/web/pages_account.py").read_text(encoding="utf-8")
    assert '@get("/ready"' in routes


def test_the_commands_of_the_image_are_lists(dockerfile: list[tuple[str, str]]) -> None:
    """ENTRYPOINT and CMD are in exec form, so that the process gets the signal that stops it."""
    for name in ("ENTRYPOINT", "CMD"):
        assert [rest for entry, rest in dockerfile if entry == name and not rest.startswith("[")] == []
    assert ("ENTRYPOINT", '["cvalues"]') in dockerfile


def test_the_context_holds_only_what_is_copied(dockerfile: list[tuple[str, str]]) -> None:
    """.dockerignore shuts everything out but what the Dockerfile copies."""
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source.split("/")[0]
        for name, rest in dockerfile
        if name == "COPY" and not rest.startswith("--from")
        for source in shlex.split(rest)[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_application_waits_for_a_healthy_database(compose: dict[str, Any]) -> None:
    """The application starts when PostgreSQL answers, and both keep their data in volumes that are declared."""
    app, database = compose["services"]["app"], compose["services"]["db"]
    assert app["depends_on"]["db"]["condition"] == "service_healthy"
    assert "pg_isready" in database["healthcheck"]["test"]
    for service in (app, database):
        for volume in service["volumes"]:
            assert volume.split(":")[0] in compose["volumes"], volume
    assert app["environment"]["CVALUES_STUDY"].startswith("postgresql://cvalues@db/")


def test_nothing_is_reached_from_outside(compose: dict[str, Any]) -> None:
    """The database has no port and an internal network; the application listens on this machine unless told otherwise."""
    app, database = compose["services"]["app"], compose["services"]["db"]
    assert "ports" not in database
    assert database["networks"] == ["back"]
    assert compose["networks"]["back"]["internal"] == "true"
    assert app["ports"] == ["${CVALUES_LISTEN:-127.0.0.1:8080}:8080"]


def test_the_application_needs_no_right_and_no_writable_root(compose: dict[str, Any]) -> None:
    """The root file system is read-only, all capabilities are dropped, and nothing gains rights."""
    app = compose["services"]["app"]
    assert app["read_only"] == "true"
    assert app["cap_drop"] == ["ALL"]
    assert "/tmp" in app["tmpfs"]
    assert "no-new-privileges:true" in app["security_opt"]
    assert "privileged" not in app


@pytest.mark.parametrize("text", ["a\n", "a: 1\na: 2\n", "a:\n   b: 1\n"])
def test_the_reader_of_these_tests_refuses_what_it_does_not_know(text: str) -> None:
    """A line without a key, a key that stands twice, and an odd indent are faults, not silence."""
    with pytest.raises(AssertionError):
        tree(text)
