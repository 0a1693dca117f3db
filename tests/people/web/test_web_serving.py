"""The command that serves the pages: where it may listen, the first manager, and its stop."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cvalues.cli.messages import translate
from cvalues.errors import UsageError
from cvalues.people.desk import Desk
from cvalues.people.web.serving import Address, check, first_link, is_loopback
from cvalues.study import open_study

SERVE = "import typer; from cvalues.cli.people_serve import serve; app = typer.Typer(); app.command()(serve); app()"


def test_addresses(tmp_path: Path) -> None:
    """Only this machine is served without TLS, unless a proxy does it or somebody says that plain HTTP is meant."""
    pem = tmp_path / "a.pem"
    pem.write_text("x", encoding="utf-8")
    assert not check(Address()).encrypted
    assert check(Address("0.0.0.0", behind_proxy=True)).encrypted
    assert check(Address("0.0.0.0", certificate=pem, key=pem)).encrypted
    assert check(Address("0.0.0.0", insecure=True)).insecure
    assert not check(Address("::1")).insecure
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "10.0.0.1", "example.org")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "address",
    [Address("0.0.0.0"), Address("example.org"), Address(certificate=Path("a.pem")), Address(port=70000),
     Address(certificate=Path("none.pem"), key=Path("none.pem"))],
)  # fmt: skip
def test_refused_addresses_say_what_to_do(address: Address) -> None:
    """A refusal has one message, in both languages."""
    with pytest.raises(UsageError) as error:
        check(address)
    assert translate(str(error.value), "zh") != str(error.value)


def test_the_first_link_is_only_for_a_study_without_manager(tmp_path: Path) -> None:
    """The link makes a manager; when there is one no further link is made."""
    from cvalues.people.accounts import accept

    with open_study(tmp_path / "study.db") as study:
        desk = Desk(study)
        link = first_link(desk)
        accept(desk, link.removeprefix("/invite/"), "boss", "eine lange gute Losung")
        assert first_link(desk) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """It prints the address and the one-time link, answers, and stops with 0 when told to."""
    command = [sys.executable, "-c", SERVE, "--study", str(tmp_path / "study.db"), "--port", "0", "--lang", "en"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )  # fmt: skip
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        url = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
        assert url is not None, lines
        assert re.search(r"/invite/[\w-]{43}", lines[2])
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url[0] + "/health", timeout=20) as reply:
            assert reply.read() == b"ok\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Stopped" in errors
    assert "Traceback" not in errors


def test_a_taken_port_is_a_message(tmp_path: Path) -> None:
    """A port that is in use is said in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        script = SERVE.replace("app()", "app(standalone_mode=False)")
        command = [sys.executable, "-c", script, "--study", str(tmp_path / "study.db"), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "UsageError" in done.stderr
    assert "--port" in done.stderr
