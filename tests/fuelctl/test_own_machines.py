# SPDX-License-Identifier: GPL-3.0-or-later
"""`--host`: whose say it is, and how plain ssh gets into an environment on a machine of one's own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from fuelctl import _environ, paths, ssh_config
from fuelctl._shared._errors import UsageError
from fuelctl._shared._prices._offer import FREE
from fuelctl.cli._provider import Asked, settle
from fuelctl.prices import load, offer
from tests.fuelctl.stage import HOST_KEY

ID = "01JD0000000000000000000001"


def blueprint(**options: Any) -> dict[str, Any]:
    return {"provider": {"name": "ssh", "region": "", "options": options}, "resources": {"instance_type": ""}}


def test_a_host_is_the_caller_s_to_name_and_not_a_repository_s() -> None:
    for option in ("host", "fingerprint", "known_hosts", "identity_file", "sudo", "python", "registry_mirrors"):
        with pytest.raises(UsageError, match="not a repository's to decide"):
            settle(blueprint(**{option: "x"}), Asked(), foreign=True)
    mine = blueprint()
    settle(mine, Asked(options=["host=alice@build:2222", "sudo=true"]), foreign=True)
    assert mine["provider"]["options"] == {"host": "alice@build:2222", "sudo": "true"}


def test_without_a_host_nothing_begins() -> None:
    with pytest.raises(UsageError, match="has to be told its host"):
        settle(blueprint(), Asked(), foreign=True)


def test_a_machine_of_one_s_own_costs_nothing() -> None:
    assert offer(load().book, "ssh", blueprint()) == FREE


def test_an_agent_is_for_those_machines_alone_and_makes_no_other_server() -> None:
    given = {"SSH_AUTH_SOCK": "/run/agent", "HOME": "/home/alice"}
    assert _environ.for_playbooks(given, "ssh") == given
    assert "SSH_AUTH_SOCK" not in _environ.for_playbooks(given, "local")
    assert _environ.identities(given) == {}


def entry(**more: Any) -> ssh_config.Entry:
    machine = {"user": "alice", "address": "203.0.113.7", "port": 2222, "sudo": True, "own_keys": True}
    connection = {
        "container": "c",
        "user": "dev",
        "host_key": HOST_KEY,
        "machine": {**machine, "host_key": HOST_KEY, **more},
    }
    found = ssh_config.entry_for({"id": ID, "name": "shop", "connection": connection}, "unix:/s")
    assert found is not None
    return found


def test_plain_ssh_goes_there_with_the_user_s_own_keys_and_the_pinned_host_key(tmp_path: Path) -> None:
    with ssh_config.locked():
        ssh_config.put(entry(identity_file="/home/alice/it's 100% mine"))
    config = paths.ssh_config_file()
    done = subprocess.run(["ssh", "-G", "-F", str(config), "fuel-shop"], capture_output=True, text=True, check=True)
    command = next(line for line in done.stdout.splitlines() if line.startswith("proxycommand "))
    # ssh expands the percent signs, and a shell reads the rest: what comes out are the words of the inner ssh.
    script = command.removeprefix("proxycommand ").replace("%%", "%").replace("ssh ", "printf '%s\\n' ", 1)
    words = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert words[:2] == ["-i", "/home/alice/it's 100% mine"]
    assert f'UserKnownHostsFile="{paths.ssh_known_hosts_file()}"' in words
    assert "StrictHostKeyChecking=yes" in words
    assert words[words.index("-p") + 1 :][:4] == ["2222", "alice@203.0.113.7", "sudo", "-n"]
    assert f"HostKeyAlias={entry().machine_host}" in words
    assert f"{entry().machine_host} {HOST_KEY}" in paths.ssh_known_hosts_file().read_text()
    assert ".machine\n" not in config.read_text(), "no entry that would offer the environment's key there"


@pytest.mark.parametrize("wrong", [{"identity_file": "key"}, {"identity_file": "/a\nProxyCommand x"}, {"user": "-oX"}])
def test_a_server_cannot_smuggle_anything_in(wrong: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="which ssh must not be given"):
        entry(**wrong)
