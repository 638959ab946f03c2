# SPDX-License-Identifier: GPL-3.0-or-later
"""Skills say what is true: their commands are in the lists, their keys in the schema, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fuelctl._shared._coding_agent._skills import archive_of, change, digest, read_skills, wanted
from fuelctl._shared._coding_agent._skills import present as what_is_there
from fuelctl._shared._coding_agent.data_skills import SKILLS
from fuelctl._shared._fly_app.checking import check
from fuelctl._shared._fly_app.resources import schema
from fuelctl._shared._fly_plan._commands import problems as fly_problems
from fuelctl._shared._fly_plan.data_commands import COMMANDS
from tests.fuelctl.skill_commands import PROGRAMS
from tests.fuelctl.skill_commands import problems as cluster_problems

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "skills"
PAGES = sorted(FOLDER.glob("*/*.md"))
#: Bytes.
LIMITS = {"SKILL.md": 25_000, "REFERENCE.md": 50_000}
#: Rules about the rest of a project, of which a page shows a part: groups, Dockerfile, the port that it names.
NOT_SHOWN = {"unknown-process", "dockerfile-missing", "port-mismatch"}
#: What each page has a section of.
PARTS = {
    "SKILL.md": "When to use what, Quick reference, Deploy patterns, Secrets, Network, Health checks, Scaling, "
    "Commands, The ten commonest errors",
    "REFERENCE.md": "Architecture, Configuration, Databases, Monitoring, Hardening, Performance, Cost, CI/CD, "
    "From Heroku, From Kubernetes, From AWS",
}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Words with underscores that are no keys of fly.toml.
OTHER_WORDS = {"proxy_proto", "pg_tls", "pg_dump", "pg_restore", "npm_token", "auto_extend_size"}


def name(page: Path) -> str:
    return page.relative_to(FOLDER).as_posix()


def fences(text: str, *languages: str) -> list[str]:
    return [body for language, body in _FENCE.findall(text) if language in languages]


def inline(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))


def commands(text: str) -> Iterator[list[str]]:
    """Every command of fly, kubectl and helm that a page shows, in fences and in lines of text."""
    shown = [line for body in fences(text, "sh", "yaml", "console") for line in body.splitlines()] + inline(text)
    for line in shown:
        for part in re.split(r"\s\|\s|&&|;", line.strip().removeprefix("- run: ")):
            words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "X", part), comments=True) if part.count('"') % 2 == 0 else []
            # A group of commands may be named by itself.
            group = " ".join(words[1:]) + " "
            if len(words) > 1 and not any(known.startswith(group) for known in COMMANDS):
                yield from [words] if words[0] in ("fly", "flyctl", *PROGRAMS) else []


def keys(node: Any, defs: Any, seen: set[str]) -> set[str]:
    """Every key that the schema knows, deprecated ones left out."""
    if isinstance(node, dict):
        for key, value in (node.get("properties") or {}).items():
            if not value.get("deprecated"):
                seen.add(key)
        for value in node.values():
            keys(value, defs, seen)
    elif isinstance(node, list):
        for value in node:
            keys(value, defs, seen)
    return seen


KEYS = keys(schema(), schema()["$defs"], set())


@pytest.mark.parametrize("skill", sorted(SKILLS))
def test_a_skill_begins_as_the_agent_wants_it(skill: str) -> None:
    text = (FOLDER / skill / "SKILL.md").read_text()
    assert text.startswith("---\n")
    head = yaml.safe_load(text.split("---\n")[1])
    assert set(head) == {"name", "description"}
    assert head["name"] == skill
    assert 50 < len(head["description"]) <= 1024
    assert "Use when" in head["description"]


def test_every_folder_is_a_skill_and_every_skill_a_folder() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SKILLS)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sizes(page: Path) -> None:
    assert page.stat().st_size < LIMITS[page.name]
    assert page.read_text().isascii()


@pytest.mark.parametrize(("page", "parts"), PARTS.items())
def test_every_part_is_there_and_says_something(page: str, parts: str) -> None:
    sections = re.split(r"^## ", (FOLDER / "flyio" / page).read_text(), flags=re.MULTILINE)[1:]
    said = {section.partition("\n")[0]: len(section.partition("\n")[2].split()) for section in sections}
    assert [part for part in parts.split(", ") if said.get(part, 0) < 20] == []


def test_ten_errors_are_ten() -> None:
    section = (FOLDER / "flyio/SKILL.md").read_text().partition("## The ten commonest errors")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d+\. |^\| \d+ \|", section, re.MULTILINE)) == 10


@pytest.mark.parametrize("page", [*PAGES, FOLDER / "flyio/examples/README.md"], ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _hash, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), target
        assert file.is_relative_to(FOLDER / page.relative_to(FOLDER).parts[0]), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            made = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in made, target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_is_one_that_the_program_has(page: Path) -> None:
    shown = list(commands(page.read_text()))
    assert len(shown) > 10
    wrong = [
        problem
        for words in shown
        for problem in (fly_problems(words) if words[0] in ("fly", "flyctl") else cluster_problems(words))
    ]
    # A flag may be named without a value; `fly postgres` is named as what not to use.
    assert [problem for problem in wrong if "postgres" not in problem and "wants a value" not in problem] == []


@pytest.mark.parametrize("page", sorted((FOLDER / "flyio").glob("*.md")), ids=name)
def test_every_key_is_in_the_schema(page: Path) -> None:
    text = page.read_text()
    tables = [word.strip("[]") for word in inline(text) if re.fullmatch(r"\[{1,2}[a-z_.]+\]{1,2}", word)]
    assert len(tables) > 10
    assert [table for table in tables if not set(table.split(".")) <= KEYS] == []
    words = {match for word in inline(text) for match in re.findall(r"(?<![\w$-])[a-z]+(?:_[a-z]+)+(?![\w-])", word)}
    commanded = {word for words in commands(text) for word in words}
    unknown = {word for word in words if word not in KEYS | OTHER_WORDS and not word.startswith("fly_")}
    assert {word for word in unknown if not any(word in known for known in commanded)} == set()


@pytest.mark.parametrize("page", sorted((FOLDER / "flyio").glob("*.md")), ids=name)
def test_every_piece_of_toml_is_one_that_flyctl_takes(page: Path) -> None:
    pieces = fences(page.read_text(), "toml")
    assert len(pieces) > 2
    for piece in pieces:
        jsonschema.validate(tomllib.loads(piece), schema())


@pytest.mark.parametrize("file", sorted(FOLDER.glob("flyio/examples/*/fly.toml")), ids=name)
def test_the_check_finds_nothing_in_examples(file: Path) -> None:
    jsonschema.validate(tomllib.loads(file.read_text()), schema())
    assert (file.parent / "Dockerfile").is_file()
    assert check(str(file.parent)).findings == []


@pytest.mark.parametrize("page", sorted((FOLDER / "flyio").glob("*.md")), ids=name)
def test_the_check_finds_nothing_in_the_pages(page: Path, tmp_path: Path) -> None:
    """Nothing in a whole file; in a part of one, nothing but what it does not show."""
    example = FOLDER / "flyio/examples/go"
    for number, piece in enumerate(fences(page.read_text(), "toml")):
        folder = tmp_path / str(number)
        shutil.copytree(example, folder)
        whole = piece.startswith("app = ")
        (folder / "fly.toml").write_text(piece if whole else f'app = "shop"\nprimary_region = "fra"\n{piece}')
        found = check(str(folder)).findings
        if whole:
            assert found == []
        assert {item.rule for item in found if item.severity == "error"} <= NOT_SHOWN, found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_other_fences_parse(page: Path) -> None:
    for piece in fences(page.read_text(), "yaml"):
        assert yaml.safe_load(piece)
    assert {language for language, _body in _FENCE.findall(page.read_text())} <= {"toml", "sh", "yaml"}


def test_no_skill_holds_what_looks_like_a_secret() -> None:
    from fuelctl._shared._coding_agent._config import holds_secret

    for path in FOLDER.rglob("*"):
        assert path.is_dir() or not holds_secret(path.read_text()), path


def test_loading_one_takes_no_time() -> None:
    """Best of some: choosing, reading, comparing and packing for the way."""

    def load() -> float:
        begun = time.process_time()
        names = wanted(["auto"], [{"name": "fly.io", "confidence": 1.0}])
        skills = read_skills(str(FOLDER), names)
        assert archive_of(change(skills, what_is_there([]), []))
        assert digest(skills["flyio"])
        return time.process_time() - begun

    assert min(load() for _turn in range(5)) < 0.1
