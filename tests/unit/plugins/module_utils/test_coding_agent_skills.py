# SPDX-License-Identifier: GPL-3.0-or-later
"""Skills: which ones are wanted, and what becomes of them where some are."""

from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.data_platforms import PLATFORMS
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._skills import (
    APPLY,
    APPLY_NEW,
    MARK,
    PROBE,
    Present,
    archive_of,
    change,
    digest,
    pack_skills,
    present,
    read_skills,
    wanted,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent.data_skills import SKILLS, THRESHOLD
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError

FLY = {"name": "fly.io", "confidence": 0.7}
NONE = Present({}, [], [])


@pytest.mark.parametrize(
    ("skills", "platforms", "expected"),
    [
        (["auto"], [], []),
        (["auto"], [FLY], ["flyio"]),
        (["auto"], [{"name": "fly.io", "confidence": 0.69}], []),
        (["auto"], [{"name": "kustomize", "confidence": 1}, FLY], ["flyio", "kubernetes"]),
        (["auto"], [{"name": "aws-cdk", "confidence": 1.0}], []),
        (["auto"], [{"name": "fly.io", "confidence": "1"}, {"name": "helm"}, "helm"], []),
        (["auto"], [{"name": "helm", "confidence": True}], []),
        (["auto", "helm"], [FLY], ["flyio", "helm"]),
        (["helm"], [FLY], ["helm"]),
        (["none"], [FLY], []),
        ([], [FLY], []),
    ],
)  # fmt: skip
def test_which_are_wanted(skills, platforms, expected):
    assert wanted(skills, platforms) == expected


@pytest.mark.parametrize("name", ["../x", "", "A", "-a", "a/b", "a" * 65, "{{ x }}"])
def test_a_name_is_a_name(name):
    with pytest.raises(UsageError):
        wanted([name], [])


def test_every_skill_belongs_to_platforms_that_are_detected():
    assert {platform for of in SKILLS.values() for platform in of} <= set(PLATFORMS)
    assert {PLATFORMS[platform].threshold for of in SKILLS.values() for platform in of} == {THRESHOLD}


def test_they_are_read_from_a_folder_and_from_what_was_packed(tmp_path):
    folder, packed = tmp_path / "skills", tmp_path / "packed"
    (folder / "one" / "more").mkdir(parents=True)
    (folder / "one" / "SKILL.md").write_text("text")
    (folder / "one" / "more" / "x.bin").write_bytes(b"\0\xff")
    (folder / "one" / "link").symlink_to("/etc/passwd")
    (folder / "one" / MARK).write_text("not ours to say")
    (folder / "two").mkdir()
    found = read_skills(str(folder), ["one"])
    assert found == {"one": {"SKILL.md": b"text", "more/x.bin": b"\0\xff"}}
    pack_skills(str(folder), str(packed))
    assert read_skills(str(packed), ["one"]) == found
    for path in (folder, packed):
        for name in ("two", "three"):
            with pytest.raises(UsageError, match=f"no skill '{name}'"):
                read_skills(str(path), [name])
    (folder / "one" / "big").write_bytes(bytes(1 << 20))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        read_skills(str(folder), ["one"])
    for broken in ("{", "[]", '{"one": {"SKILL.md": 1}}'):
        packed.write_text(broken)
        with pytest.raises(UsageError, match="no folder with skills"):
            read_skills(str(packed), ["one"])


def test_what_the_probe_says():
    lines = [
        "user",
        "skill-ours a x x",
        "skill-ours b x y",
        "skill-ours c  y",
        "skill-own d",
        "skill-project e",
        "tail",
    ]
    assert present(lines) == Present({"a": "x"}, ["b", "c", "d"], ["e"])


def test_what_is_to_be_done():
    new, same = {"SKILL.md": b"new"}, {"SKILL.md": b"same"}
    there = Present({"old": "1", "same": digest(same), "up": "1", "callers": "1"}, ["own"], ["projects"])
    skills = {"up": new, "same": same, "own": new, "projects": new, "callers": new, "fresh": new}
    made = change(skills, there, ["skills/callers/SKILL.md", "skills/README.md", "agents/fresh/x.md"])
    assert sorted(made.install) == ["fresh", "up"]
    # The caller's own comes in the place of ours.
    assert made.remove == ["callers", "old"]
    assert {each["name"]: each["state"] for each in made.told} == {
        "up": "installed", "same": "installed", "fresh": "installed",
        "own": "left", "projects": "left", "callers": "left",
    }  # fmt: skip
    assert change({}, NONE, []) == ({}, [], [])


def test_what_goes_along_carries_its_digest():
    files = {"SKILL.md": b"a", "b/c": b"d"}
    entries = dict(archive_of(change({"one": files}, Present({"two": "x"}, [], []), [])))
    assert entries["remove"] == b"two\n"
    assert entries["skills/one/b/c"] == b"d"
    lines = sorted(f"{hashlib.sha256(text).hexdigest()}  ./{name}\n" for name, text in files.items())
    assert entries[f"skills/one/{MARK}"].decode().strip() == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_scripts_stand_within_single_quotes():
    assert "'" not in PROBE + APPLY + APPLY_NEW
    assert json.dumps(PROBE).isascii()
