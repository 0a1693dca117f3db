"""People's work in the browser: a Litestar application over the services of `cvalues.people`.

`app.create_app(desk, settings, ports)` makes it, `serving.serve` runs it. Pages are rendered on the server and work without scripts;
scripts add the outbox, keys, drafts and timing. Every route names who may use it (`access`), and one that names nobody is refused.
"""
