# SPDX-License-Identifier: GPL-3.0-or-later
"""Our ssh files, judged by OpenSSH itself (`ssh -G`), and the user's own file, which must survive everything."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths, ssh_config, ssh_include
from fuelctl._shared._errors import FuelError

KEY = "ssh-ed25519 " + "A" * 68
ONE = ssh_config.Entry("01ARZ3NDEKTSV4RRFFQ69G5FAV", "shop", "fuel-code-01arz-1", "dev", KEY, "unix:/run/s")
TWO = replace(ONE, id="01BX5ZZKBKACTAV9WEVGEMMVRZ", name="api", container="fuel-code-01bx-1")


def environment(entry: ssh_config.Entry, **changes: Any) -> dict[str, Any]:
    connection = {
        "user": entry.user,
        "container": entry.container,
        "workspace": "/workspaces/x",
        "host_key": entry.host_key + " root@x",
        "ports": [],
    }
    return {"id": entry.id, "name": entry.name, "status": "ready", "connection": {**connection, **changes}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose path has everything in it that ssh could take for something else."""
    folder = tmp_path / 'ho me "50%" [x]'
    folder.mkdir()
    monkeypatch.setenv("FUELCTL_HOME", str(folder))
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", str(tmp_path / "user" / "config"))
    return folder


def put(*entries: ssh_config.Entry) -> None:
    with ssh_config.locked():
        for entry in entries:
            ssh_config.put(entry)


def options(host: str, config: Path | None = None) -> dict[str, str]:
    """What OpenSSH understands of a config."""
    done = subprocess.run(
        ["ssh", "-G", "-F", str(config or paths.ssh_config_file()), host], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _space, value = line.partition(" ")
        found.setdefault(key, value)
    return found


def test_openssh_reads_what_was_meant(home: Path) -> None:
    put(ONE)
    found = options("fuel-shop")
    assert found["user"] == "dev"
    assert found["proxycommand"] == (
        "docker exec -i -u 0 fuel-code-01arz-1 /usr/sbin/sshd -i -f /etc/fuel-code/sshd_config"
    )
    assert found["identitiesonly"] == "yes"
    assert found["stricthostkeychecking"] == "true"
    assert found["forwardagent"] == "no"
    assert found["hostkeyalias"] == f"fuel-shop-{ONE.id.lower()}"
    assert int(found["serveraliveinterval"]) > 0


def test_paths_with_odd_characters_reach_openssh_whole(home: Path) -> None:
    put(ONE)
    found = options("fuel-shop")
    # `ssh -G` prints IdentityFile before it expands %%.
    assert found["identityfile"].replace("%%", "%") == str(paths.ssh_key_file(ONE.id))
    assert found["userknownhostsfile"].replace("%%", "%") == str(paths.ssh_known_hosts_file())


def test_host_keys_are_pinned_per_environment() -> None:
    put(ONE, TWO)
    assert paths.ssh_known_hosts_file().read_text().splitlines() == [
        f"fuel-api-{TWO.id.lower()} {KEY}",
        f"fuel-shop-{ONE.id.lower()} {KEY}",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("container", "x; touch /tmp/owned"),
        ("container", "$(id)"),
        ("container", "a b"),
        ("container", "-v"),
        ("container", ""),
        ("container", None),
        ("user", "root\nProxyCommand id"),
        ("user", "-oProxyCommand=id"),
        ("host_key", "ssh-ed25519 AAAA\nHost *"),
        ("host_key", ""),
        ("name", "x\n  ProxyCommand id"),
        ("name", "*"),
        ("id", "../../../.ssh/id_ed25519"),
    ],
)
def test_a_server_cannot_put_a_command_into_the_config(field: str, value: Any) -> None:
    with pytest.raises(FuelError):
        replace(ONE, **{field: value})


def test_entry_of_an_environment_without_a_connection() -> None:
    assert ssh_config.entry_for({"id": ONE.id, "name": "shop", "connection": None}, "unix:/run/s") is None
    assert ssh_config.entry_for(environment(ONE), "unix:/run/s") == ONE


def test_put_twice_is_one_entry_and_the_newest_wins() -> None:
    put(ONE, TWO, replace(ONE, container="fuel-code-01arz-2"))
    assert [entry.id for entry in ssh_config.entries()] == [ONE.id, TWO.id]
    assert "fuel-code-01arz-2" in options("fuel-shop")["proxycommand"]


def test_remove_takes_key_and_entry_and_leaves_the_others() -> None:
    put(ONE, TWO)
    with ssh_config.locked():
        ssh_config.store_key(ONE.id, "PRIVATE")
        ssh_config.store_key(TWO.id, "PRIVATE")
        ssh_config.remove([ONE.id])
        ssh_config.remove([ONE.id])
    assert ssh_config.traces(ONE.id) == {"ssh_config_entry": False, "ssh_key": False}
    assert ssh_config.traces(TWO.id) == {"ssh_config_entry": True, "ssh_key": True}
    assert f"fuel-shop-{ONE.id.lower()}" not in paths.ssh_known_hosts_file().read_text()


def test_key_is_private_and_ends_with_a_line_break() -> None:
    with ssh_config.locked():
        ssh_config.store_key(ONE.id, "-----BEGIN\nEND-----")
    path = paths.ssh_key_file(ONE.id)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "-----BEGIN\nEND-----\n"


class TestRepair:
    def test_gone_environments_go_with_their_keys(self) -> None:
        put(ONE, TWO)
        with ssh_config.locked():
            ssh_config.store_key(ONE.id, "PRIVATE")
        ssh_config.repair([environment(TWO)], "unix:/run/s")
        assert [entry.id for entry in ssh_config.entries()] == [TWO.id]
        assert not ssh_config.has_key(ONE.id)

    def test_facts_that_changed_are_renewed(self) -> None:
        put(ONE)
        ssh_config.repair([environment(ONE, container="fuel-code-01arz-2")], "unix:/run/s")
        assert ssh_config.entries()[0].container == "fuel-code-01arz-2"

    def test_other_servers_are_left_alone(self) -> None:
        put(ONE, replace(TWO, server="https://team"))
        ssh_config.repair([], "unix:/run/s")
        assert [entry.id for entry in ssh_config.entries()] == [TWO.id]

    def test_a_file_that_was_edited_is_written_again(self) -> None:
        put(ONE)
        good = paths.ssh_config_file().read_text()
        paths.ssh_config_file().write_text(good.replace("StrictHostKeyChecking yes", "StrictHostKeyChecking no"))
        ssh_config.repair([environment(ONE)], "unix:/run/s")
        assert paths.ssh_config_file().read_text() == good

    def test_nothing_is_written_when_there_is_nothing_to_do(self) -> None:
        put(ONE)
        before = paths.ssh_config_file().stat().st_mtime_ns
        ssh_config.repair([environment(ONE)], "unix:/run/s")
        assert paths.ssh_config_file().stat().st_mtime_ns == before

    @pytest.mark.parametrize("damage", ["# fuelctl {}\n", "# fuelctl [1]\n", "# fuelctl \xff{\n", "Host fuel-x\n", ""])
    def test_a_damaged_file_is_no_fault(self, damage: str) -> None:
        put(ONE)
        with paths.ssh_config_file().open("a") as stream:
            stream.write(damage)
        ssh_config.repair([environment(ONE)], "unix:/run/s")
        assert ssh_config.entries() == [ONE]


class TestInclude:
    @pytest.fixture
    def config(self) -> Path:
        path = Path(os.environ["FUELCTL_SSH_CONFIG"])
        path.parent.mkdir()
        return path

    def test_makes_plain_ssh_work_for_a_new_user(self) -> None:
        put(ONE)
        told = ssh_include.add_once()
        config = ssh_include.user_config()
        assert config is not None
        assert told is not None
        assert str(config) in told
        assert options("fuel-shop", config)["user"] == "dev"
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700

    def test_an_existing_config_keeps_every_byte_and_works_on(self, config: Path) -> None:
        old = b"# mine \xff\nHost *\n  User me\n\nHost work\n  HostName work.example\n  Port 2222"
        config.write_bytes(old)
        config.chmod(0o640)
        put(ONE)
        ssh_include.add_once()
        assert config.read_bytes().endswith(old)
        assert stat.S_IMODE(config.stat().st_mode) == 0o640
        assert options("fuel-shop", config)["user"] == "dev"
        assert options("work", config)["port"] == "2222"
        assert options("work", config)["user"] == "me"

    def test_a_link_stays_a_link(self, config: Path, tmp_path: Path) -> None:
        target = tmp_path / "dotfiles"
        target.write_text("Host work\n  Port 2222\n")
        config.symlink_to(target)
        put(ONE)
        ssh_include.add_once()
        assert config.is_symlink()
        assert options("fuel-shop", config)["user"] == "dev"
        assert "Port 2222" in target.read_text()

    def test_is_added_once_and_not_against_the_users_will(self, config: Path) -> None:
        put(ONE)
        assert ssh_include.add_once()
        content = config.read_bytes()
        assert ssh_include.add_once() is None
        assert config.read_bytes() == content
        config.write_text("Host work\n")
        assert ssh_include.add_once() is None
        assert config.read_text() == "Host work\n"

    def test_one_that_the_user_wrote_is_found(self, config: Path) -> None:
        config.write_text(f"  include {paths.ssh_config_file()}\n")
        assert ssh_include.present(config)
        assert ssh_include.add_once() is None

    def test_none_keeps_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FUELCTL_SSH_CONFIG", "none")
        assert ssh_include.add_once() is None

    def test_lines_for_folders_that_are_gone_are_cleared(
        self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(ONE)
        ssh_include.add_once()
        config.write_bytes(config.read_bytes() + b"\nHost work\n")
        first = str(paths.ssh_config_file())
        import shutil

        shutil.rmtree(paths.data_folder())
        monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "second"))
        put(ONE)
        ssh_include.add_once()
        content = config.read_text()
        assert first not in content
        assert content.count("Include") == 1
        assert content.endswith("\nHost work\n")

    def test_a_config_that_cannot_be_written_is_told_and_left_whole(self, config: Path, tmp_path: Path) -> None:
        put(ONE)
        config.symlink_to(tmp_path / "missing" / "\0".replace("\0", "x") / "config")
        (tmp_path / "missing").write_text("a file where a folder should be")
        told = ssh_include.add_once()
        assert told is not None
        assert ssh_include.line() in told
        assert config.is_symlink()

    def test_a_crash_between_writing_and_renaming_leaves_the_old_one(
        self, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config.write_text("Host work\n")
        put(ONE)

        def refuse(self: Path, target: Any) -> Path:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", refuse)
        told = ssh_include.add_once()
        assert told is not None
        assert "No space left" in told
        assert config.read_text() == "Host work\n"
        assert [path.name for path in config.parent.iterdir()] == ["config"]


def test_a_machine_that_is_the_environment_is_entered_by_itself() -> None:
    machine_key = "ssh-ed25519 " + "B" * 68
    contact = {"user": "dev", "address": "203.0.113.7", "port": 10022, "sudo": False, "host_key": machine_key}
    shown = environment(ONE, container=None, machine=contact)
    entry = ssh_config.entry_for(shown, "unix:/run/s")
    assert entry is not None
    put(entry)
    found = options("fuel-shop")
    assert (found["hostname"], found["port"], found["user"]) == ("203.0.113.7", "10022", "dev")
    assert found.get("proxycommand", "none") == "none"
    assert found["hostkeyalias"] == entry.host_key_alias
    assert found["stricthostkeychecking"] in ("true", "yes")
    # The key that was pinned before anybody worked in it, not what it says of itself.
    assert paths.ssh_known_hosts_file().read_text() == f"{entry.host_key_alias} {machine_key}\n"
    assert ssh_config.entries() == [entry]
    ssh_config.repair([shown], "unix:/run/s")
    assert ssh_config.entries() == [entry]


def test_an_environment_is_somewhere() -> None:
    with pytest.raises(FuelError, match="neither a container nor a machine"):
        ssh_config.entry_for(environment(ONE, container=None), "unix:/run/s")
