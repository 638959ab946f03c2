# SPDX-License-Identifier: GPL-3.0-or-later
"""The first thing that is asked of a machine, by a real shell, and what is made of the answer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._entry import entered, probe, refusal
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError


def params(**more):
    return {"name": "build", "python": "/usr/bin/python3", "sudo": None, **more}


def said(**facts):
    return "Welcome!\r\n" + "".join(f"fuel-code {name} {value}\r\n" for name, value in facts.items())


def fails(facts, **more):
    with pytest.raises(FuelError) as caught:
        entered(params(**more), 0, said(**facts))
    assert "\n" not in str(caught.value)
    assert caught.value.where == "build"
    return caught.value


def test_a_real_shell_answers():
    done = subprocess.run(probe(sys.executable), shell=True, capture_output=True, text=True, check=True)
    found = entered(params(sudo=False), 0, done.stdout)
    assert found == {
        "changed": False,
        "uid": os.getuid(),
        "become": False,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def test_a_python_s_name_is_no_shell():
    done = subprocess.run(probe("/x; echo fuel-code uid 0 #"), shell=True, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line == "fuel-code uid 0"] == (
        ["fuel-code uid 0"] if os.getuid() == 0 else []
    )
    assert "fuel-code python" not in done.stdout


def test_what_ansible_looks_for_itself_is_looked_for():
    assert "command -v python3 " in probe("auto_silent")


@pytest.mark.parametrize(
    ("facts", "sudo", "become"),
    [
        ({"uid": 0, "python": "3.11"}, None, False),
        ({"uid": 1000, "python": "3.8", "sudo": "yes"}, None, True),
        ({"uid": 1000, "python": "3.11"}, False, False),
        ({"uid": 0, "python": "3.11", "sudo": "yes"}, True, True),
    ],
)
def test_root_needs_no_sudo(facts, sudo, become):
    assert entered(params(sudo=sudo), 0, said(**facts))["become"] is become


@pytest.mark.parametrize(
    ("manager", "command"), [("apt-get", "apt-get install python3"), ("apk", "apk add python3"), ("", "or newer")]
)
def test_a_missing_python_is_named_with_the_command_that_brings_it(manager, command):
    error = fails({"uid": 0, **({"packages": manager} if manager else {})})
    assert (error.code, error.message) == ("no_python", "it has no Python at /usr/bin/python3")
    assert command in error.hint


def test_an_old_or_broken_python():
    assert "3.6, and 3.8 is needed" in fails({"uid": 0, "python": "3.6"}).message
    assert "does not work" in fails({"uid": 0, "python": "broken"}).message


def test_no_way_to_root():
    assert fails({"uid": 1000, "python": "3.11"}).message == "it has no sudo"
    assert "without a password" in fails({"uid": 1000, "python": "3.11", "sudo": "password"}).message
    assert fails({"uid": 0, "python": "3.11"}, sudo=True).code == "no_sudo"


def test_a_login_without_a_shell():
    with pytest.raises(
        FuelError, match=r"runs no shell .exit code 1.: This account is .currently. not available"
    ) as told:
        entered(params(), 1, "This account is \x1bcurrently\x1b not available.\r\n")
    assert told.value.code == "no_shell"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Failed to connect to the host via ssh: @@@\nHost key verification failed.", "wrong_host_key"),
        ("No ED25519 host key is known for fuel-x and you have requested strict checking.", "wrong_host_key"),
        ("alice@h: Permission denied (publickey).", "ssh_denied"),
        ("Connection timed out during banner exchange\r\nConnection to h port 22 timed out", "ssh_timeout"),
        ("ssh: connect to host h port 22: Connection refused", "unreachable"),
        ("", "unreachable"),
    ],
)
def test_why_nobody_gets_in(text, code):
    error = refusal("alice@h:22", text)
    assert error.code == code
    assert error.hint
    assert "\n" not in str(error)
