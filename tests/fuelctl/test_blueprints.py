# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema is the dataclasses', and three validators agree; updates keep what people wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from fuelctl import blueprints
from fuelctl._shared import _blueprint
from fuelctl._shared._blueprint.schema import Blueprint
from tests.unit.plugins.module_utils._blueprint.values import BAD, GOOD

CHECKOUT = Path(__file__).resolve().parents[2]
VALIDATOR = jsonschema.Draft202012Validator(blueprints.json_schema())


def by_pydantic(data: Any) -> bool:
    try:
        blueprints.adapter().validate_json(json.dumps(data), strict=True)
    except ValidationError:
        return False
    return True


def test_schema_file_is_the_dataclasses_schema() -> None:
    assert json.loads((CHECKOUT / "docs/env.schema.json").read_text("utf-8")) == blueprints.json_schema()


@pytest.mark.parametrize("data", GOOD, ids=str)
def test_all_accept(data: Any) -> None:
    assert _blueprint.validate(data) == []
    assert by_pydantic(data)
    VALIDATOR.validate(data)


@pytest.mark.parametrize(("path", "data"), BAD, ids=lambda value: str(value)[:60])
def test_all_refuse(path: str, data: Any) -> None:
    assert _blueprint.validate(data)
    assert not VALIDATOR.is_valid(data)
    # Which versions are too old depends on the runtime beside them: pydantic looks at one field at a time.
    assert not by_pydantic(data) or path.endswith(".version")


def test_pydantic_and_we_build_the_same() -> None:
    for data in GOOD:
        mine = _blueprint.from_dict(data)
        theirs = blueprints.adapter().validate_json(json.dumps(data), strict=True)
        assert isinstance(theirs, Blueprint)
        assert _blueprint.sha256(mine) == _blueprint.sha256(_blueprint.from_dict(_blueprint.to_dict(theirs)))


DETECTED = {
    "version": 1,
    "name": "shop",
    "image": "node:20-bookworm",
    "runtimes": [{"name": "node", "version": "20", "package_manager": "npm"}],
    "setup": ["npm ci"],
    "ports": [3000],
}
SOURCES = {"image": ".nvmrc:1", "runtimes[0].version": ".nvmrc:1", "ports": "default"}


@pytest.fixture
def written() -> str:
    return _blueprint.to_yaml(DETECTED, SOURCES)


def test_same_again_changes_nothing(written: str) -> None:
    result = blueprints.update(written, DETECTED, SOURCES)
    assert (result.text, result.changed, result.kept) == (written, (), ())


def test_a_new_version_is_offered_and_comments_stay(written: str) -> None:
    text = written.replace("setup:", "# install first\nsetup:") + "# the end\nttl: 12h  # a long day\n"
    newer = {
        **DETECTED,
        "image": "node:22-bookworm",
        "runtimes": [{"name": "node", "version": "22", "package_manager": "npm"}],
    }
    result = blueprints.update(text, newer, SOURCES)
    assert result.changed == ("image", "runtimes")
    assert result.kept == ()
    for comment in ("# install first", "# the end", "# a long day", "# .nvmrc:1", "# yaml-language-server"):
        assert comment in result.text
    data = yaml.safe_load(result.text)
    assert data["image"] == "node:22-bookworm"
    assert data["ttl"] == "12h"
    assert blueprints.update(result.text, newer, SOURCES).changed == ()


def test_edits_by_hand_stay(written: str) -> None:
    text = written.replace("- 3000", "- 4000").replace("npm ci", "npm ci && npm run seed")
    newer = {**DETECTED, "ports": [8080], "setup": ["pnpm install"], "image": "node:22-bookworm"}
    result = blueprints.update(text, newer, SOURCES)
    assert result.changed == ("image",)
    assert set(result.kept) == {"setup", "ports"}
    data = yaml.safe_load(result.text)
    assert data["ports"] == [4000]
    assert data["setup"] == ["npm ci && npm run seed"]


def test_what_was_removed_by_hand_stays_away(written: str) -> None:
    text = "\n".join(line for line in written.split("\n") if not line.startswith("ports:") and line != "  - 3000")
    result = blueprints.update(text, DETECTED, SOURCES)
    assert result.changed == ()
    assert result.kept == ("ports",)


def test_what_the_project_no_longer_has_goes(written: str) -> None:
    without = {key: value for key, value in DETECTED.items() if key != "ports"}
    result = blueprints.update(written, without, SOURCES)
    assert result.changed == ("ports",)
    assert "ports" not in yaml.safe_load(result.text)


def test_a_file_written_by_hand_gets_only_what_it_lacks() -> None:
    result = blueprints.update("# mine\nimage: debian:bookworm\n", DETECTED, SOURCES)
    data = yaml.safe_load(result.text)
    assert data["image"] == "debian:bookworm"
    assert data["ports"] == [3000]
    assert result.kept == ("image",)
    assert "# mine" in result.text
    assert blueprints.update(result.text, DETECTED, SOURCES).changed == ()
