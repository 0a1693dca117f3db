"""Running the application: where it may listen, and its stop."""

from __future__ import annotations

import ipaddress
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cvalues.errors import MissingExtra, UsageError
from cvalues.people.accounts import Offer, has_manager, init_people, invite
from cvalues.people.desk import Desk
from cvalues.people.web.settings import Ports, Settings

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than somebody thinks over one item."""
GRACE = 20
"""Seconds that requests at work are given when the server stops."""


class Address(NamedTuple):
    """Where the application listens, and how what passes there is protected."""

    host: str = "127.0.0.1"
    port: int = 8600
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    insecure: bool = False

    @property
    def url(self) -> str:
        """The address for people on this machine."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{shown}:{self.port}"


def check(address: Address) -> Settings:
    """Returns the settings of an address.

    Raises:
        UsageError: it is open to others without TLS, a proxy, or the explicit wish to go without; a certificate lacks its key, or the
            other way round; or a file does not exist.
    """
    if (address.certificate is None) != (address.key is None):
        raise UsageError("--tls-cert and --tls-key belong together: give both or none")
    for path in (address.certificate, address.key):
        if path is not None and not path.is_file():
            raise UsageError(f"{path}: there is no such file; give the certificate and its key as PEM files")
    if not 0 <= address.port <= 65535:
        raise UsageError(f"port {address.port} does not exist; choose one from 1 to 65535")
    encrypted = address.certificate is not None or address.behind_proxy
    if not encrypted and not address.insecure and not is_loopback(address.host):
        raise UsageError(
            f"{address.host} is open to others: give --tls-cert and --tls-key, or --behind-proxy where a proxy does TLS, "
            "or --insecure-http on a network that you trust"
        )
    open_ = address.insecure and not encrypted and not is_loopback(address.host)
    return Settings(
        encrypted=encrypted, behind_proxy=address.behind_proxy, insecure=open_ or (address.insecure and not encrypted)
    )


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def first_link(desk: Desk, days: float = 7.0) -> str:
    """Returns the path of a one-time link that makes the first manager; empty when there is one already."""
    init_people(desk)
    return "" if has_manager(desk) else f"/invite/{invite(desk, Offer(role='manager', days=days))}"


def serve(desk: Desk, address: Address, ports: Ports, ready: Callable[[str], None]) -> None:
    """Runs the application until it is told to stop (SIGINT, SIGTERM), then lets requests at work finish.

    Args:
        desk: the desk.
        address: where to listen.
        ports: what the layers above provide.
        ready: called with the address once it listens.

    Raises:
        UsageError: the address cannot be used.
        MissingExtra: litestar or uvicorn is not installed.
    """
    settings = check(address)
    try:
        import uvicorn

        from cvalues.people.web.app import create_app
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "litestar", "people") from error
    options: dict[str, Any] = (
        {"ssl_certfile": str(address.certificate), "ssl_keyfile": str(address.key)} if address.certificate else {}
    )
    config = uvicorn.Config(
        create_app(desk, settings, ports), host=address.host, port=address.port, timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE, access_log=False, server_header=False, proxy_headers=False, log_level=logging.WARNING, **options,
    )  # fmt: skip

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                bound = self.servers[0].sockets[0].getsockname()[1]
                ready(address._replace(port=bound).url)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn raises the signal again after its stop; to be told to stop is no failure here.
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    server = Server(config)
    try:
        server.run()
    except SystemExit as error:
        raise UsageError(
            f"{address.url}: cannot listen there; the port may be in use, choose another with --port"
        ) from error
    if not server.started:
        raise UsageError(f"{address.url}: cannot listen there; the port may be in use, choose another with --port")
