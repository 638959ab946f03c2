# SPDX-License-Identifier: GPL-3.0-or-later
"""Blueprints with libraries that modules do not have: the JSON Schema by pydantic, edits kept by ruamel.yaml."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fuelctl._shared._blueprint.data_validation import TOO_OLD
from fuelctl._shared._blueprint.document import parse
from fuelctl._shared._blueprint.schema import Blueprint
from fuelctl._shared._blueprint.writing import SCHEMA_URL, compact, emit, mark

_MARKS = re.compile(r"^# detected: (.*)$", re.MULTILINE)


@lru_cache(maxsize=1)
def adapter() -> Any:
    """pydantic's view of the blueprint's dataclasses."""
    from pydantic import TypeAdapter

    return TypeAdapter(Blueprint)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of env.yaml."""
    schema: dict[str, Any] = adapter().json_schema(mode="validation")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URL,
        **schema,
    }
    _keys_too(schema)
    # What no field alone can say: versions that are too old to build from.
    schema["$defs"]["Runtime"]["allOf"] = [
        {
            "if": {"properties": {"name": {"const": name}}, "required": ["name", "version"]},
            "then": {"properties": {"version": {"not": {"pattern": pattern}}}},
        }
        for name, pattern in TOO_OLD.items()
    ]
    return schema


def _keys_too(part: Any) -> None:
    """pydantic turns a rule for keys into `patternProperties`, which lets every other key pass: refuse those."""
    if isinstance(part, dict):
        patterns = part.pop("patternProperties", None)
        if patterns:
            ((pattern, values),) = patterns.items()
            part["propertyNames"] = {**part.get("propertyNames", {}), "pattern": pattern}
            part["additionalProperties"] = values
        for inner in part.values():
            _keys_too(inner)
    elif isinstance(part, list):
        for inner in part:
            _keys_too(inner)


@dataclass(frozen=True)
class Update:
    """What writing a detected blueprint over an existing file would do."""

    text: str
    changed: tuple[str, ...]
    kept: tuple[str, ...]


def update(existing: str, detected: dict[str, Any], sources: dict[str, str]) -> Update:
    """`existing` with what detection found anew; comments, order and everything edited by hand stay.

    A field is untouched when it still has the value that the last detection wrote (the `# detected:` line remembers).
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    current = parse(existing.encode(), "env.yaml").data
    current = current if isinstance(current, dict) else {}
    document = yaml.load(existing)
    if not isinstance(document, CommentedMap):
        document = CommentedMap()
    found = _MARKS.search(existing)
    written = dict(entry.split("=", 1) for entry in found.group(1).split() if "=" in entry) if found else {}
    wanted = compact(detected)
    changed: list[str] = []
    kept: list[str] = []
    for key, value in wanted.items():
        if key in current and current[key] == value:
            written[key] = mark(value)
        elif (key in current and written.get(key) != mark(current[key])) or (key not in current and key in written):
            kept.append(key)
        else:
            if key in document:
                document[key] = _merge(document[key], value, key, sources)
                _retell(document, key, sources.get(key, ""))
            else:
                document[key] = _commented(yaml, key, value, sources)
            written[key] = mark(value)
            changed.append(key)
    for key in [key for key in current if key not in wanted and written.get(key) == mark(current[key])]:
        del document[key]
        written.pop(key)
        changed.append(key)
    if not changed:
        return Update(existing, (), tuple(kept))
    stream = io.StringIO()
    yaml.dump(document, stream)
    line = "# detected: " + " ".join(f"{key}={digest}" for key, digest in written.items())
    text = stream.getvalue()
    text = _MARKS.sub(lambda _match: line, text, count=1) if found else f"{line}\n{text}"
    return Update(text, tuple(changed), tuple(kept))


def _commented(yaml: Any, key: str, value: Any, sources: dict[str, str]) -> Any:
    """One field as ruamel has it, each line with its source."""
    lines: list[str] = []
    emit(value, 0, key, sources, lines, head=f"{key}:")
    return yaml.load("\n".join(lines) + "\n")[key]


def _merge(old: Any, new: Any, path: str, sources: dict[str, str]) -> Any:
    """`new` laid into `old` in place, so that the comments between its lines stay."""
    from ruamel.yaml.scalarstring import ScalarString

    if isinstance(old, dict) and isinstance(new, dict):
        for key in [key for key in old if key not in new]:
            del old[key]
        for key, value in new.items():
            inner = f"{path}.{key}"
            if key not in old or old[key] != value:
                old[key] = _merge(old.get(key), value, inner, sources)
                _retell(old, key, sources.get(inner, ""))
        return old
    if isinstance(old, list) and isinstance(new, list):
        for index, value in enumerate(new):
            inner = f"{path}[{index}]"
            if index >= len(old):
                old.append(value)
            elif old[index] != value:
                old[index] = _merge(old[index], value, inner, sources)
                _retell(old, index, sources.get(inner, ""))
        del old[len(new) :]
        return old
    # ruamel's own kinds of text remember their quotes.
    quoted = isinstance(old, ScalarString) and isinstance(new, str)
    return type(old)(new) if quoted else new


def _retell(container: Any, key: Any, source: str) -> None:
    """The comment beside a changed value names the new source; comments below it stay."""
    comments = getattr(getattr(container, "ca", None), "items", {}).get(key)
    for token in comments or ():
        if source and hasattr(token, "value") and token.value.startswith("# "):
            rest = token.value.partition("\n")[2]
            token.value = f"# {source}\n{rest}"
            return
