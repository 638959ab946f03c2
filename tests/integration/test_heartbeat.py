# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat's script on a real container, and the cloud's notice by the lab's metadata service."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared import _heartbeat, _interruption
from fuelctl._shared._activity import SAMPLE, parse_sample
from fuelctl._shared._ec2 import _user_data
from tests.fuelctl.receiver import Receiver, listening
from tests.lab.ec2.machine.imds import Handler

from .machine import IMAGE, docker

pytestmark = pytest.mark.docker
NOTICE = {"action": "terminate", "time": "2027-01-15T08:02:00Z"}


@contextmanager
def metadata(folder: Path, notice: dict[str, str] | None) -> Iterator[str]:
    """The lab's metadata service for a machine at 127.0.0.1; its host and port."""
    spot = {"spot": {"instance-action": json.dumps(notice)}} if notice else {}
    told: dict[str, Any] = {
        "hop_limit": 64,
        "user_data": "",
        "meta_data": {"instance-id": "i-1", **spot},
        "document": {},
    }
    (folder / "127.0.0.1.json").write_text(json.dumps(told))

    class Own(Handler):
        pass

    Own.folder = folder
    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def container() -> Iterator[str]:
    name = f"fuel-beat-{secrets.token_hex(5)}"
    docker("run", "--detach", "--name", name, "--entrypoint", "sleep", IMAGE, "600")
    yield name
    subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)


def beat(folder: Path, container: str, receiver: Receiver, service: str = "127.0.0.1:1", *, ours: bool = False) -> None:
    """One beat, as the timer has it done."""
    folder.mkdir(exist_ok=True)
    timer = folder / "watchdog.timer"
    if ours:
        timer.touch()
    files = {
        "unit": "fuel-code-heartbeat-of-no-environment",
        "container": container,
        "sample": SAMPLE,
        "url": f"http://127.0.0.1:{receiver.port}/api/remote/X/heartbeat",
        "header": "Authorization: Bearer its-own-token\n",
        "beat": _heartbeat.SCRIPT.replace(_user_data.TIMER_PATH, str(timer)),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    given = ["sh", str(folder / "beat"), str(folder), f"http://{service}"]
    environment = {"PATH": os.environ["PATH"], "http_proxy": "http://127.0.0.1:1"}
    done = subprocess.run(given, check=False, capture_output=True, text=True, env={**environment, "no_proxy": "*"})
    assert done.returncode == 0, done.stderr


def test_it_tells_what_is_done_and_what_the_cloud_says(tmp_path: Path, container: str) -> None:
    with listening() as receiver, metadata(tmp_path, NOTICE) as service:
        beat(tmp_path / "beat", container, receiver, service)
        assert receiver.bodies[0]["notice"] is None, "not a machine of ours"
        beat(tmp_path / "beat", container, receiver, service, ours=True)
        beat(tmp_path / "beat", container, receiver, service, ours=True)
        assert [body["notice"] for body in receiver.bodies[1:]] == [NOTICE] * 2
        sample = parse_sample(receiver.bodies[2]["sample"].replace("|", "\n"))
        assert sample is not None
        assert sample["boot"] == receiver.bodies[2]["boot"]
        assert sample["cpu"] > 0
        assert receiver.got[0][0]["authorization"] == "Bearer its-own-token"
        assert _interruption.notice(service, ours=True) == NOTICE
        assert _interruption.notice(service, ours=False) is None
    with listening() as receiver, metadata(tmp_path, None) as service:
        beat(tmp_path / "other", container, receiver, service, ours=True)
        assert receiver.bodies[0]["notice"] is None
        assert _interruption.notice(service, ours=True) is None
    assert _interruption.notice("127.0.0.1:1", ours=True) is None, "nobody answers"


def test_a_notice_is_told_at_once_and_again_until_it_has_arrived(tmp_path: Path, container: str) -> None:
    folder = tmp_path / "beat"
    with listening() as receiver:
        with metadata(tmp_path, None) as service:
            for _look in range(3):
                beat(folder, container, receiver, service, ours=True)
        assert len(receiver.bodies) == 1, "there is nothing to tell before the next one is due"
        with metadata(tmp_path, NOTICE) as service:
            receiver.answers = [503, 200]
            beat(folder, container, receiver, service, ours=True)
            for _look in range(3):
                beat(folder, container, receiver, service, ours=True)
            told = receiver.bodies[1:]
            assert [body["notice"] for body in told] == [NOTICE] * 2, "until it arrived, and not again"
            assert {body["sample"] for body in told} == {None}, "nothing is waited for"
            # The next one; one after a reboot, whose uptime is a smaller one, or after a power cut.
            now = int(float(Path("/proc/uptime").read_text().split()[0]))
            for last in (str(max(0, now - 100)), str(now + 10**6), "", "1\x00"):
                (folder / "last").write_text(last)
                beat(folder, container, receiver, service, ours=True)
        assert [(body["notice"], body["sample"] is None) for body in receiver.bodies[3:]] == [(NOTICE, False)] * 4


@pytest.mark.parametrize(
    "notice",
    [
        {"action": "x' OR 1", "time": "now"},
        {"action": '"}],"', "time": '\\"'},
        {"action": "terminate"},
        {},
        {"time": ["x"]},
    ],
)
def test_a_notice_that_is_none_is_none(tmp_path: Path, container: str, notice: dict[str, Any]) -> None:
    with listening() as receiver, metadata(tmp_path, notice) as service:
        beat(tmp_path / "beat", container, receiver, service, ours=True)
        assert receiver.bodies[0]["notice"] is None
        assert _interruption.notice(service, ours=True) is None


def test_what_a_hostile_container_says_is_words(tmp_path: Path, container: str) -> None:
    """Its own programs stand in the place of those that the sample calls."""
    odd = (
        r"""printf '#!/bin/sh\nprintf "\\"}\\\\ $(id) \\n; | tty x\\0"; yes | head -c 200000\n' > /usr/local/bin/stat"""
    )
    docker(
        "exec",
        container,
        "sh",
        "-c",
        f"{odd}; chmod 755 /usr/local/bin/stat; ln -sf /usr/local/bin/stat /usr/local/bin/date",
    )
    with listening() as receiver:
        beat(tmp_path / "beat", container, receiver)
        assert set(receiver.bodies[0]) == {"sample", "at", "boot", "notice"}
        assert len(receiver.bodies[0]["sample"]) <= 16384
        docker("stop", "--time", "0", container)
        beat(tmp_path / "beat", container, receiver)
        assert receiver.bodies[1]["sample"] is None, "it lives, and nothing is known of what is done in it"


def test_without_its_container_it_goes_and_without_an_engine_it_stays(tmp_path: Path, container: str) -> None:
    with listening() as receiver:
        docker("rm", "--force", container)
        beat(tmp_path / "beat", container, receiver)
        assert receiver.got == []
        assert not (tmp_path / "beat").exists()
