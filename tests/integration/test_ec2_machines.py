# SPDX-License-Identifier: GPL-3.0-or-later
"""ec2_machine with real machines behind the lab: entered by plain ssh, ended by AWS, by themselves, or with the lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl._shared._ec2._user_data import TIMER_PATH, calendar, render

from .ec2 import CHECKOUT, Ec2Lab, Modules, environment_id

pytestmark = pytest.mark.docker

KEY_NAME = "fuel-code-test"
#: From a network behind the machine, as its containers have one: one hop more.
BEHIND = """\
set -eu
ip netns add inner
ip link add outside type veth peer name inside
ip link set inside netns inner
ip address add 10.99.0.1/24 dev outside
ip link set outside up
ip netns exec inner ip address add 10.99.0.2/24 dev inside
ip netns exec inner ip link set inside up
ip netns exec inner ip route add default via 10.99.0.1
test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1
iptables -t nat -A POSTROUTING -s 10.99.0.0/24 -j MASQUERADE
ip netns exec inner curl -s -m 3 -o /dev/null -w '%{{http_code}} ' {token}x
ip netns exec inner curl -s -m 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {token} || echo "lost $?"
"""
TOKEN = "http://169.254.169.254/latest/api/token"


class Keys:
    """A key pair for people and one for the host, made by ssh-keygen."""

    def __init__(self, folder: Path) -> None:
        for name in ("user", "host"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(command, check=True)
        self.folder = folder
        self.user, self.host = folder / "user", (folder / "host").read_text()
        self.host_public = (folder / "host.pub").read_text().strip()

    def user_data(self, expires_at: float) -> str:
        return render(expires_at=int(expires_at), host_key=self.host, host_key_public=self.host_public)

    def ssh(self, address: str, *command: str) -> subprocess.CompletedProcess[str]:
        """With the host key pinned, which came by user-data: nothing is trusted on first use."""
        known = self.folder / "known_hosts"
        known.write_text(f"{address} {self.host_public}\n")
        options = ["-F", "none", "-i", str(self.user), "-o", f"UserKnownHostsFile={known}"]
        for option in ("StrictHostKeyChecking=yes", "BatchMode=yes", "ConnectTimeout=5", "IdentitiesOnly=yes"):
            options += ["-o", option]
        return subprocess.run(
            ["ssh", *options, f"debian@{address}", "--", *command], capture_output=True, text=True, check=False
        )

    def ssh_until(self, address: str, *command: str) -> str:
        """sshd answers before cloud-init has let the key in."""
        for _each in range(200):
            done = self.ssh(address, *command)
            if done.returncode == 0:
                return done.stdout
            time.sleep(0.5)
        raise AssertionError(done.stderr)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    with Ec2Lab() as lab, Modules(lab, tmp_path_factory.mktemp("machines")) as started:
        yield started


@pytest.fixture(scope="module")
def keys(modules: Modules, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    import boto3

    made = Keys(tmp_path_factory.mktemp("keys"))
    client = boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=modules.lab.endpoint,
        aws_access_key_id="AKIALABLABLABLABLAB1",
        aws_secret_access_key="lab",
    )
    client.import_key_pair(KeyName=KEY_NAME, PublicKeyMaterial=made.user.with_suffix(".pub").read_bytes())
    return made


def container_of(modules: Modules, environment: str) -> str:
    return str(modules.lab.instances(environment)[-1]["machine"])


def exists(container: str) -> bool:
    found = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"name=^{container}$"], capture_output=True, check=True
    )
    return bool(found.stdout.strip())


def test_launch_ssh_and_end(modules: Modules, keys: Keys) -> None:
    environment, expires = environment_id(), int(time.time()) + 3600
    up = {"port": 22, "key_name": KEY_NAME, "user_data": keys.user_data(expires)}
    address = modules.up(environment, **up).result()["machine"]["address"]
    # The host key is the one that was given, or ssh refuses; the watchdog is armed and can be read back.
    assert keys.ssh_until(address, "sudo", "cloud-init", "status", "--wait").strip().endswith("done")
    shown = keys.ssh_until(address, "systemctl", "show", "-p", "ActiveState,TimersCalendar", Path(TIMER_PATH).name)
    assert "ActiveState=active" in shown
    assert calendar(expires) in shown
    # The metadata service wants a token, and gives one to the machine but not to what is behind it.
    assert keys.ssh_until(address, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{TOKEN}x") == "401"
    header = "'X-aws-ec2-metadata-token-ttl-seconds: 60'"
    assert len(keys.ssh_until(address, "curl", "-s", "-X", "PUT", "-H", header, TOKEN)) > 40
    container = container_of(modules, environment)
    behind = subprocess.run(
        ["docker", "exec", "-i", container, "sh", "-s"],
        input=BEHIND.format(token=TOKEN),
        capture_output=True,
        text=True,
        check=True,
    )
    # The way is open, as the refusal without a token shows; the token itself does not get through.
    assert behind.stdout.strip() == "401 lost 28", behind.stdout
    receipt = modules.down(environment).result()["receipt"]
    assert receipt["complete"]
    assert not exists(container)


def test_power_off_inside_ends_the_instance(modules: Modules, keys: Keys) -> None:
    environment = environment_id()
    up = {"port": 22, "key_name": KEY_NAME, "user_data": keys.user_data(time.time() + 3600)}
    address = modules.up(environment, **up).result()["machine"]["address"]
    keys.ssh_until(address, "true")
    keys.ssh(address, "sudo", "systemctl", "poweroff")
    modules.lab.wait_for(lambda: not modules.lab.alive(environment))
    [ended] = modules.lab.instances(environment)
    assert ended["reason"] == "Client.InstanceInitiatedShutdown"
    assert not exists(container_of(modules, environment))
    receipt = modules.down(environment, settle=0).result()["receipt"]
    assert "Instance initiated shutdown" in receipt["resources"][0]["detail"]


def test_watchdog_ends_the_machine_at_its_time(modules: Modules, keys: Keys) -> None:
    environment, expires = environment_id(), int(time.time()) + 35
    up = {"port": 22, "key_name": KEY_NAME, "user_data": keys.user_data(expires)}
    modules.up(environment, **up).result()
    assert modules.lab.alive(environment)
    modules.lab.wait_for(lambda: not modules.lab.alive(environment), seconds=300)
    assert time.time() >= expires
    assert modules.lab.instances(environment)[0]["reason"] == "Client.InstanceInitiatedShutdown"


def test_watchdog_whose_time_has_passed_before_the_first_boot(modules: Modules, keys: Keys) -> None:
    environment = environment_id()
    modules.up(environment, key_name=KEY_NAME, user_data=keys.user_data(time.time() - 60)).result()
    modules.lab.wait_for(lambda: not modules.lab.alive(environment), seconds=300)
    assert modules.lab.instances(environment)[0]["reason"] == "Client.InstanceInitiatedShutdown"


@pytest.mark.parametrize("kind", ["dead", "no-network"])
def test_machine_that_nobody_can_reach(modules: Modules, kind: str) -> None:
    environment = environment_id()
    modules.lab.boots(kind)
    failed = modules.up(environment, port=22, wait_timeout=4).result()
    assert failed["error"]["code"] == "ec2_not_reachable"
    assert "nothing answers as SSH" in failed["msg"]
    assert modules.down(environment).result()["receipt"]["complete"]


def test_lab_takes_its_machines_along_when_its_user_is_killed() -> None:
    """The user is a process of its own, killed with -9 while an instance runs."""
    program = (
        "import boto3, os, time\n"
        "from tests.lab.ec2.client import Ec2Lab\n"
        "with Ec2Lab() as lab:\n"
        "    os.environ.update(lab.environment())\n"
        "    run = boto3.client('ec2').run_instances(ImageId='ami-12c6146b', MinCount=1, MaxCount=1)\n"
        "    print(lab.instances()[0]['machine'], flush=True)\n"
        "    time.sleep(600)\n"
    )
    user = subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    container = user.stdout.readline().strip()
    deadline = time.monotonic() + 300
    while not exists(container) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert exists(container)
    os.kill(user.pid, signal.SIGKILL)
    user.wait()
    user.stdout.close()
    deadline = time.monotonic() + 300
    while exists(container) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not exists(container)
