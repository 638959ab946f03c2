# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten environments of two owners launched at the same time: no crossed keys, names or rules, and nothing left.

As many as this machine bears have a machine behind them and are taken over as `remote_up` does it; the others are asked
for in the same way, and are known to the lab's API only.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._ec2._access import group_name
from fuelctl._shared._identity import environment_id_for
from tests.e2e import ec2
from tests.e2e.harness import Fuelctl
from tests.lab.ec2.amis import PREPARED
from tests.lab.ec2.client import Ec2Lab

from .machine import CHECKOUT, ansible

pytestmark = pytest.mark.docker

TEN = 10
#: Machines with systemd, cloud-init and an engine in them; each takes a processor for some seconds.
BEHIND = min(TEN, 1 + (os.cpu_count() or 1))
#: Long enough for the last launch to be asked for before the first machine is there.
BOOT_DELAY = 6.0

WITH_MACHINE = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: [{checkout}/playbooks/vars/remote.yml]
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  tasks:
    - fuel_code.remote.ssh_keypair: {{path: "{{{{ remote__key_file }}}}", comment: "{{{{ remote_environment_id }}}}"}}
    - ansible.builtin.include_role: {{name: fuel_code.remote.provider_ec2, tasks_from: launch}}
"""
#: What the role does before there is a machine to enter, for all of these at once.
WITHOUT_MACHINE = """\
- hosts: all
  connection: local
  gather_facts: false
  strategy: ansible.builtin.free
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    folder: "{{ keys }}/{{ id }}"
  tasks:
    - fuel_code.remote.ssh_keypair: {path: "{{ folder }}/{{ item }}", comment: "{{ id }}"}
      loop: [id_ed25519, machine_control_ed25519, machine_first_ed25519]
    - fuel_code.remote.ec2_access:
        owner: "{{ owner }}"
        address_services: "{{ address_services }}"
        region: us-east-1
      register: access
    - fuel_code.remote.ec2_machine:
        environment_id: "{{ id }}"
        owner: "{{ owner }}"
        name: "{{ inventory_hostname }}"
        image_id: debian-12
        security_group_ids: ["{{ access.access.group_id }}"]
        host_key_path: "{{ folder }}/machine_first_ed25519"
        authorized_keys:
          - "{{ lookup('ansible.builtin.file', folder ~ '/id_ed25519.pub') }}"
          - "{{ lookup('ansible.builtin.file', folder ~ '/machine_control_ed25519.pub') }}"
        expires_at: "{{ now().timestamp() | int + 3600 }}"
        port: 0
        region: us-east-1
"""


@dataclass(frozen=True)
class One:
    """One environment of the crowd."""

    name: str
    owner: str
    folder: Path

    @property
    def id(self) -> str:
        return environment_id_for(self.owner, self.name)

    def public(self, key: str) -> str:
        """Type and key, as user-data has it; without its comment."""
        return " ".join((self.folder / self.id / f"{key}.pub").read_text().split()[:2])

    def ssh(self, address: str, *, known: One) -> subprocess.CompletedProcess[str]:
        """With this one's key, to an address where `known`'s machine is believed to be."""
        options = [f"UserKnownHostsFile={known.folder / known.id / 'machine_known_hosts'}", "BatchMode=yes"]
        options += [f"HostKeyAlias=fuel-{known.id.lower()}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
        words = [word for option in options for word in ("-o", option)]
        key = str(self.folder / self.id / "id_ed25519")
        argv = ["ssh", "-F", "none", "-i", key, *words, f"fuel@{address}", "hostname"]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)


class Crowd:
    """All ten, and the plays that are played for them."""

    def __init__(self, lab: Ec2Lab, folder: Path) -> None:
        self.lab, self.folder, self.keys = lab, folder, folder / "keys"
        # Two people, and names of which one is the beginning of another.
        self.all = [One(f"shop{'-' * bool(n)}{n or ''}", "alice" if n % 3 else "bob", self.keys) for n in range(TEN)]
        self.behind, self.others = self.all[:BEHIND], self.all[BEHIND:]
        (folder / "with.yml").write_text(WITH_MACHINE.format(checkout=CHECKOUT))
        (folder / "without.yml").write_text(WITHOUT_MACHINE)

    def _play(self, playbook: str, *options: str, name: str, **variables: Any) -> None:
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(variables))
        done = ansible(
            *("ansible-playbook", playbook, "-e", f"@{file}", *options),
            collections=self.folder / "collections",
            home=self.folder,
            **self.lab.environment(ec2.REGION),
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]

    def _given(self, **variables: Any) -> dict[str, Any]:
        options = self.lab.options(image=PREPARED, region=ec2.REGION)
        keys = str(self.keys)
        return {
            "remote_provider": "ec2",
            "remote_provider_options": options,
            "remote_keys_path": keys,
            **variables,
        }

    def launch(self) -> None:
        """All at once; those without a machine first, so that the lab knows which ones they are."""
        self.lab.boots("dead", count=len(self.others))
        with ThreadPoolExecutor(TEN) as together:
            runs = [together.submit(self._launch_others)]
            self.lab.wait_for(lambda: len(self.lab.instances()) == len(self.others) or runs[0].done(), 120)
            for one in self.behind:
                given = self._given(remote_name=one.name, remote_owner=one.owner)
                playbook = str(self.folder / "with.yml")
                runs.append(together.submit(self._play, playbook, name=one.name, **given))
        for run in runs:
            run.result()

    def _launch_others(self) -> None:
        hosts = {one.name: {"id": one.id, "owner": one.owner} for one in self.others}
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        self._play(
            str(self.folder / "without.yml"),
            *("-i", str(inventory), "-f", str(TEN)),
            name="others",
            keys=str(self.keys),
            address_services=[self.lab.address_service],
        )
        assert len(self.lab.instances()) >= len(self.others)

    def down(self, *ones: One) -> None:
        ids = [one.id for one in ones]
        given = self._given(remote_environment_ids=ids, remote_discard=True)
        self._play("fuel_code.remote.remote_down", name="down", **given)

    def described(self) -> dict[str, dict[str, Any]]:
        """What AWS says of each environment's instance, by environment."""
        found: dict[str, dict[str, Any]] = {}
        for reservation in ec2.client(self.lab).describe_instances()["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] == "running":
                    tags = {each["Key"]: each["Value"] for each in instance["Tags"]}
                    assert tags["fuel-code:environment"] not in found, "two machines of one environment"
                    found[tags["fuel-code:environment"]] = {**instance, "Tags": tags}
        return found

    def user_data(self, instance_id: str) -> dict[str, Any]:
        answer = ec2.client(self.lab).describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        text = base64.b64decode(answer["UserData"]["Value"]).decode()
        parsed: dict[str, Any] = json.loads(text.removeprefix("#cloud-config\n"))
        return parsed


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    with Ec2Lab(boot_delay=BOOT_DELAY) as lab:
        made = Crowd(lab, tmp_path_factory.mktemp("crowd"))
        made.launch()
        yield made


def test_each_has_one_machine_with_its_own_name(crowd: Crowd) -> None:
    described = crowd.described()
    assert set(described) == {one.id for one in crowd.all}
    assert len(crowd.lab.instances()) == TEN
    for one in crowd.all:
        tags = described[one.id]["Tags"]
        assert (tags["Name"], tags["fuel-code:owner"]) == (f"fuel-code-{one.name}", one.owner)
    assert len({described[one.id]["ClientToken"] for one in crowd.all}) == TEN
    assert len({described[one.id]["PublicIpAddress"] for one in crowd.behind}) == BEHIND


def test_each_machine_lets_in_its_own_keys_only(crowd: Crowd) -> None:
    described = crowd.described()
    hosts = set()
    for one in crowd.all:
        given = crowd.user_data(described[one.id]["InstanceId"])
        let_in = {" ".join(each.split()[:2]) for each in given["ssh_authorized_keys"]}
        assert let_in == {one.public("id_ed25519"), one.public("machine_control_ed25519")}
        hosts.add(given["ssh_keys"]["ed25519_public"])
    assert len(hosts) == TEN


def test_nobody_enters_another_machine(crowd: Crowd) -> None:
    described = crowd.described()
    for mine in crowd.behind:
        for theirs in crowd.behind:
            address = described[theirs.id]["PublicIpAddress"]
            entered = mine.ssh(address, known=theirs)
            if mine is theirs:
                private = described[mine.id]["PrivateIpAddress"].replace(".", "-")
                assert entered.stdout == f"ip-{private}\n", entered.stderr
            else:
                assert "Permission denied" in entered.stderr
                assert "Host key verification failed" in mine.ssh(address, known=mine).stderr


def test_each_owner_has_one_group_with_one_rule(crowd: Crowd) -> None:
    groups = {group["GroupName"]: group for group in ec2.groups(crowd.lab)}
    assert set(groups) == {group_name("alice"), group_name("bob")}
    assert all(ec2.ingress(group) == ec2.ONLY_THE_CALLER for group in groups.values())
    described = crowd.described()
    for one in crowd.all:
        own = groups[group_name(one.owner)]["GroupId"]
        assert [each["GroupId"] for each in described[one.id]["SecurityGroups"]] == [own]


def test_the_end_of_one_owner_leaves_the_other_alone(crowd: Crowd) -> None:
    gone = [one for one in crowd.all if one.owner == "bob"]
    crowd.lab.ask("DELETE", "calls")
    crowd.down(*gone)
    assert len(crowd.lab.calls("TerminateInstances")) == 1
    rest = [one for one in crowd.all if one.owner == "alice"]
    assert set(crowd.described()) == {one.id for one in rest}
    [group] = ec2.groups(crowd.lab)
    assert group["GroupName"] == group_name("alice")
    assert ec2.ingress(group) == ec2.ONLY_THE_CALLER
    assert {path.name for path in crowd.keys.iterdir() if any(path.iterdir())} == {one.id for one in rest}


def test_nothing_is_left_of_all_ten(crowd: Crowd) -> None:
    crowd.down(*crowd.all)
    assert ec2.left(crowd.lab, Fuelctl(crowd.folder / "nobody")) == []
    assert [path for path in crowd.keys.rglob("*") if path.is_file()] == []
