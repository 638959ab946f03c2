# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Secrets where everybody sees them: in fly.toml, in build arguments, in the Dockerfile."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Tuple

from ..dockerfile import pairs
from ..project import App, Image
from ..report import Finding, finding
from ..schema_walk import shown
from ..secret_words import found, looks, named
from ..toml_lines import Path


def check(app: App) -> Iterator[Finding]:
    """Every secret that is written down."""
    for name, value in app.table("env").items():
        what = found(name, value) if isinstance(value, str) else ""
        if what:
            yield finding(
                "secret-in-env",
                app.file,
                app.line("env", name),
                f"[env] {what}",
                f"remove it, change the secret, and: fly secrets set {name}=...",
            )
        if name.startswith("FLY_"):
            yield finding("reserved-env", app.file, app.line("env", name), f"{name} is a name of Fly.io's own")
    for name, value in app.table("build", "args").items():
        what = found(name, str(value))
        if what:
            yield finding("secret-in-build-args", app.file, app.line("build", "args", name), f"[build.args] {what}")
    yield from _headers(app)
    if app.image:
        yield from _image(app.image)


def _headers(app: App) -> Iterator[Finding]:
    places: List[Tuple[Path, Dict[str, Any]]] = [
        (("checks", name), item) for name, item in app.table("checks").items() if isinstance(item, dict)
    ]
    places += app.many("http_service", "checks")
    for path, _service in app.many("services"):
        places += app.many(*path, "http_checks")
    for path, item in places:
        headers: Dict[str, Any] = item["headers"] if isinstance(item.get("headers"), dict) else {}
        for name, value in headers.items():
            plain = name.lower().replace("-", "_")
            if isinstance(value, str) and value and (plain in ("authorization", "cookie") or found(plain, value)):
                where = app.line(*path, "headers", name)
                yield finding("secret-in-headers", app.file, where, f"{shown(path)} sends {name}")


def _image(image: Image) -> Iterator[Finding]:
    every = [*image.parsed.head, *(item for stage in image.parsed.stages for item in stage.instructions)]
    for instruction in every:
        if instruction.keyword in ("ENV", "ARG"):
            for name, value, line in pairs(instruction):
                what = found(name, value)
                if not what and instruction.keyword == "ARG" and named(name):
                    what = f"{name} is given as a build argument"
                if what:
                    yield finding("secret-in-dockerfile", image.file, line, f"{instruction.keyword} {what}")
        elif instruction.keyword in ("RUN", "CMD", "ENTRYPOINT", "LABEL"):
            what = looks(instruction.text)
            if what:
                yield finding(
                    "secret-in-dockerfile", image.file, instruction.line, f"{instruction.keyword} holds {what}"
                )
