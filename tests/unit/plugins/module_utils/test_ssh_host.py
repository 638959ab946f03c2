# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as `ssh` would reach it, and the keys of it that are believed: none that nobody vouched for."""

from __future__ import annotations

import base64
import hashlib

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._ssh_host import split, ssh_host_info


def key(kind, seed):
    """A key line of this kind."""
    return f"{kind} {base64.b64encode(seed * 32).decode()}"


ED, RSA, OTHER = key("ssh-ed25519", b"e"), key("ssh-rsa", b"r"), key("ssh-ed25519", b"o")


def fingerprint(line):
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class Ssh:
    """OpenSSH's client, as far as it is asked."""

    def __init__(self, tmp_path, known="", shown="", **config):
        self.file = tmp_path / "known_hosts"
        self.file.touch()
        self.known, self.shown, self.asked = known, shown, []
        defaults = {"hostname": "203.0.113.7", "port": "22", "user": "alice", "userknownhostsfile": str(self.file)}
        self.config = {**defaults, **config}

    def __call__(self, argv, stdin, timeout):
        self.asked.append(argv)
        text = {"ssh": "\n".join(f"{name} {value}" for name, value in self.config.items()), "ssh-keygen": self.known}
        return Completed(argv, 0, text.get(argv[0], self.shown).encode(), b"")


def info(ssh, host="build", **more):
    return ssh_host_info(
        {"host": host, "fingerprint": "", "known_hosts": None, "timeout": 5, **more}, check=False, run=ssh
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("build", (None, "build", None)),
        ("alice@build.example.org", ("alice", "build.example.org", None)),
        ("alice@203.0.113.7:2222", ("alice", "203.0.113.7", 2222)),
        ("root@[2001:db8::1]:22", ("root", "2001:db8::1", 22)),
    ],
)
def test_what_one_types_after_ssh(text, expected):
    assert split(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=x",
        "a b",
        "alice@",
        "@build",
        "-l@build",
        "build:0",
        "build:99999",
        "build:x",
        "a@b@c",
        "build\n",
        "$(id)",
    ],
)
def test_what_is_no_host(text):
    with pytest.raises(UsageError):
        split(text)


def test_the_user_s_own_configuration_counts(tmp_path):
    ssh = Ssh(
        tmp_path, known=f"# Host found\nbuild {RSA}\nbuild {ED} comment\n", hostname="10.0.0.9", port="2222", user="bob"
    )
    found = info(ssh, "alice@build:22")
    assert (found["address"], found["port"], found["user"]) == ("10.0.0.9", 2222, "bob")
    assert found["host_keys"] == [RSA, ED], "the best one is the last"
    assert ssh.asked[0] == ["ssh", "-G", "-l", "alice", "-p", "22", "--", "build"]
    assert ssh.asked[1] == ["ssh-keygen", "-F", "[10.0.0.9]:2222", "-f", str(ssh.file)]


def test_an_alias_is_what_known_hosts_has(tmp_path):
    ssh = Ssh(tmp_path, known=f"x {ED}\n", hostkeyalias="farm", port="2222")
    info(ssh)
    assert ssh.asked[1][2] == "farm"


@pytest.mark.parametrize(
    "known", ["", f"@cert-authority * {ED}\n", f"@revoked build {ED}\nbuild {ED}\n", "build ssh-dss AAAA\n"]
)
def test_a_key_that_nobody_vouches_for_is_refused_in_one_line(tmp_path, known):
    with pytest.raises(FuelError) as caught:
        info(Ssh(tmp_path, known=known))
    assert caught.value.code == "unknown_host_key"
    assert "fingerprint" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_by_its_fingerprint(tmp_path):
    ssh = Ssh(tmp_path, shown=f"# build:22 SSH-2.0\nbuild {RSA}\nbuild {ED}\n")
    assert info(ssh, fingerprint=fingerprint(ED))["host_keys"] == [ED]
    assert info(ssh, fingerprint=fingerprint(RSA).removeprefix("SHA256:"))["host_keys"] == [RSA]
    with pytest.raises(FuelError) as caught:
        info(ssh, fingerprint=fingerprint(OTHER))
    assert caught.value.code == "wrong_host_key"
    assert fingerprint(ED) in caught.value.hint
    with pytest.raises(UsageError):
        info(ssh, fingerprint="MD5:00:11")
    with pytest.raises(FuelError) as caught:
        info(Ssh(tmp_path), fingerprint=fingerprint(ED))
    assert caught.value.code == "no_ssh"


def test_a_revoked_key_is_not_believed_for_its_fingerprint_either(tmp_path):
    ssh = Ssh(tmp_path, known=f"@revoked build {ED}\n", shown=f"build {ED}\n")
    with pytest.raises(FuelError) as caught:
        info(ssh, fingerprint=fingerprint(ED))
    assert caught.value.code == "unknown_host_key"
