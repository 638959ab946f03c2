# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of docs/user/fly.md as they stand there, on the Fly lab, with a machine of images/dev."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import dev_image

from .fly import CHECKOUT, FlyLab, app_of, environment_id

pytestmark = pytest.mark.docker


class Plays:
    """The page's playbooks by the name of their play, played by one user."""

    def __init__(self, lab: FlyLab, folder: Path) -> None:
        self.lab = lab
        self.environment = environment_id()
        self._folder = folder
        link = folder / "collections" / "ansible_collections" / "fuel_code" / "remote"
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
        page = (CHECKOUT / "docs" / "user" / "fly.md").read_text()
        for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)):
            (folder / f"{number}.yml").write_text(text)
            [play] = yaml.safe_load(text)
            setattr(self, play["name"].partition(" ")[0].lower(), folder / f"{number}.yml")
        self.key = folder / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)

    def play(self, name: str, **variables: Any) -> str:
        """What a play said; AssertionError where it failed."""
        done = self.try_to(name, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_to(self, name: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        given = {"environment_id": self.environment, **variables}
        words = [part for key, value in given.items() for part in ("-e", f"{key}={value}")]
        environment = {
            **os.environ,
            **self.lab.environment(),
            "ANSIBLE_COLLECTIONS_PATH": str(self._folder / "collections"),
            "ANSIBLE_HOME": str(self._folder / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        }
        return subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), str(getattr(self, name)), *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def ssh(self, said: str, command: str) -> str:
        """Enter as the play said it; the machine may be starting."""
        found = re.search(r'"msg": "ssh (-p 10022 .*?)"', said)
        assert found, said
        argv = ["ssh", "-F", "none", "-i", str(self.key), "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"]
        deadline = time.monotonic() + 90
        while True:
            done = subprocess.run([*argv, *found[1].split(), command], capture_output=True, text=True, check=False)
            if done.returncode == 0 or time.monotonic() > deadline:
                assert done.returncode == 0, done.stderr
                return done.stdout
            time.sleep(0.3)


@pytest.fixture
def plays(tmp_path: Path) -> Iterator[Plays]:
    with FlyLab() as lab:
        yield Plays(lab, tmp_path)


def test_up_stop_enter_and_down(plays: Plays) -> None:
    app = app_of(plays.environment)
    wanted = {
        "region": "fra",
        "image": dev_image.ensure("remote"),
        "public_key": f"{plays.key}.pub",
        "known_hosts": plays.key.with_name("known_hosts"),
        "ends_at": int(time.time()) + 3600,
    }
    said = plays.play("have", **wanted)
    plays.ssh(said, "mkdir /workspaces/shop && echo kept >/workspaces/shop/work")
    again = plays.play("have", **wanted)
    assert re.search(r"changed=0 .*failed=0", again), again

    plays.play("stop")
    [machine] = plays.lab.machines(app)
    assert machine["state"] == "stopped"
    # Whoever connects starts it.
    assert plays.ssh(said, "cat /workspaces/shop/work") == "kept\n"

    refused = plays.try_to("end")
    assert refused.returncode != 0
    [volume] = plays.lab.volumes(app)
    assert f"{volume['id']} is still there, and costs" in refused.stdout
    receipt = plays.play("end", discard="true")
    assert volume["id"] in receipt
    assert "present" not in receipt
    assert plays.lab.machines(app) == []
    assert plays.lab.volumes(app) == []
    assert app not in plays.lab.truth()["apps"]
