# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares contract.py with the published description of the API: `python -m tests.lab.fly.conformance FILE`.

FILE is the OpenAPI 3 or Swagger 2.0 description from https://docs.machines.dev/. Prints what differs, and ends with 1
if anything does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .contract import OPERATIONS, Operation

#: Sent besides what the description has, because the resource pages ask for it under the older name.
OLDER = {"Apps_create": {"app_name", "name"}}


def differences(description: dict[str, Any]) -> list[str]:
    """One line for each thing that contract.py says and the description does not."""
    return [line for operation in OPERATIONS for line in _operation(description, operation)]


def _operation(description: dict[str, Any], ours: Operation) -> list[str]:
    paths = {path.removeprefix("/v1"): value for path, value in description.get("paths", {}).items()}
    theirs = paths.get(ours.path, {}).get(ours.method.lower())
    if theirs is None:
        return [f"{ours.id}: there is no {ours.method} {ours.path}"]
    lines = [] if theirs.get("operationId") == ours.id else [f"{ours.id}: is called {theirs.get('operationId')}"]
    parameters = theirs.get("parameters", [])
    query = {each["name"] for each in parameters if each["in"] == "query"}
    sent = next((each.get("schema", {}) for each in parameters if each["in"] == "body"), None)
    if sent is None:
        sent = _schema(theirs.get("requestBody", {}))
    for what, wanted, known in (
        ("query", ours.query, query),
        ("field", ours.sends - OLDER.get(ours.id, set()), _fields(description, sent)),
        ("answer", ours.answers, _fields(description, _answer(theirs, ours))),
    ):
        # A description that says nothing of what is sent or answered forbids nothing.
        lines += [f"{ours.id}: no {what} {name}" for name in sorted(wanted - known)] if known else []
    return lines


def _answer(theirs: dict[str, Any], ours: Operation) -> dict[str, Any]:
    answer = theirs.get("responses", {}).get(str(ours.status), {})
    found: dict[str, Any] = answer.get("schema") or _schema(answer)
    return found


def _schema(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _fields(description: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        target: Any = description
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return _fields(description, target)
    if schema.get("type") == "array":
        return _fields(description, schema.get("items", {}))
    found = set(schema.get("properties", {}))
    for each in schema.get("allOf", []):
        found |= _fields(description, each)
    return found


def main() -> int:
    found = differences(json.loads(Path(sys.argv[1]).read_text()))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
