# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a source comes from: what is refused, and clones of addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuelctl import source
from fuelctl._shared._errors import FuelError, UsageError
from tests.fuelctl.repositories import git, make, rebuilt, tree, unpacked

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make(tmp_path / 'my "odd" app\'s')


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
        assert not (tmp_path / "home").exists()


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
