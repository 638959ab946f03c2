# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a repository and packing it: every shape that they have, on real git; the caller's is never changed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from fuelctl import source
from fuelctl._shared._errors import FuelError
from tests.fuelctl.repositories import git, make, make_dirty, rebuilt, state, tree, unpacked

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make(tmp_path / 'my "odd" app\'s')


def test_clean_repository(repository: Path, tmp_path: Path) -> None:
    git(repository, "remote", "add", "origin", "https://ada:hunter2@example.com/team/app.git")
    found = source.inspect(repository)
    assert (found.name, found.branch, found.changed) == ("my-odd-app-s", "main", [])
    assert found.url == "https://example.com/team/app.git"
    assert found.folder == repository
    packed = source.pack(found, tmp_path / "out.tar")
    assert packed.size == packed.path.stat().st_size
    assert packed.sha256 == hashlib.sha256(packed.path.read_bytes()).hexdigest()
    folder, description = unpacked(packed, tmp_path)
    assert description["commit"] == git(repository, "rev-parse", "HEAD")
    assert description["identity"] == {"name": "Ada L", "email": "ada@example.com"}
    assert (description["dirty"], description["patch"], description["submodules"], description["lfs"]) == (
        False,
        None,
        [],
        [],
    )
    assert b"hunter2" not in packed.path.read_bytes()
    assert tree(rebuilt(folder, description, tmp_path / "again")) == tree(repository)


def test_what_it_is_deployed_to_is_told(repository: Path, tmp_path: Path) -> None:
    _folder, description = unpacked(source.pack(source.inspect(repository), tmp_path / "bare.tar"), tmp_path / "bare")
    assert description["platforms"] == []
    # Not in any commit yet: what goes along counts.
    (repository / "fly.toml").write_text('app = "shop"\n')
    packed = source.pack(source.inspect(repository), tmp_path / "out.tar")
    assert unpacked(packed, tmp_path / "fly")[1]["platforms"] == [{"name": "fly.io", "confidence": 0.7}]


def test_dirty_tree_goes_along_and_the_repository_is_left_alone(repository: Path, tmp_path: Path) -> None:
    (repository / "gone").write_text("x")
    (repository / "old").write_text("to be renamed\n" * 10)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "more")
    make_dirty(repository)
    (repository / "gone").unlink()
    (repository / "old").rename(repository / "new")
    before = state(repository)
    found = source.inspect(repository)
    assert "file.txt" in found.changed
    assert "ignored/x" not in found.changed
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    assert state(repository) == before
    assert description["dirty"] is True
    expected = tree(repository)
    del expected["ignored/x"], expected["a.log"]
    assert tree(rebuilt(folder, description, tmp_path / "again")) == expected


def test_a_change_within_the_same_second_is_seen(repository: Path, tmp_path: Path) -> None:
    """Same size, same time: git only notices because the index is not younger than the file."""
    (repository / "racy").write_text("aaa")
    git(repository, "add", "racy")
    git(repository, "commit", "-qm", "racy")
    facts = (repository / "racy").stat()
    (repository / "racy").write_text("bbb")
    os.utime(repository / "racy", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.utime(repository / ".git" / "index", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    _folder, description = unpacked(source.pack(source.inspect(repository), tmp_path / "out.tar"), tmp_path)
    assert description["dirty"] is True


def test_clean_leaves_the_changes_behind(repository: Path, tmp_path: Path) -> None:
    make_dirty(repository)
    found = source.inspect(repository, clean=True)
    assert found.changed == []
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    assert description["patch"] is None
    assert not (folder / "dirty.patch").exists()


def test_the_same_content_makes_the_same_file(repository: Path, tmp_path: Path) -> None:
    make_dirty(repository)
    digests = {source.pack(source.inspect(repository), tmp_path / f"{number}.tar").sha256 for number in range(2)}
    assert len(digests) == 1


def test_tags_of_the_commit_go_along(repository: Path, tmp_path: Path) -> None:
    git(repository, "tag", "-a", "v1", "-m", "one", "HEAD~1")
    git(repository, "switch", "-qc", "side")
    (repository / "side").write_text("x")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "side")
    git(repository, "tag", "elsewhere")
    git(repository, "switch", "-q", "main")
    folder, _description = unpacked(source.pack(source.inspect(repository), tmp_path / "out.tar"), tmp_path)
    heads = git(folder, "bundle", "list-heads", "repo.bundle")
    assert "refs/tags/v1" in heads
    assert "elsewhere" not in heads
    assert "side" not in heads


def test_detached_head(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "-q", "HEAD~1")
    found = source.inspect(repository)
    assert found.branch is None
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    assert description["branch"] is None
    assert tree(rebuilt(folder, description, tmp_path / "again")) == {"file.txt": b"line 0\n"}


def test_another_branch_is_launched_from_its_own_tree(repository: Path, tmp_path: Path) -> None:
    git(repository, "branch", "old", "HEAD~1")
    (repository / "file.txt").write_text("uncommitted\n")
    found = source.inspect(repository, branch="old")
    assert (found.branch, found.changed) == ("old", [])
    assert (found.folder / "file.txt").read_text() == "line 0\n"
    assert any("stays behind" in note for note in found.notes)
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    assert tree(rebuilt(folder, description, tmp_path / "again")) == {"file.txt": b"line 0\n"}


def test_shallow_clone(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    found = source.inspect(tmp_path / "shallow")
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    assert description["shallow"] == [description["commit"]]
    again = rebuilt(folder, description, tmp_path / "again")
    git(again, "fsck")
    assert git(again, "log", "--format=%s") == "commit 1"


def test_partial_clone_fetches_what_it_lacks(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repository}", "partial")
    before = state(tmp_path / "partial")
    folder, description = unpacked(source.pack(source.inspect(tmp_path / "partial"), tmp_path / "out.tar"), tmp_path)
    assert state(tmp_path / "partial") == before
    again = rebuilt(folder, description, tmp_path / "again")
    assert git(again, "show", "HEAD~1:file.txt") == "line 0"


def test_bare_repository(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository), "app.git")
    found = source.inspect(tmp_path / "app.git")
    assert (found.name, found.branch, found.url) == ("app", "main", None)
    assert (found.folder / "file.txt").read_text() == "line 1\n"
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    assert tree(rebuilt(folder, description, tmp_path / "again")) == tree(repository)


def test_worktree_and_folder_within(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "topic", str(tmp_path / "topic"))
    (tmp_path / "topic" / "deep").mkdir()
    (tmp_path / "topic" / "deep" / "new").write_text("x")
    found = source.inspect(tmp_path / "topic" / "deep")
    assert (found.name, found.branch, found.folder) == ("deep", "topic", tmp_path / "topic" / "deep")
    assert any("the whole repository goes along" in note for note in found.notes)
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    assert tree(rebuilt(folder, description, tmp_path / "again"))["deep/new"] == b"x"


def test_sha256_repository(tmp_path: Path) -> None:
    folder = tmp_path / "new-format"
    folder.mkdir()
    git(folder, "init", "-q", "--object-format=sha256", "-b", "main")
    (folder / "a").write_text("a")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "a")
    where, description = unpacked(source.pack(source.inspect(folder), tmp_path / "out.tar"), tmp_path)
    assert description["object_format"] == "sha256"
    assert tree(rebuilt(where, description, tmp_path / "again")) == {"a": b"a"}


def test_submodules(repository: Path, tmp_path: Path) -> None:
    library = make(tmp_path / "library")
    inner = make(tmp_path / "inner")
    git(library, "submodule", "add", "-q", str(inner), "nested")
    git(library, "commit", "-qm", "nest")
    for path in ("lib", "absent"):
        git(repository, "submodule", "add", "-q", str(library), path)
    git(repository, "commit", "-qm", "libraries")
    git(repository, "submodule", "update", "-q", "--init", "--recursive")
    git(repository, "submodule", "deinit", "--force", "absent")
    (repository / "lib" / "dirty").write_text("x")
    found = source.inspect(repository)
    assert found.notes == ["submodule absent stays behind: it is not checked out here"]
    folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
    absent, lib = description["submodules"]
    assert (absent["path"], absent["handled"], absent["reason"]) == ("absent", False, "it is not checked out here")
    assert (lib["path"], lib["handled"], lib["commit"]) == ("lib", True, git(library, "rev-parse", "HEAD"))
    below = json.loads((folder / lib["folder"] / "source.json").read_text())
    assert below["dirty"] is True
    assert below["submodules"][0]["handled"] is True
    assert (folder / lib["folder"] / below["submodules"][0]["folder"] / "repo.bundle").exists()


def test_lfs_objects_go_along_and_missing_ones_are_named(repository: Path, tmp_path: Path) -> None:
    content = b"large" * 1000
    here, gone = hashlib.sha256(content).hexdigest(), "0" * 64
    (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    for name, oid in (("here.bin", here), ("gone.bin", gone)):
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
        (repository / name).write_text(pointer)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "large")
    stored = repository / ".git" / "lfs" / "objects" / here[:2] / here[2:4] / here
    stored.parent.mkdir(parents=True)
    stored.write_bytes(content)
    folder, description = unpacked(source.pack(source.inspect(repository), tmp_path / "out.tar"), tmp_path)
    entries = {entry["path"]: entry for entry in description["lfs"]}
    assert entries["here.bin"]["handled"] is True
    assert entries["gone.bin"]["handled"] is False
    assert "git lfs pull" in entries["gone.bin"]["reason"]
    assert (folder / "lfs" / here[:2] / here[2:4] / here).read_bytes() == content


def test_hooks_and_programs_in_the_repository_are_not_run(repository: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    script = f"#!/bin/sh\ntouch '{trap}'\n"
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit", "fsmonitor-watchman"):
        (repository / ".git" / "hooks" / hook).write_text(script)
        (repository / ".git" / "hooks" / hook).chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(repository / ".git" / "hooks" / "fsmonitor-watchman"))
    git(repository, "config", "diff.external", str(repository / ".git" / "hooks" / "pre-commit"))
    git(repository, "config", "core.pager", f"touch {trap}")
    trap.unlink(missing_ok=True)
    make_dirty_quietly = repository / "new"
    make_dirty_quietly.write_text("x")
    source.pack(source.inspect(repository), tmp_path / "out.tar")
    source.inspect(repository, branch="main")
    assert not trap.exists()


def test_a_git_environment_around_us_does_not_lead_astray(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make(tmp_path / "other", commits=1)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    found = source.inspect(repository)
    monkeypatch.undo()
    assert found.commit == git(repository, "rev-parse", "HEAD")


def test_progress_is_told(repository: Path, tmp_path: Path) -> None:
    for number in range(30):
        (repository / f"large-{number}").write_bytes(os.urandom(300_000))
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "large")
    told: list[tuple[str, int, int]] = []
    source.pack(source.inspect(repository), tmp_path / "out.tar", report=lambda *item: told.append(item))
    assert any(total == 100 for _what, _done, total in told)
    assert [what for what, _done, _total in told if what == "Packing"]


def test_a_full_or_forbidden_target_is_said_in_one_line(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(FuelError) as caught:
        source.pack(source.inspect(repository), tmp_path / "nowhere" / "out.tar")
    assert "\n" not in str(caught.value)
