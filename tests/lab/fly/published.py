# SPDX-License-Identifier: GPL-3.0-or-later
"""What Fly.io publishes of the Machines API: published.yml as data, or the same facts out of an OpenAPI 3 file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("published.yml")
_PRIMITIVES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
}
_NOTHING = "nothing"


@dataclass(frozen=True)
class Described:
    """One operation. `sends` and `answers` are types; an answer of which nothing is said is `nothing`."""

    call: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    sends: str = ""
    answers: Mapping[int, str] = field(default_factory=dict)
    answer_headers: tuple[str, ...] = ()

    @property
    def success(self) -> int:
        return min(self.answers)


@dataclass(frozen=True)
class Published:
    """`schemas`: name -> field -> type. `required`: what the pages beside the description ask for, by operation."""

    operations: Mapping[str, Described]
    schemas: Mapping[str, Mapping[str, str]]
    beyond: frozenset[str] = frozenset()
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    machine_states: frozenset[str] = frozenset()
    volume_states: frozenset[str] = frozenset()

    def wrong(self, kind: str, value: Any, where: str, *, sent: bool = False) -> Iterator[str]:
        """What of the value is not of this type, one line each. null is any type's in an answer, and none's that is
        sent."""
        kind = kind.removesuffix(" required")
        if kind in ("", _NOTHING) or (value is None and not sent):
            return
        if kind.startswith("list of "):
            if isinstance(value, list):
                for each in value:
                    yield from self.wrong(kind.removeprefix("list of "), each, f"{where}[]", sent=sent)
            else:
                yield f"{where} is no list"
        elif kind.startswith("map of "):
            if isinstance(value, dict):
                for each in value.values():
                    yield from self.wrong(kind.removeprefix("map of "), each, f"{where}{{}}", sent=sent)
            else:
                yield f"{where} is no object"
        elif kind.startswith("one of "):
            if value not in kind.split()[2:]:
                yield f"{where} is {value!r:.40}, not {kind}"
        elif kind in _PRIMITIVES:
            if not isinstance(value, _PRIMITIVES[kind]) or (isinstance(value, bool) and kind != "boolean"):
                yield f"{where} is {type(value).__name__}, not {kind}"
        elif isinstance(value, dict):
            yield from self._fields(self.schemas[kind], value, where, sent=sent)
        else:
            yield f"{where} is {type(value).__name__}, not {kind}"

    def _fields(self, fields: Mapping[str, str], value: Mapping[str, Any], where: str, *, sent: bool) -> Iterator[str]:
        for name in sorted(value.keys() - fields.keys()):
            yield f"{where}.{name} is not described"
        for name, kind in fields.items():
            if name in value:
                yield from self.wrong(kind, value[name], f"{where}.{name}", sent=sent)
            elif kind.endswith(" required"):
                yield f"{where}.{name} is missing"

    def reached(self) -> set[str]:
        """Names of the schemas that the operations lead to."""
        todo = [kind for each in self.operations.values() for kind in (each.sends, *each.answers.values())]
        found: set[str] = set()
        while todo:
            name = named(todo.pop())
            if name in self.schemas and name not in found:
                found.add(name)
                todo += self.schemas[name].values()
        return found


def named(kind: str) -> str:
    """The schema, or other type, that a type is made of."""
    kind = kind.removesuffix(" required")
    while kind.startswith(("list of ", "map of ")):
        kind = kind.split(" of ", 1)[1]
    return kind


@cache
def published() -> Published:
    """published.yml."""
    data = yaml.safe_load(FILE.read_text())
    pages = data["pages"]
    return Published(
        {
            name: Described(**{**each, "answer_headers": tuple(each.get("answer_headers", ()))})
            for name, each in data["operations"].items()
        },
        {
            name: {one: kind for kind, names in kinds.items() for one in names.split()}
            for name, kinds in data["schemas"].items()
        },
        frozenset(data["beyond"].split()),
        {name: tuple(names.split()) for name, names in pages["required"].items()},
        frozenset(pages["machine_states"].split()),
        frozenset(pages["volume_states"].split()),
    )


def reduce(description: Mapping[str, Any], wanted: frozenset[str]) -> Published:
    """The facts of an OpenAPI 3 description, of the operations `wanted` in full, of the others their ids."""
    operations: dict[str, Described] = {}
    beyond: set[str] = set()
    for path, item in description.get("paths", {}).items():
        for method, told in item.items():
            name = str(told.get("operationId"))
            if name in wanted:
                operations[name] = _operation(description, f"{method.upper()} {path.removeprefix('/v1')}", told)
            else:
                beyond.add(name)
    schemas = {
        name: {
            one: _type(description, kind, required=one in schema.get("required", ()))
            for one, kind in schema.get("properties", {}).items()
        }
        for name, schema in description.get("components", {}).get("schemas", {}).items()
        if "properties" in schema
    }
    found = Published(operations, schemas, frozenset(beyond))
    return Published(operations, {name: schemas[name] for name in found.reached()}, frozenset(beyond))


def _operation(description: Mapping[str, Any], call: str, told: Mapping[str, Any]) -> Described:
    def given(place: str) -> dict[str, str]:
        return {
            each["name"]: _type(description, each.get("schema", {}), required=bool(each.get("required")))
            for each in told.get("parameters", ())
            if each["in"] == place
        }

    body = told.get("requestBody", {})
    answers = told.get("responses", {})
    sends = _type(description, _schema(body), required=bool(body.get("required"))) if body else ""
    headers = tuple(sorted(name for answer in answers.values() for name in answer.get("headers", ())))
    return Described(
        call,
        given("query"),
        given("header"),
        sends,
        {int(status): _type(description, _schema(answer)) or _NOTHING for status, answer in answers.items()},
        headers,
    )


def _schema(part: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _type(description: Mapping[str, Any], schema: Mapping[str, Any], *, required: bool = False) -> str:
    """The type in the words of published.yml; what refers to a list of words is those words."""
    more = schema.get("allOf", [])
    if len(more) == 1:
        schema = more[0]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        target = description["components"]["schemas"][name]
        made = name if "properties" in target else _type(description, target)
    elif "enum" in schema:
        made = f"one of {' '.join(str(each) for each in schema['enum'])}"
    elif schema.get("type") == "array":
        made = f"list of {_type(description, schema.get('items', {}))}"
    elif "additionalProperties" in schema:
        made = f"map of {_type(description, schema['additionalProperties'])}"
    else:
        made = str(schema.get("type", ""))
    return f"{made} required" if required and made else made
