# SPDX-License-Identifier: GPL-3.0-or-later
"""images/dev as machines live it: started, stopped, killed, begun anew on the same volume, and ended by themselves."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import dev_image

from .dev_machine import READ_ONLY, Machine, docker, eventually, key_pair, machine, public

pytestmark = pytest.mark.docker

LIBRARY = dev_image.CONTEXT / "remote"
#: What stands before the supervisor's text so that a file says how wrong the wall clock is.
WRONG_CLOCK = """\
BEGIN {
  *CORE::GLOBAL::time = sub () {
    my $off = 0;
    if (open(my $file, '<', '/clocks/off')) { $off = <$file> // 0 }
    return CORE::time() + $off;
  };
}
"""
DAY = 86400


@pytest.fixture(scope="module")
def image() -> str:
    return dev_image.ensure("remote")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return key_pair(tmp_path_factory.mktemp("key"), "key")


@pytest.fixture
def one(tmp_path: Path, key: Path) -> Iterator[Machine]:
    with machine(tmp_path, key) as made:
        yield made


def test_the_dockerfile_is_clean() -> None:
    program = Path(sys.executable).with_name("hadolint")
    told = subprocess.run([program, str(dev_image.CONTEXT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "")


def test_the_base_is_an_environment_without_a_way_in() -> None:
    image = dev_image.ensure("base")
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image))
    labels = config["Labels"]
    assert (labels["fuel-code:user"], labels["fuel-code:home"]) == ("dev", "/home/dev")
    assert labels["org.opencontainers.image.licenses"] == "GPL-3.0-or-later"
    asked = (
        "id; pwd; stat -c '%U %a' /workspaces /home/dev/.ssh; sudo id -u; git --version; node --version; npm --version;"
        " python3 -c 'import venv, ensurepip; print(\"venv\")'; command -v sshd || echo no-sshd; fuel-code-run echo run"
    )
    lines = docker("run", "--rm", image, "bash", "-c", asked).splitlines()
    assert lines[:5] == ["uid=1000(dev) gid=1000(dev) groups=1000(dev)", "/workspaces", "dev 755", "dev 700", "0"]
    assert lines[5].startswith("git version 2.")
    assert lines[6].startswith("v22.")
    assert lines[-3:] == ["venv", "no-sshd", "run"]


def test_host_key_home_and_work_outlive_the_machine_and_its_image(one: Machine, image: str) -> None:
    one.run(image, *READ_ONLY)
    one.pin()
    first = one.exec("cat", "/workspaces/.fuel-code/ssh/ssh_host_ed25519_key.pub")
    assert one.ssh("mkdir /workspaces/repo && echo mine >~/.mine && echo work >/workspaces/repo/file").returncode == 0
    docker("restart", "--time", "20", one.name)
    one.listens()
    assert one.ssh("cat", "~/.mine").stdout == "mine\n"
    # Another image, a machine of its own, the same volume: whoever pinned the key sees the one that they know.
    newer = f"{one.name}-newer"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", newer, "-"],
        input=f"FROM {image}\nRUN echo newer >/usr/local/share/fuel-code/home/.newer\n",
        text=True,
        check=True,
        capture_output=True,
    )
    try:
        one.remove()
        one.run(newer)
        one.listens()
        assert one.ssh("cat ~/.mine /workspaces/repo/file; ls ~/.newer").stdout == "mine\nwork\n"
        assert one.exec("cat", "/workspaces/.fuel-code/ssh/ssh_host_ed25519_key.pub") == first
        modes = one.exec("stat", "-c", "%U:%G %a", "/workspaces", "/workspaces/.fuel-code/ssh/ssh_host_ed25519_key")
        assert modes.splitlines() == ["root:dev 1775", "root:dev 640"]
    finally:
        one.remove()
        docker("rmi", "--force", newer, check=False)


def test_what_a_killed_start_left_is_completed(one: Machine, image: str) -> None:
    """Whatever the last one was about when it was killed: a key that is not in its place yet, half a home."""
    half = (
        "mkdir -p /workspaces/.fuel-code/ssh /workspaces/.fuel-code/home.new && cd /workspaces/.fuel-code"
        " && for file in ssh/ssh_host_ed25519_key.new home.new/.bashrc; do echo half >$file; done"
    )
    docker("run", "--rm", "--volume", f"{one.volume}:/workspaces", "--entrypoint", "sh", image, "-c", half)
    one.run(image)
    one.pin()
    assert one.ssh("grep -c . ~/.bashrc && stat -c %U ~/.bashrc").stdout.split()[1:] == ["dev"]
    assert one.exec("ls", "-A", "/workspaces/.fuel-code").split() == ["agents", "home", "ssh", "state"]


@pytest.mark.parametrize(
    ("options", "keys", "said"),
    [
        ((), "ssh-ed25519 damaged", "nobody could enter"),
        (("--env", "FUEL_DEADLINE=tomorrow"), None, "FUEL_DEADLINE is neither"),
        (("--env", "FUEL_SSH_PORT=22"), None, "from 1024 to 65535"),
        (("--env", "FUEL_SSH_PORT=2222 -o PermitRootLogin=yes"), None, "not a number"),
        (("--env", "FUEL_SESSION_VARIABLES=A;id"), None, "names of variables"),
        (("--user", "dev"), None, "give no --user"),
        (("--read-only",), None, "/run cannot be written"),
    ],
    ids=["keys", "deadline", "port", "port with options", "names", "user", "read-only"],
)
def test_a_start_that_cannot_be_right_says_so(
    image: str, key: Path, options: tuple[str, ...], keys: str | None, said: str
) -> None:
    given = public(key) if keys is None else keys
    run = ["docker", "run", "--rm", "--network", "none", "--env", f"FUEL_AUTHORIZED_KEYS={given}", *options, image]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert said in done.stderr
    assert "Server listening" not in done.stderr


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("mkdir -p .fuel-code/ssh && echo x >.fuel-code/ssh/ssh_host_ed25519_key", "remove it to have a new host key"),
        ("ln -s /etc .fuel-code", "is not what this image made"),
        ("mkdir .fuel-code && ln -s /etc .fuel-code/ssh", "is not what this image made"),
        ("mkdir .fuel-code && chown dev .fuel-code", "is not what this image made"),
    ],
    ids=["damaged host key", "link", "link within", "not root's"],
)
def test_a_volume_that_cannot_be_right_is_left_as_it_is(image: str, key: Path, before: str, said: str) -> None:
    script = f"cd /workspaces && {before} && exec /usr/local/lib/fuel-code/entrypoint"
    given = ["--env", f"FUEL_AUTHORIZED_KEYS={public(key)}", "--entrypoint", "sh", image, "-c", script]
    run = ["docker", "run", "--rm", "--network", "none", *given]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert said in done.stderr


@pytest.mark.soak
def test_killed_at_any_moment_of_its_first_start_the_next_one_is_whole(one: Machine, image: str) -> None:
    draw, early = random.Random(1), 0
    for _count in range(60):
        one.run(image)
        time.sleep(draw.uniform(0, 0.4))
        docker("kill", one.name)
        early += "ends at" not in one.logs()
        one.remove()
        if draw.random() < 0.5:
            docker("volume", "rm", one.volume)
    # Many of them were killed in the middle of it.
    assert early >= 5
    one.run(image)
    one.pin()
    assert one.ssh("stat -c %U ~/.bashrc && sudo -n true && cat /workspaces/.fuel-code/ssh/*.pub").returncode == 0


@contextlib.contextmanager
def session(one: Machine, script: str) -> Iterator[subprocess.Popen[str]]:
    """Somebody who is inside, with a script that has said that it is ready."""
    with subprocess.Popen([*one.argv(), f"bash -c {json.dumps(script)}"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_when_told_to_end_it_ends_sessions_and_programs_first(one: Machine, image: str) -> None:
    one.run(image)
    one.pin()
    # One that ends in good order, and one that will not hear of it.
    orderly = "trap 'echo bye; echo saved >/workspaces/saved; exit' TERM; echo ready; while :; do sleep 0.1; done"
    deaf = "trap '' TERM HUP; echo ready; while :; do sleep 0.1; done"
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(session(one, script)) for script in (orderly, deaf)]
        # Killed after that long it would have ended with 137.
        docker("stop", "--time", "60", one.name)
        assert one.state()["ExitCode"] == 0
        assert "SIGTERM: ending" in one.logs()
        # Who ended in good order could still say so; the other one was cut off.
        assert [each.communicate(timeout=300)[0] for each in sessions] == ["bye\n", ""]
        assert [each.returncode for each in sessions] == [0, 255]
    kept = docker("run", "--rm", "--volume", f"{one.volume}:/w", "--entrypoint", "cat", image, "/w/saved")
    assert kept == "saved"


def test_sshd_killed_comes_back_and_its_supervisor_killed_ends_the_machine(one: Machine, image: str) -> None:
    one.run(image, "--env", "FUEL_SUDO=no", "--env", "FUEL_AGENT_FORWARDING=yes")
    one.pin()
    assert "no new privileges" in one.ssh("sudo -n id").stderr
    # An agent of the person's, for this one command: asked for, it is there.
    agent = ["ssh-agent", *one.argv(options=("-A",)), "test -S $SSH_AUTH_SOCK && echo there"]
    assert subprocess.run(agent, capture_output=True, text=True, check=False, timeout=300).stdout == "there\n"
    # It is the user's own, who may not reach what watches over it.
    assert one.ssh("pkill -KILL -f 'sshd.*listener'").returncode != 1
    one.says("Server listening on 0.0.0.0", 2)
    eventually(lambda: one.ssh("true").returncode == 0, one.logs)
    assert "Operation not permitted" in one.ssh("kill -KILL $(pgrep perl)").stderr
    # The machine is gone before whoever killed it is answered.
    one.exec("sh", "-c", "kill -KILL $(pgrep perl)", check=False)
    assert one.ended() == 137


def test_it_ends_at_its_deadline_and_begins_only_with_a_later_one(one: Machine, image: str) -> None:
    far = str(int(time.time()) + DAY)
    one.run(image, "--env", f"FUEL_DEADLINE={far}", "--restart", "on-failure")
    one.pin()
    assert one.exec("fuel-code-deadline") == far
    assert "neither epoch seconds" in one.exec("fuel-code-deadline", "1; id", check=False)
    assert one.ssh("sudo fuel-code-deadline $(($(date +%s) + 3600))").returncode == 0
    moved = one.exec("fuel-code-deadline")
    assert 0 < int(moved) < int(far)
    # Moved, it is moved for the next start as well.
    docker("restart", "--time", "20", one.name)
    one.listens()
    assert one.exec("fuel-code-deadline") == moved
    one.exec("fuel-code-deadline", str(int(time.time())))
    assert one.ended() == 0
    assert "the time is up: ending" in one.logs()
    docker("start", one.name)
    assert one.ended() == 0
    assert "was up before it started" in one.logs()
    assert one.logs().count("Server listening on 0.0.0.0") == 2
    # A machine that is given another time is another machine: what moved the last one's is past.
    one.remove()
    one.run(image, "--env", f"FUEL_DEADLINE={int(far) + 1}")
    one.listens()
    assert one.exec("fuel-code-deadline") == str(int(far) + 1)


def test_one_that_nobody_stated_a_time_for_ends_all_the_same_on_whatever_port(one: Machine, image: str) -> None:
    one.run(image, "--env", "FUEL_SSH_PORT=2200")
    one.listens()
    assert "Server listening on 0.0.0.0 port 2200." in one.logs()
    assert 7 * 3600 < int(one.exec("fuel-code-deadline")) - time.time() <= 8 * 3600


class Clocks:
    """Wall clock and uptime of a machine, in files of ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clocks"
        self.folder.mkdir()
        self.supervise = folder / "supervise.pl"
        self.supervise.write_text(WRONG_CLOCK + (LIBRARY / "supervise.pl").read_text())
        self.since_boot = 1000
        self.set()

    def set(self, *, off: int = 0, later: int = 0) -> None:
        self.since_boot += later
        # Always as long, and written in place: a mount follows the file, and who reads it never finds half of it.
        for name, text in (("off", f"{off:+09d}\n"), ("uptime", f"{self.since_boot:09d}.00 0.00\n")):
            file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT, 0o644)
            os.pwrite(file, text.encode(), 0)
            os.close(file)

    def options(self, deadline: float) -> list[str]:
        mounts = {
            self.folder: "/clocks",
            self.folder / "uptime": "/proc/uptime",
            self.supervise: "/usr/local/lib/fuel-code/supervise.pl",
        }
        given = [part for source, target in mounts.items() for part in ("--volume", f"{source}:{target}:ro")]
        return ["--env", f"FUEL_DEADLINE={int(deadline)}", *given]


def test_a_clock_that_is_set_back_keeps_nobody_alive(one: Machine, image: str, tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    one.run(image, *clocks.options(time.time() + 3600))
    one.listens()
    clocks.set(off=-DAY, later=3601)
    assert one.ended() == 0
    assert "the time is up" in one.logs()


def test_a_clock_that_is_ahead_for_a_moment_ends_nobody_and_one_that_stays_ahead_does(
    one: Machine, image: str, tmp_path: Path
) -> None:
    clocks = Clocks(tmp_path)
    one.run(image, *clocks.options(time.time() + 3600))
    one.listens()
    for count in (1, 2):
        clocks.set(off=DAY)
        one.says("waiting whether it stays so", count)
        clocks.set(later=60)
        one.says("the clock was put right", count)
    assert one.running()
    # As on a machine that was asleep: its uptime stood still, and a minute after it awoke the clock still says so.
    clocks.set(off=DAY)
    one.says("waiting whether it stays so", 3)
    clocks.set(off=DAY, later=60)
    assert one.ended() == 0


def test_the_base_opens_as_a_dev_container(tmp_path: Path) -> None:
    """By the real Dev Containers CLI, with the builder that every engine has."""
    sys.path.insert(0, str(Path(dev_image.__file__).parent))
    from npm_registry import fetch_package

    cache = Path.home() / ".cache" / "fuel-code-lab"
    fetch_package("@devcontainers/cli", None, tmp_path / "cli", cache=cache)
    node = shutil.which("node")
    if node is None:
        machine_name = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        fetch_package(f"node-linux-{machine_name}", 22, tmp_path / "node", cache=cache)
        node = str(tmp_path / "node" / "bin" / "node")
    checkout = dev_image.CONTEXT.parents[1]
    # The CLI names its images after the folder.
    project = tmp_path / f"project-{secrets.token_hex(5)}"
    shutil.copytree(checkout / ".devcontainer", project / ".devcontainer")
    shutil.copytree(dev_image.CONTEXT, project / "images" / "dev")
    cli = [node, str(tmp_path / "cli" / "devcontainer.js")]
    folder = ["--workspace-folder", str(project)]
    up = subprocess.run(
        [*cli, "up", *folder, "--buildkit", "never"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-3000:]
    result = json.loads(up.stdout.strip().splitlines()[-1])
    try:
        assert result["outcome"] == "success"
        assert (result["remoteUser"], result["remoteWorkspaceFolder"]) == ("dev", f"/workspaces/{project.name}")
        asked = "id -un; pwd; ls -A; git --version; node --version; python3 --version; sudo id -u"
        done = subprocess.run([*cli, "exec", *folder, "bash", "-c", asked], capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
        assert lines[:4] == ["dev", f"/workspaces/{project.name}", ".devcontainer", "images"]
        assert lines[-1] == "0"
    finally:
        docker("rm", "--force", "--volumes", result["containerId"], check=False)
        named = docker("images", "--format", "{{.Repository}}", "--filter", f"reference=vsc-{project.name}-*")
        docker("rmi", *named.split(), check=False)


def test_no_host_key_is_part_of_the_image(image: str) -> None:
    found = docker("run", "--rm", "--entrypoint", "find", image, "/", "-xdev", "-name", "ssh_host_*")
    assert found == ""
