# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every directory: no exception, no look outside, the same answer again and in any order of files."""

from __future__ import annotations

import json
import os
import string
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _blueprint
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint import tree as tree_module
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.data_scanners import SUFFIXES, TRIGGERS
from ansible_collections.fuel_code.remote.tests.unit.plugins.module_utils._blueprint.corpus_table import (
    materialise,
    projects,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PROJECTS = projects()
KNOWN = sorted(
    {*TRIGGERS, *(f"x{ending}" for ending in SUFFIXES)}
    | {".nvmrc", ".python-version", ".tool-versions", "mise.toml", "Dockerfile", "compose.yml", "docker-compose.yml"}
    | {
        "Procfile",
        "fly.toml",
        ".env.example",
        ".devcontainer/devcontainer.json",
        ".github/workflows/ci.yml",
        "yarn.lock",
    }
    | {
        "pnpm-workspace.yaml",
        "pnpm-lock.yaml",
        "rust-toolchain",
        "global.json",
        ".ruby-version",
        "Makefile",
        "lerna.json",
        "vite.config.ts",
        "angular.json",
        "nx.json",
        "Trunk.toml",
        "gunicorn.conf.py",
        ".flaskenv",
        "elixir_buildpack.config",
        "src/main/resources/application.conf",
        "apt.txt",
        ".devcontainer/Dockerfile",
    }
)
TEXTS = [
    content if isinstance(content, str) else json.dumps(content) for row in PROJECTS for content in row.files.values()
]


def same(detection):
    document = detection.as_dict()
    return {key: value for key, value in document.items() if key not in ("elapsed_ms", "directory")}


def mutate(random_, text):
    """A real file's text, hurt: cut, doubled, spliced, with bytes that do not belong."""
    raw = bytearray(text.encode("utf-8"))
    for _turn in range(random_.randint(0, 4)):
        kind = random_.randrange(5)
        position = random_.randrange(len(raw) + 1)
        if kind == 0:
            del raw[position:]
        elif kind == 1:
            raw[position:position] = random_.choice(
                [b"\x00", b"\xff\xfe", b"[" * 300, b"{" * 300, b'"', b"\n<<<<<<< HEAD\n", b"&a *a", b"9" * 50]
            )
        elif kind == 2 and raw:
            raw[position % len(raw)] = random_.randrange(256)
        elif kind == 3:
            raw[position:position] = random_.choice(TEXTS).encode("utf-8")[:200]
        else:
            raw = raw * 2
    return bytes(raw[:20000])


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_never_raises_and_is_deterministic(random_):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _file in range(random_.randint(1, 7)):
            path = folder / random_.choice(["", "", "apps/a", "backend", "src"]) / random_.choice(KNOWN)
            if path.exists() or any(parent.is_file() for parent in path.parents):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if random_.random() < 0.05:
                path.mkdir()
            else:
                path.write_bytes(mutate(random_, random_.choice(TEXTS)))
        first = _blueprint.detect(folder)
        assert same(first) == same(_blueprint.detect(folder))
        json.dumps(first.as_dict())
        problems = [problem for problem in _blueprint.validate(first.blueprint) if "too old" not in problem.message]
        assert problems == []
        _blueprint.to_yaml(first.blueprint, first.sources())
        assert isinstance(first.platforms, list)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PROJECTS), st.randoms(use_true_random=False))
def test_order_of_files_does_not_matter(project, random_):
    with tempfile.TemporaryDirectory() as name:
        folder = materialise(project, Path(name) / "p")
        expected = same(_blueprint.detect(folder))
        real = os.scandir

        class Shuffled:
            def __init__(self, path):
                with real(path) as entries:
                    self.entries = list(entries)
                random_.shuffle(self.entries)

            def __enter__(self):
                return iter(self.entries)

            def __exit__(self, *_error):
                return None

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tree_module.os, "scandir", Shuffled)
            assert same(_blueprint.detect(folder)) == expected


@pytest.mark.parametrize("project", PROJECTS[::9], ids=lambda project: project.name)
def test_nothing_is_opened_outside_or_written_or_run(project, tmp_path, monkeypatch):
    folder = materialise(project, tmp_path / "p")
    _blueprint.detect(folder)
    opened = []
    real_open, real_scandir = os.open, os.scandir
    monkeypatch.setattr(
        os, "open", lambda path, flags, *more: opened.append((str(path), flags)) or real_open(path, flags, *more)
    )
    monkeypatch.setattr(os, "scandir", lambda path: opened.append((str(path), os.O_RDONLY)) or real_scandir(path))
    monkeypatch.setattr("subprocess.Popen.__init__", lambda *_words, **_more: pytest.fail("a process was started"))
    monkeypatch.setattr("socket.socket.__init__", lambda *_words, **_more: pytest.fail("a socket was opened"))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    _blueprint.detect(folder)
    assert opened
    for path, flags in opened:
        assert os.path.realpath(path).startswith(str(folder))
        assert flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) == 0
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_links_out_of_the_tree_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "package.json").write_text('{"dependencies": {"next": "14"}, "engines": {"node": "16"}}', "utf-8")
    (outside / ".nvmrc").write_text("16", "utf-8")
    inside = tmp_path / "inside"
    (inside / "real").mkdir(parents=True)
    (inside / "package.json").symlink_to(outside / "package.json")
    (inside / ".nvmrc").symlink_to("../outside/.nvmrc")
    (inside / "app").symlink_to(outside)
    (inside / "real/go.mod").write_text("module a\ngo 1.22\n", "utf-8")
    (inside / "go.mod").symlink_to("real/go.mod")
    (inside / "loop").symlink_to(".")
    found = _blueprint.detect(inside)
    assert [(item["name"], item["version"]) for item in found.blueprint["runtimes"]] == [("go", "1.22")]
    assert {warning["file"] for warning in found.warnings} >= {"package.json", ".nvmrc", "app"}


def test_special_files_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "package.json")
    os.mkfifo(tmp_path / "compose.yml")
    (tmp_path / "requirements.txt").write_text("flask\n", "utf-8")
    assert _blueprint.detect(tmp_path).blueprint["runtimes"][0]["name"] == "python"


@pytest.mark.parametrize(
    "atom",
    [
        "\n",
        " ",
        " \n",
        "\t",
        "a",
        "0",
        "a.",
        "(",
        "{",
        "[",
        '"',
        "port: ",
        "<!--",
        "server:\n",
        "run(",
        "gem 'a'\n",
        "- a\n",
        "x: y\n",
        "FROM ",
        "node-version:\n",
        "  node-version: ${{ matrix.a }}\n",
        "server: {",
    ],
)
def test_no_text_takes_long(atom, tmp_path):
    for name in KNOWN:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(atom * (200_000 // len(atom)), "utf-8")
    begun = time.process_time()
    _blueprint.detect(tmp_path)
    assert time.process_time() - begun < 5


def test_huge_lockfile_is_not_read(tmp_path):
    (tmp_path / "package.json").write_text('{"dependencies": {"a": "1"}}', "utf-8")
    for name in ("package-lock.json", "docker-compose.yml"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(50 * 1024 * 1024)
    found = _blueprint.detect(tmp_path)
    assert found.blueprint["runtimes"][0]["package_manager"] == "npm"
    assert found.elapsed_ms < 500
    assert "docker-compose.yml" in {warning["file"] for warning in found.warnings}


def test_a_folder_of_very_many_files_finds_its_manifest(tmp_path):
    for number in range(tree_module.MAX_ENTRIES + 200):
        (tmp_path / f"{number}.dat").touch()
    # The listing is made in no order: the manifest is neither first nor last on purpose.
    (tmp_path / "package.json").write_text('{"dependencies": {"a": "1"}, "engines": {"node": "20.x"}}', "utf-8")
    (tmp_path / "yarn.lock").write_text("# yarn lockfile v1", "utf-8")
    for number in range(200):
        (tmp_path / f"z{number}.py").touch()
    found = _blueprint.detect(tmp_path).blueprint["runtimes"]
    assert found == [{"name": "node", "version": "20", "package_manager": "yarn"}]


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=string.digits + ".xX*^~<>=!|- ,v", max_size=40),
    st.sampled_from(["npm", "pep440", "gem", "composer"]),
)
def test_version_words_never_raise(text, flavour):
    from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.versions import image_for, understand

    for runtime in ("node", "python", "go"):
        word = understand(text, runtime, flavour, True)
        if word is not None:
            assert _blueprint.validate({"image": image_for(runtime, word.value)}) == []
