# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin against the real control plane, over its socket and over TCP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths, ssh_config
from fuelctl._shared._inventory._user import User
from fuelctl.environments import registry
from fuelctl.environments.journal import Journal
from tests.fuelctl.control import wanted
from tests.fuelctl.stage import HOST_KEY, Stage

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def inventory(tmp_path: Path) -> Any:
    tree = tmp_path / "collections" / "ansible_collections" / "fuel_code"
    tree.mkdir(parents=True)
    (tree / "remote").symlink_to(CHECKOUT)
    config = tmp_path / "environments.yml"

    def call(ok: bool = True, lines: str = "", **environ: str) -> Any:
        config.write_text(f"plugin: fuel_code.remote.environments\n{lines}")
        program = str(Path(sys.executable).parent / "ansible-inventory")
        surroundings = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "FUELCTL_HOME": str(tmp_path / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "DOCKER_HOST": "tcp://127.0.0.1:9",
            **environ,
        }
        done = subprocess.run(
            [program, "-i", str(config), "--list"], env=surroundings, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return plain(json.loads(done.stdout)) if ok else done.stderr

    return call


def plain(value: Any) -> Any:
    """Without the mark that Ansible shows on what it must not take for a template."""
    if isinstance(value, dict):
        return (
            value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else {k: plain(v) for k, v in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, list) else value


def make(stage: Stage, name: str, *, container: str | None = "", machine: Any = None, **fields: Any) -> str:
    row = registry.create(stage.core, wanted(name=name, **fields))
    operation_id = registry.begin_provisioning(stage.core, row.id)
    assert operation_id is not None
    its = f"fuel-code-{row.id.lower()}-1" if container == "" else container
    connection = {"container": its, "user": "dev", "workspace": "/workspaces/app", "machine": machine}
    results = {"conditions": [], "connection": connection, "agent": None, "provider": {}, "resources": []}
    Journal.open(stage.core, row.id, operation_id).ready(results)
    return row.id


def test_every_live_environment_over_the_socket(stage: Stage, inventory: Any) -> None:
    one = make(stage, "shop", owner="alice")
    make(stage, "web", owner="bob")
    registry.create(stage.core, wanted(name="later"))
    found = inventory()
    assert found["fuel_environments"]["hosts"] == ["fuel-shop", "fuel-web"]
    assert found["fuel_owner_alice"]["hosts"] == ["fuel-shop"]
    assert found["fuel_state_ready"]["hosts"] == ["fuel-shop", "fuel-web"]
    assert found["fuel_workspace_app"]["hosts"] == ["fuel-shop", "fuel-web"]
    assert found["fuel_environment_machines"]["hosts"] == ["fuel-machine-local"]
    variables = found["_meta"]["hostvars"]["fuel-shop"]
    assert (variables["fuel_id"], variables["ansible_user"]) == (one, "dev")
    assert variables["fuel_facts"]["expires_at"]
    assert "env" not in json.dumps(variables["fuel_facts"]), "a blueprint may hold what is nobody's business"


def test_an_environment_that_is_its_machine(stage: Stage, inventory: Any) -> None:
    machine = {"address": "203.0.113.7", "port": 10022, "user": "dev", "sudo": True, "host_key": HOST_KEY}
    one = make(stage, "winged", container=None, machine=machine)
    found = inventory()
    assert found["fuel_environments"]["hosts"] == ["fuel-winged"]
    assert "fuel_environment_machines" not in found
    variables = found["_meta"]["hostvars"]["fuel-winged"]
    assert (variables["fuel_id"], variables["ansible_host"], variables["ansible_port"]) == (one, "203.0.113.7", 10022)
    assert (variables["ansible_connection"], variables["ansible_user"]) == ("ssh", "dev")


def test_with_an_entry_of_fuelctl_s_it_is_entered_by_ssh(stage: Stage, inventory: Any) -> None:
    one = make(stage, "shop")
    entry = ssh_config.Entry(one, "shop", f"fuel-code-{one.lower()}-1", "dev", HOST_KEY, "unix:/s")
    with ssh_config.locked():
        ssh_config.put(entry)
    variables = inventory()["_meta"]["hostvars"]["fuel-shop"]
    assert (variables["ansible_connection"], variables["ansible_host"]) == ("ssh", "fuel-shop")
    assert str(paths.ssh_config_file()) in variables["ansible_ssh_common_args"]


def test_options(stage: Stage, inventory: Any) -> None:
    make(stage, "shop", owner="alice")
    make(stage, "web", owner="bob")
    lines = (
        "owners: [bob]\nmachines: false\nstrict: true\n"
        "compose: {loud: fuel_name | upper}\ngroups: {mine: fuel_owner == 'bob'}\n"
        "keyed_groups: [{key: fuel_facts.repository.name, prefix: repo}]\n"
    )
    found = inventory(lines=lines)
    assert set(found["_meta"]["hostvars"]) == {"fuel-web"}
    assert found["_meta"]["hostvars"]["fuel-web"]["loud"] == "WEB"
    assert found["mine"]["hosts"] == ["fuel-web"]
    assert found["repo_app"]["hosts"] == ["fuel-web"]


def test_a_template_from_outside_stays_a_text(stage: Stage, inventory: Any, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    hostile = f"{{{{ lookup('pipe', 'touch {mark}') }}}}"
    make(stage, "shop", owner=hostile, repository={"name": hostile})
    found = inventory(lines="compose: {who: fuel_owner, repo: fuel_facts.repository.name}\n")
    variables = found["_meta"]["hostvars"]["fuel-shop"]
    assert "lookup('pipe'" in json.dumps([variables["who"], variables["repo"], variables["fuel_owner"]])
    assert not mark.exists()


def test_a_cache_answers_when_nobody_else_does(stage: Stage, inventory: Any, tmp_path: Path) -> None:
    make(stage, "shop")
    lines = f"cache: true\ncache_plugin: ansible.builtin.jsonfile\ncache_connection: {tmp_path}/cache\n"
    first = inventory(lines=lines)
    socket = paths.server_socket()
    socket.rename(f"{socket}.away")
    try:
        assert inventory(lines=lines) == first
        assert "docker" in inventory(ok=False, lines="").lower(), "without one, the engine would be asked"
    finally:
        Path(f"{socket}.away").rename(socket)


def test_nobody_listens(inventory: Any) -> None:
    told = inventory(ok=False, lines="source: control_plane\n")
    assert "no fuelctl server listens there" in told
    assert "fuelctl server start" in told
    told = inventory(ok=False, FUELCTL_SERVER_URL="http://127.0.0.1:9")
    assert "no fuelctl server listens there" in told, "a server that is named is not passed over"
    assert "is no http(s) address" in inventory(ok=False, lines="server_url: 'file:///etc/passwd'\n")


def test_the_folders_are_fuelctl_s_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert User(os.environ).socket() == str(paths.server_socket())
    assert User(os.environ).ssh_config() == str(paths.ssh_config_file())
    monkeypatch.delenv("FUELCTL_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    assert User(os.environ).socket() == str(paths.server_socket())
    assert User(os.environ).ssh_config() == str(paths.ssh_config_file())
    monkeypatch.setenv("FUELCTL_HOME", str(home / ("deep" * 40)))
    assert User(os.environ).socket() == str(paths.server_socket())


def test_a_machine_s_entry_is_named_as_fuelctl_names_it(home: Path) -> None:
    one = "01JD0000000000000000000001"
    entry = ssh_config.Entry(one, "shop", "c", "dev", HOST_KEY, "s", "sudo fuel@203.0.113.7 22", HOST_KEY)
    with ssh_config.locked():
        ssh_config.put(entry)
    assert User(os.environ).ssh_entries() == {one: (entry.host, entry.machine_host)}
