# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the lab and what is sent to it with the published description of the API.

`differences()` compares contract.py with published.yml; `Judge` holds each call that the lab is asked, and each answer
of its own, to the types. `python -m tests.lab.fly.conformance FILE` says how FILE, an OpenAPI 3 description as it is at
https://docs.machines.dev/ and in github.com/superfly/docs, differs from published.yml and contract.py, and ends with 1
if it does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .contract import OPERATIONS, Operation
from .published import Published, named, published, reduce

_PAGE = "the resource page has it"
#: What contract.py has and the description has not, with its reason. One that is no difference any more is a fault.
KNOWN: dict[str, str] = {
    "Apps_create: no field app_name": f"{_PAGE}, and asks for it under this name",
    "Apps_delete: no query force": f"{_PAGE}: without, an app whose machines run is not deleted",
    "Machines_create_lease: no query ttl": "Fly.io's own Go client asks by the query",
    "Machines_show_lease: wrapped in data": f"{_PAGE} in its examples, and Fly.io's own Go client reads it so",
    "Machines_create_lease: wrapped in data": f"{_PAGE} in its examples, and Fly.io's own Go client reads it so",
}
#: Parts of what is sent or answered that the description has otherwise, each with its reason.
LENIENT: tuple[tuple[str, str], ...] = (
    (
        r".*\.services\[\]\.autostop is (?:True|False), not .*",
        "answered as a boolean for off and stop, says the description itself",
    ),
    (r"Apps_create\.app_name is not described", KNOWN["Apps_create: no field app_name"]),
    (r"Secrets_update\.values\{\} is NoneType, not string", "null unsets, says the description itself"),
    (r"Machines_update_metadata\.metadata\{\} is NoneType, not string", "null removes, says the description itself"),
)
_LENIENT = re.compile("|".join(f"(?:{pattern})" for pattern, _reason in LENIENT))


def differences(described: Published | None = None) -> list[str]:
    """One line for each thing that contract.py says and the description does not, or says otherwise."""
    described = described or published()
    return [line for operation in OPERATIONS for line in _operation(described, operation)]


def _operation(described: Published, ours: Operation) -> Iterator[str]:
    theirs = described.operations.get(ours.id)
    if theirs is None:
        yield f"{ours.id}: there is none"
        return
    if theirs.call != f"{ours.method} {ours.path}":
        yield f"{ours.id}: is {theirs.call}"
    if theirs.success != ours.status:
        yield f"{ours.id}: answers {theirs.success}"
    if ours.wrapped:
        yield f"{ours.id}: wrapped in {ours.wrapped}"
    answer = theirs.answers[theirs.success]
    if answer.startswith("list of ") != ours.many:
        yield f"{ours.id}: answers {answer}"
    sends = described.schemas.get(named(theirs.sends), {})
    answers = described.schemas.get(named(answer), {})
    for what, wanted, known in (
        ("query", ours.query, set(theirs.query)),
        ("field", ours.sends, set(sends)),
        # A description that says nothing of what is answered forbids nothing.
        ("answer", ours.answers if answers else frozenset(), set(answers)),
    ):
        for name in sorted(wanted - known):
            yield f"{ours.id}: no {what} {name}"


def _at(body: Any, path: str) -> Any:
    for step in path.split("."):
        body = body.get(step) if isinstance(body, Mapping) else None
    return body


class Judge:
    """Whether calls and answers are of the types that are published."""

    def __init__(self) -> None:
        self._described = published()
        self._wrapped = {each.id: each.wrapped for each in OPERATIONS}
        self._query = {each.id: each.query for each in OPERATIONS}

    def request(self, operation: str, query: Mapping[str, list[str]], body: Mapping[str, Any]) -> list[str]:
        """What is wrong with what was sent."""
        described = self._described.operations[operation]
        found = [
            line for name, values in query.items() for line in self._asked(operation, described.query, name, values[-1])
        ]
        found += [
            f"{operation}: query {name} is missing"
            for name, kind in described.query.items()
            if kind.endswith(" required") and name not in query
        ]
        if body:
            found += self._described.wrong(described.sends or "object", dict(body), operation, sent=True)
            if not described.sends:
                found.append(f"{operation} takes no body")
        elif described.sends.endswith(" required"):
            found.append(f"{operation} wants a body")
        found += [
            f"{operation}.{wanted} is missing"
            for wanted in self._described.required.get(operation, ())
            if all(_at(body, path) in (None, "") for path in wanted.split("|"))
        ]
        return [line for line in found if not _LENIENT.fullmatch(line)]

    def _asked(self, operation: str, known: Mapping[str, str], name: str, value: str) -> Iterator[str]:
        kind = known.get(name)
        if kind is None and name.startswith("metadata."):
            kind = known.get("metadata.{key}")
        if kind is None:
            # What contract.py has besides is a known difference.
            if name not in self._query[operation]:
                yield f"{operation}: query {name} is not described"
            return
        kind = kind.removesuffix(" required")
        fits = {
            "integer": value.lstrip("-").isdigit(),
            "boolean": value in ("true", "false"),
        }.get(kind, True)
        if kind.startswith("one of "):
            fits = set(value.split(",")) <= set(kind.split()[2:])
        if not fits:
            yield f"{operation}: query {name} is {value[:40]!r}, not {kind}"

    def answer(self, operation: str, status: int, answer: Any) -> list[str]:
        """What is wrong with what was answered."""
        described = self._described.operations[operation]
        if status >= 400:
            kind = described.answers.get(status, "ErrorResponse")
        elif status in described.answers:
            kind = described.answers[status]
            wrapped = self._wrapped[operation]
            answer = answer.get(wrapped) if wrapped and isinstance(answer, Mapping) else answer
        else:
            return [f"{operation} answered {status}"]
        found = self._described.wrong(kind, answer, f"{operation} {status}")
        return [line for line in found if not _LENIENT.fullmatch(line)]


def changes(ours: Published, theirs: Published) -> list[str]:
    """One line for each fact in which two descriptions differ."""
    lines = [f"{name}: new" for name in sorted(theirs.beyond - ours.beyond)]
    lines += [f"{name}: no more" for name in sorted(ours.beyond - theirs.beyond)]
    for what, old, new in (
        ("operation", {name: vars(each) for name, each in ours.operations.items()}, theirs.operations),
        ("schema", ours.schemas, theirs.schemas),
    ):
        for name in sorted(old.keys() | new.keys()):
            before, found = old.get(name, {}), new.get(name, {})
            after = found if isinstance(found, Mapping) else vars(found)
            lines += [
                f"{what} {name}: {key} is {after.get(key)!r}, was {before.get(key)!r}"
                for key in sorted(before.keys() | after.keys())
                if before.get(key) != after.get(key)
            ]
    return lines


def main() -> int:
    theirs = reduce(json.loads(Path(sys.argv[1]).read_text()), frozenset(published().operations))
    found = changes(published(), theirs)
    found += [line for line in differences(theirs) if line not in KNOWN]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
