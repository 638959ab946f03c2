# SPDX-License-Identifier: GPL-3.0-or-later
"""The application factory. Nothing happens at import, and creating an app touches no file."""

from __future__ import annotations

from typing import Any, cast

from flask_openapi3 import Info, OpenAPI

from fuelctl import __version__
from fuelctl.server import (
    audit,
    audit_log,
    callbacks,
    control,
    devices,
    events,
    keys,
    metrics,
    problems,
    reaper,
    remote,
    requests,
    rescues,
    source,
    stream,
    tokens,
    told,
    users,
    volumes,
    webhooks,
    whoami,
    workspaces,
)
from fuelctl.server.guard import guard
from fuelctl.server.jsons import Provider
from fuelctl.server.parts import EXTENSION, Parts
from fuelctl.server.types import ProblemOut

_PROBLEM = "application/problem+json"
_BEARER = {"type": "http", "scheme": "bearer", "description": "A person's token, or an environment's own."}
_MODULES = (
    remote, rescues, source, events, callbacks, told, keys, volumes, workspaces, devices, audit, reaper, users, tokens,
    whoami, audit_log, webhooks, control,
)  # fmt: skip


def create_app(given: Parts) -> OpenAPI:
    """The WSGI application over `given`."""
    app = OpenAPI(
        __name__,
        info=Info(title="fuelctl", version=__version__, description="Disposable environments, over HTTP."),
        security_schemes={"token": _BEARER},
        validation_error_callback=problems.on_validation_error,
        validation_error_model=ProblemOut,
        doc_ui=False,
        static_folder=None,
    )
    app.json = Provider(app)
    app.config["MAX_CONTENT_LENGTH"] = given.settings.max_body_bytes
    app.extensions[EXTENSION] = given
    problems.init_app(app)
    requests.init_app(app)
    app.before_request(guard)
    for module in _MODULES:
        # Two files may share a path, each with methods of its own; the library would keep the last one's only.
        known = dict(app.paths)
        app.register_api(module.api)
        for path, item in known.items():
            others = {method: getattr(item, method) for method in item.model_fields_set}
            own = {method: getattr(app.paths[path], method) for method in app.paths[path].model_fields_set}
            app.paths[path] = item.model_copy(update={**others, **own})
    stream.init_app(app, given)
    metrics.init_app(app, given)
    _name_problems(app)
    return app


def _name_problems(app: OpenAPI) -> None:
    """In the document, what is no success is a problem by its media type as well: the library knows JSON only."""
    for item in app.paths.values():
        for method in item.model_fields_set:
            answers = getattr(getattr(item, method), "responses", None) or {}
            if "4XX" in answers:
                # The library would add one of its own.
                answers["422"] = answers["4XX"]
            for status, answer in answers.items():
                content = getattr(answer, "content", None) or {}
                # One that has an answer of its own to give says what is wrong in that.
                if status[:1] in "45" and ProblemOut.__name__ in str(content.get("application/json")):
                    content[_PROBLEM] = content.pop("application/json")


def document(app: OpenAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    return cast("dict[str, Any]", app.api_doc)
