# SPDX-License-Identifier: GPL-3.0-or-later
"""The Fly lab with machines: what runs in one, what outlives it, and how it is reached."""

from __future__ import annotations

import base64
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fly.client import FlyLab

pytestmark = pytest.mark.docker

IMAGE = "debian:bookworm"
#: Answers each connection with how many it had since it began.
SERVER = """
use IO::Socket::INET; $| = 1; my $n = 0;
my $s = IO::Socket::INET->new(LocalPort => 2222, Listen => 5, ReuseAddr => 1) or die;
while (my $c = $s->accept) { $n++; print $c "hello $n $ENV{GREETING}\\n"; close $c; }
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[FlyLab]:
    with FlyLab(boot_delay=0, end_delay=0) as started:
        yield started


def container(lab: FlyLab, machine_id: str) -> list[str]:
    form = ["docker", "ps", "--all", "--quiet", "--filter", f"name={machine_id}"]
    return subprocess.run(form, capture_output=True, text=True, check=True).stdout.split()


def until(lab: FlyLab, path: str, state: str) -> dict[str, Any]:
    def there() -> Any:
        shown = lab.api("GET", path)[1]
        assert shown["state"] != "failed", shown["events"]
        return shown if shown["state"] == state else None

    found: dict[str, Any] = lab.wait_for(there, 60)
    return found


def run(lab: FlyLab, path: str, *command: str, stdin: str = "") -> str:
    status, answer = lab.api("POST", f"{path}/exec", {"command": list(command), "stdin": stdin, "timeout": 30})
    assert status == 200, answer
    assert answer["exit_code"] == 0, answer
    return str(answer["stdout"])


def hello(address: str) -> str:
    """What the machine says; the proxy waits for it, and for its start."""
    with socket.create_connection((address, 10022), 60) as connection, connection.makefile() as lines:
        return lines.readline().strip()


def test_machine_from_start_to_end(lab: FlyLab) -> None:
    lab.api("POST", "/apps", {"app_name": "whole", "org_slug": "personal"})
    lab.api("POST", "/apps/whole/secrets", {"values": {"GREETING": "two\nlines"}})
    address = lab.api("POST", "/apps/whole/ip_assignments", {"type": "v4"})[1]["ip"]
    volume = lab.api("POST", "/apps/whole/volumes", {"name": "work", "region": "fra", "size_gb": 1})[1]["id"]
    service = {"internal_port": 2222, "protocol": "tcp", "autostart": True, "ports": [{"port": 10022, "handlers": []}]}
    config = {
        "image": IMAGE,
        "init": {"exec": ["perl", "-e", SERVER]},
        "env": {"PLAIN": "value"},
        "files": [{"guest_path": "/etc/lab.txt", "raw_value": base64.b64encode(b"written").decode()}],
        "mounts": [{"volume": volume, "path": "/data"}],
        "services": [service],
        "restart": {"policy": "no"},
    }
    made = lab.api("POST", "/apps/whole/machines", {"name": "dev", "region": "fra", "config": config})[1]
    path = f"/apps/whole/machines/{made['id']}"
    until(lab, path, "started")
    assert run(lab, path, "printenv", "PLAIN", "GREETING", "FLY_APP_NAME") == "value\ntwo\nlines\nwhole\n"
    assert run(lab, path, "cat", "/etc/lab.txt") == "written"
    assert run(lab, path, "cat", stdin="in") == "in"
    run(lab, path, "sh", "-c", "echo kept > /data/kept; echo lost > /root/lost")
    lab.wait_for(lambda: hello(address) == "hello 1 two", 30)

    # Suspended, memory and root file system stay.
    lab.api("POST", f"{path}/suspend")
    until(lab, path, "suspended")
    assert hello(address) == "hello 2 two"
    assert until(lab, path, "started")
    assert run(lab, path, "cat", "/root/lost") == "lost\n"

    # Stopped, only the volume does; whoever connects starts it.
    lab.api("POST", f"{path}/stop", {"signal": "SIGKILL"})
    until(lab, path, "stopped")
    assert container(lab, made["id"]) == []
    assert hello(address) == "hello 1 two"
    assert run(lab, path, "sh", "-c", "cat /data/kept; ls /root/lost || true") == "kept\n"

    # Another version of it keeps its id and its volume.
    lab.api("POST", path, {"config": {**config, "env": {"PLAIN": "other"}}})
    until(lab, path, "started")
    assert run(lab, path, "sh", "-c", "printenv PLAIN; cat /data/kept") == "other\nkept\n"

    # A snapshot is a volume of its own.
    assert lab.api("POST", f"/apps/whole/volumes/{volume}/snapshots")[0] == 200
    [snapshot] = lab.api("GET", f"/apps/whole/volumes/{volume}/snapshots")[1]
    body = {"name": "copy", "region": "fra", "size_gb": 1, "snapshot_id": snapshot["id"]}
    copy = lab.api("POST", "/apps/whole/volumes", body)[1]["id"]
    lab.wait_for(lambda: lab.api("GET", f"/apps/whole/volumes/{copy}")[1]["state"] == "created", 30)
    mounts = [{"volume": copy, "path": "/data"}]
    reader = {"image": IMAGE, "init": {"exec": ["sleep", "600"]}, "mounts": mounts}
    other = lab.api("POST", "/apps/whole/machines", {"name": "reader", "region": "fra", "config": reader})[1]["id"]
    until(lab, f"/apps/whole/machines/{other}", "started")
    assert run(lab, f"/apps/whole/machines/{other}", "cat", "/data/kept") == "kept\n"

    assert lab.api("DELETE", "/apps/whole?force=true")[0] == 202
    lab.wait_for(lambda: not container(lab, made["id"]) and not container(lab, other), 30)


@pytest.mark.soak
def test_machine_that_ends_by_itself_is_stopped_and_started_again_as_it_asks(lab: FlyLab) -> None:
    lab.api("POST", "/apps", {"app_name": "ends", "org_slug": "personal"})

    def launch(name: str, code: int, **more: Any) -> str:
        config = {"image": IMAGE, "init": {"exec": ["sh", "-c", f"sleep 0.2; exit {code}"]}, **more}
        made = lab.api("POST", "/apps/ends/machines", {"name": name, "config": config})[1]
        return f"/apps/ends/machines/{made['id']}"

    once = launch("once", 0)
    shown = until(lab, once, "stopped")
    assert shown["events"][0]["request"]["exit_event"]["exit_code"] == 0
    again = launch("again", 3, restart={"policy": "on-failure", "max_retries": 1})
    lab.wait_for(
        lambda: (
            [each["type"] for each in lab.api("GET", f"{again}/events")[1]].count("exit") == 2
            and lab.api("GET", again)[1]["state"] == "stopped"
        ),
        60,
    )
    gone = launch("gone", 0, auto_destroy=True)
    until(lab, gone, "destroyed")
    assert lab.api("POST", "/apps/ends/machines", {"config": {"image": "no-such-image:0"}})[0] == 400
    lab.api("DELETE", "/apps/ends?force=true")


@pytest.mark.soak
def test_quiet_machine_is_stopped_where_its_service_asks_for_it(lab: FlyLab) -> None:
    lab.api("POST", "/apps", {"app_name": "quiet", "org_slug": "personal"})
    service = {"internal_port": 2222, "protocol": "tcp", "autostop": "suspend", "ports": [{"port": 10022}]}
    config = {"image": IMAGE, "init": {"exec": ["perl", "-e", SERVER]}, "services": [service]}
    made = lab.api("POST", "/apps/quiet/machines", {"name": "dev", "config": config})[1]
    path = f"/apps/quiet/machines/{made['id']}"
    until(lab, path, "started")
    lab.configure(autostop_after=1)
    until(lab, path, "suspended")
    lab.configure(autostop_after=0)
    lab.api("DELETE", "/apps/quiet?force=true")


def test_nothing_is_left_of_a_lab_that_was_killed() -> None:
    with FlyLab(boot_delay=0) as doomed:
        doomed.api("POST", "/apps", {"app_name": "doomed", "org_slug": "personal"})
        doomed.api("POST", "/apps/doomed/volumes", {"name": "work", "region": "iad", "size_gb": 1})
        config = {"image": IMAGE, "init": {"exec": ["sleep", "600"]}}
        made = doomed.api("POST", "/apps/doomed/machines", {"name": "dev", "config": config})[1]
        until(doomed, f"/apps/doomed/machines/{made['id']}", "started")
        [volume] = doomed.volumes("doomed")
        assert container(doomed, made["id"])
        doomed._process.kill()

    def gone() -> bool:
        listed = ["docker", "volume", "ls", "--quiet", "--filter", f"name={volume['id']}"]
        left = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
        return not container(doomed, made["id"]) and not left

    doomed.wait_for(gone, 60)
