# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Blueprints: schema, reading, validation, freezing, and detection from a directory.

Pure: plain data and dataclasses in and out, no Ansible, no network, no child process. Importing this package is cheap;
each function imports what it needs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, List, Union

from .._errors import UsageError
from .durations import format_duration, parse_duration

if TYPE_CHECKING:
    from .document import Document
    from .findings import Detection
    from .schema import Blueprint
    from .validation import Problem

#: Where a repository keeps its blueprint.
BLUEPRINT_PATH = ".fuel-code/env.yaml"


def load(path: "Union[str, os.PathLike[str]]") -> Blueprint:
    """The blueprint at `path`; UsageError that names every problem with file:line and a hint."""
    from .document import read

    document = read(os.fspath(path))
    return _checked(document.data, document)


def from_dict(data: Any, source: str = "") -> Blueprint:
    """A blueprint from plain data; UsageError that names every problem. `source` names the data in messages."""
    return _checked(data, source)


def _checked(data: Any, source: Union[Document, str]) -> Blueprint:
    from .schema import Blueprint
    from .validation import build
    from .validation import validate as find_problems

    problems = find_problems(data, source)
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        where = f"{first.file}:{first.line}" if first.file and first.line else first.file or None
        raise UsageError(
            f"{first.path + ': ' if first.path else ''}{first.message}{more}",
            where=where,
            hint=first.hint or None,
            code="blueprint_invalid",
            details={"problems": [problem.as_dict() for problem in problems]},
        )
    blueprint = build(data)
    if not isinstance(blueprint, Blueprint):
        raise TypeError("build() makes blueprints")
    return blueprint


def validate(data: Any, source: Union[Document, str, None] = None) -> List[Problem]:
    """Every problem of plain data, not the first one only; empty when it is a blueprint."""
    from .validation import validate as find_problems

    return find_problems(data, source)


def to_dict(blueprint: Blueprint) -> Dict[str, Any]:
    """Plain data with every field, in the order of the schema."""
    from .validation import plain

    data: Dict[str, Any] = plain(blueprint)
    return data


def canonical_json(blueprint: Blueprint) -> str:
    """The frozen form: every field, keys sorted, no spaces, ASCII; equal blueprints give equal text."""
    import json

    return json.dumps(to_dict(blueprint), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256(blueprint: Blueprint) -> str:
    """SHA-256 of the frozen form, in hexadecimal."""
    import hashlib

    return hashlib.sha256(canonical_json(blueprint).encode("ascii")).hexdigest()


def to_yaml(blueprint: Union[Blueprint, Dict[str, Any]], sources: Union[Dict[str, str], None] = None) -> str:
    """env.yaml with its head; `sources` (field path -> where it came from) become comments at the lines' ends.

    Plain data is written as it is, right or wrong.
    """
    from .writing import to_yaml as write

    return write(blueprint if isinstance(blueprint, dict) else to_dict(blueprint), sources or {})


def detect(directory: "Union[str, os.PathLike[str]]") -> Detection:
    """What a project in `directory` is built from; reads only, runs nothing, never raises for what is in it."""
    from .detection import detect as look

    return look(os.fspath(directory))


__all__ = [
    "BLUEPRINT_PATH",
    "canonical_json",
    "detect",
    "format_duration",
    "from_dict",
    "load",
    "parse_duration",
    "sha256",
    "to_dict",
    "to_yaml",
    "validate",
]
