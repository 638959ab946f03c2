# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/user/blueprint.md and docs/env.schema.json, read off the schema and the data of detection."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_suffix(".md")
#: Types of fuelctl._shared are checked where it is a package; here it is only read.
load: Any = importlib.import_module


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = list(header)
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _default(item: Any) -> str:
    if item.default is not MISSING:
        return f"`{json.dumps(item.default)}`"
    return (
        "required"
        if item.default_factory is MISSING
        else "see below"
        if item.default_factory not in (dict, list)
        else "`{}`"
    )


def _fields() -> str:
    classes = load("fuelctl._shared._blueprint.schema").CLASSES
    parts = []
    for cls in reversed(classes):
        title = "env.yaml" if cls.__name__ == "Blueprint" else cls.__name__
        rows = [(f"`{item.name}`", item.metadata["description"], _default(item)) for item in fields(cls)]
        parts.append(f"### {title}\n\n{cls.__doc__}\n\n" + _table(("field", "meaning", "default"), rows))
    return "\n".join(parts)


def _data() -> str:
    data_frameworks = load("fuelctl._shared._blueprint.data_frameworks")
    data_images = load("fuelctl._shared._blueprint.data_images")
    platforms = load("fuelctl._shared._blueprint.data_platforms").PLATFORMS
    image_for = load("fuelctl._shared._blueprint.versions").image_for
    images = [
        (
            name,
            f"`{data['default']}`" if data["default"] else "none",
            ", ".join(data["settled"][:8]),
            f"`{image_for(name, '')}`",
        )
        for name, data in data_images.RUNTIME_DATA.items()
    ]
    ports: dict[int, list[str]] = {}
    for value in vars(data_frameworks).values():
        if isinstance(value, dict):
            for framework in value.values():
                if isinstance(framework, tuple) and framework[1]:
                    ports.setdefault(framework[1], []).append(framework[0])
    rows = [(port, ", ".join(dict.fromkeys(names))) for port, names in sorted(ports.items())]
    signals = [
        (name, signal.what, signal.weight) for name, platform in platforms.items() for signal in platform.signals
    ]
    return "\n".join(
        (
            f"## Images\n\nAs of {data_images.DATE}; a range takes the first release line that satisfies it. Nothing",
            f"recognised: `{data_images.GENERIC}`, with a warning.\n",
            _table(("runtime", "default", "release lines", "image without a version"), images),
            "## Ports of frameworks\n",
            _table(("port", "frameworks"), rows),
            "## Platforms\n",
            "Weights of the signals that are found add up, with 0.1 more when three or more agree, at most 1.0; a",
            "platform is detected from 0.7.\n",
            _table(("platform", "signal", "weight"), signals),
        )
    )


def blueprint_page() -> str:
    """docs/user/blueprint.md."""
    locks = ", ".join(lock for lock, *_rest in load("fuelctl._shared._blueprint.scanners.node_managers").LOCKS)
    page = TEMPLATE.read_text("utf-8")
    for word, text in (("@locks@", locks), ("@fields@", _fields()), ("@data@", _data())):
        page = page.replace(word, text)
    return page


def schema_file() -> str:
    """docs/env.schema.json."""
    return json.dumps(load("fuelctl.blueprints").json_schema(), indent=2) + "\n"
