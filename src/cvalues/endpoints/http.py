"""Any OpenAI-compatible server, through one thin aiohttp client."""

from __future__ import annotations

import os
import ssl
import urllib.request
from typing import Any

import aiohttp
from yarl import URL

from cvalues.endpoints import wire
from cvalues.endpoints.base import Answer, Limits, Price
from cvalues.errors import CallError, ConfigError
from cvalues.schema import Mode, Request

MAX_BYTES = 32 << 20
"""A longer body is refused as `too_large`; 32 MiB holds a reply of ten million characters."""


class HttpEndpoint:
    """A chat-completions endpoint. The key is read from the environment when the first call is made and is never stored."""

    modes: frozenset[Mode] = frozenset({"generate", "choose"})

    def __init__(  # noqa: PLR0913 -- each is one plain fact of a server, and all but two have defaults
        self,
        name: str,
        base_url: str,
        *,
        model: str | None = None,
        api_key_env: str = "",
        headers: dict[str, str] | None = None,
        timeout: float = 120.0,
        limits: Limits | None = None,
        price: Price | None = None,
        path: str = "/chat/completions",
    ) -> None:
        """Describes the server.

        Args:
            name: the model's name in requests and reports.
            base_url: address up to and including `/v1`.
            model: what the server calls the model; `name` when None.
            api_key_env: environment variable that holds the key; empty for servers without one.
            headers: extra headers; a value `$NAME` is read from the environment.
            timeout: seconds for one call.
            limits: how hard it may be driven.
            price: price per million tokens.
            path: what follows the address in a call.
        """
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"model '{name}': the address must begin with http:// or https://, not '{base_url}'")
        self.name = name
        self.revision = ""
        self.path = path
        self.url = base_url.rstrip("/") + path
        self.model = model or name
        self.api_key_env = api_key_env
        self.headers = headers or {}
        self.timeout = timeout
        self.limits = limits or Limits()
        self.price = price
        self._session: aiohttp.ClientSession | None = None
        self._secret = ""
        self._address = URL(self.url)
        self._proxy: str | None = None

    def session(
        self, *, content: str | None = "application/json", seconds: float | None = None
    ) -> aiohttp.ClientSession:
        """Returns a new session with the key and headers of this server.

        Args:
            content: the Content-Type of all calls; None leaves it to each.
            seconds: for one call; the endpoint's timeout when None.

        Raises:
            CallError: `unauthorised` when the variable of the key is not set.
        """
        # aiohttp's own trust_env asks the environment again for every call, in a thread; once is enough.
        self._proxy = environment_proxy(self._address)
        headers = {"Accept": "application/json", **({"Content-Type": content} if content else {})}
        for key, value in self.headers.items():
            headers[key] = os.environ.get(value[1:], "") if value.startswith("$") else value
        if self.api_key_env:
            self._secret = os.environ.get(self.api_key_env, "").strip()
            if not self._secret:
                raise CallError(
                    "unauthorised",
                    f"model '{self.name}' reads its key from ${self.api_key_env}, which is not set;  export {self.api_key_env}=…",
                    transient=False,
                )
            headers["Authorization"] = f"Bearer {self._secret}"
        return aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(
                limit=0, ttl_dns_cache=300, ssl=_ssl_context() if self._address.scheme == "https" else True
            ),
            timeout=aiohttp.ClientTimeout(total=seconds or self.timeout, sock_connect=30.0),
        )

    def body(self, request: Request) -> bytes:
        """Returns the JSON body of a call."""
        return wire.request_body(request, self.model)

    def parse(self, body: bytes, request: Request) -> Answer:
        """Returns the answer in a 200 body; raises CallError when there is none."""
        return wire.parse_answer(body, request)

    async def ask(self, request: Request) -> Answer:
        """Returns the server's answer; raises CallError with a named kind when there is none."""
        if self._session is None:
            self._session = self.session()
        try:
            data = self.body(request)
            async with self._session.post(self._address, data=data, proxy=self._proxy) as reply:
                body = await _read(reply)
                status, wait = reply.status, reply.headers.get("Retry-After")
        except TimeoutError as error:
            raise CallError("timeout", f"no reply within {self.timeout:g} s", transient=True) from error
        except aiohttp.InvalidURL as error:
            raise CallError("rejected", f"'{self.url}' is not an address", transient=False) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            detail = self._hide(f"{type(error).__name__}: {error}")
            raise CallError("connection", detail, transient=True) from error
        if status == 200:
            return self.parse(body, request)
        return wire.error_answer(status, body, wait, self._secret)

    async def raw(self, session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> bytes:
        """Returns the body of another call to the same server, of any size; raises CallError with a named kind."""
        try:
            async with session.request(method, url, proxy=self._proxy, **more) as reply:
                body = await reply.read()
                status, wait = reply.status, reply.headers.get("Retry-After")
        except TimeoutError as error:
            raise CallError("timeout", f"no reply within {session.timeout.total:g} s", transient=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            detail = self._hide(f"{type(error).__name__}: {error}")
            raise CallError("connection", detail, transient=True) from error
        if status >= 300:
            wire.error_answer(status, body, wait, self._secret)
            raise CallError("rejected", f"HTTP {status}: the provider's filter", transient=False, status=status)
        return body

    def _hide(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    """Returns the body, read in pieces so that an endless one is refused in time."""
    length = reply.content_length
    if length is not None and length <= MAX_BYTES:
        return await reply.read()
    parts: list[bytes] = []
    size = 0
    async for part in reply.content.iter_any():
        size += len(part)
        if size > MAX_BYTES:
            raise CallError("too_large", f"the reply is larger than {MAX_BYTES >> 20} MiB", transient=False)
        parts.append(part)
    return b"".join(parts)


def environment_proxy(address: URL) -> str | None:
    """Returns the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for an address, or None."""
    host = address.host or ""
    proxies = urllib.request.getproxies_environment()
    if not proxies or urllib.request.proxy_bypass(f"{host}:{address.port}"):
        return None
    return proxies.get(address.scheme) or proxies.get("all")


def _ssl_context() -> ssl.SSLContext | bool:
    """Returns a context with the certificates that the environment names, as curl and requests read them."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name, "")
        if path and os.path.isfile(path):  # noqa: PTH113 -- a plain check of an environment value
            return ssl.create_default_context(cafile=path)
    return True


def public_view(endpoint: HttpEndpoint) -> dict[str, Any]:
    """Returns what may be shown of an endpoint: never the key, only the name of its variable."""
    return {"name": endpoint.name, "url": endpoint.url, "model": endpoint.model, "api_key_env": endpoint.api_key_env}
