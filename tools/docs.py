# SPDX-License-Identifier: GPL-3.0-or-later
"""`make docs`: writes what is read off the code: the CLI's and the API's pages, the OpenAPI document, skills' examples.

python tools/docs.py [--check]      (--check: write nothing, fail when a page is not what would be written)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from blueprint_page import blueprint_page, schema_file
from skill_examples import FOLDER, skill_examples

CHECKOUT = Path(__file__).resolve().parent.parent
NOTE = "`make docs` writes this page."


def command_lines() -> list[tuple[str, ...]]:
    """Every command and sub-command, in the order of the help."""
    from fuelctl.cli._app import COMMANDS, load

    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        found.append((name,))
        group: Any = load(name)
        found.extend((name, inner) for inner in getattr(group, "commands", {}))
    return found


def help_text(words: tuple[str, ...]) -> str:
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "fuelctl", *words, "--help"], check=True, capture_output=True, text=True, env=environment
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def cli_page() -> str:
    commands = command_lines()
    with ThreadPoolExecutor(max_workers=2) as pool:
        texts = list(pool.map(help_text, [(), *commands]))
    parts = [f"# The fuelctl command\n\n{NOTE}\n\n```console\n$ fuelctl --help\n{texts[0]}\n```\n"]
    for words, text in zip(commands, texts[1:], strict=True):
        line = f"fuelctl {' '.join(words)}"
        parts.append(f"{'#' * (len(words) + 1)} {line}\n\n```console\n$ {line} --help\n{text}\n```\n")
    return "\n".join(parts)


def openapi() -> dict[str, Any]:
    """The document that a running server gives at /api/openapi.json."""
    from fuelctl.config import Settings
    from fuelctl.server.app import create_app
    from fuelctl.server.parts import Parts

    # Nothing is served: what the views would work with is never touched.
    nothing: dict[str, Any] = {field.name: None for field in fields(Parts) if field.default is MISSING}
    app = create_app(Parts(**{**nothing, "settings": Settings()}))
    return dict(app.api_doc)


def api_page() -> str:
    document = openapi()
    rows = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            summary = operation.get("summary") or operation.get("description", "").partition("\n")[0]
            codes = ", ".join(sorted(operation.get("responses", {})))
            rows.append(f"| `{method.upper()} {path}` | {summary} | {codes} |")
    head = (
        f"# The HTTP API\n\n{NOTE} [openapi.json](openapi.json) has every type; a running server\n"
        "gives it at `/api/openapi.json`. [Architecture](../architecture.md) says what the calls mean.\n"
        "Errors are `application/problem+json`.\n\n"
        "| call | what it does | answers |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def openapi_document() -> str:
    return json.dumps(openapi(), indent=1, sort_keys=True) + "\n"


PAGES = {
    "docs/user/cli.md": cli_page,
    "docs/developer/api.md": api_page,
    "docs/developer/openapi.json": openapi_document,
    "docs/user/blueprint.md": blueprint_page,
    "docs/env.schema.json": schema_file,
}


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    pages = {name: make() for name, make in PAGES.items()} | skill_examples()
    for path in (path for path in (CHECKOUT / FOLDER).rglob("*") if path.is_file()):
        # Examples of what there is no template for any more.
        name = path.relative_to(CHECKOUT).as_posix()
        if name not in pages:
            stale.append(name)
            if not check:
                path.unlink()
    for name, text in pages.items():
        page = CHECKOUT / name
        if page.exists() and page.read_text() == text:
            continue
        stale.append(name)
        if not check:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
            print(f"docs: wrote {name}")
    if check and stale:
        print(f"docs: not up to date: {', '.join(stale)} (make docs)")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
