# SPDX-License-Identifier: GPL-3.0-or-later
"""`remote_down` on Fly.io ends nothing that it could not look into, whatever state it is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .fly import CHECKOUT, FlyLab, app_of, environment_id


def down(lab: FlyLab, folder: Path, environment: str, **more: Any) -> tuple[int, str]:
    link = folder / "collections" / "ansible_collections" / "fuel_code" / "remote"
    if not link.exists():
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
    given = {"remote_environment_id": environment, "remote_owner": "alice", "remote_provider": "fly", **more}
    options = {"wait_timeout": 5}
    given |= {"remote_keys_path": str(folder / "keys"), "remote_provider_options": options}
    variables = {**os.environ, **lab.environment(), "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections")}
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "fuel_code.remote.remote_down"]
    done = subprocess.run(
        [*argv, "-e", json.dumps(given)], env=variables, capture_output=True, text=True, check=False, timeout=180
    )
    return done.returncode, done.stdout + done.stderr


def made(lab: FlyLab, *, machine: bool) -> str:
    """An app with a volume, and a machine that has it."""
    environment = environment_id()
    app = app_of(environment)
    assert lab.api("POST", "/apps", {"app_name": app, "org_slug": "personal"})[0] in (200, 201)
    _status, volume = lab.api("POST", f"/apps/{app}/volumes", {"name": "workspace", "size_gb": 1, "region": "fra"})
    if machine:
        config = {
            "image": "nobody/looks:1",
            "mounts": [{"volume": volume["id"], "path": "/workspaces"}],
            "metadata": {"fuel_code_managed": "true", "fuel_code_environment": environment},
        }
        body = {"name": "dev", "region": "fra", "config": config}
        status, _machine = lab.api("POST", f"/apps/{app}/machines", body)
        assert status == 200
        lab.wait_for(lambda: [each["state"] for each in lab.machines(app)] == ["started"])
    return environment


def test_a_volume_whose_machine_is_gone_is_work_that_nobody_looked_at(tmp_path: Path) -> None:
    with FlyLab(machines=False, boot_delay=0) as lab:
        environment = made(lab, machine=False)
        code, said = down(lab, tmp_path, environment)
        assert code != 0, said
        assert "there is no such machine" in said
        assert len(lab.volumes()) == 1
        # It had been looked into, and whoever ended it was killed before this.
        code, said = down(lab, tmp_path, environment, remote_begun=True)
        assert (code, lab.volumes(), lab.truth()["apps"]) == (0, [], []), said


def test_one_on_its_way_to_a_stop_is_looked_into_first(tmp_path: Path) -> None:
    """As where Fly.io stops it by itself, at the moment of its end."""
    with FlyLab(machines=False, boot_delay=0) as lab:
        environment = made(lab, machine=True)
        app = app_of(environment)
        [machine] = lab.machines(app)
        lab.configure(end_delay=4)
        assert lab.api("POST", f"/apps/{app}/machines/{machine['id']}/stop", {})[0] == 200
        assert [each["state"] for each in lab.machines(app)] == ["stopping"]
        # Nothing is behind it here that could be looked into.
        lab.fault("Machines_exec", code=422, times=10)
        code, said = down(lab, tmp_path, environment)
        assert code != 0, said
        assert len(lab.volumes()) == 1
        assert [each["state"] for each in lab.machines(app)] == ["started"]
