"""The command `cvalues people serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cvalues.cli.options import JsonOption, StudyOption
from cvalues.cli.people import LangOption
from cvalues.cli.show import Output


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 for any that is free.")
    ] = 8600,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate as a PEM file.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key as a PEM file.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A reverse proxy does TLS and appends to X-Forwarded-For.")
    ] = False,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Plain HTTP on a network that you trust; the pages carry a warning.")
    ] = False,
    models: Annotated[
        str, typer.Option("--models-file", help="Models by name. Default: ./models.toml when it exists.")
    ] = "",
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Serve the pages in which people work; without a manager, print a one-time link that makes the first one.

    Example:  cvalues people serve
    """
    from cvalues.cli.messages import translate
    from cvalues.people.desk import Desk
    from cvalues.people.web.serving import Address, check, first_link
    from cvalues.people.web.serving import serve as run
    from cvalues.people.web.words import text
    from cvalues.study import open_study
    from cvalues.workflows.people_serve import ports_of

    output = Output(as_json=as_json, language=lang)
    address = Address(host, port, tls_cert, tls_key, behind_proxy, insecure_http)
    check(address)
    with open_study(study) as opened:
        desk = Desk(opened)
        link = first_link(desk)

        def ready(url: str) -> None:
            output.json({"url": url, "manager": link})
            output.line(text("serve.ready", output.language, url=url))
            if link:
                output.line(text("serve.manager", output.language, url=url + link))

        run(desk, address, ports_of(opened, models, translate), ready)
    output.talk(text("serve.stopped", output.language))
