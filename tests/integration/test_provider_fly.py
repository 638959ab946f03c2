# SPDX-License-Identifier: GPL-3.0-or-later
"""Role provider_fly by itself on the Fly lab: its entry points, with a machine of images/dev.

For the soak: molecule's scenario and tests/e2e/test_fly.py go through each of them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab import dev_image

from .fly import CHECKOUT, FlyLab, app_of, environment_id

pytestmark = [pytest.mark.docker, pytest.mark.soak]

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - fuel_code.remote.ssh_keypair: {path: "{{ remote_keys_path }}/{{ remote_environment_id }}/id_ed25519"}
      when: verb == 'launch'
    - ansible.builtin.include_role: {name: fuel_code.remote.provider_fly, tasks_from: "{{ verb }}"}
    - ansible.builtin.debug: {msg: "{{ provider_fly__destroyed | default(provider_fly__audit) | default({}) }}"}
- hosts: fuel_machines
  gather_facts: false
  tasks:
    - ansible.builtin.command:
        argv: [sh, -c, "id -un; cat /workspaces/work 2>/dev/null || echo kept > /workspaces/work"]
      vars: {ansible_become: false}
      changed_when: false
      register: said
    - ansible.builtin.debug: {msg: "ENTERED {{ said.stdout_lines | join('/') }}"}
"""


def play(lab: FlyLab, folder: Path, verb: str, *, text: str = PLAY, **more: Any) -> str:
    (folder / "play.yml").write_text(text)
    given = {"verb": verb, "remote_keys_path": str(folder / "keys"), **more}
    done = run_playbook(lab, folder, str(folder / "play.yml"), given)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


def run_playbook(
    lab: FlyLab, folder: Path, playbook: str, given: dict[str, Any], **other: str
) -> subprocess.CompletedProcess[str]:
    """`other`: what else is in its environment."""
    link = folder / "collections" / "ansible_collections" / "fuel_code" / "remote"
    if not link.exists():
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
    (folder / "vars.json").write_text(json.dumps(given))
    environment = {
        **os.environ,
        **lab.environment(),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        **other,
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [program, "-v", "-e", f"@{folder / 'vars.json'}", playbook]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def inventoried(lab: FlyLab, folder: Path) -> tuple[str, str]:
    """Name of the one host that the inventory finds without a control plane, and whom a module run on it meets."""
    config = folder / "environments.yml"
    config.write_text(f"plugin: fuel_code.remote.environments\nsource: fly\nkeys_path: {folder / 'keys'}\n")
    environment = {
        **os.environ,
        **lab.environment(),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "FUELCTL_HOME": str(folder / "nobody"),
        "ANSIBLE_REMOTE_TEMP": "/tmp/.ansible-inventoried",
    }
    program = str(Path(sys.executable).with_name("ansible"))
    argv = [program, "-i", str(config), "fuel_environments", "-m", "ansible.builtin.command", "-a", "id -un"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    host, _bar, said = done.stdout.partition(" | ")
    return host.removeprefix("fuel-"), said.split()[-1]


def test_entry_points(tmp_path: Path) -> None:
    environment = environment_id()
    options = {"image": dev_image.ensure("remote"), "region": "fra"}
    given: dict[str, Any] = {
        "remote_environment_id": environment,
        "remote_owner": "alice",
        "remote_provider_options": options,
    }
    given["remote_name"] = "winged"
    with FlyLab() as lab:
        assert "ENTERED dev" in play(lab, tmp_path, "launch", **given, remote_expires_at=int(time.time()) + 3600)
        assert len(lab.machines(app_of(environment))) == 1
        assert "ENTERED dev/kept" in play(lab, tmp_path, "locate", **given)
        assert inventoried(lab, tmp_path) == ("winged", "dev")
        play(lab, tmp_path, "extend", **given, remote_expires_at=int(time.time()) + 7200)
        play(lab, tmp_path, "stop", **given)
        assert [each["state"] for each in lab.machines()] == ["stopped"]
        play(lab, tmp_path, "start", **given)
        assert "ENTERED dev/kept" in play(lab, tmp_path, "launch", **given)
        assert environment in play(lab, tmp_path, "audit", **given)
        ended = play(lab, tmp_path, "destroy", **given)
        assert '"complete": true' in ended, ended[-3000:]
        assert lab.truth()["apps"] == []
        assert lab.volumes() == []


def test_a_private_one_has_nothing_that_is_open_to_the_world(tmp_path: Path) -> None:
    """Entered it is not: there is no private network of Fly.io's here."""
    lone = PLAY.partition("- hosts: fuel_machines")[0] + (
        "    - ansible.builtin.debug: {msg: \"AT {{ hostvars['fuel-' ~ remote_environment_id | lower].ansible_host }}"
        " {{ hostvars['fuel-' ~ remote_environment_id | lower].ansible_port }}"
        " {{ provider_fly__launched.machine.config.services | default([]) | length }}"
        ' {{ provider_fly__owner.addresses | length }}"}\n'
    )
    one_id = environment_id()
    options = {"image": dev_image.ensure("remote"), "region": "fra", "address": "private", "disk_gb": 1}
    given: dict[str, Any] = {"remote_environment_id": one_id, "remote_owner": "me", "remote_provider_options": options}
    with FlyLab() as lab:
        try:
            said = play(lab, tmp_path, "launch", text=lone, **given)
            # By the machine's own address and port, with no service and no address of the app.
            assert re.search(r"AT fdaa:[0-9a-f:]+ 2222 0 0\b", said), said[-3000:]
        finally:
            play(lab, tmp_path, "destroy", **given)
        assert (lab.machines(), lab.volumes()) == ([], [])


def test_a_volume_is_seen_to_by_its_playbook(tmp_path: Path) -> None:
    """Nothing of it is a machine's matter, so that none is there."""
    one_id = environment_id()
    app = app_of(one_id)
    with FlyLab(machines=False) as lab:

        def volume(wanted: str = "shown", provider: str = "fly", **more: Any) -> subprocess.CompletedProcess[str]:
            given = {"remote_environment_id": one_id, "remote_provider": provider, "remote_volume": wanted, **more}
            environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json"}
            return run_playbook(lab, tmp_path, "fuel_code.remote.remote_volume", given, **environment)

        def told(done: subprocess.CompletedProcess[str]) -> Any:
            """What the last task said."""
            return json.loads(done.stdout[done.stdout.index("{\n") :])["plays"][-1]["tasks"][-1]["hosts"]["localhost"][
                "msg"
            ]

        def refused(words: str, *how: str, **more: Any) -> None:
            done = volume(*how, **more)
            assert done.returncode == 2, done.stdout + done.stderr
            said = told(done)
            assert words in said
            assert "\n" not in said

        for provider in ("local", "ec2", "ssh", "nosuch"):
            refused(f"Provider {provider} has no volume that outlives its machine", "shown", provider)
        for wanted in ("gone", "extended"):
            refused("what is to be done", wanted)
        refused("there is no volume", "snapshotted")
        assert lab.api("POST", "/apps", {"app_name": app, "org_slug": "personal"})[0] == 201
        refused(f"There is no volume of {one_id}", "shown")
        refused("there is no volume", "extended", remote_volume_size_gb=30)
        assert lab.volumes() == [], "none is made"

        made = lab.api("POST", f"/apps/{app}/volumes", {"name": "workspace", "region": "fra", "size_gb": 20})[1]
        shown = told(volume())
        assert (shown["id"], shown["size_gb"], shown["snapshots"]) == (made["id"], 20, [])
        # At least so large: a smaller size is no mistake of a playbook that is played again.
        for size in (30, 30, 10):
            assert told(volume("extended", remote_volume_size_gb=size))["size_gb"] == 30
        for wrong, words in ((501, "cannot have 501 GB"), ("much", "size_gb")):
            refused(words, "extended", remote_volume_size_gb=wrong)
        first, second = (told(volume("snapshotted"))["snapshot"] for _turn in range(2))
        assert first != second
        repeated = told(volume("snapshotted", remote_volume_known=[first]))
        assert repeated["snapshot"] == second
        assert {each["id"] for each in repeated["snapshots"]} == {first, second}
        lab.fault("*", code="unauthorized")
        refused("does not accept the token", "shown")
        assert [each["size_gb"] for each in lab.volumes()] == [30]
