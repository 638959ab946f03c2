# SPDX-License-Identifier: GPL-3.0-or-later
"""A rescue out of a real container and back into another one: what is there then is what was there."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._errors import FuelError
from fuelctl._shared._inside import InContainer
from fuelctl._shared._rescue._folder import pack, unpack
from fuelctl._shared._rescue._stream import Deadline
from fuelctl._shared._rescue._task import ARGUMENTS, rescue
from fuelctl._shared._rescue._verify import verify
from fuelctl._shared._workspace._present import Wanted, Workspace
from tests.integration.containers import CHECKOUT, USER, Box, box, play
from tests.lab.ec2 import image

pytestmark = pytest.mark.docker
PATH = "/workspaces/app"
#: Everything that a person could tell two repositories apart by.
STATE = r"""
cd "$1" || exit 1
git for-each-ref --format='%(refname) %(objectname)' | grep -v -e refs/fuel/worktrees -e refs/stash
git stash list --format='%gd %H %gs'
git symbolic-ref HEAD 2>/dev/null || git rev-parse HEAD
git ls-files --stage --debug | grep -v -E '^  (ctime|mtime|dev|uid|size)'
git status --porcelain=v2 --untracked-files=all --ignored=no
git diff --binary | sha256sum
git diff --cached --binary | sha256sum
git branch -vv
git remote -v
git submodule status 2>/dev/null
find . \( -name .git -o -name 'ignored*' \) -prune -o \( -type f -o -type l \) -printf '%p %y %m %l\n' | sort
find . \( -name .git -o -name 'ignored*' \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
"""
WORK = r"""
set -e
git config --global user.name Ada; git config --global user.email ada@example.com
git config --global protocol.file.allow always
git config --global init.defaultBranch main
git init -q /tmp/inner && cd /tmp/inner && echo inner > inner && git add . && git commit -qm inner
cd /workspaces/app
git remote add origin https://example.com/team/app.git
git update-ref refs/remotes/origin/main HEAD && git branch -q --set-upstream-to origin/main
printf 'ignored*\n' > .gitignore; printf '*.crlf text eol=crlf\n*.lf text=auto\n' > .gitattributes
echo committed > committed; printf 'a\r\nb\r\n' > dos.crlf; git add . && git commit -qm 'not pushed'
git submodule --quiet add /tmp/inner sub && git commit -qm submodule
cd sub && git remote set-url origin https://example.com/team/inner.git
echo more > more && git add . && git commit -qm 'in the submodule' && echo dirty > dirty && cd ..
git checkout -q -b other && echo other > other && git add . && git commit -qm other
git tag -a -m 'a tag' v9 && git checkout -q main
echo first > one && git stash push -q -m 'the first' && echo second > two && git stash push -q -m 'the "second"'
git checkout -q -b merged HEAD~1 && echo theirs > three && git commit -qam theirs && git checkout -q main
echo ours > three && git commit -qam ours
git merge merged >/dev/null 2>&1 || true
head -c 200000 /dev/urandom > binary && git add binary && head -c 1000 /dev/urandom >> binary
echo staged > one && git add one && echo 'and changed again' >> one
git rm -q --cached committed; rm two
printf 'a\r\nb\n' > mixed.lf
mkdir -p 'odd folder'; printf x > 'odd folder/'$'new\nline "quoted"'; ln -s ../one 'odd folder/link'
printf '#!/bin/sh\n' > tool; chmod 755 tool
head -c 400000 /dev/zero > large; echo secret > ignored.env
git init -q nested && cd nested && echo n > n && git add . && git commit -qm nested && echo d > d && cd ..
git worktree add -q --detach /workspaces/tree HEAD && cd /workspaces/tree
echo t > t && git add t && git commit -qm 'detached' && echo u > u
git init -q /workspaces/beside && cd /workspaces/beside && echo b > b
mkdir -p ~/.claude/projects/-workspaces-app && echo '{"type":"user"}' > ~/.claude/projects/-workspaces-app/s1.jsonl
echo '{"token":"sk-secret"}' > ~/.claude/.credentials.json
echo sk-secret > ~/.claude/projects/-workspaces-app/.credentials.json
"""


@pytest.fixture(scope="module")
def boxes() -> Iterator[tuple[Box, Box]]:
    with box() as one, box() as other:
        yield one, other


@pytest.fixture
def worked(boxes: tuple[Box, Box], tmp_path: Path) -> tuple[Box, Box]:
    """A workspace in the first, placed from a repository; both emptied before."""
    for each in boxes:
        each.sh("rm -rf /workspaces/* /workspaces/.[!.]* ~/.claude ~/.gitconfig /tmp/inner")
    home = tmp_path / "app"
    home.mkdir()
    git(home, "init", "-q", "-b", "main")
    for name in ("one", "two", "three"):
        (home / name).write_text(f"{name}\n")
    git(home, "add", ".")
    git(home, "commit", "-qm", "first")
    present(boxes[0], home)
    return boxes


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def present(into: Box, source: Path) -> dict[str, Any]:
    return Workspace(InContainer(into.name, USER), PATH).present(Wanted(str(source)))


def save(of: Box, dest: Path, **options: Any) -> dict[str, Any]:
    defaults = {name: spec.get("default") for name, spec in ARGUMENTS.items()}
    given = {"container": of.name, "user": USER, "path": PATH, "dest": str(dest)}
    return rescue({**defaults, **given, **options}, check=bool(options.pop("check", False)))


def state(of: Box, path: str) -> list[str]:
    return of.sh(f"set -- {path}\n{STATE}").splitlines()


def test_everything_is_put_back_as_it_was(worked: tuple[Box, Box], tmp_path: Path) -> None:
    one, other = worked
    one.sh(WORK)
    repositories = [PATH, f"{PATH}/sub", f"{PATH}/nested", "/workspaces/beside"]
    before = {path: state(one, path) for path in repositories}
    worktree = one.sh("git -C /workspaces/tree rev-parse HEAD")
    result = save(one, tmp_path / "saved")
    assert not result.get("failed"), result
    assert result["rescue"]["complete"] is True, result["rescue"]["left_out"]
    assert result["rescue"]["counts"]["stashes"] == 2
    assert result["rescue"]["counts"]["worktrees"] == 1
    assert {"path": "ignored.env", "size": 0, "reason": "ignored"} in result["rescue"]["left_out"]["files"]
    # Nothing changed where it was taken from, and nothing of ours stayed.
    assert {path: state(one, path) for path in repositories} == before
    assert one.sh("ls -d /tmp/fuel-code-rescue* 2>/dev/null || true") == ""
    verify(str(tmp_path / "saved"), Deadline(60))
    assert b"sk-secret" not in b"".join(file.read_bytes() for file in (tmp_path / "saved").rglob("*") if file.is_file())

    # As it travels, and as anybody's source.
    with (tmp_path / "packed").open("wb") as stream:
        pack(str(tmp_path / "saved"), stream)
    (tmp_path / "arrived").mkdir()
    with (tmp_path / "packed").open("rb") as stream:
        unpack(stream, str(tmp_path / "arrived"), 1 << 30)
    other.sh("git config --global user.name Ada; git config --global protocol.file.allow always")
    present(other, tmp_path / "arrived")
    for path in repositories:
        assert state(other, path) == before[path], path
    assert other.sh(f"git -C {PATH} rev-parse refs/fuel/worktrees/1/head") == worktree
    assert other.sh(f"git -C {PATH} show refs/fuel/worktrees/1/work:u") == "u"
    assert other.sh("cat ~/.claude/projects/-workspaces-app/s1.jsonl") == '{"type":"user"}'
    # Work is work still: it would be missed there too, and a second rescue holds the same.
    assert Workspace(InContainer(other.name, USER), PATH).survey()["would_lose"] is True
    again = save(other, tmp_path / "again")
    assert again["rescue"]["counts"]["stashes"] == 2
    assert present(other, tmp_path / "arrived")["changed"] is False


def test_what_is_too_large_is_left_out_and_named(worked: tuple[Box, Box], tmp_path: Path) -> None:
    one, _other = worked
    one.sh(f"cd {PATH} && head -c 300000 /dev/urandom > large && echo small > small && mkfifo pipe && echo x >> one")
    result = save(one, tmp_path / "saved", file_bytes=100000)["rescue"]
    assert result["complete"] is False
    assert result["left_out"]["files"] == [{"path": "large", "size": 300000, "reason": "too large"}]
    failed = save(one, tmp_path / "saved", total_bytes=50000)
    assert failed["error"]["code"] == "rescue_too_large"
    # What was saved before stays, until there is something better.
    verify(str(tmp_path / "saved"), Deadline(60))
    assert not list(tmp_path.glob("saved.*"))


def test_nothing_is_saved_where_there_is_nothing_to_save(worked: tuple[Box, Box], tmp_path: Path) -> None:
    one, _other = worked
    result = save(one, tmp_path / "saved")
    assert (result["changed"], result["rescue"]) == (False, None)
    assert not (tmp_path / "saved").exists()
    one.sh(f"echo work > {PATH}/new")
    assert save(one, tmp_path / "saved", check=True)["changed"] is True
    assert not (tmp_path / "saved").exists()


def test_a_git_that_hangs_is_cut_off(worked: tuple[Box, Box], tmp_path: Path) -> None:
    one, _other = worked
    one.sh(f"echo work > {PATH}/new; cd {PATH} && git config alias.x y")
    one.sh(
        "mv /usr/bin/git /usr/bin/git.real; printf '#!/bin/sh\\nsleep 600\\n' > /usr/bin/git; chmod 755 /usr/bin/git",
        user="0",
    )
    try:
        begun = time.monotonic()
        result = save(one, tmp_path / "saved", timeout=3)
        assert result["failed"] is True
        assert time.monotonic() - begun < 120, "git sleeps for 600 s"
        assert not list(tmp_path.glob("saved*"))
    finally:
        one.sh("mv /usr/bin/git.real /usr/bin/git", user="0")


class TestHostile:
    def test_nothing_of_its_configuration_is_run_on_the_controller(
        self, worked: tuple[Box, Box], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, _other = worked
        mark = tmp_path / "mark"
        one.sh(
            f"cd {PATH} && mkdir -p hooks && printf '#!/bin/sh\\ntouch {mark}\\n' > hooks/post-checkout"
            " && chmod 755 hooks/* && mkdir -p .git/hooks && cp hooks/post-checkout .git/hooks/reference-transaction"
            f" && git config core.fsmonitor 'touch {mark}' && git config core.hooksPath hooks"
            f" && git config filter.x.clean 'touch {mark}; cat' && git config filter.x.smudge 'touch {mark}; cat'"
            " && echo '* filter=x' > .gitattributes && echo x > x"
            " && git config remote.evil.url 'ext::sh -c id' && git config alias.bundle '!id'"
        )
        result = save(one, tmp_path / "saved")
        assert result["rescue"]["complete"] is True
        assert not mark.exists()
        assert "ext::" not in (tmp_path / "saved" / "source.json").read_text()

    def test_a_tar_that_leads_out_of_it_is_refused(self, worked: tuple[Box, Box], tmp_path: Path) -> None:
        one, _other = worked
        one.sh(f"echo work > {PATH}/new")
        # A tar of its own making, in the place of the real one.
        one.sh(
            "printf '#!/bin/sh\\nmkdir -p /tmp/evil/a; cd /tmp/evil/a; ln -sf /etc/passwd link; echo x > ../x;"
            " exec /bin/tar.real -c -f - -P ../x link\\n' > /tmp/tar; mv /bin/tar /bin/tar.real; mv /tmp/tar /bin/tar;"
            " chmod 755 /bin/tar",
            user="0",
        )
        one.sh("mkdir -p ~/.claude/projects/p && echo x > ~/.claude/projects/p/x.jsonl")
        try:
            result = save(one, tmp_path / "saved")
            assert result["error"]["code"] == "rescue_invalid"
            assert sorted(file.name for file in tmp_path.iterdir()) == ["app"]
        finally:
            one.sh("mv /bin/tar.real /bin/tar", user="0")

    def test_a_bundle_that_is_none_does_not_count(self, worked: tuple[Box, Box], tmp_path: Path) -> None:
        one, _other = worked
        one.sh(f"echo work > {PATH}/new")
        saved = tmp_path / "saved"
        save(one, saved)
        bundle = saved / "repo.bundle"
        whole = bundle.read_bytes()
        for broken in (whole[:-30], b"x" + whole[1:], b""):
            bundle.write_bytes(broken)
            with pytest.raises(FuelError, match="is not what was saved"):
                verify(str(saved), Deadline(60))
        # Digests that fit, and content that does not.
        bundle.write_bytes(whole[:-30])
        manifest = json.loads((saved / "rescue.json").read_text())
        from fuelctl._shared._rescue._stream import digest_of

        for part in manifest["parts"]:
            if part["path"] == "repo.bundle":
                found = digest_of(str(bundle))
                part.update(size=found.size, sha256=found.sha256)
        (saved / "rescue.json").write_text(json.dumps(manifest))
        with pytest.raises(FuelError, match="the rescue does not hold"):
            verify(str(saved), Deadline(60))
        for name in ("../x", "/etc/passwd", "beside/0/../../x", "transcript.tar/../x"):
            manifest["parts"][0]["path"] = name
            (saved / "rescue.json").write_text(json.dumps(manifest))
            with pytest.raises(FuelError, match="is no part of a rescue"):
                verify(str(saved), Deadline(60))


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def another_machine(folder: Path) -> Iterator[dict[str, Any]]:
    """A machine with an SSH server, on which this machine's engine is the engine; how Ansible enters it, as root."""
    name = f"fuel-test-{secrets.token_hex(5)}"
    for key in ("host", "login"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    login = (folder / "login.pub").read_text().strip()
    script = (
        "umask 077; mkdir -p /run/sshd /root/.ssh; cat > /etc/ssh/ssh_host_ed25519_key;"
        f" echo '{login}' > /root/.ssh/authorized_keys; exec /usr/sbin/sshd -D -o PermitRootLogin=yes"
    )
    run = ["docker", "run", "--rm", "--interactive", "--name", name, "--publish", "127.0.0.1::22"]
    run += ["--volume", "/var/run/docker.sock:/var/run/docker.sock", image.ensure("machine-docker"), "sh", "-c", script]
    with (folder / "host").open("rb") as host_key:
        machine = subprocess.Popen(run, stdin=host_key)
    try:
        port, end = "", time.monotonic() + 60
        while not port or not answers(int(port)):
            assert time.monotonic() < end
            time.sleep(0.3)
            told = subprocess.run(["docker", "port", name, "22"], capture_output=True, text=True, check=False).stdout
            port = told.splitlines()[0].rpartition(":")[2] if told else ""
        public = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
        yield {
            "ansible_host": "127.0.0.1",
            "ansible_port": int(port),
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(folder / "login"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known_hosts -o StrictHostKeyChecking=yes",
            "ansible_python_interpreter": "/usr/bin/python3",
            "machine": name,
        }
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)
        machine.wait(20)


def test_from_another_machine_it_arrives_or_leaves_nothing(worked: tuple[Box, Box], tmp_path: Path) -> None:
    one, _other = worked
    one.sh(f"head -c 3000000 /dev/urandom > {PATH}/new")
    saved = tmp_path / "rescues" / "here"
    given = {"container": one.name, "user": USER, "path": PATH, "dest": str(saved)}
    tasks: list[dict[str, Any]] = [
        {"fuel_code.remote.rescue": {**given, "progress_path": str(tmp_path / "progress")}},
        {"fuel_code.remote.rescue": {**given, "total_bytes": 100000}, "ignore_errors": True},
    ]
    with another_machine(tmp_path) as host:
        play_elsewhere(tasks, host, tmp_path)
        left = ["docker", "exec", host["machine"], "find", "/root/.ansible", "/tmp", "-type", "f"]
        assert subprocess.run(left, capture_output=True, text=True, check=False).stdout == ""
    assert '"rescue"' in (tmp_path / "progress").read_text()
    assert [entry.name for entry in saved.parent.iterdir()] == ["here"]
    verify(str(saved), Deadline(60))
    git(tmp_path, "clone", "-q", "--mirror", str(saved / "repo.bundle"), "mirror")
    size = git(tmp_path / "mirror", "cat-file", "-s", "refs/fuel/rescue/0/work:new")
    assert size == "3000000"


def play_elsewhere(tasks: list[dict[str, Any]], host: dict[str, Any], folder: Path) -> None:
    """Run tasks on a machine that is reached over SSH."""
    tree = folder / "collections" / "ansible_collections" / "fuel_code"
    tree.mkdir(parents=True)
    (tree / "remote").symlink_to(CHECKOUT)
    (folder / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"there": host}}}))
    (folder / "hosts.json").rename(folder / "hosts.yml")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            str(folder / "hosts.yml"),
            str(folder / "play.json"),
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"), "ANSIBLE_PIPELINING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "larger than" in done.stdout


def test_as_a_task(worked: tuple[Box, Box], tmp_path: Path) -> None:
    one, _other = worked
    one.sh(f"echo work > {PATH}/new")
    arguments = {"container": one.name, "user": USER, "path": PATH, "dest": str(tmp_path / "saved")}
    (result,) = play([{"fuel_code.remote.rescue": arguments}], tmp_path)
    assert result["changed"] is True
    assert (tmp_path / "saved" / "rescue.json").is_file()
