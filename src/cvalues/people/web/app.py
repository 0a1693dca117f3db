"""The application: routes, the gate before them, and the headers after them."""

from __future__ import annotations

import logging
from typing import Any

import anyio.to_thread
from litestar import Litestar, Request, Response, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.logging.config import LoggingConfig
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from cvalues.errors import CValuesError
from cvalues.people.desk import Desk
from cvalues.people.web import api, pages_account, pages_manage, pages_people, pages_work, pages_write
from cvalues.people.web.rendering import Web, answer_error, read_form, visit_of
from cvalues.people.web.security import SIGNED_IN, Gate, with_headers
from cvalues.people.web.settings import BODY_LIMIT, Ports, Settings

THREADS = 24
"""Requests that wait for the study at a time."""


def create_app(desk: Desk, settings: Settings, ports: Ports) -> Litestar:
    """Returns the application over a desk; nothing is opened and nothing is written before the first request."""
    web = Web(desk, settings, ports)

    def fail(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        return answer_error(web, request, error)

    async def begin() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS

    return Litestar(
        route_handlers=[
            *pages_account.HANDLERS, *pages_work.HANDLERS, *pages_write.HANDLERS, *pages_manage.HANDLERS, *pages_people.HANDLERS,
            *api.HANDLERS,
        ],
        middleware=[DefineMiddleware(Gate, desk=desk, settings=settings)],
        dependencies={
            "web": Provide(lambda: web, sync_to_thread=False),
            "visit": Provide(visit_of, sync_to_thread=False),
            "form": Provide(read_form),
        },
        exception_handlers={CValuesError: fail, HTTPException: fail, Exception: fail},
        before_send=[with_headers(settings)],
        on_startup=[begin],
        request_max_body_size=BODY_LIMIT,
        openapi_config=OpenAPIConfig(
            title="CValues people", version="1", render_plugins=[JsonRenderPlugin()],
            openapi_router=Router("/api/schema", route_handlers=[], include_in_schema=False, opt={"access": SIGNED_IN}),
        ),
        logging_config=LoggingConfig(
            log_exceptions="never", configure_root_logger=False, loggers={"litestar": {"level": logging.getLevelName(logging.CRITICAL)}}
        ),
        debug=False,
        pdb_on_exception=False,
    )  # fmt: skip
