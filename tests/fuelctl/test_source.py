# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a repository and packing it: every shape that they have, on real git; the caller's is never changed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fuelctl import source
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.source import Packed


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's user: neither folders nor git settings."""
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "fuelctl-home"))
    settings = tmp_path / "gitconfig"
    settings.write_text('[user]\nname = Ada L\nemail = ada@example.com\n[protocol "file"]\nallow = always\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make(folder: Path, *, commits: int = 2) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for number in range(commits):
        (folder / "file.txt").write_text(f"line {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", f"commit {number}")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make(tmp_path / 'my "odd" app\'s')


def unpacked(packed: Packed, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path / f"unpacked-{packed.sha256[:8]}"
    with tarfile.open(packed.path) as archive:
        archive.extractall(folder)
    return folder, json.loads((folder / "source.json").read_text())


def rebuilt(folder: Path, description: dict[str, Any], target: Path) -> Path:
    """What the bundle and the patch make, by git's own means."""
    target.mkdir()
    git(target, "init", "-q", f"--object-format={description['object_format']}")
    if description["shallow"]:
        (target / ".git" / "shallow").write_text("".join(f"{commit}\n" for commit in description["shallow"]))
    git(target, "bundle", "unbundle", str(folder / "repo.bundle"))
    git(target, "checkout", "-q", description["commit"])
    if description["patch"]:
        git(target, "apply", str(folder / "dirty.patch"))
    return target


def tree(folder: Path) -> dict[str, bytes]:
    """Every file, link and mode outside .git."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        found[name] = content + (b" x" if os.access(path, os.X_OK) and not path.is_symlink() else b"")
    return found


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file of the git directory with its time and content; of objects, git may renew the time."""
    return {
        path.relative_to(folder).as_posix(): (
            0 if "objects" in path.parts else path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted((folder / ".git").rglob("*"))
        if path.is_file()
    }


def make_dirty(repository: Path) -> None:
    """One of each: changed, added, staged, removed, renamed, binary, executable, link, odd names, ignored."""
    (repository / "file.txt").write_text("changed\n")
    (repository / "binary").write_bytes(bytes(range(256)) * 10)
    (repository / "folder").mkdir()
    (repository / "folder" / "with space, 'quote' \"double\"").write_text("x")
    (repository / "folder" / "newline\nin name").write_text("y")
    (repository / "folder" / "ümlaut").write_text("z")
    (repository / "script").write_text("#!/bin/sh\n")
    (repository / "script").chmod(0o755)
    (repository / "link").symlink_to("file.txt")
    (repository / "empty").write_text("")
    (repository / "no-newline").write_text("no newline")
    (repository / "crlf").write_bytes(b"a\r\nb\r\n")
    (repository / "staged").write_text("staged")
    git(repository, "add", "staged")
    (repository / ".gitignore").write_text("ignored/\n*.log\n")
    (repository / "ignored").mkdir()
    (repository / "ignored" / "x").write_text("never")
    (repository / "a.log").write_text("never")


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


class TestRefused:
    def test_empty_repository(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "empty")
        with pytest.raises(UsageError, match="is empty: it has no commit yet"):
            source.inspect(tmp_path / "empty")

    def test_no_repository(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is not a git repository"):
            source.inspect(tmp_path)
        with pytest.raises(UsageError, match="does not exist"):
            source.inspect(tmp_path / "nowhere")
        (tmp_path / "file").write_text("x")
        with pytest.raises(UsageError, match="is a file"):
            source.inspect(tmp_path / "file")

    def test_no_such_branch(self, repository: Path) -> None:
        git(repository, "branch", "feature/login")
        with pytest.raises(UsageError) as caught:
            source.inspect(repository, branch="feature/logn")
        assert "'feature/logn' does not exist" in str(caught.value)
        assert "feature/login" in str(caught.value)

    @pytest.mark.parametrize("branch", ["--upload-pack=x", "a\nb", "$(touch x)y z", "-"])
    def test_branch_that_is_none(self, repository: Path, branch: str) -> None:
        with pytest.raises(UsageError, match="cannot be a branch name"):
            source.inspect(repository, branch=branch)

    @pytest.mark.parametrize(
        "location",
        [
            "ext::sh -c touch% pwned",
            "--upload-pack=touch pwned",
            "-oProxyCommand=touch pwned",
            "ssh://-oProxyCommand=touch%20pwned/x",
            "git@-oProxyCommand=touch:x",
            "https://169.254.169.254/latest/x",
            "https://example.com/a\nb",
            "https://example.com/" + "a" * 2**20,
        ],
        ids=lambda location: location[:30],
    )
    def test_hostile_address(self, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError) as caught:
            source.inspect(location)
        assert len(str(caught.value).splitlines()) == 1
        assert not list(tmp_path.glob("pwned*"))
        assert not (tmp_path / "fuelctl-home").exists()


class TestUrl:
    def test_clone_with_branch(self, repository: Path, tmp_path: Path) -> None:
        git(repository, "branch", "old", "HEAD~1")
        found = source.inspect(f"file://{repository}", branch="old")
        assert (found.branch, found.changed) == ("old", [])
        assert (found.folder / "file.txt").read_text() == "line 0\n"
        folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
        assert description["upstream"] == description["commit"]
        assert tree(rebuilt(folder, description, tmp_path / "again")) == {"file.txt": b"line 0\n"}

    def test_no_such_branch(self, repository: Path) -> None:
        with pytest.raises(UsageError) as caught:
            source.inspect(f"file://{repository}", branch="mian")
        assert "'mian' does not exist" in str(caught.value)
        assert "main" in str(caught.value)

    def test_empty(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "--bare", "empty.git")
        with pytest.raises(UsageError, match="is empty"):
            source.inspect(f"file://{tmp_path}/empty.git")

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(FuelError, match="Cannot clone") as caught:
            source.inspect(f"file://{tmp_path}/nowhere.git")
        assert len(str(caught.value).splitlines()) == 1

    def test_submodules_of_a_url_are_fetched_and_bad_ones_named(self, repository: Path, tmp_path: Path) -> None:
        library = make(tmp_path / "library")
        git(repository, "submodule", "add", "-q", f"file://{library}", "lib")
        for path, url in (
            ("evil", "ext::sh -c touch% pwned"),
            ("metadata", "https://169.254.169.254/x"),
            ("gone", "../gone"),
        ):
            git(repository, "config", "-f", ".gitmodules", f"submodule.{path}.path", path)
            git(repository, "config", "-f", ".gitmodules", f"submodule.{path}.url", url)
            git(repository, "config", "-f", ".gitmodules", f"submodule.{path}.update", "none")
            commit = git(library, "rev-parse", "HEAD")
            git(repository, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        git(repository, "add", ".gitmodules")
        git(repository, "commit", "-qm", "libraries")
        found = source.inspect(f"file://{repository}")
        assert sorted(note.split(" stays")[0] for note in found.notes) == [
            "submodule evil",
            "submodule gone",
            "submodule metadata",
        ]
        _folder, description = unpacked(source.pack(found, tmp_path / "out.tar"), tmp_path)
        assert {entry["path"]: entry["handled"] for entry in description["submodules"]} == {
            "lib": True,
            "evil": False,
            "metadata": False,
            "gone": False,
        }


def test_of_a_folder_the_whole_repository_goes_along_and_work_begins_in_it(repository: Path, tmp_path: Path) -> None:
    shop = repository / "services" / "shop"
    shop.mkdir(parents=True)
    (shop / "package.json").write_text("{}")
    found = source.inspect(shop)
    assert (found.name, found.folder) == ("shop", shop)
    assert any("the whole repository goes along" in note for note in found.notes)
    _folder, description = unpacked(source.pack(found, tmp_path / "source.tar"), tmp_path)
    assert description["folder"] == "services/shop"
    assert description["name"] == source.inspect(repository).name
    assert source.inspect(repository).described.folder == ""


def test_a_folder_that_the_branch_does_not_have_is_refused(repository: Path) -> None:
    git(repository, "branch", "other")
    (repository / "shop").mkdir()
    with pytest.raises(UsageError) as caught:
        source.inspect(repository / "shop", branch="other")
    assert caught.value.code == "no_such_folder"
    assert "'other' has no folder shop" in str(caught.value)


class TestBeginAt:
    """Launched from a folder: the nearest blueprint upwards counts, and work begins where it lies."""

    MARK = ".fuel-code/env.yaml"

    @pytest.fixture
    def mono(self, tmp_path: Path) -> Path:
        top = make(tmp_path / "mono")
        (top / "services" / "api" / "src").mkdir(parents=True)
        (top / "services" / "api" / "src" / "main.py").write_text("")
        git(top, "add", ".")
        git(top, "commit", "-qm", "services")
        return top

    def mark(self, folder: Path) -> None:
        (folder / ".fuel-code").mkdir()
        (folder / self.MARK).write_text("image: debian\n")

    def begun(self, place: Path, **options: Any) -> tuple[str, str, Path, list[str]]:
        found = source.begin_at(source.inspect(place, **options), self.MARK)
        return found.described.folder, found.name, found.folder, found.notes

    def test_none_anywhere_leaves_the_folder(self, mono: Path) -> None:
        folder, name, where, notes = self.begun(mono / "services" / "api")
        assert (folder, name, where) == ("services/api", "api", mono / "services" / "api")
        assert "begin in that folder" in notes[0]

    def test_the_nearest_one_wins(self, mono: Path) -> None:
        deepest = mono / "services" / "api" / "src"
        self.mark(mono)
        folder, name, where, notes = self.begun(deepest)
        assert (folder, name, where) == ("", "mono", mono)
        assert notes == [
            "services/api/src has no .fuel-code/env.yaml: that of the whole repository counts, "
            "and set-up and logins begin at its top"
        ]
        self.mark(mono / "services" / "api")
        folder, name, where, notes = self.begun(deepest)
        assert (folder, name, where) == ("services/api", "api", mono / "services" / "api")
        assert notes[0].startswith("services/api/src has no .fuel-code/env.yaml: that of services/api counts")
        assert self.begun(mono / "services" / "api")[0] == "services/api"
        assert self.begun(mono)[0] == ""

    def test_a_link_that_leads_nowhere_is_met_and_not_passed_by(self, mono: Path) -> None:
        self.mark(mono)
        (mono / "services" / ".fuel-code").mkdir()
        (mono / "services" / self.MARK).symlink_to("nowhere")
        assert self.begun(mono / "services" / "api")[0] == "services"

    def test_of_another_branch_its_own_files_count(self, mono: Path, tmp_path: Path) -> None:
        git(mono, "checkout", "-qb", "with")
        self.mark(mono)
        git(mono, "add", ".")
        git(mono, "commit", "-qm", "blueprint")
        git(mono, "checkout", "-q", "main")
        assert self.begun(mono / "services" / "api")[0] == "services/api"
        folder, _name, where, _notes = self.begun(mono / "services" / "api", branch="with")
        assert folder == ""
        assert (where / self.MARK).exists()
        assert mono not in where.parents

    def test_what_is_packed_says_the_same(self, mono: Path, tmp_path: Path) -> None:
        self.mark(mono)
        found = source.begin_at(source.inspect(mono / "services"), self.MARK)
        _folder, description = unpacked(source.pack(found, tmp_path / "tar"), tmp_path)
        assert (description["folder"], description["name"]) == ("", "mono")
