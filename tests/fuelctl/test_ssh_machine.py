# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment on another machine: the way in goes through it, as OpenSSH itself reads our file (`ssh -G`)."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fuelctl import _environ, paths, ssh_config
from fuelctl._shared._errors import FuelError
from fuelctl.cli._environment import ports_words

KEY, MACHINE_KEY = "ssh-ed25519 " + "A" * 68, "ssh-ed25519 " + "B" * 68
MACHINE = {"address": "203.0.113.7", "port": 22, "user": "fuel", "sudo": True, "host_key": f"{MACHINE_KEY} root@m"}


def environment(**machine: Any) -> dict[str, Any]:
    connection = {
        "user": "dev",
        "container": "fuel-code-01arz-1",
        "workspace": "/workspaces/x",
        "host_key": KEY,
        "ports": [{"container": 3000, "host": 3000}],
        "machine": {**MACHINE, **machine},
    }
    return {"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "name": "shop", "status": "ready", "connection": connection}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose path has in it what ssh, or the shell of a ProxyCommand, could take for something else."""
    folder = tmp_path / 'ho me "50%" it\'s [x] $(id)'
    folder.mkdir()
    monkeypatch.setenv("FUELCTL_HOME", str(folder))
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", str(tmp_path / "user" / "config"))
    return folder


def put(**machine: Any) -> ssh_config.Entry:
    entry = ssh_config.entry_for(environment(**machine), "unix:/run/s")
    assert entry is not None
    with ssh_config.locked():
        ssh_config.put(entry)
    return entry


def read(host: str) -> dict[str, str]:
    """What ssh makes of our file."""
    argv = ["ssh", "-G", "-F", str(paths.ssh_config_file()), host]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)


def test_the_way_in_goes_through_the_machine() -> None:
    entry = put()
    inner = shlex.split(read("fuel-shop")["proxycommand"].replace("%%", "%"))
    assert inner[:4] == ["ssh", "-F", str(paths.ssh_config_file()), entry.machine_host]
    assert inner[4:8] == ["sudo", "-n", "docker", "exec"]
    machine = read(entry.machine_host)
    assert (machine["hostname"], machine["user"], machine["port"]) == ("203.0.113.7", "fuel", "22")
    for host in ("fuel-shop", entry.machine_host):
        assert read(host)["stricthostkeychecking"] == "true"
        assert read(host)["identitiesonly"] == "yes"
    pinned = dict(line.split(" ", 1) for line in paths.ssh_known_hosts_file().read_text().splitlines())
    assert pinned == {entry.host_key_alias: KEY, entry.machine_host: MACHINE_KEY}
    assert ssh_config.entries() == [entry]


def test_no_sudo_for_who_needs_none() -> None:
    put(user="root", sudo=False)
    assert "sudo -n" not in read("fuel-shop")["proxycommand"]


def test_nothing_of_it_is_left() -> None:
    entry = put()
    with ssh_config.locked():
        ssh_config.remove([entry.id])
    assert entry.machine_host not in paths.ssh_config_file().read_text() + paths.ssh_known_hosts_file().read_text()


@pytest.mark.parametrize(
    "machine",
    [
        {"address": "-oProxyCommand=id"},
        {"address": "203.0.113.7\nProxyCommand id"},
        {"address": "a b"},
        {"address": "$(id)"},
        {"address": ""},
        {"user": "-l"},
        {"user": "root;id"},
        {"user": "a@b"},
        {"port": "22 -o X=y"},
        {"port": -1},
        {"host_key": "ssh-ed25519"},
        {"host_key": f"* {KEY}"},
    ],
)
def test_what_a_server_must_not_say_of_a_machine(machine: dict[str, Any]) -> None:
    with pytest.raises(FuelError, match="which ssh must not be given"):
        ssh_config.entry_for(environment(**machine), "unix:/run/s")


def test_ports_of_another_machine_are_not_here() -> None:
    assert ports_words(environment()) == ["3000 (ssh -L 3000:localhost:3000 fuel-shop)"]


def test_credentials_reach_the_playbooks_of_their_provider_and_no_others() -> None:
    shell = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r", "AWS_FOO": "f", "HOME": "/h"}
    assert _environ.for_playbooks(shell, "local") == _environ.for_playbooks(shell) == {"HOME": "/h"}
    assert _environ.for_playbooks(shell, "ec2") == {name: shell[name] for name in shell if name != "AWS_FOO"}
    assert "AWS_SECRET_ACCESS_KEY" in _environ.for_server(shell)
    assert _environ.secrets(shell) == ["s"]


def test_who_works_there_is_told_by_credentials_and_not_by_places() -> None:
    shell = {"AWS_PROFILE": "work", "AWS_REGION": "eu-west-1"}
    mine = _environ.identities(shell)
    assert mine.keys() == {"ec2"}
    assert mine == _environ.identities({**shell, "AWS_REGION": "eu-west-2", "HOME": "/h"})
    assert mine != _environ.identities({**shell, "AWS_PROFILE": "home"})
    assert _environ.identities({"AWS_REGION": "eu-west-1"}) == {}


def test_of_another_shell_s_clouds_is_kept_what_this_one_does_not_say() -> None:
    theirs = {"FLY_API_TOKEN": "t", "AWS_PROFILE": "home", "AWS_SESSION_TOKEN": "old", "HOME": "/h", "API_KEY": "k"}
    assert _environ.besides(theirs, {"AWS_PROFILE": "work"}) == {"FLY_API_TOKEN": "t"}
    assert _environ.besides(theirs, {"FLY_API_TOKEN": "u"}) == {"AWS_PROFILE": "home", "AWS_SESSION_TOKEN": "old"}


def test_a_fly_token_reaches_its_own_playbooks_and_no_record() -> None:
    shell = {"FLY_API_TOKEN": "FlyV1 t", "AWS_PROFILE": "work", "HOME": "/h"}
    assert _environ.for_playbooks(shell, "fly") == {"FLY_API_TOKEN": "FlyV1 t", "HOME": "/h"}
    assert "FLY_API_TOKEN" not in {**_environ.for_playbooks(shell, "ec2"), **_environ.for_playbooks(shell, "local")}
    assert _environ.secrets(shell) == ["FlyV1 t"]
    one, other = _environ.identities(shell), _environ.identities({**shell, "FLY_API_TOKEN": "FlyV1 u"})
    assert (one["ec2"], one["fly"] == other["fly"]) == (other["ec2"], False)
    assert "FlyV1" not in str(one)
