# SPDX-License-Identifier: GPL-3.0-or-later
"""The application factory. Nothing happens at import, and creating an app touches no file."""

from __future__ import annotations

import hmac
from typing import Any, cast

from flask import Response, request
from flask_openapi3 import Info, OpenAPI

from fuelctl import __version__
from fuelctl.server import audit, callbacks, control, events, keys, problems, reaper, remote, source, stream
from fuelctl.server.parts import EXTENSION, Parts, parts
from fuelctl.server.types import ProblemOut

#: Reachable without the server's own token: a callback brings its environment's, health says nothing.
_OPEN = frozenset({"control.healthz", "control.readyz", "control.document"})


def create_app(given: Parts) -> OpenAPI:
    """The WSGI application over `given`."""
    app = OpenAPI(
        __name__,
        info=Info(title="fuelctl", version=__version__, description="Disposable environments, over HTTP."),
        validation_error_callback=problems.on_validation_error,
        validation_error_model=ProblemOut,
        doc_ui=False,
        static_folder=None,
    )
    app.config["MAX_CONTENT_LENGTH"] = given.settings.max_body_bytes
    app.extensions[EXTENSION] = given
    problems.init_app(app)
    app.before_request(_guard)
    for module in (remote, source, events, callbacks, keys, audit, reaper, control):
        # Two files may share a path, each with methods of its own; the library would keep the last one's only.
        known = dict(app.paths)
        app.register_api(module.api)
        for path, item in known.items():
            others = {method: getattr(item, method) for method in item.model_fields_set}
            own = {method: getattr(app.paths[path], method) for method in app.paths[path].model_fields_set}
            app.paths[path] = item.model_copy(update={**others, **own})
    stream.init_app(app)
    return app


def _guard() -> Response | None:
    """On TCP everybody can connect: only who has the server's token may go on."""
    given = parts()
    endpoint = request.endpoint or ""
    if given.embedded or endpoint in _OPEN or endpoint.startswith("callbacks."):
        return None
    header = request.headers.get("Authorization", "")
    offered = header.removeprefix("Bearer ").encode("utf-8", "surrogateescape")
    if given.token and hmac.compare_digest(offered, given.token.encode("ascii")):
        return None
    return problems.problem(
        401,
        "this server wants a token",
        hint="set FUELCTL_SERVER_TOKEN, or server.token_file in config.toml",
        code="unauthorized",
        headers={"WWW-Authenticate": "Bearer"},
    )


def document(app: OpenAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    return cast("dict[str, Any]", app.api_doc)
