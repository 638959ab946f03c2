# SPDX-License-Identifier: GPL-3.0-or-later
"""The workspace in a real container: placed, set up, repeated, killed, surveyed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._inside import InContainer
from fuelctl._shared._workspace._present import Wanted, Workspace
from tests.integration.containers import CHECKOUT, USER, Box, box, fastest, one_exec, play

pytestmark = pytest.mark.docker
PATH = "/workspaces/app"


@pytest.fixture(scope="module")
def shared() -> Iterator[Box]:
    with box() as made:
        yield made


@pytest.fixture
def container(shared: Box) -> Box:
    """The module's container, emptied."""
    shared.sh("rm -rf /workspaces/* /workspaces/.[!.]* ~/.ssh/environment")
    # For repositories that are made inside.
    shared.sh("git config --global user.name Ada; git config --global user.email ada@example.com")
    return shared


@pytest.fixture(autouse=True)
def _git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text('[user]\nname = Ada L\nemail = ada@example.com\n[protocol "file"]\nallow = always\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for name in ("one", "two", "three"):
        (folder / name).write_text(f"{name}\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Dirty, in a folder with an odd name, with credentials in its remote's address."""
    folder = make(tmp_path / "my 'odd' \"app\"")
    git(folder, "remote", "add", "origin", "https://ada:hunter2@example.com/team/app.git")
    git(folder, "tag", "v1")
    (folder / "one").write_text("one, changed\n")
    (folder / "two").unlink()
    (folder / "new file").write_text("new")
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "script").chmod(0o755)
    (folder / "link").symlink_to("one")
    return folder


def workspace(box: Box, progress: Path | None = None, path: str = PATH) -> Workspace:
    return Workspace(InContainer(box.name, USER), path, str(progress) if progress else None)


def present(box: Box, repository: Path, *setup: str, progress: Path | None = None, **more: Any) -> dict[str, Any]:
    return workspace(box, progress).present(Wanted(str(repository), setup, **more))


def survey(box: Box, path: str = PATH) -> dict[str, Any]:
    return workspace(box, path=path).survey()


def inside(box: Box, script: str) -> str:
    return box.sh(f"cd {PATH} && {script}")


class TestPresent:
    def test_of_a_folder_the_repository_goes_along_and_setup_runs_there(self, container: Box, tmp_path: Path) -> None:
        repository = make(tmp_path / "mono")
        folder = repository / "services" / "my shop"
        folder.mkdir(parents=True)
        (folder / "shop").write_text("not committed yet\n")
        first = present(container, folder, "pwd > where", "cat shop")
        assert first["workspace"]["folder"] == "services/my shop"
        assert first["degraded"] is None
        assert inside(container, "cat one 'services/my shop/where'") == f"one\n{PATH}/services/my shop"
        assert [one["reused"] for one in present(container, folder, "pwd > where", "cat shop")["setup"]] == [True, True]
        # A login begins there as well (`enter.sh` of dev_container).
        assert inside(container, "cat .git/fuel-code/folder") == "services/my shop"

    def test_a_folder_that_did_not_go_along_is_named(self, container: Box, tmp_path: Path) -> None:
        repository = make(tmp_path / "mono")
        (repository / ".gitignore").write_text("build/\n")
        (repository / "build").mkdir()
        (repository / "build" / "x").write_text("x")
        failed = present(container, repository / "build", "true")["degraded"]
        assert failed["tail"] == ["the repository has no folder build"]

    def test_the_tree_is_there_as_it_is_at_home(self, container: Box, repository: Path) -> None:
        result = present(container, repository)
        assert result["changed"] is True
        assert result["workspace"] == {
            "path": PATH,
            "folder": "",
            "commit": git(repository, "rev-parse", "HEAD"),
            "branch": "main",
            "dirty": True,
            "submodules": [],
            "lfs": [],
        }
        assert inside(container, "cat one; cat 'new file'; readlink link; test -x script && ls") == (
            "one, changed\nnewone\nlink\nnew file\none\nscript\nthree"
        )
        status = git(repository, "status", "--porcelain")
        assert inside(container, "git status --porcelain") == status
        assert inside(container, "git remote get-url origin") == "https://example.com/team/app.git"
        assert "hunter2" not in container.sh(f"grep -r hunter2 {PATH} || true")
        assert (
            inside(container, "git describe --tags; git config user.name; git config user.email")
            == "v1\nAda L\nada@example.com"
        )
        assert inside(container, f"stat -c %U {PATH} .git/config one | sort -u") == USER
        assert inside(container, "git fsck 2>&1") == ""

    def test_a_repeat_changes_nothing_and_later_work_is_safe(self, container: Box, repository: Path) -> None:
        present(container, repository)
        inside(container, "echo mine > one; echo more > mine; git add mine; git commit -qm mine; git switch -qc topic")
        before = inside(container, "git rev-parse HEAD; git status --porcelain; cat one")
        (repository / "three").write_text("changed at home\n")
        git(repository, "commit", "-qam", "second")
        result = present(container, repository)
        assert fastest(lambda: present(container, repository)) < max(0.7, 8 * one_exec(container))
        assert result["changed"] is False
        assert result["steps"][0]["state"] == "reused"
        assert result["workspace"]["branch"] == "topic"
        assert inside(container, "git rev-parse HEAD; git status --porcelain; cat one") == before

    def test_module_check_run_check_run(self, container: Box, repository: Path, tmp_path: Path) -> None:
        arguments = {
            "container": container.name,
            "user": USER,
            "path": PATH,
            "source": str(repository),
            "setup": ["echo {{ 7*7 }}"],
        }
        task = {"fuel_code.remote.workspace": arguments, "diff": True}
        results = play([{**task, "check_mode": True}, task, {**task, "check_mode": True}, task], tmp_path)
        assert [result["changed"] for result in results] == [True, True, False, False]
        assert results[1]["setup"][0]["rc"] == 0
        assert f"workspace: {PATH}" in results[0]["diff"]["after"]
        assert results[3]["degraded"] is None
        [absent] = play(
            [{"fuel_code.remote.workspace": {**arguments, "container": "fuel-test-none"}, "check_mode": True}], tmp_path
        )
        assert absent["changed"] is True
        [failed] = play(
            [{"fuel_code.remote.workspace": {**arguments, "source": str(tmp_path), "path": "/workspaces/b"}}], tmp_path
        )
        assert failed["error"]["code"] == "no_repository"
        assert "\n" not in failed["msg"]

    def test_detached_shallow_and_submodules(self, container: Box, repository: Path, tmp_path: Path) -> None:
        library, inner = make(tmp_path / "library"), make(tmp_path / "inner")
        git(library, "submodule", "add", "-q", str(inner), "deep/nested")
        git(library, "commit", "-qm", "nest")
        git(repository, "submodule", "add", "-q", str(library), "lib")
        git(repository, "submodule", "update", "-q", "--init", "--recursive")
        git(repository, "commit", "-qam", "library")
        git(repository, "stash", "-q", "--include-untracked")
        git(tmp_path, "clone", "-q", "--depth", "1", "--recurse-submodules", f"file://{repository}", "shallow")
        git(tmp_path / "shallow", "checkout", "-q", "--detach")
        (tmp_path / "shallow" / "lib" / "one").write_text("changed in the submodule\n")
        result = present(container, tmp_path / "shallow")
        assert result["workspace"]["branch"] is None
        assert [entry["handled"] for entry in result["workspace"]["submodules"]] == [True]
        assert inside(container, "git log --format=%s") == "library"
        assert inside(container, "git submodule status --recursive | cut -c1") == ""
        assert inside(container, "cat lib/one lib/deep/nested/two") == "changed in the submodule\ntwo"
        assert inside(container, "git -C lib status --porcelain; git -C lib/deep/nested status --porcelain") == "M one"
        assert inside(container, "git fsck 2>&1") == ""
        assert survey(container)["would_lose"] is False

    def test_lfs_without_git_lfs(self, container: Box, repository: Path) -> None:
        content = os.urandom(5000)
        oid = hashlib.sha256(content).hexdigest()
        (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5000\n"
        (repository / "large.bin").write_text(pointer)
        git(repository, "add", ".gitattributes", "large.bin")
        git(repository, "commit", "-qm", "large")
        stored = repository / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
        stored.parent.mkdir(parents=True)
        stored.write_bytes(content)
        present(container, repository)
        assert inside(container, "sha256sum < large.bin | cut -d' ' -f1") == oid
        assert "large.bin" not in inside(container, "git status --porcelain")
        new = inside(
            container,
            "head -c 3000 /dev/urandom > other.bin; git add other.bin; git commit -qm other; sha256sum < other.bin",
        )
        assert f"oid sha256:{new.split()[0]}" in inside(container, "git show HEAD:other.bin")
        assert (
            inside(container, "rm large.bin; git checkout -q large.bin; sha256sum < large.bin | cut -d' ' -f1") == oid
        )

    def test_from_a_tar_and_hostile_tars_are_refused(self, container: Box, repository: Path, tmp_path: Path) -> None:
        import io
        import tarfile

        from fuelctl import source

        os.environ["FUELCTL_HOME"] = str(tmp_path / "home")
        packed = source.pack(source.inspect(repository), tmp_path / "source.tar")
        assert workspace(container).present(Wanted(str(packed.path)))["changed"] is True
        for number, name in enumerate(("../evil", "/evil", "a/.git/hooks/post-checkout")):
            with tarfile.open(tmp_path / f"{number}.tar", "w") as archive:
                archive.addfile(tarfile.TarInfo(name), io.BytesIO())
            with pytest.raises(UsageError, match="leads out"):
                workspace(container, path="/workspaces/b").present(Wanted(str(tmp_path / f"{number}.tar")))

    def test_what_is_in_the_way_is_not_touched(self, container: Box, repository: Path) -> None:
        container.sh(f"mkdir {PATH}; echo precious > {PATH}/file")
        with pytest.raises(FuelError, match="holds something that is not this workspace"):
            present(container, repository)
        assert container.sh(f"cat {PATH}/file") == "precious"

    @pytest.mark.parametrize(
        "path", ["/workspaces", "/", "relative/x", "/workspaces/../etc", "/workspaces/a b", "/workspaces/-x"]
    )
    def test_paths_that_are_none(self, container: Box, repository: Path, path: str) -> None:
        with pytest.raises(UsageError):
            workspace(container, path=path).present(Wanted(str(repository)))

    def test_killed_at_any_moment_it_is_completed_by_the_next_run(self, container: Box, repository: Path) -> None:
        for number in range(8):
            (repository / f"large-{number}").write_bytes(os.urandom(4_000_000))
        git(repository, "add", "--all")
        git(repository, "commit", "-qm", "large")
        program = (
            "import sys; from fuelctl._shared._inside import InContainer;"
            "from fuelctl._shared._workspace._present import Wanted, Workspace;"
            f"Workspace(InContainer(sys.argv[1], {USER!r}), {PATH!r}).present(Wanted(sys.argv[2]))"
        )
        for delay in (0.3, 0.6, 0.9, 1.2, 1.6):
            process = subprocess.Popen([sys.executable, "-c", program, container.name, str(repository)], cwd=CHECKOUT)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
            there = container.sh(f"test -e {PATH} && git -C {PATH} status --porcelain && echo whole || true")
            assert there in ("", "whole")
        present(container, repository)
        assert inside(container, "git status --porcelain; git fsck 2>&1; ls -A ..") == "app"


class TestSetup:
    def test_commands_run_as_the_user_in_the_workspace_with_the_logins_environment(
        self, container: Box, repository: Path, tmp_path: Path
    ) -> None:
        container.sh(
            "cat > ~/.ssh/environment", stdin="# a comment\nGREETING=hello  'world' $HOME\n\nBAD-NAME=x\n1X=y\n"
        )
        progress = tmp_path / "progress"
        result = present(
            container,
            repository,
            'echo "$GREETING"; id -un; pwd; shopt -q login_shell && echo login',
            progress=progress,
        )
        assert result["setup"][0]["tail"] == ["hello  'world' $HOME", USER, PATH, "login"]
        lines = [json.loads(line) for line in progress.read_text().splitlines()]
        assert "".join(line["message"] for line in lines if line["state"] == "output").startswith(
            "hello  'world' $HOME\n"
        )

    @pytest.mark.parametrize(
        "command",
        [
            "echo 'single' \"double\" `echo back` $(echo sub) \\\\ ; echo $((1+1))",
            "echo one\necho two\n",
            "cat <<'END'\nhere\nEND",
            "echo '{{ lookup(pipe) }}' {%",
            "printf '%s\\n' --upload-pack=x -- ';' '|'",
            "echo ünïcode ✓",
        ],
    )
    def test_a_command_arrives_as_it_was_written(self, container: Box, repository: Path, command: str) -> None:
        expected = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout.rstrip(
            "\n"
        )
        assert "\n".join(present(container, repository, command)["setup"][0]["tail"]) == expected

    def test_a_failure_stops_the_rest_and_the_next_run_goes_on_there(self, container: Box, repository: Path) -> None:
        commands = ("echo first >> ../log", "echo second >> ../log; cat ../fixed", "echo third >> ../log")
        result = present(container, repository, *commands)
        assert [entry["rc"] for entry in result["setup"]] == [0, 1]
        assert result["degraded"]["command"] == commands[1]
        assert "No such file" in result["degraded"]["tail"][-1]
        container.sh("echo fine > /workspaces/fixed")
        again = present(container, repository, *commands)
        assert again["degraded"] is None
        assert [entry["reused"] for entry in again["setup"]] == [True, False, False]
        assert container.sh("cat /workspaces/log") == "first\nsecond\nsecond\nthird"
        last = present(container, repository, *commands)
        assert last["changed"] is False
        assert [step["state"] for step in last["steps"]] == ["reused"] * 4

    def test_a_command_that_takes_too_long_is_ended(self, container: Box, repository: Path) -> None:
        begun = time.monotonic()
        result = present(container, repository, "echo begun; sleep 4321", setup_timeout=1)
        assert time.monotonic() - begun < 120
        assert result["degraded"]["rc"] == 124
        assert "longer than 1 s" in result["degraded"]["tail"][-1]
        wait_gone(container, "sleep 4321")

    def test_a_command_does_not_outlive_who_waits_for_it(self, container: Box, repository: Path) -> None:
        present(container, repository)
        program = (
            "import sys; from fuelctl._shared._inside import InContainer;"
            "from fuelctl._shared._workspace._present import Wanted, Workspace;"
            f"Workspace(InContainer(sys.argv[1], {USER!r}), {PATH!r}).present(Wanted(sys.argv[2], ['sleep 5432']))"
        )
        process = subprocess.Popen([sys.executable, "-c", program, container.name, str(repository)], cwd=CHECKOUT)
        wait_there(container, "sleep 5432")
        process.kill()
        process.wait()
        # The client of docker may live on for a moment with the pipe of the dead process; its input is at its end.
        wait_gone(container, "sleep 5432")
        assert present(container, repository, "echo free")["degraded"] is None

    def test_a_service_left_running_does_not_hold_the_setup_up(self, container: Box, repository: Path) -> None:
        begun = time.monotonic()
        result = present(container, repository, "nohup sleep 300 & echo started")
        assert result["degraded"] is None
        assert time.monotonic() - begun < 120


def processes(box: Box) -> str:
    return box.sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '", user="0", check=False)


def wait_gone(box: Box, text: str) -> None:
    deadline = time.monotonic() + 90
    while text in processes(box):
        assert time.monotonic() < deadline, f"{text} is still running"
        time.sleep(0.2)


def wait_there(box: Box, text: str) -> None:
    deadline = time.monotonic() + 90
    while text not in processes(box):
        assert time.monotonic() < deadline, f"{text} never began"
        time.sleep(0.1)


class TestSurvey:
    def test_what_came_from_home_is_not_at_risk(self, container: Box, repository: Path) -> None:
        present(container, repository)
        assert survey(container) == {
            "changed": False,
            "work": {
                "uncommitted": [],
                "unpushed": [],
                "stashes": [],
                "counts": {"uncommitted": 0, "unpushed": 0, "stashes": 0},
                "unknown": None,
            },
            "would_lose": False,
            "reason": None,
            "steps": [
                {
                    "stage": "survey",
                    "step": "work",
                    "state": "ok",
                    "seconds": pytest.approx(1, abs=3),
                    "message": "nothing would be lost",
                }
            ],
        }
        # Putting a change from home back or committing it as it came is no loss of files either.
        inside(container, "git checkout -q one && git clean -fdq")
        assert survey(container)["would_lose"] is False

    def test_every_kind_of_work_is_found(self, container: Box, repository: Path) -> None:
        present(container, repository)
        inside(
            container,
            "git stash -qu; echo stash > three; git stash -q; git stash pop -q stash@{1};"
            "echo changed > three; echo untracked > 'un tracked';"
            "echo ignored > x.log; echo '*.log' >> .git/info/exclude;"
            "git switch -qc topic; git commit -qm topic --allow-empty; git checkout -q --detach;"
            "git commit -qm detached --allow-empty; git tag kept; git checkout -q main;"
            "git worktree add -q ../other -b other; echo w > ../other/in-worktree;"
            "git init -q ../second; cd ../second; echo x > y; git add .; git commit -qm second; cd ../app;"
            "echo s > staged; git add staged; rm staged",
        )
        found = survey(container)
        work = found["work"]
        assert found["would_lose"] is True
        assert "M three" in work["uncommitted"]
        assert "A un tracked" in work["uncommitted"]
        assert "A (staged) staged" in work["uncommitted"]
        assert "A ../other/in-worktree" in work["uncommitted"]
        assert not [entry for entry in work["uncommitted"] if entry.endswith((" one", " two", "new file", "x.log"))]
        subjects = [entry.split(": ")[-1] for entry in work["unpushed"]]
        assert sorted(subjects) == ["detached", "second", "topic"]
        assert len(work["stashes"]) == 1
        assert work["counts"]["unpushed"] == 3
        # Looking changed nothing.
        assert survey(container)["work"] == work

    def test_pushed_and_pulled_commits_are_safe(self, container: Box, repository: Path) -> None:
        present(container, repository)
        inside(
            container,
            "git stash -qu; git commit -qm one --allow-empty; git branch two; git stash drop -q; "
            "git init -q --bare ../origin.git",
        )
        assert survey(container)["work"]["counts"]["unpushed"] == 1
        inside(container, "git remote set-url origin /workspaces/origin.git; git push -q origin main")
        assert survey(container)["would_lose"] is False
        inside(container, "git commit -qm more --allow-empty")
        assert survey(container)["reason"] == "1 unpushed"
        inside(container, "git update-ref refs/fuel/pulled/main HEAD")
        assert survey(container)["would_lose"] is False

    def test_work_in_submodules_and_nested_repositories(self, container: Box, repository: Path, tmp_path: Path) -> None:
        library = make(tmp_path / "library")
        git(repository, "submodule", "add", "-q", str(library), "lib")
        git(repository, "commit", "-qam", "library")
        present(container, repository)
        assert survey(container)["would_lose"] is False
        inside(
            container,
            "cd lib; echo x > one; git switch -qc t; git commit -qam inner; echo y > new",
        )
        inside(
            container,
            "git init -q nested; cd nested; echo n > n; git add .; git commit -qm nested",
        )
        work = survey(container)["work"]
        assert work["uncommitted"] == ["A lib/new"]
        assert sorted(entry.split(": ")[-1] for entry in work["unpushed"]) == ["inner", "nested"]

    def test_a_branch_without_commits_and_a_merge_in_conflict(self, container: Box, repository: Path) -> None:
        present(container, repository)
        inside(
            container,
            "git stash -qu; git stash drop -q; git switch -qc a; echo a > one;git commit -qam a; git switch -q main",
        )
        inside(container, "echo b > one; git commit -qam b; git merge a || true")
        assert "M one" in survey(container)["work"]["uncommitted"]
        inside(container, "git merge --abort; git checkout -q --orphan fresh")
        assert survey(container)["work"]["counts"]["unpushed"] == 2

    def test_what_cannot_be_looked_at_counts_as_work(self, container: Box, repository: Path) -> None:
        present(container, repository)
        inside(container, "rm .git/HEAD")
        found = survey(container)
        assert (found["would_lose"], bool(found["work"]["unknown"])) == (True, True)
        assert found["reason"].startswith(PATH)

    def test_nothing_there_is_nothing_to_lose(self, container: Box) -> None:
        assert survey(container)["would_lose"] is False
        gone = Box("fuel-test-no-such-container")
        assert survey(gone)["would_lose"] is False

    def test_a_stopped_container_cannot_be_looked_at(self) -> None:
        with box() as other:
            subprocess.run(["docker", "kill", other.name], check=True, capture_output=True)
            found = survey(other)
        assert found["would_lose"] is True
        assert "exited" in found["reason"]
