# SPDX-License-Identifier: GPL-3.0-or-later
"""Provider ssh on real machines: environments on a host of one's own, and no trace of them afterwards."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._activity import parse_sample
from fuelctl._shared._identity import container_names, environment_id_for
from tests.fuelctl.receiver import Receiver, listening
from tests.fuelctl.test_supervise import wait_until

from .machine import ansible
from .own_machine import Late, OwnMachine

pytestmark = pytest.mark.docker
IMAGE = "debian:bookworm"

#: An environment without repository and agent: what the provider is for is the same.
_BOOK: list[dict[str, Any]] = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}", "ansible_pipelining": True},
        "tasks": [
            {"fuel_code.remote.ssh_keypair": {"path": "{{ remote_keys_path }}/{{ remote_environment_id }}/id_ed25519"}},
            {"ansible.builtin.include_role": {"name": "fuel_code.remote.provider_ssh", "tasks_from": "launch"}},
        ],
    },
    {
        "hosts": "fuel_machines",
        "gather_facts": False,
        "tasks": [
            {
                "when": "make | default(true)",
                "ansible.builtin.include_role": {"name": "fuel_code.remote.dev_container"},
                "vars": {
                    "dev_container_environment_id": "{{ remote_environment_id }}",
                    "dev_container_name": "{{ remote_name }}",
                    "dev_container_owner": "integration",
                    "dev_container_blueprint": "{{ remote_blueprint }}",
                    "dev_container_workspace": "repo",
                    "dev_container_expires_at": "{{ expires_at | default(none) }}",
                    "dev_container_callback": "{{ callback | default({}) }}",
                    "dev_container_authorized_keys": ["{{ query('file', keys ~ '/id_ed25519.pub') | first }}"],
                },
            }
        ],
        "vars": {"keys": "{{ remote_keys_path }}/{{ remote_environment_id }}"},
    },
]
#: Lets an environment that is there end by itself at another time, sooner too.
_END_BOOK: list[dict[str, Any]] = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.include_role": {"name": "fuel_code.remote.provider_ssh", "tasks_from": "locate"}}],
    },
    {
        "hosts": "fuel_machines",
        "gather_facts": False,
        "tasks": [
            {
                "fuel_code.remote.watchdog": {
                    "environment_id": "{{ remote_environment_id }}",
                    "expires_at": "{{ now().timestamp() | int + 2 }}",
                }
            }
        ],
    },
]


class Owner:
    """Somebody with Ansible who may log in on the machine."""

    def __init__(self, machine: OwnMachine, home: Path) -> None:
        self.machine = machine
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        (home / "book.json").write_text(json.dumps(_BOOK))
        (home / "end.json").write_text(json.dumps(_END_BOOK))

    def run(self, book: str, name: str, *, ok: bool = True, options: dict[str, Any] | None = None, **more: Any) -> str:
        """Run a playbook for the environment `name`; what Ansible says."""
        given = self.home / f"{secrets.token_hex(4)}.json"
        variables = {
            "remote_name": name,
            "remote_owner": "integration",
            "remote_environment_id": self.id(name),
            "remote_provider": "ssh",
            "remote_keys_path": str(self.home / "keys"),
            "remote_blueprint": {"image": IMAGE},
            "remote_provider_options": options or self.machine.options(),
            **more,
        }
        given.write_text(json.dumps(variables))
        done = ansible("ansible-playbook", book, "-v", "-e", f"@{given}", collections=self.home / "c", home=self.home)
        assert (done.returncode == 0) is ok, done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout

    def up(self, name: str, **more: Any) -> str:
        return self.run(str(self.home / "book.json"), name, **more)

    def end_soon(self, name: str) -> None:
        """Have its watchdog end it in two seconds."""
        self.run(str(self.home / "end.json"), name)

    def down(self, name: str, **more: Any) -> list[dict[str, str]]:
        """Its receipt."""
        said = self.run("fuel_code.remote.remote_down", name, remote_discard=True, **more)
        line = next(line for line in reversed(said.splitlines()) if '"receipt"' in line and line.startswith("ok:"))
        found: list[dict[str, str]] = json.loads(line.partition("=> ")[2])["receipt"]["resources"]
        return found

    @staticmethod
    def id(name: str) -> str:
        return environment_id_for("integration", f"provider-ssh-{name}")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMachine]:
    with OwnMachine(tmp_path_factory.mktemp("bare") / "machine") as machine:
        yield machine


@pytest.fixture(scope="module")
def equipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMachine]:
    with OwnMachine(tmp_path_factory.mktemp("equipped") / "machine", "machine-docker") as machine:
        machine.load(IMAGE)
        machine.sh(f"docker run -d --name stranger --restart always -v mine:/data {IMAGE} sleep infinity")
        yield machine


def of_machine(receipt: list[dict[str, str]]) -> str:
    (line,) = (item for item in receipt if item["kind"] == "machine")
    assert line["state"] == "gone"
    return line["detail"]


def test_what_was_missing_is_installed_and_goes_again(bare: OwnMachine, tmp_path: Path) -> None:
    before = bare.look()
    owner = Owner(bare, tmp_path)
    owner.up("first", make=False)
    assert bare.sh("docker version --format '{{.Server.Version}}'")
    # No registry can be reached from here: this is what its engine would have pulled.
    bare.load(IMAGE)
    owner.up("first")
    container = container_names(owner.id("first")).container
    key = tmp_path / "keys" / owner.id("first") / "id_ed25519"
    known = tmp_path / "environment_known_hosts"
    host_key = bare.sh(
        f"docker exec {container} sh -c 'cat /etc/ssh/ssh_host_ed25519_key.pub /etc/fuel-code/*.pub'", False
    )
    assert before != bare.look()
    assert bare.sh(f"docker inspect -f '{{{{.State.Running}}}}' {container}") == "true"
    assert key.exists(), (known, host_key)

    receipt = owner.down("first")
    assert of_machine(receipt) == "as it was found"
    assert {"container", "volume", "network", "machine"} <= {item["kind"] for item in receipt}
    assert bare.look() ^ before == set()
    assert of_machine(owner.down("first")) == "nothing of it is on record there"
    assert bare.look() ^ before == set()


@pytest.mark.soak
def test_a_run_that_died_anywhere_is_made_up_for(bare: OwnMachine, tmp_path: Path) -> None:
    """The engine is stopped, then half of its packages are gone: where a killed `down` may have got."""
    before = bare.look()
    owner = Owner(bare, tmp_path)
    owner.up("killed", make=False)
    bare.sh("systemctl stop docker.socket docker.service && DEBIAN_FRONTEND=noninteractive apt-get -qq purge docker.io")
    assert of_machine(owner.down("killed")) == "as it was found"
    assert bare.look() ^ before == set()


def test_an_engine_that_was_there_stays_with_all_that_is_not_ours(equipped: OwnMachine, tmp_path: Path) -> None:
    """Two environments: the watchdog ends one, and nothing else; with the other one goes what came by them.

    Both tell by themselves what is done in them; that goes with them, whoever ends them.
    """
    before = equipped.look()
    owner = Owner(equipped, tmp_path)
    (tmp_path / "token").write_text("its-own-token")
    with listening(host=equipped.controller()) as server:
        _two_environments(equipped, owner, server, tmp_path)
    assert equipped.look() ^ before == set()


def _two_environments(equipped: OwnMachine, owner: Owner, server: Receiver, tmp_path: Path) -> None:
    callback = {"url": f"http://{equipped.controller()}:{server.port}", "token_file": str(tmp_path / "token")}
    for name in ("one", "two"):
        said = owner.up(name, expires_at=int(time.time()) + 3600, callback=callback)
        assert '"heartbeat": true' in said
    paths = {f"/api/remote/{owner.id(name)}/heartbeat" for name in ("one", "two")}
    wait_until(lambda: set(server.paths) == paths, 300)
    assert all(headers["authorization"] == "Bearer its-own-token" for headers, _body in server.got)
    for body in server.bodies:
        assert set(body) == {"sample", "at", "boot", "notice"}
        assert parse_sample(body["sample"].replace("|", "\n")), body
        assert body["notice"] is None, "it is no machine of ours: nobody asks what may be near it"
    assert equipped.sh("find /var/lib/fuel-code/heartbeat -type f ! -perm 600; find /tmp -name '*token*'") == ""
    assert "its-own-token" not in equipped.sh(
        "cat /etc/systemd/system/fuel-code-*; journalctl -q --no-pager | tail -500"
    )
    units = "cd /etc/systemd/system && ls -d fuel-code-* timers.target.wants/fuel-code-*"
    assert len(equipped.sh(units).split()) == 6
    cursors = {owner.id("one"): "", owner.id("two"): ""}
    notices = {owner.id("one"): "ends in 5 minutes"}
    said = owner.run("fuel_code.remote.remote_observe", "one", remote_cursors=cursors, remote_notices=notices)
    assert said.count('"present": true') == 2
    assert said.count('"cpu": ') == 2, "whether somebody is at work is measured there as well"
    running = "docker ps --format '{{.Names}}'"
    one, two = (container_names(owner.id(name)).container for name in ("one", "two"))
    owner.end_soon("one")
    end = time.monotonic() + 300
    while one in equipped.sh(running):
        assert time.monotonic() < end, "the watchdog did nothing"
        time.sleep(1)
    assert {two, "stranger"} <= set(equipped.sh(running).splitlines())
    # With nobody there its timer finds that it has ended, and goes.
    wait_until(lambda: len(equipped.sh(units).split()) == 3, 300)
    assert of_machine(owner.down("one")) == "1 other environment is still there"
    assert {two, "stranger"} <= set(equipped.sh(running).splitlines())
    receipt = owner.down("two")
    assert of_machine(receipt) == "as it was found"
    assert [item["state"] for item in receipt if item["kind"] == "timer"] == ["gone"]


@pytest.mark.soak
def test_somebody_elses_container_keeps_the_engine_that_was_installed(bare: OwnMachine, tmp_path: Path) -> None:
    before = bare.look()
    owner = Owner(bare, tmp_path)
    owner.up("shared", make=False)
    bare.load(IMAGE)
    bare.sh(f"docker run -d --name neighbour {IMAGE} sleep infinity")
    try:
        detail = of_machine(owner.down("shared"))
        assert "Docker stays" in detail
        assert "container neighbour" in detail
        assert bare.sh("docker inspect -f '{{.State.Running}}' neighbour") == "true"
    finally:
        bare.sh("docker rm -f neighbour; docker image rm -f debian:bookworm; DEBIAN_FRONTEND=noninteractive apt-get -qq"
                " purge --auto-remove docker.io; rm -rf /etc/docker /etc/cni", check=False)  # fmt: skip
    assert "/var/lib/fuel-code" not in bare.look() - before


class TestHostKey:
    def test_an_unknown_one_is_refused_in_one_line_and_nothing_is_done(self, bare: OwnMachine, tmp_path: Path) -> None:
        before = bare.look()
        owner = Owner(bare, tmp_path)
        (tmp_path / "nobody").touch()
        options = {**bare.options(), "known_hosts": str(tmp_path / "nobody")}
        said = owner.up("unknown", ok=False, options=options)
        assert f"the host key of {bare.host} is not known, and none is believed unseen" in said
        assert "fingerprint=SHA256" in said
        assert bare.look() ^ before == set()
        # What was never reached need not be asked.
        receipt = owner.down("unknown", options=options)
        assert all(item["state"] == "gone" for item in receipt)
        assert "machine" not in {item["kind"] for item in receipt}

    def test_another_key_than_the_pinned_one_is_refused_by_ssh(self, bare: OwnMachine, tmp_path: Path) -> None:
        other = tmp_path / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
        words = other.with_suffix(".pub").read_text().split()[:2]
        known = tmp_path / "wrong"
        known.write_text(f"[127.0.0.1]:{bare.port} {' '.join(words)}\n")
        options = {**bare.options(), "known_hosts": str(known)}
        before = bare.look()
        # A connection that is open is no way around it: it is used by those who believe the same key.
        owner = Owner(bare, tmp_path)
        owner.run("fuel_code.remote.remote_observe", "wrong", ok=False, remote_cursors={})
        said = owner.up("wrong", ok=False, options=options)
        assert f"{bare.host}: it shows another host key than the one that is believed" in said
        assert "Host key verification failed" in said
        assert bare.look() ^ before == set()
        # Nobody was ever on it, so its end need not wait for that host.
        receipt = owner.down("wrong", options=options)
        assert "machine" not in {item["kind"] for item in receipt}

    def test_a_fingerprint_is_as_good(self, equipped: OwnMachine, tmp_path: Path) -> None:
        owner = Owner(equipped, tmp_path)
        (tmp_path / "nobody").touch()
        options = {**equipped.options(), "known_hosts": str(tmp_path / "nobody")}
        wrong = {**options, "fingerprint": "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8"}
        said = owner.up("seen", ok=False, options=wrong)
        assert "another key than the one whose fingerprint was given" in said
        right = {**options, "fingerprint": equipped.fingerprint()}
        owner.up("seen", make=False, options=right)
        assert of_machine(owner.down("seen", options=right)) == "as it was found"


def test_a_host_of_the_inventory_is_entered_as_the_inventory_says(equipped: OwnMachine, tmp_path: Path) -> None:
    before = equipped.look()
    owner = Owner(equipped, tmp_path)
    inventory = tmp_path / "hosts.yml"
    arguments = f"-o UserKnownHostsFile={equipped.known_hosts} -o StrictHostKeyChecking=yes"
    host = {"ansible_host": "127.0.0.1", "ansible_port": equipped.port, "ansible_user": "alice"}
    host |= {"ansible_ssh_private_key_file": str(equipped.key), "ansible_ssh_common_args": arguments}
    inventory.write_text(json.dumps({"all": {"hosts": {"build": {**host, "ansible_become": True}}}}))
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ninventory = {inventory}\n")
    options = {"host": "build"}
    said = owner.up("inventoried", make=False, options=options)
    # What the command to enter goes through.
    reach = json.loads(re.findall(r'"fuel_machine_reach": ("(?:[^"\\]|\\.)*")', said)[0])
    words = [*shlex.split(reach), "docker", "exec", "stranger", "hostname"]
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    assert of_machine(owner.down("inventoried", options=options)) == "as it was found"
    assert equipped.look() ^ before == set()


def test_root_needs_no_sudo(equipped: OwnMachine, tmp_path: Path) -> None:
    """As the inventory has it, on a machine that has none; for everybody else that is said."""
    public = equipped.key.with_suffix(".pub").read_text().strip()
    equipped.sh(f"install -d -m 700 /root/.ssh; echo '{public}' > /root/.ssh/authorized_keys")
    equipped.sh("mv /usr/bin/sudo /usr/bin/away")
    try:
        before = equipped.look()
        arguments = f"-o UserKnownHostsFile={equipped.known_hosts} -o StrictHostKeyChecking=yes"
        host = {"ansible_host": "127.0.0.1", "ansible_port": equipped.port, "ansible_user": "root"}
        host |= {"ansible_ssh_private_key_file": str(equipped.key), "ansible_ssh_common_args": arguments}
        owner = Owner(equipped, tmp_path)
        (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"build": host}}}))
        (tmp_path / "ansible.cfg").write_text(f"[defaults]\ninventory = {tmp_path}/hosts.yml\n")
        owner.up("root", make=False, options={"host": "build"})
        assert of_machine(owner.down("root", options={"host": "build"})) == "as it was found"
        assert equipped.look() ^ before == set()
        said = owner.up("alice", ok=False)
        assert f"{equipped.host}: it has no sudo" in said
    finally:
        equipped.sh("mv /usr/bin/away /usr/bin/sudo; rm -rf /root/.ssh")


def test_a_host_without_python_is_told_what_to_install(bare: OwnMachine, tmp_path: Path) -> None:
    bare.sh("mv /usr/bin/python3 /usr/bin/away")
    try:
        before = bare.look()
        said = Owner(bare, tmp_path).up("snakeless", ok=False)
        wanted = (
            f"{bare.host}: it has no Python at /usr/bin/python3. install one there: apt-get update && apt-get install"
        )
        assert f"{wanted} python3; or name another by `python`" in said
        assert bare.look() ^ before == set()
        receipt = Owner(bare, tmp_path).down("snakeless")
        assert "machine" not in {item["kind"] for item in receipt}
    finally:
        bare.sh("mv /usr/bin/away /usr/bin/python3")


class TestSlow:
    """An SSH server that takes connections, and says something only after a while."""

    def test_a_slow_one_is_waited_for(self, equipped: OwnMachine, tmp_path: Path) -> None:
        with Late(equipped, tmp_path / "known", seconds=12.0) as late:
            owner = Owner(equipped, tmp_path)
            owner.up("slow", make=False, options=late.options())
            assert of_machine(owner.down("slow", options=late.options())) == "as it was found"
            assert late.taken >= 1

    def test_one_that_says_nothing_is_given_up_in_one_line(self, equipped: OwnMachine, tmp_path: Path) -> None:
        with Late(equipped, tmp_path / "known", seconds=3600.0) as late:
            owner = Owner(equipped, tmp_path)
            begun = time.monotonic()
            options = {**late.options(), "timeout": "3"}
            said = owner.up("deaf", ok=False, options=options)
            assert time.monotonic() - begun < 300, "it would answer after an hour"
            assert f"{late.host}: its SSH server does not answer in time" in said
            assert late.taken == 2
            right = {**options, "fingerprint": equipped.fingerprint()}
            said = owner.up("scanned", ok=False, options=right)
            assert "no SSH server answers there" in said
            receipt = owner.down("deaf", options=options)
            assert "machine" not in {item["kind"] for item in receipt}
