# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The data files of this package: schema, templates, environments, needs. Read when they are asked for."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Tuple

from .._errors import FuelError

FOLDER = os.path.dirname(os.path.abspath(__file__))
TEMPLATES = os.path.join(FOLDER, "templates")

_CACHE: Dict[str, Any] = {}


class Framework(NamedTuple):
    """One folder of templates: its name, what meta.yml says, and (template, where it is written) of each file."""

    name: str
    meta: Dict[str, Any]
    files: Tuple[Tuple[str, str], ...]


def text(name: str) -> str:
    """Content of a data file, by its path relative to this package."""
    try:
        with open(os.path.join(FOLDER, *name.split("/")), encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        # A module that was sent to another machine carries Python alone.
        raise FuelError(
            "the templates are not here",
            where=name,
            hint="run it on the controller: delegate_to: localhost",
            code="no_templates",
        ) from None


def yaml_data(name: str) -> Any:
    """A YAML data file, read once."""
    if name not in _CACHE:
        import yaml

        if hasattr(yaml, "CSafeLoader"):
            _CACHE[name] = yaml.load(text(name), Loader=yaml.CSafeLoader)
        else:
            _CACHE[name] = yaml.safe_load(text(name))
    return _CACHE[name]


def schema() -> Dict[str, Any]:
    """The JSON Schema of fly.toml."""
    if "schema.json" not in _CACHE:
        _CACHE["schema.json"] = json.loads(text("schema.json"))
    found: Dict[str, Any] = _CACHE["schema.json"]
    return found


def frameworks() -> List[Framework]:
    """Every framework, in the order in which they are tried: each folder with a meta.yml is one."""
    known = _CACHE.get("frameworks")
    if known is None:
        text("templates/_shared/fly.toml.j2")
        names = sorted(
            name for name in os.listdir(TEMPLATES) if os.path.isfile(os.path.join(TEMPLATES, name, "meta.yml"))
        )
        found = [_framework(name) for name in names]
        known = _CACHE["frameworks"] = sorted(found, key=lambda framework: (framework.meta["order"], framework.name))
    result: List[Framework] = known
    return result


def _framework(name: str) -> Framework:
    meta = yaml_data(f"templates/{name}/meta.yml")
    places = meta.get("files", {})
    templates = sorted(file[:-3] for file in os.listdir(os.path.join(TEMPLATES, name)) if file.endswith(".j2"))
    return Framework(name, meta, tuple((f"{name}/{file}.j2", places.get(file, file)) for file in templates))
