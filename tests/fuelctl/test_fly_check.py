# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl fly check`: every planted fault is found on its line and nothing else is, in every form of output."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from fuelctl._shared._errors import UsageError
from fuelctl._shared._fly_app import secret_words
from fuelctl._shared._fly_app.checking import check
from fuelctl._shared._fly_app.dockerfile import ignored, instructions, pairs
from fuelctl._shared._fly_app.rendering import toml
from fuelctl._shared._fly_app.report import rules
from fuelctl._shared._fly_app.sarif import sarif
from fuelctl._shared._fly_app.toml_lines import TomlError, parse
from fuelctl.cli import _hadolint
from fuelctl.cli._app import app
from tests.fuelctl.fly_archive import Expected, contents, unpack

CORPUS = Path(__file__).parent / "fly_corpus"
ARCHIVES = sorted(CORPUS.glob("*/*.txt"))


def found(folder: Path) -> Expected:
    return {(item.file, item.line, item.rule) for item in check(str(folder)).findings}


def fuelctl(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fly", "check", "--no-hadolint", *arguments])


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_exactly_what_is_planted_is_found(archive: Path, tmp_path: Path) -> None:
    expected = unpack(archive, tmp_path)
    assert bool(expected) == (archive.parent.name == "bad")
    assert found(tmp_path) == expected


def test_every_rule_has_a_fault_in_the_corpus(tmp_path: Path) -> None:
    planted = set()
    for archive in ARCHIVES:
        planted |= {rule for _file, _line, rule in unpack(archive, tmp_path / archive.stem)}
    # A file that no archive of text can hold; below.
    assert planted == set(rules()) - {"unreadable"}


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_same_is_found_in_files_from_windows(archive: Path, tmp_path: Path) -> None:
    expected = unpack(archive, tmp_path)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert found(tmp_path) == expected


@pytest.mark.parametrize(
    ("content", "line", "rule"),
    [
        (b'app = "shop"\n# \0\n', 2, "unreadable"),
        (b"#" * 600_000, 1, "unreadable"),
        (None, 1, "unreadable"),
        (b'# first\napp = "shop" # caf\xe9\n', 2, "toml-invalid"),
        ('app = "shop"\n'.encode("utf-16"), 1, "toml-invalid"),
    ],
    ids=["binary", "huge", "folder", "latin-1", "utf-16"],
)
def test_what_is_no_text_is_said(content: bytes | None, line: int, rule: str, tmp_path: Path) -> None:
    if content is None:
        (tmp_path / "fly.toml").mkdir()
    else:
        (tmp_path / "fly.toml").write_bytes(content)
    assert ("fly.toml", line, rule) in found(tmp_path)
    assert fuelctl(str(tmp_path)).exit_code == 1


def test_a_dockerfile_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text('app = "shop"\n[[vm]]\nmemory = "512mb"\n')
    (tmp_path / "Dockerfile").write_bytes(b"FROM node:22\nRUN true \0\n")
    assert found(tmp_path) == {("Dockerfile", 2, "unreadable")}


def test_links_in_circles_end(tmp_path: Path) -> None:
    unpack(CORPUS / "good" / "long-form.txt", tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "fly.dev.toml").symlink_to("fly.dev.toml")
    assert found(tmp_path) == set()


def test_every_rule_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "user" / "fly-deploy.md").read_text()
    for name, entry in rules().items():
        assert f"| `{name}` | {entry['severity']} | {entry['why']} |" in page


def test_no_finding_tells_a_secret(tmp_path: Path) -> None:
    unpack(CORPUS / "bad" / "secrets.txt", tmp_path)
    said = fuelctl(str(tmp_path), "--json").stdout + fuelctl(str(tmp_path)).stdout
    for secret in ("hunter2", "sk_live_", "battery", "AKIA", "npm_abc", "0123456789abcdef", "s3cr3t", "abcdef"):
        assert secret not in said


def test_one_file_alone(tmp_path: Path) -> None:
    unpack(CORPUS / "good" / "long-form.txt", tmp_path)
    (tmp_path / "fly.staging.toml").write_text('app = "Bad Name"\n[[vm]]\nmemory = "1gb"\n')
    assert found(tmp_path / "fly.toml") == set()
    assert found(tmp_path / "fly.staging.toml") == {("fly.staging.toml", 1, "invalid-value")}


@pytest.mark.parametrize(("fail_on", "code"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)])
def test_the_exit_code_is_the_chosen_severity(fail_on: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM node:22\n")
    assert fuelctl(str(tmp_path), "--fail-on", fail_on).exit_code == code


@pytest.mark.parametrize("arguments", [["--format", "xml"], ["--fail-on", "fatal"], []])
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    assert isinstance(fuelctl(str(tmp_path), *arguments).exception, UsageError)


def test_text_says_where_why_and_what_to_do(tmp_path: Path) -> None:
    unpack(CORPUS / "bad" / "service.txt", tmp_path)
    lines = fuelctl(str(tmp_path)).stdout.splitlines()
    assert "fly.toml:4: warning: http_service answers plain HTTP: force_https is not true [no-https]" in lines
    assert "    fix: add force_https = true" in lines
    assert sum(line.startswith("    why: ") for line in lines) == 6


def test_sarif_says_the_same(tmp_path: Path) -> None:
    unpack(CORPUS / "bad" / "deployment.txt", tmp_path)
    log = json.loads(fuelctl(str(tmp_path), "--format", "sarif").stdout)
    run = log["runs"][0]
    told = {
        (
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"]["region"]["startLine"],
            result["ruleId"],
        )
        for result in run["results"]
    }
    assert told == found(tmp_path)
    names = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(names[result["ruleIndex"]] == result["ruleId"] for result in run["results"])


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_sarif_fits_its_schema(archive: Path, tmp_path: Path) -> None:
    unpack(archive, tmp_path)
    schema = json.loads((Path(__file__).parent / "sarif-2.1.0.json").read_text())
    program = _hadolint.program()
    linters = [partial(_hadolint.lint, program)] if program else []
    assert list(jsonschema.Draft4Validator(schema).iter_errors(sarif(check(str(tmp_path), linters), "0.1.0"))) == []


def test_hadolint_adds_what_it_knows_and_repeats_nothing(tmp_path: Path) -> None:
    program = _hadolint.program()
    assert program, "the extra `dev` brings hadolint"
    (tmp_path / "Dockerfile").write_text("FROM node\nRUN sudo true\nRUN cd /tmp && ls\nUSER 1000\n")
    told = [(item.rule, item.line) for item in check(str(tmp_path), [partial(_hadolint.lint, program)]).findings]
    assert ("latest-tag", 1) in told
    assert ("DL3004", 2) in told
    assert ("DL3006", 1) not in told
    report = check(str(tmp_path), [partial(_hadolint.lint, program)])
    assert {rule["id"] for rule in sarif(report, "0")["runs"][0]["tool"]["driver"]["rules"]} == {
        name for name, _line in told
    }


def test_a_hadolint_that_fails_is_no_failure() -> None:
    assert list(_hadolint.lint("/bin/false", "Dockerfile", "FROM x")) == []
    assert list(_hadolint.lint("/nowhere/hadolint", "Dockerfile", "FROM x")) == []


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.toml"
    outside.write_text('app = "secret"\n')
    project = tmp_path / "project"
    project.mkdir()
    (project / "fly.toml").symlink_to(outside)
    (project / "Dockerfile").write_text("FROM node:22\nUSER 1000\n")
    assert check(str(project)).files == ["Dockerfile"]
    (project / "fly.staging.toml").write_text(
        'app = "x"\n[build]\ndockerfile = "../../etc/passwd"\n[[vm]]\nmemory = "1gb"\n'
    )
    assert found(project) == {("fly.staging.toml", 3, "dockerfile-missing")}


# --- lines of TOML

KEYS = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), st.text(min_size=1, max_size=6))
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


def written(value: Any) -> str:
    if isinstance(value, list):
        return "[ # {\n" + "".join(f"  {written(item)}, # ]\n" for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {inline(item)}" for name, item in value.items()) + "}"
    return toml(value)


def inline(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    return written(value)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_every_key_has_the_line_it_stands_on(data: dict[str, Any]) -> None:
    text, lines = "# begin\n", {}
    for table, entries in data.items():
        lines[table,] = text.count("\n") + 1
        text += f"[ {toml(table)} ] # [[x]]\n"
        for name, value in entries.items():
            lines[table, name] = text.count("\n") + 1
            text += f"  {toml(name)}  =  {written(value)}\n\n"
    document = parse(text)
    assert document.data == data
    for path, line in lines.items():
        assert document.lines[path] == line
    assert set(_paths(data, ())) == set(document.lines)


def _paths(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _paths(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def test_every_toml_of_the_corpus_has_a_line_for_every_key() -> None:
    for archive in ARCHIVES:
        for name, text in contents(archive).items():
            if not name.endswith(".toml") or archive.stem == "syntax":
                continue
            plain = "\n".join(line.split(" <- ")[0] for line in text.split("\n"))
            document = parse(plain)
            assert document.data == tomllib.loads(plain)
            every = plain.split("\n")
            for path, line in document.lines.items():
                last = next(part for part in reversed(path) if isinstance(part, str))
                assert last in every[line - 1], (archive.name, path, line)


@pytest.mark.parametrize(
    ("text", "line"), [("a = 1\nb = \n", 2), ("a = 1\na = 2\n", 2), ("x = [1,\n2\n", 3), ("a" + ".a" * 200 + " = 1", 1)]
)
def test_what_is_no_toml_has_a_line(text: str, line: int) -> None:
    with pytest.raises(TomlError) as caught:
        parse(text)
    assert caught.value.line == line


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_no_text_breaks_the_readers(text: str) -> None:
    with contextlib.suppress(TomlError):
        parse(text)
    for instruction in instructions(text):
        pairs(instruction)


# --- small parts


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("API_KEY", "abcdefgh12345", True),
        ("DB_PASSWORD", "x", True),
        ("SESSION_SECRET", "$SESSION_SECRET", False),
        ("PUBLIC_KEY_TOKEN_FILE", "/run/key", False),
        ("MAX_TOKENS", "4096", False),
        ("TOKEN_TTL", "3600", False),
        ("KEYBOARD", "qwerty", False),
        ("NEXT_PUBLIC_API_KEY", "pk_live_1234", False),
        ("VITE_MAPS_API_KEY", "abcdefgh12345", False),
        ("URL", "https://user:password@example.com/", True),
        ("URL", "https://user:$PASSWORD@example.com/", False),
        ("URL", "https://example.com:8080/a@b", False),
        ("ANYTHING", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("DATABASE_URL", "file:/data/app.db", False),
    ],
)
def test_what_is_a_secret(name: str, value: str, secret: bool) -> None:
    assert bool(secret_words.found(name, value)) == secret


@pytest.mark.parametrize(
    ("patterns", "path", "out"),
    [
        ([".env"], ".env", True),
        ([".env*"], ".env.local", True),
        (["*.env"], "deep/.env", False),
        (["**/.env"], "deep/.env", True),
        (["**"], ".env", True),
        (["**", "!.env"], ".env", False),
        (["/config"], "config/master.key", True),
        (["config/*.key"], "config/master.key", True),
        (["node_modules"], ".env", False),
    ],
)
def test_ignore_files_as_docker_reads_them(patterns: list[str], path: str, out: bool) -> None:
    assert ignored(patterns, path) == out
