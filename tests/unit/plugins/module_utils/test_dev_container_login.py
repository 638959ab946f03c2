# SPDX-License-Identifier: GPL-3.0-or-later
"""What a login finds: its variables in order of precedence, its files, and no way to smuggle a line into them."""

from __future__ import annotations

import shlex

from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._login import (
    SECRETS_MARK,
    login_files,
    session_environment,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._spec import Spec

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZopxtR1NLtYhGi77M ada"


def build(**changes):
    base = {
        "environment_id": "01JD3Z5Q8W6S9X4V7T2R1P0N8M",
        "owner": "ada",
        "name": "api",
        "image": "node:22-bookworm",
        "workspace": "node-api",
        "authorized_keys": [KEY],
    }
    return Spec.build(**{**base, **changes})


def test_the_blueprint_wins_over_the_image_and_the_login_over_both():
    image = {"PATH": "/opt/go/bin:/bin", "A": "image", "B": "image", "HOME": "/root", "BAD": "x\ny"}
    session = session_environment(build(env={"A": "blueprint"}), image, "/home/dev")
    assert session["A"] == "blueprint"
    assert session["B"] == "image"
    assert session["PATH"] == "/home/dev/.local/bin:/opt/go/bin:/bin"
    assert session["LANG"] == "C.UTF-8"
    assert session["FUEL_CODE_NAME"] == "api"
    assert not {"HOME", "BAD"} & set(session)


def test_secrets_follow_their_mark_and_are_left_out_when_not_given():
    files = login_files(build(secrets_json='{"TOKEN": "canary"}'), {}, "dev", "/home/dev")
    head, _mark, tail = files["environment"].partition(SECRETS_MARK)
    assert "canary" not in head
    assert tail == "\nTOKEN=canary\n"
    assert SECRETS_MARK not in login_files(build(), {}, "dev", "/home/dev")["environment"]
    everything = "".join(text for name, text in files.items() if name != "environment")
    assert "canary" not in everything


def test_an_image_cannot_break_out_of_the_login_script():
    path = "/bin:'; touch /tmp/x; '"
    script = login_files(build(), {"PATH": path}, "dev", "/home/dev")["enter.sh"]
    line = next(line for line in script.splitlines() if line.strip().startswith("PATH="))
    assert shlex.split(line.strip()) == [f"PATH=/home/dev/.local/bin:{path}"]


def test_only_keys_open_the_door_and_one_user_enters():
    config = login_files(build(), {}, "node", "/home/node")["sshd_config"].splitlines()
    for line in (
        "AllowUsers node",
        "AuthenticationMethods publickey",
        "PasswordAuthentication no",
        "PermitRootLogin no",
        "PermitUserEnvironment yes",
        "Subsystem sftp internal-sftp -d /workspaces/node-api",
    ):
        assert line in config
