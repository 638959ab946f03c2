# SPDX-License-Identifier: GPL-3.0-or-later
"""A survey's answer, understood."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._workspace._survey import SHOWN, read_survey

PATH = "/workspaces/app"


def entry(key, value):
    data = value if isinstance(value, bytes) else value.encode()
    return f"{key} {base64.b64encode(data).decode()}"


def raw(*changes, mode="100644"):
    return b"".join(f":100644 {mode} {'1' * 40} {'2' * 40} {letter}\0{name}\0".encode() for letter, name in changes)


def answer(*lines):
    return "\n".join([entry("repository", PATH), *lines, "end"]) + "\n"


def test_nothing_at_all():
    found = read_survey("none\n", PATH)
    assert not found.would_lose
    assert found.reason is None


def test_a_clean_repository_has_nothing_to_lose():
    found = read_survey(answer(entry("head-work", b""), entry("launch-work", b""), entry("unpushed-count", "0")), PATH)
    assert not found.would_lose
    assert found.as_result()["unknown"] is None


def test_what_came_from_home_is_not_lost():
    found = read_survey(answer(entry("head-work", raw(("M", "a"))), entry("launch-work", b"")), PATH)
    assert found.uncommitted == []


def test_what_differs_from_head_and_from_home_would_be_lost():
    found = read_survey(
        answer(entry("head-work", raw(("M", "a"), ("A", "b"))), entry("launch-work", raw(("A", "b"), ("M", "c")))), PATH
    )
    assert found.uncommitted == ["A b"]
    assert found.reason == "1 uncommitted"


def test_staged_content_that_is_nowhere_else_counts():
    found = read_survey(
        answer(
            entry("head-work", b""),
            entry("head-staged", raw(("M", "a"))),
            entry("work-staged", raw(("M", "a"))),
        ),
        PATH,
    )
    assert found.uncommitted == ["M (staged) a"]


def test_a_nested_repository_is_left_to_its_own_survey():
    found = read_survey(answer(entry("head-work", raw(("M", "sub"), mode="160000"))), PATH)
    assert found.uncommitted == []


def test_commits_name_their_branch():
    commits = f"abc1234\trefs/heads/main\tAdd it\0def5678\t{'a' * 40}\tDetached work\0"
    found = read_survey(answer(entry("unpushed-count", "2\n"), entry("unpushed", commits)), PATH)
    assert found.unpushed == ["abc1234 main: Add it", "def5678 detached HEAD: Detached work"]
    assert found.reason == "2 unpushed"


def test_another_repository_is_named_by_where_it_is():
    text = "\n".join([entry("repository", "/workspaces/other"), entry("head-work", raw(("A", "x"))), "end"])
    assert read_survey(text, PATH).uncommitted == ["A ../other/x"]


def test_lists_are_cut_and_counted():
    many = raw(*(("A", f"f{number:04}") for number in range(SHOWN + 50)))
    result = read_survey(answer(entry("head-work", many)), PATH).as_result()
    assert len(result["uncommitted"]) == SHOWN
    assert result["counts"]["uncommitted"] == SHOWN + 50


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        entry("repository", PATH),
        answer("head-work !!!"),
        answer(entry("failed", "fatal: bad object HEAD")),
    ],
)
def test_what_cannot_be_told_counts_as_work(text):
    found = read_survey(text, PATH)
    assert found.would_lose
    assert found.unknown
    assert found.reason == found.unknown
