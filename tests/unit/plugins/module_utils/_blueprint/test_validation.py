# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of good and bad values of every field; each bad one gives exactly one problem, at its own path."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _blueprint
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.document import parse
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.tests.unit.plugins.module_utils._blueprint.values import BAD, GOOD


@pytest.mark.parametrize("data", GOOD, ids=str)
def test_good(data):
    assert _blueprint.validate(data) == []
    blueprint = _blueprint.from_dict(data)
    assert _blueprint.from_dict(_blueprint.to_dict(blueprint)) == blueprint


@pytest.mark.parametrize(("path", "data"), BAD, ids=lambda value: str(value)[:60])
def test_bad(path, data):
    problems = _blueprint.validate(data, "f")
    assert [problem.path for problem in problems] == [path]
    assert all(problem.message and "\n" not in problem.message for problem in problems)
    with pytest.raises(UsageError):
        _blueprint.from_dict(data)


def test_every_problem_is_named_with_its_line():
    document = parse(b"imge: a\nports: [0, '80']\nservices:\n  - name: db\nttl: forever\n", "env.yaml")
    found = [(problem.path, problem.line) for problem in _blueprint.validate(document.data, document)]
    assert found == [("imge", 1), ("ports[0]", 2), ("ports[1]", 2), ("services[0].image", 4), ("ttl", 5)]
    assert "did you mean image" in str(_blueprint.validate(document.data, document)[0])


def test_error_of_load_names_the_first_and_counts_the_rest(tmp_path):
    path = tmp_path / "env.yaml"
    path.write_text("version: 1\nimage: -x\nports: [0]\n", "utf-8")
    with pytest.raises(UsageError) as caught:
        _blueprint.load(path)
    assert caught.value.where == f"{path}:2"
    assert "1 more" in caught.value.message
    assert len(caught.value.details["problems"]) == 2


def test_frozen_form_is_the_same_for_equal_blueprints():
    one = _blueprint.from_dict({"image": "a:1", "env": {"B": "2", "A": "1"}, "resources": {"cpus": 2.0}})
    two = _blueprint.from_dict({"env": {"A": "1", "B": "2"}, "resources": {"cpus": 2}, "image": "a:1", "ttl": "8h"})
    assert _blueprint.canonical_json(one) == _blueprint.canonical_json(two)
    assert _blueprint.sha256(one) == _blueprint.sha256(two)
    assert _blueprint.sha256(one) != _blueprint.sha256(_blueprint.from_dict({"image": "a:2"}))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28800), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("90s", 90), ("1d1h1m1s", 90061)],
)
def test_durations(text, seconds):
    assert _blueprint.parse_duration(text) == seconds
    assert _blueprint.parse_duration(_blueprint.format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "8", "h", "8 h", "-8h", "8h ", "8H", "1.5h", "m30", "30m1h", "٣h", "9" * 99 + "h"]
)
def test_no_durations(text):
    with pytest.raises(UsageError):
        _blueprint.parse_duration(text)
