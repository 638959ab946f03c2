# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl blueprint` as a person and as a program see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def fuelctl(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuelctl", "blueprint", *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "NO_COLOR": "1"},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a shop"
    folder.mkdir()
    (folder / "package.json").write_text('{"dependencies": {"next": "14"}, "engines": {"node": ">=20"}}', "utf-8")
    (folder / "package-lock.json").write_text("{}", "utf-8")
    (folder / ".nvmrc").write_text("18\n", "utf-8")
    return folder


def test_detect_shows_and_does_not_write_without_a_yes(project: Path) -> None:
    done = fuelctl("detect", cwd=project)
    assert done.returncode == 0
    assert "image: node:18-bookworm" in done.stdout
    assert "# .nvmrc:1" in done.stdout
    assert "conflict: runtimes[0].version" in done.stderr
    assert not (project / ".fuel-code").exists()


def test_detect_json_is_one_object_with_the_promised_keys(project: Path) -> None:
    done = fuelctl("detect", "--json", cwd=project)
    document = json.loads(done.stdout)
    assert list(document) == ["directory", "blueprint", "evidence", "conflicts", "elapsed_ms"]
    assert document["blueprint"]["runtimes"] == [{"name": "node", "version": "18", "package_manager": "npm"}]
    for entry in document["evidence"]:
        assert entry["kind"] in ("pin", "range", "alias", "default")
        assert 0 <= entry["confidence"] <= 1
        assert (entry["source"] == "default") == (entry["kind"] == "default")
    conflict = document["conflicts"][0]
    assert (conflict["winner"]["source"], conflict["loser"]["source"]) == (".nvmrc:1", "package.json:1")
    assert conflict["reason"]


def test_detect_json_of_several_is_one_line_each(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "b"
    other.mkdir()
    done = fuelctl("detect", "--json", str(project), str(other), cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["directory"] for line in lines] == [str(project), str(other)]
    assert lines[1]["blueprint"]["runtimes"] == []
    assert "no runtime" in lines[1]["warnings"][0]["message"]


def test_write_show_validate_and_write_again(project: Path) -> None:
    assert fuelctl("detect", "--dry-run", cwd=project).returncode == 0
    assert not (project / ".fuel-code").exists()
    assert fuelctl("detect", "--yes", cwd=project).returncode == 0
    text = (project / ".fuel-code/env.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=")
    assert fuelctl("validate", cwd=project).returncode == 0
    shown = fuelctl("show", "--json", cwd=project)
    assert json.loads(shown.stdout)["ttl"] == "8h"
    again = fuelctl("detect", "--yes", cwd=project)
    assert "says this already" in again.stderr
    (project / ".nvmrc").write_text("20\n", "utf-8")
    changed = fuelctl("detect", cwd=project)
    assert "-image: node:18-bookworm" in changed.stderr
    assert "+image: node:20-bookworm" in changed.stderr
    assert (project / ".fuel-code/env.yaml").read_text("utf-8") == text
    assert fuelctl("detect", "--yes", cwd=project).returncode == 0
    assert "image: node:20-bookworm" in (project / ".fuel-code/env.yaml").read_text("utf-8")


def test_missing_and_wrong_files_exit_with_1(project: Path) -> None:
    done = fuelctl("show", cwd=project)
    assert done.returncode == 1
    assert "blueprint detect" in done.stderr
    assert fuelctl("validate", cwd=project).returncode == 1
    (project / ".fuel-code").mkdir()
    (project / ".fuel-code/env.yaml").write_text("image: a:1\nports:\n  - 0\nenv:\n  PATH: x\n", "utf-8")
    done = fuelctl("validate", cwd=project)
    assert done.returncode == 1
    assert "✓ image" in done.stdout
    assert "✗ ports" in done.stdout
    assert ".fuel-code/env.yaml:3: ports[0]" in done.stdout
    document = json.loads(fuelctl("validate", "--json", cwd=project).stdout)
    assert document["valid"] is False
    assert [(problem["path"], problem["line"]) for problem in document["problems"]] == [
        ("ports[0]", 3),
        ("env.PATH", 5),
    ]


def test_bomb_is_one_line(project: Path) -> None:
    (project / ".fuel-code").mkdir()
    (project / ".fuel-code/env.yaml").write_text("a: " + "[" * 10000, "utf-8")
    done = fuelctl("validate", cwd=project)
    assert done.returncode == 1
    assert "nested deeper" in done.stderr
    assert json.loads(fuelctl("validate", "--json", cwd=project).stdout)["valid"] is False


def test_usage(project: Path, tmp_path: Path) -> None:
    assert fuelctl("detect", str(tmp_path / "nothing"), cwd=tmp_path).returncode == 2
    assert fuelctl("detect", "--yes", "--dry-run", cwd=project).returncode == 2
    assert fuelctl("why", "nonsense", cwd=project).returncode == 2


def test_why(project: Path) -> None:
    done = fuelctl("why", "runtimes[0].version", cwd=project)
    lines = done.stdout.splitlines()
    assert "✓ 18" in lines[1]
    assert ".nvmrc:1" in lines[1]
    assert "package.json:1" in lines[2]
    assert "conflict" in lines[3]
    document = json.loads(fuelctl("why", "runtimes", "--json", cwd=project).stdout)
    assert "runtimes[0].package_manager" in document


def test_schema_is_json() -> None:
    assert json.loads(fuelctl("schema", cwd=CHECKOUT).stdout)["title"] == "Blueprint"


def test_a_file_name_with_a_newline_stays_one_comment(tmp_path: Path) -> None:
    evil = tmp_path / "x\nports: [1]\n.csproj"
    evil.write_text(
        "<Project><PropertyGroup><TargetFramework>net8.0</TargetFramework></PropertyGroup></Project>", "utf-8"
    )
    assert fuelctl("detect", "--yes", cwd=tmp_path).returncode == 0
    assert fuelctl("validate", cwd=tmp_path).returncode == 0
    assert "ports" not in json.loads(fuelctl("detect", "--json", cwd=tmp_path).stdout)["blueprint"]["image"]


def test_nothing_is_written_through_a_link(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (project / ".fuel-code").symlink_to(outside)
    assert fuelctl("detect", "--yes", cwd=project).returncode == 1
    assert list(outside.iterdir()) == []


def test_importing_the_command_is_cheap() -> None:
    heavy = ("pydantic", "ruamel", "rich", "yaml", "tomllib")
    code = f"import sys, fuelctl.cli.blueprint; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- 1\n", "env.yaml:1: must be a mapping, not a list"),
        ("", "env.yaml: must be a mapping, not nothing"),
        ("image: a\nports: [99999]\n", "env.yaml:2: ports[0]: 99999 is not a port. write a number from 1 to 65535"),
        ("version: 2\nimage: a\n", "env.yaml:1: version: 2 is not a known blueprint version. write 1"),
    ],
)
def test_validate_says_each_thing_once(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "env.yaml").write_text(text, "utf-8")
    done = fuelctl("validate", "env.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert f"    {told}" in done.stdout.splitlines()
