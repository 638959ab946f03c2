# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment that is the machine: its scripts on this one, in folders of the test's."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _inside
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container import _in_place, _task
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress
from ansible_collections.fuel_code.remote.plugins.module_utils._public_key import check_public_key

ID = "01JD3Z5Q8W6S9X4V7T2R1P0N8M"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPIA5ZzLhSNo0ZH0qjZNCzMhcmh3gVfRoGx0ZpT3KyXd"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEvcJq1cCuj0uXTIGL4gUnSAFkQxFXaWXGAVsXdJ4wd9"
REMOTE = Path(__file__).parents[4] / "images" / "dev" / "remote"
WANTED = {
    "environment_id": ID,
    "owner": "ada",
    "name": "api",
    "image": None,
    "workspace": "node-api",
    "env": {"PORT": "3000"},
    "secrets_json": '{"TOKEN": "hunter2"}',
}


class Machine:
    """What the scripts believe to be the machine."""

    def __init__(self, folder):
        self.kept = folder / "kept"
        self.run = folder / "run"
        self.home = folder / "home"
        for each in (self.kept / "ssh", self.run, self.home):
            each.mkdir(parents=True)
        (self.kept / "ssh" / "ssh_host_ed25519_key.pub").write_text(f"{HOST_KEY} root@x\n")
        (self.run / "deadline").write_text("1700000000\n")
        (self.run / "authorized_keys").write_text("")
        programs = folder / "bin"
        programs.mkdir()
        for name in ("fuel-code-deadline", "fuel-code-admit"):
            (programs / name).write_text(self.here((REMOTE / name).read_text()))
            (programs / name).chmod(0o755)
        self.library = folder / "library"
        self.library.mkdir()
        (self.library / "check-keys").write_text((REMOTE / "check-keys").read_text())
        (self.library / "check-keys").chmod(0o755)

    def here(self, text):
        found = text.replace("/workspaces/.fuel-code", str(self.kept)).replace("/run/fuel-code", str(self.run))
        return found.replace("/usr/local/lib/fuel-code", str(self.kept.parent / "library"))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("what is tried here is root's work; the machine of images/dev is, in tests/integration")
    made = Machine(tmp_path)
    me = pwd.getpwuid(0).pw_name
    for name in ("_KNOW", "_PREPARE", "_DEADLINE", "_ADMIT"):
        text = made.here(getattr(_in_place, name))
        text = text.replace('home=$(getent passwd "$user" | cut -d: -f6)', f"home={made.home}")
        text = text.replace("folder=/usr/local/share/ca-certificates/fuel-code", f"folder={tmp_path}/certificates")
        monkeypatch.setattr(_in_place, name, text)
    monkeypatch.setattr(_inside, "_KEEP", made.here(_inside._KEEP))
    monkeypatch.setattr(_in_place, "USER", me)
    monkeypatch.setattr(_inside, "_PATH", f"{tmp_path}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    monkeypatch.setattr(_in_place.here, "__defaults__", (me,))
    return made


def wanted(**over):
    return _task._spec({**dict.fromkeys(_task._SPEC), **_defaults(), **WANTED, "image": "machine", **over})


def _defaults():
    return {name: spec["default"] for name, spec in _task._SPEC.items() if "default" in spec}


def test_what_a_session_finds_is_put_there_once(machine):
    foreseen = _in_place.present(wanted(), Progress("container", None), check=True)
    assert foreseen["changed"] is True
    assert _in_place.known() is None, "a look changes nothing"
    made = _in_place.present(wanted(), Progress("container", None))
    environment = made["environment"]
    assert made["changed"] is True
    assert (environment["container"], environment["host_key"]) == (None, HOST_KEY)
    assert environment["workspace"] == "/workspaces/node-api"
    session = (machine.home / ".ssh" / "environment").read_text().splitlines()
    assert {"PORT=3000", f"FUEL_CODE_ENVIRONMENT={ID}", "TOKEN=hunter2"} <= set(session)
    assert (machine.home / ".ssh" / "environment").stat().st_mode & 0o777 == 0o600
    assert (machine.kept / "workspace").read_text() == "/workspaces/node-api\n"
    assert "hunter2" not in json.dumps(made)
    again = _in_place.present(wanted(secrets_json=None, env={"PORT": "3001"}), Progress("container", None))
    kept = (machine.home / ".ssh" / "environment").read_text()
    assert again["changed"] is True
    assert "PORT=3001" in kept
    assert "TOKEN=hunter2" in kept, "secrets that nobody gave again stay"
    progress = Progress("container", None)
    assert _in_place.present(wanted(secrets_json=None, env={"PORT": "3001"}), progress)["changed"] is False
    assert [step["state"] for step in progress.steps if step["state"] != "start"] == ["reused"]


def test_a_certificate_that_is_believed_no_more_is_not_put_back_at_the_next_start(machine, tmp_path):
    (tmp_path / "bin" / "update-ca-certificates").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "update-ca-certificates").chmod(0o755)
    folder = tmp_path / "certificates"
    there = [folder / "000.crt", Path(f"{machine.kept}/root{folder}/000.crt")]
    there.append(machine.kept / "root" / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    for each in there:
        each.parent.mkdir(parents=True)
        each.write_text("-----BEGIN CERTIFICATE-----\n")
    assert "certificates" in _in_place.present(wanted(), Progress("container", None))["diff"]["after"].split()
    assert [each for each in there if each.exists()] == []
    assert _in_place.present(wanted(), Progress("container", None))["changed"] is False


def test_it_knows_whose_it_is(machine):
    assert _in_place.audit() == []
    _in_place.present(wanted(), Progress("container", None))
    (found,) = _in_place.audit(ID)
    assert (found["environment_id"], found["owner"], found["login"]["container"]) == (ID, "ada", None)
    assert found["login"]["running"] is True
    assert _in_place.audit("01JD3Z5Q8W6S9X4V7T2R1P0N8N") == []
    with pytest.raises(FuelError, match="this machine is environment"):
        _in_place.present(wanted(environment_id="01JD3Z5Q8W6S9X4V7T2R1P0N8N"), Progress("container", None))
    (machine.kept / "environment.json").write_text('{"environment_id": 7}')
    assert _in_place.audit() == []


def test_the_machine_s_own_end_is_moved(machine):
    assert _in_place.deadline() == (1700000000, 1700000000)
    assert _in_place.deadline(1800000000) == (1700000000, 1800000000)
    made = _in_place.present(wanted(expires_at=1800000000), Progress("container", None))
    assert made["diff"]["after"].split() == ["environment", "workspace", "environment.json"]
    assert _in_place.present(wanted(expires_at=1900000000), Progress("container", None))["changed"] is True
    assert _in_place.deadline() == (1900000000, 1900000000)
    (machine.run / "deadline").unlink()
    with pytest.raises(FuelError) as caught:
        _in_place.deadline()
    assert caught.value.code == "no_watchdog"


def test_a_key_is_let_in_once(machine):
    key = check_public_key(KEY)
    assert _in_place.admit(key, check=True) is True
    assert not (machine.kept / "ssh" / "authorized_keys").exists()
    assert _in_place.admit(key) is True
    assert (machine.kept / "ssh" / "authorized_keys").read_text() == f"{key.line}\n"
    assert _in_place.admit(key) is False


def test_events_are_read_on_the_spot(machine):
    (seen,) = _in_place.observe({ID: ""})
    assert (seen["present"], seen["running"], seen["problem"]) == (True, True, None)
    (seen,) = _in_place.observe({ID: "1;rm"})
    assert "cursor" in seen["problem"]


def test_a_machine_of_another_image_is_refused(machine, monkeypatch):
    monkeypatch.setattr(_inside, "_PATH", "/usr/bin:/bin")
    with pytest.raises(FuelError, match=r"not of images/dev"):
        _in_place.present(wanted(), Progress("container", None))


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"services": [{"name": "db", "image": "postgres:16"}]}, "no_services"),
        ({"user": "node"}, "user"),
    ],
)
def test_what_only_a_container_has_is_refused(over, code):
    with pytest.raises(UsageError) as caught:
        _in_place.present(wanted(**over), Progress("container", None))
    assert caught.value.code == code


def test_it_is_not_the_module_that_ends_a_machine():
    result = _task.dev_container(
        {"environment_is": "machine", "state": "absent", "progress_path": None, "environment_id": ID}, check=False
    )
    assert (result["failed"], result["error"]["code"]) == (True, "provider_ends_it")
