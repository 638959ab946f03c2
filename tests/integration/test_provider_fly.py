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
    link = folder / "collections" / "ansible_collections" / "fuel_code" / "remote"
    if not link.exists():
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
    (folder / "vars.json").write_text(json.dumps({"verb": verb, "remote_keys_path": str(folder / "keys"), **more}))
    environment = {
        **os.environ,
        **lab.environment(),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [program, "-v", "-e", f"@{folder / 'vars.json'}", str(folder / "play.yml")]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


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
    given = {"remote_environment_id": environment, "remote_owner": "alice", "remote_provider_options": options}
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
    given = {"remote_environment_id": one_id, "remote_owner": "me", "remote_provider_options": options}
    with FlyLab() as lab:
        try:
            said = play(lab, tmp_path, "launch", text=lone, **given)
            # By the machine's own address and port, with no service and no address of the app.
            assert re.search(r"AT fdaa:[0-9a-f:]+ 2222 0 0\b", said), said[-3000:]
        finally:
            play(lab, tmp_path, "destroy", **given)
        assert (lab.machines(), lab.volumes()) == ([], [])
