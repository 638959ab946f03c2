# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at every step, raced, or given what cannot work: nothing is left behind, and one clear line is said."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._dev_container import _container
from fuelctl._shared._docker import Docker
from fuelctl._shared._errors import FuelError

from .machine import CHECKOUT, IMAGE, Environment, docker

pytestmark = pytest.mark.docker

#: Runs `present` or `absent` and dies by SIGKILL right after (or in the middle of) its N-th call of the engine.
DYING = """
import json, os, signal, subprocess, sys, threading
from fuelctl._shared import _docker
from fuelctl._shared._dev_container._absent import absent
from fuelctl._shared._dev_container._present import present
from fuelctl._shared._dev_container._spec import Spec
from fuelctl._shared._progress import Progress

order = json.loads(sys.stdin.read())
calls = 0
counting = threading.Lock()

def run(args, stdin, timeout):
    global calls
    with counting:
        calls += 1
        mine = calls
    if mine == order["calls"] and order["halfway"]:
        subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.kill(os.getpid(), signal.SIGKILL)
    done = _docker.run_command(args, stdin, timeout)
    if mine == order["calls"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

docker = _docker.Docker(run)
if order["verb"] == "present":
    present(docker, Spec.build(**order["parameters"]), Progress("container"))
else:
    absent(docker, order["parameters"]["environment_id"], Progress("destroy"))
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """One that is ended after the test, which leaves nothing."""
    made = Environment(tmp_path / "environment")
    try:
        yield made
    finally:
        made.end()
    assert made.left() == []


def die(environment: Environment, verb: str, calls: int, *, halfway: bool = False) -> bool:
    """Whether it was killed; False when it ended before its N-th call."""
    order = {"verb": verb, "calls": calls, "halfway": halfway, "parameters": environment.parameters()}
    words = [sys.executable, "-c", DYING]
    done = subprocess.run(words, input=json.dumps(order), text=True, cwd=CHECKOUT, timeout=480, check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


@pytest.mark.parametrize("halfway", [False, True], ids=["after", "during"])
def test_killed_at_every_call_and_brought_up_again(environment: Environment, halfway: bool) -> None:
    environment.up()
    environment.end()
    calls = 0
    while die(environment, "present", calls := calls + 1, halfway=halfway):
        kinds = {kind for kind, _name in environment.left()}
        # Nothing of an environment is there without what ends it.
        assert not kinds or "watchdog" in kinds, f"after call {calls}: {kinds}"
        if calls % 3 == 0:
            environment.up()
            assert environment.ssh("pwd").stdout == "/workspaces/my-repo\n"
            assert not environment.up().changed
        assert environment.end()["complete"]
        assert environment.left() == []
    assert calls > 8


#: Runs the recipe on a base image and says so as soon as packages are being installed.
DERIVING = """
import sys
from fuelctl._shared._dev_container import _recipe
from fuelctl._shared._dev_container._derivation import Derivation
from fuelctl._shared._docker import Docker

with Derivation(Docker(), sys.argv[1], "") as one:
    print(one.container, flush=True)
    facts = _recipe.parse_probe(one.probe(), "a base")
    one.follow(_recipe.recipe(facts, ["tree"], []), lambda line: print(line, flush=True))
"""


def test_killed_while_it_derives_an_image() -> None:
    """The container in which that happens ends with its maker: there is nobody who would look for it later."""
    words = [sys.executable, "-c", DERIVING, IMAGE]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as maker:
        assert maker.stdout is not None
        container = maker.stdout.readline().strip()
        assert maker.stdout.readline(), "the recipe is at work"
        assert docker("ps", "--quiet", "--filter", f"name={container}")
        maker.kill()
    deadline = time.monotonic() + 120
    while docker("ps", "--all", "--quiet", "--filter", f"name={container}"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_killed_at_every_call_while_it_is_ended(environment: Environment) -> None:
    calls = 0
    while True:
        environment.up()
        if not die(environment, "absent", calls := calls + 1):
            break
        kinds = {kind for kind, _name in environment.left()}
        assert "watchdog" in kinds or not kinds
        assert environment.end()["complete"]
    assert calls > 8


def test_two_at_once_make_one(environment: Environment) -> None:
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(environment.up().environment)) for _turn in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({made["container_id"] for made in outcomes}) == 1
    assert len({made["host_key"] for made in outcomes}) == 1
    assert len(environment.left()) == 5


def test_a_dead_engine_is_one_clear_line(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        with pytest.raises(FuelError, match="does not answer") as caught:
            environment.up()
        assert caught.value.code == "docker_unavailable"
        with pytest.raises(FuelError, match="does not answer"):
            environment.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
def test_no_right_to_the_engine_is_one_clear_line() -> None:
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "docker", "ps"]

    def run(_args: list[str], stdin: bytes | None, timeout: float | None) -> Any:
        from fuelctl._shared._docker import run_command

        return run_command(words, stdin, timeout)

    with pytest.raises(FuelError, match="no right") as caught:
        Docker(run).call(["ps"])
    assert caught.value.code == "docker_denied"


def test_an_image_that_cannot_be_had_names_it_and_leaves_nothing(environment: Environment) -> None:
    image = "localhost:1/fuel-code/no-such-image:1"
    with pytest.raises(FuelError) as caught:
        environment.up(image=image)
    assert caught.value.code in ("registry_unreachable", "image_not_found")
    assert image in caught.value.message
    assert caught.value.hint
    assert environment.left() == []


def test_a_package_that_does_not_exist_is_named(environment: Environment) -> None:
    with pytest.raises(FuelError) as caught:
        environment.up(system_packages=["fuel-code-no-such-package"])
    assert caught.value.code == "package_unknown"
    assert "fuel-code-no-such-package" in caught.value.message
    assert environment.left() == []


@pytest.fixture
def foreign_image(request: pytest.FixtureRequest) -> Iterator[str]:
    """An image made by the lines of a Dockerfile after FROM, removed afterwards."""
    tag = f"fuel-code-test:{os.getpid()}"
    subprocess.run(
        ["docker", "build", "-q", "-t", tag, "-"], input=request.param.encode(), check=True, capture_output=True
    )
    yield tag
    docker("rmi", "-f", tag)


@pytest.mark.parametrize(
    "foreign_image",
    [
        "FROM debian:bookworm\n"
        "RUN rm -f /usr/bin/apt-get /etc/os-release && echo 'PRETTY_NAME=\"Alpine Linux v3.20\"' > /etc/os-release\n",
        "FROM scratch\nCOPY --from=debian:bookworm /etc/os-release /etc/os-release\n",
    ],
    ids=["no-apt", "no-shell"],
    indirect=True,
)
def test_a_base_that_is_not_debian_like_is_one_clear_line(environment: Environment, foreign_image: str) -> None:
    with pytest.raises(FuelError, match="not Debian-like") as caught:
        environment.up(image=foreign_image)
    assert caught.value.code == "image_not_debian"
    assert environment.left() == []


@pytest.mark.parametrize(
    "foreign_image",
    [
        "FROM debian:bookworm\n"
        "RUN useradd -m -u 1000 -s /bin/sh node && useradd -u 1234 -m dev\n"
        "ENV PATH=/opt/tool/bin:/usr/bin:/bin LABEL_FREE=yes\n"
        'LABEL "fuel-code:environment"="01AAAAAAAAAAAAAAAAAAAAAAAA" "fuel-code:role"="watchdog"\n'
        'VOLUME /data\nHEALTHCHECK CMD false\nENTRYPOINT ["/bin/false"]\nUSER node\nWORKDIR /nowhere\n'
    ],
    indirect=True,
)
def test_a_wilful_base_image_is_tamed(environment: Environment, foreign_image: str) -> None:
    environment.up(image=foreign_image)
    assert environment.made["user"] == "node"
    answer = environment.ssh("pwd; id -un; echo $SHELL; echo $PATH; echo $LABEL_FREE; sudo -n id -u").stdout.split()
    path = "/home/node/.local/bin:/opt/tool/bin:/usr/bin:/bin"
    assert answer == ["/workspaces/my-repo", "node", "/bin/bash", path, "yes", "0"]
    assert (
        docker("inspect", "-f", '{{index .Config.Labels "fuel-code:environment"}}', environment.names.container)
        == environment.id
    )
    assert {kind for kind, _name in environment.left()} == {"container", "watchdog", "volume", "network", "image_tag"}
    anonymous = docker(
        "inspect",
        "-f",
        '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Name}}{{end}}{{end}}',
        environment.names.container,
    )
    assert len(anonymous) == 64
    derived = docker("inspect", "-f", "{{.Image}}", environment.names.container)
    receipt = environment.end()
    assert {"kind": "volume", "name": anonymous, "state": "gone", "detail": ""} in receipt["resources"]
    tags = json.loads(docker("image", "inspect", "-f", "{{json .RepoTags}}", derived))
    docker("rmi", *tags)


def test_a_port_that_is_taken_at_the_last_moment_is_exchanged(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        # It looks free when it is looked at, and is not when the engine wants it.
        monkeypatch.setattr(_container, "_is_free", lambda _port: True)
        environment.up(ports=[taken])
        (port,) = environment.made["ports"]
        assert port["container"] == taken
        assert port["host"] != taken
        assert environment.ssh("true").returncode == 0


def test_a_service_image_that_cannot_be_had_leaves_no_environment(environment: Environment) -> None:
    with pytest.raises(FuelError) as caught:
        environment.up(services=[{"name": "db", "image": "localhost:1/no/such:1"}])
    assert "localhost:1/no/such:1" in caught.value.message
    assert environment.left() == []


def test_more_than_the_machine_has_becomes_what_it_has(environment: Environment) -> None:
    environment.up(cpus=4000, memory="64m")
    step = next(step for step in environment.steps if step["step"] == "create")
    assert "4000 CPUs are asked for" in step["message"]
    assert not environment.up(cpus=4000, memory="64m").changed
