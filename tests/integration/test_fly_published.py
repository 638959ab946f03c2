# SPDX-License-Identifier: GPL-3.0-or-later
"""The Fly lab's contract, and the states that modules know, against what Fly.io publishes of its API."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._fly import _machine, _refusals, _volume
from tests.lab.fly.conformance import KNOWN, LENIENT, Judge, changes, differences
from tests.lab.fly.contract import OPERATIONS
from tests.lab.fly.published import Published, named, published, reduce

LAB = Path(__file__).parents[2] / "docs" / "developer" / "lab.md"


def test_contract_differs_from_the_description_where_it_is_known_to() -> None:
    assert sorted(differences()) == sorted(KNOWN)
    assert all(reason for reason in KNOWN.values())
    assert all(reason for _pattern, reason in LENIENT)


def test_every_operation_is_spoken_or_named_as_one_that_is_not() -> None:
    assert {each.id for each in OPERATIONS} == set(published().operations)
    assert not published().beyond & set(published().operations)
    told = re.findall(r"`([A-Za-z_*]+)`", LAB.read_text().partition("# The Fly lab")[2])
    assert [name for name in sorted(published().beyond) if not any(fnmatch(name, each) for each in told)] == []


def test_transcript_is_whole() -> None:
    """No schema is missing, none is idle, and each type is one."""
    facts = published()
    assert facts.reached() == set(facts.schemas)
    kinds = {named(kind) for fields in facts.schemas.values() for kind in fields.values()}
    kinds |= {named(kind) for each in facts.operations.values() for kind in (each.sends, *each.answers.values())}
    plain = {"string", "integer", "number", "boolean", "object", "nothing", ""}
    assert {kind for kind in kinds if not kind.startswith("one of ")} <= plain | set(facts.schemas)


def test_states_and_words_that_are_described_are_known() -> None:
    settled = {"started", "stopped", "suspended", "failed"}
    # Of an older version alone, which nobody here asks for.
    older = {"replaced", "migrated"}
    assert published().machine_states - older == _machine.PASSING | _machine.ENDED | settled
    there = {"created", "extending", "enabling_remote_export", "hydrating", "recovering"}
    assert published().volume_states <= _volume.COMING | _volume.ENDING | there
    words = published().schemas["ErrorResponse"]["status"].split()[2:]
    assert set(words) - {"unknown"} <= set(_refusals.CODES)


@pytest.mark.parametrize(
    ("operation", "body", "said"),
    [
        ("Volumes_extend", {"size_gb": "2"}, "Volumes_extend.size_gb is str, not integer"),
        ("Volumes_extend", {"size_gb": True}, "Volumes_extend.size_gb is bool, not integer"),
        ("Volumes_extend", {}, "Volumes_extend wants a body"),
        ("Volumes_create", {"size_gb": 1}, "Volumes_create.name is missing"),
        ("Machines_create", {"config": {}}, "Machines_create.config.image is missing"),
        (
            "Machines_create",
            {"config": {"image": "x", "env": {"A": 1}}},
            "Machines_create.config.env{} is int, not string",
        ),
        ("Machines_create", {"config": {"image": "x", "mount": []}}, "Machines_create.config.mount is not described"),
        (
            "Machines_create",
            {"config": {"image": "x", "restart": {"policy": "never"}}},
            "Machines_create.config.restart.policy is 'never', not one of no always on-failure",
        ),
        ("Machines_create", {"config": {"image": "x", "services": {}}}, "Machines_create.config.services is no list"),
        ("Secrets_update", {"values": {"A": 1}}, "Secrets_update.values{} is int, not string"),
        ("Machines_start", {"force": True}, "Machines_start takes no body"),
    ],
)
def test_what_is_sent_is_held_to_the_types(operation: str, body: dict[str, Any], said: str) -> None:
    assert said in Judge().request(operation, {}, body)


def test_what_is_asked_is_held_to_the_types() -> None:
    judge = Judge()
    assert judge.request("Machines_wait", {"state": ["created"], "timeout": ["10s"], "for": ["x"]}, {}) == [
        "Machines_wait: query state is 'created', not one of started stopped suspended destroyed failed settled",
        "Machines_wait: query timeout is '10s', not integer",
        "Machines_wait: query for is not described",
    ]
    assert judge.request("Apps_list", {}, {}) == ["Apps_list: query org_slug is missing"]
    for operation, query in (
        ("Machines_list", {"metadata.mark": ["x"], "limit": ["5"], "summary": ["true"]}),
        ("Machines_wait", {"state": ["started,stopped"]}),
        ("Apps_delete", {"force": ["true"]}),
    ):
        assert judge.request(operation, query, {}) == []


def test_what_is_answered_is_held_to_the_types() -> None:
    judge = Judge()
    assert judge.answer("Volumes_get_by_id", 200, {"id": "v", "attached_machine_id": None}) == []
    assert judge.answer("Volumes_get_by_id", 200, {"id": 5}) == ["Volumes_get_by_id 200.id is int, not string"]
    assert judge.answer("Volumes_get_by_id", 201, {}) == ["Volumes_get_by_id answered 201"]
    assert judge.answer("Volumes_list", 200, {"volumes": []}) == ["Volumes_list 200 is no list"]
    assert judge.answer("Apps_create", 422, {"error": "x", "status": "taken"}) != []
    lease = {"nonce": "n", "expires_at": 1, "owner": "o", "description": "", "version": "v"}
    assert judge.answer("Machines_show_lease", 200, {"status": "success", "data": lease}) == []
    assert judge.answer("Machines_start", 200, {"previous_state": "stopped"}) == []
    for value, found in ((False, 0), ("suspend", 0), ("never", 1), ("False", 1)):
        shown = {"config": {"services": [{"autostop": value}]}}
        assert len(judge.answer("Machines_show", 200, shown)) == found


def test_a_description_becomes_the_same_facts() -> None:
    """published.yml written as OpenAPI and read again; the real description is not kept here."""
    facts = published()
    again = reduce(description(facts), frozenset(facts.operations))
    assert changes(facts, again) == []
    assert sorted(differences(again)) == sorted(KNOWN)


def test_a_description_that_changed_is_told_by_the_fact() -> None:
    facts = published()
    other = description(facts)
    del other["components"]["schemas"]["Volume"]["properties"]["zone"]
    other["paths"]["/v1/apps"]["post"]["responses"]["200"] = other["paths"]["/v1/apps"]["post"]["responses"].pop("201")
    del other["paths"]["/v1/apps/{app_name}/machines/{machine_id}/wait"]
    other["paths"]["/v1/fresh"] = {"get": {"operationId": "Fresh_list", "responses": {}}}
    again = reduce(other, frozenset(facts.operations))
    assert "schema Volume: zone is None, was 'string'" in changes(facts, again)
    assert "Fresh_list: new" in changes(facts, again)
    found = differences(again)
    assert {"Apps_create: answers 200", "Machines_wait: there is none", "Volumes_list: no answer zone"} <= set(found)


def description(facts: Published) -> dict[str, Any]:
    """The facts in the form in which Fly.io publishes them."""

    def schema(kind: str) -> dict[str, Any]:
        kind = kind.removesuffix(" required")
        if kind.startswith("list of "):
            return {"type": "array", "items": schema(kind.removeprefix("list of "))}
        if kind.startswith("map of "):
            return {"type": "object", "additionalProperties": schema(kind.removeprefix("map of "))}
        if kind.startswith("one of "):
            # Published by a name of its own, which stands for the words.
            name = kind.replace(" ", "_")
            words[name] = {"type": "string", "enum": kind.split()[2:]}
            return {"type": "object", "description": "x", "allOf": [{"$ref": f"#/components/schemas/{name}"}]}
        return {"$ref": f"#/components/schemas/{kind}"} if kind in facts.schemas else {"type": kind}

    def content(kind: str) -> dict[str, Any]:
        return {} if kind == "nothing" else {"application/json": {"schema": schema(kind)}}

    words: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for name, each in facts.operations.items():
        method, path = each.call.split()
        parameters = [
            {"name": one, "in": place, "required": kind.endswith(" required"), "schema": schema(kind)}
            for place, given in (("query", each.query), ("header", each.headers))
            for one, kind in given.items()
        ]
        told = {"operationId": name, "parameters": parameters, "responses": {}}
        for status, kind in each.answers.items():
            told["responses"][str(status)] = {"description": "x", "content": content(kind)}
        if each.answer_headers:
            told["responses"][str(each.success)]["headers"] = {one: {} for one in each.answer_headers}
        if each.sends:
            told["requestBody"] = {"content": content(each.sends), "required": each.sends.endswith(" required")}
        paths.setdefault(f"/v1{path}", {})[method.lower()] = told
    for name in facts.beyond:
        paths[f"/v1/{name}"] = {"get": {"operationId": name, "responses": {}}}
    schemas = {
        name: {
            "type": "object",
            "required": [one for one, kind in fields.items() if kind.endswith(" required")],
            "properties": {one: schema(kind) for one, kind in fields.items()},
        }
        for name, fields in facts.schemas.items()
    }
    return {"openapi": "3.0.1", "paths": paths, "components": {"schemas": {**schemas, **words}}}
