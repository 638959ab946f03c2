# SPDX-License-Identifier: GPL-3.0-or-later
"""Branches come home. `ssh` is a program that runs here what it would run there; git and its protocol are real."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.git import pull
from tests.fuelctl.repositories import git

pytestmark = pytest.mark.usefixtures("git_settings")


def commit(folder: Path, name: str) -> str:
    (folder / name).write_text(name)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / 'my home\'s "clone"'
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "first")
    return folder


@pytest.fixture
def there(home: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(home), "there")
    git(tmp_path / "there", "remote", "remove", "origin")
    return tmp_path / "there"


@pytest.fixture
def ssh(tmp_path: Path) -> list[str]:
    """Options, host and command as OpenSSH takes them; the command goes to a shell, as on the other side."""
    program = tmp_path / "ssh"
    program.write_text(
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in -o|-F|-p) shift 2 ;; --|-*) shift ;; *) break ;; esac; done\n"
        'host=$1; shift\n[ "$host" = fuel-shop ] || { echo "no such host" >&2; exit 255; }\nexec sh -c "$*"\n'
    )
    program.chmod(0o755)
    return [str(program), "-F", "/a folder/config"]


def test_branches_come_home_and_are_marked_there(home: Path, there: Path, ssh: list[str]) -> None:
    main = commit(there, "work")
    git(there, "switch", "-qc", "feature/x")
    feature = commit(there, "more")
    before = git(home, "for-each-ref", "refs/heads", "refs/tags")
    got = pull("fuel-shop", str(there), str(home), "shop", ssh=ssh)
    assert got.refs == {"refs/fuel/shop/main": main, "refs/fuel/shop/feature/x": feature}
    assert (got.updated, got.marked) == (2, True)
    assert git(there, "rev-parse", "refs/fuel/pulled/main", "refs/fuel/pulled/feature/x").split() == [main, feature]
    assert git(home, "for-each-ref", "refs/heads", "refs/tags") == before
    assert pull("fuel-shop", str(there), str(home), "shop", ssh=ssh).updated == 0


def test_a_rewritten_branch_and_a_detached_head_come_home(home: Path, there: Path, ssh: list[str]) -> None:
    commit(there, "work")
    pull("fuel-shop", str(there), str(home), "shop", ssh=ssh)
    git(there, "commit", "-q", "--amend", "-m", "other")
    other = git(there, "rev-parse", "HEAD")
    git(there, "checkout", "-q", "--detach")
    detached = commit(there, "detached")
    got = pull("fuel-shop", str(there), str(home), "shop", ssh=ssh)
    assert got.refs == {"refs/fuel/shop/main": other, "refs/fuel/shop/HEAD": detached}


def test_hooks_at_home_are_not_run(home: Path, there: Path, ssh: list[str], tmp_path: Path) -> None:
    hook = home / ".git" / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'trap'}'\n")
    hook.chmod(0o755)
    commit(there, "work")
    pull("fuel-shop", str(there), str(home), "shop", ssh=ssh)
    assert not (tmp_path / "trap").exists()


def test_an_environment_that_does_not_answer(home: Path, ssh: list[str]) -> None:
    with pytest.raises(FuelError, match="Cannot reach fuel-gone: no such host"):
        pull("fuel-gone", "/workspaces/app", str(home), "gone", ssh=ssh)


def test_a_place_that_is_no_repository(tmp_path: Path, ssh: list[str]) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="is not a git repository"):
            pull("fuel-shop", "/workspaces/app", str(place), "shop", ssh=ssh)


@pytest.mark.parametrize(
    ("host", "workspace", "name"),
    [
        ("-oProxyCommand=x", "/workspaces/a", "a"),
        ("fuel a", "/workspaces/a", "a"),
        ("fuel-a", "relative", "a"),
        ("fuel-a", "/workspaces/a", "../heads/main"),
        ("fuel-a", "/workspaces/a", ""),
    ],
)
def test_names_that_could_mean_something_else(home: Path, host: str, workspace: str, name: str) -> None:
    with pytest.raises(UsageError):
        pull(host, workspace, str(home), name)
