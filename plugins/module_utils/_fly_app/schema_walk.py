# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""fly.toml held against its schema: unknown, missing, old and wrong keys, each with its line."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .resources import schema
from .toml_lines import Path, Toml


class Mismatch(NamedTuple):
    """One place that the schema does not allow: the rule, where, and what would be right."""

    rule: str
    path: Path
    message: str
    fix: str


_NAMES = {
    "object": "a table",
    "array": "an array",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def mismatches(document: Toml) -> Iterator[Mismatch]:
    """Everything in a document that its schema does not allow, in the order of the schema's walk."""
    yield from _walk(schema(), document.data, ())


def shown(path: Path) -> str:
    """A path as people write it: `services[0].ports`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def kind(value: Any) -> str:
    """The JSON Schema name of a value's type."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "string"


def resolved(rule: Dict[str, Any]) -> Dict[str, Any]:
    """A rule with what it refers to; its own words count first."""
    while "$ref" in rule:
        name = rule["$ref"].rpartition("/")[2]
        rule = {**schema()["$defs"][name], **{key: value for key, value in rule.items() if key != "$ref"}}
    return rule


def _types(rule: Dict[str, Any]) -> Tuple[str, ...]:
    found = rule.get("type", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _walk(rule: Dict[str, Any], value: Any, path: Path) -> Iterator[Mismatch]:
    rule = resolved(rule)
    have = kind(value)
    if "oneOf" in rule:
        choices = [resolved(choice) for choice in rule["oneOf"]]
        chosen = next((choice for choice in choices if have in _types(choice)), choices[0])
        yield from _walk(chosen, value, path)
        return
    types = _types(rule)
    if types and have not in types and not (have == "integer" and "number" in types):
        old = rule.get("x-old-forms", {}).get(have)
        if old is None:
            wanted = " or ".join(_NAMES[name] for name in types)
            yield Mismatch("wrong-type", path, f"{shown(path)} is {_NAMES[have]}", f"write {wanted}")
            return
        yield Mismatch(
            "deprecated-form", path, f"{shown(path)} as {_NAMES[have]} is the old way of writing it", f"write {old}"
        )
        if have == "object" and "items" in rule:
            yield from _walk(rule["items"], value, path)
        return
    yield from _limits(rule, value, have, path)
    if have == "object":
        yield from _table(rule, value, path)
    elif have == "array" and "items" in rule:
        for index, item in enumerate(value):
            yield from _walk(rule["items"], item, (*path, index))


def _limits(rule: Dict[str, Any], value: Any, have: str, path: Path) -> Iterator[Mismatch]:
    name = shown(path)
    allowed: Optional[List[Any]] = rule.get("enum")
    if allowed is not None and value not in allowed:
        yield Mismatch(
            "invalid-value",
            path,
            f"{name} = {value!r} is none that Fly.io knows",
            "one of " + ", ".join(map(str, allowed)),
        )
    if have in ("integer", "number"):
        low, high = rule.get("minimum"), rule.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"from {low} to {high}" if high is not None else f"at least {low}"
            yield Mismatch("invalid-value", path, f"{name} = {value} is out of bounds", f"write a number {limits}")
    if have == "string" and "pattern" in rule and not re.search(rule["pattern"], value):
        yield Mismatch(
            "invalid-value",
            path,
            f"{name} = {value!r} does not have the form that it needs",
            rule.get("description") or f"it must match {rule['pattern']}",
        )
    if have == "array" and len(value) > rule.get("maxItems", len(value)):
        yield Mismatch("invalid-value", path, f"{name} has {len(value)} entries", f"at most {rule['maxItems']}")


def _table(rule: Dict[str, Any], value: Dict[str, Any], path: Path) -> Iterator[Mismatch]:
    properties: Dict[str, Any] = rule.get("properties", {})
    others = rule.get("additionalProperties", True)
    for name in rule.get("required", ()):
        if name not in value:
            yield Mismatch("missing-key", path, f"{shown(path)} has no {name}", f"add {name} = ...")
    for name, item in value.items():
        inner: Path = (*path, name)
        if name in properties:
            known = resolved(properties[name])
            if known.get("deprecated"):
                instead = known.get("x-replaced-by", "")
                fix = f"remove it; {instead.partition(': ')[2]}" if instead.startswith("nothing") else f"use {instead}"
                yield Mismatch("deprecated-key", inner, f"{shown(inner)} is an old name", fix)
            yield from _walk(properties[name], item, inner)
        elif others is False:
            near = get_close_matches(name, [key for key in properties if not properties[key].get("deprecated")], 1)
            fix = f"did you mean {near[0]}?" if near else "remove it, or see fly.io/docs/reference/configuration"
            yield Mismatch("unknown-key", inner, f"{shown(inner)} is no key of fly.toml, so it has no effect", fix)
        elif isinstance(others, dict):
            yield from _walk(others, item, inner)
