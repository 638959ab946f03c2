# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes into a machine of the image `remote` and who does not, by real ssh; what ssh-audit says."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import dev_image

from .dev_machine import READ_ONLY, Machine, docker, eventually, key_pair, machine, public

pytestmark = pytest.mark.docker

SECRET = "not-for-sessions-1b0a"
SESSION = {"GREETING": "a \"b\" \\c $HOME # 'd' \u00e4", "TOKEN": "second"}
#: Refused, by how much of the line is at fault.
BAD_KEYS = {
    "options": 'command="id" {key}',
    "environment": 'environment="LD_PRELOAD=/tmp/x.so" {key}',
    "damaged": "{damaged}",
    "not what it says": "ssh-rsa {blob}",
    "short RSA": "{rsa}",
    "DSA": "ssh-dss AAAAB3NzaC1kc3MAAACBAKw0000000000000000000000000000000000000000",
    "certificate authority": "cert-authority {key}",
    "control characters": "ssh-ed25519 \x1b[2J{blob}",
    "nothing behind the type": "ssh-ed25519",
    "far too long": "ssh-ed25519 {long}",
}


@pytest.fixture(scope="module")
def image() -> str:
    return dev_image.ensure("remote")


@pytest.fixture(scope="module")
def entered(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One that lets two keys in; read-only, with a secret among its variables and two that sessions get."""
    folder = tmp_path_factory.mktemp("dev")
    second = key_pair(folder, "second", "rsa", "-b", "3072")
    with machine(folder, key_pair(folder, "first")) as one:
        variables = {**SESSION, "APP_SECRET": SECRET, "LINES": "a\nb"}
        variables["FUEL_SESSION_VARIABLES"] = ",".join([*SESSION, "MISSING", "LINES"])
        settings = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        keys = f"# two people\r\n{public(one.key)}\r\n\n  {public(second)}  \n"
        one.run(image, *READ_ONLY, *settings, keys=keys)
        one.pin()
        yield one


def second_key(entered: Machine) -> Path:
    return entered.folder / "second"


def test_ssh_audit_has_nothing_to_say(entered: Machine) -> None:
    program = Path(sys.executable).with_name("ssh-audit")
    done = subprocess.run(
        [program, "--json", "--port", entered.port, "127.0.0.1"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    notes = [
        (kind, each["algorithm"], level, text)
        for kind in ("kex", "key", "enc", "mac")
        for each in found[kind]
        for level, texts in each["notes"].items()
        if level != "info"
        for text in texts
    ]
    assert notes == []
    assert done.returncode == 0, done.stdout
    assert found["banner"]["comments"] is None
    assert {each["algorithm"] for each in found["key"]} == {"ssh-ed25519"}
    # It knocks many times at once; the next test is not to be refused for it.
    eventually(lambda: entered.ssh("true").returncode == 0, entered.logs)


def test_each_key_of_the_secret_comes_in_and_nobody_else(entered: Machine, tmp_path: Path) -> None:
    for key in (entered.key, second_key(entered)):
        assert entered.ssh("id", "-un", key=key).stdout == "dev\n"
    stranger = entered.ssh("true", key=key_pair(tmp_path, "stranger"))
    assert stranger.returncode == 255
    assert "Permission denied (publickey)" in stranger.stderr
    for user in ("root", "sshd", "nobody", "admin"):
        refused = entered.ssh("true", user=user)
        assert refused.returncode == 255, user
        assert "Permission denied (publickey)" in refused.stderr


def test_no_password_is_asked_for(entered: Machine) -> None:
    methods = "PreferredAuthentications=password,keyboard-interactive,hostbased,gssapi-with-mic"
    refused = entered.ssh("true", options=("-o", methods))
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_a_session_has_none_of_the_machines_variables_but_those_that_were_named(entered: Machine) -> None:
    seen = entered.ssh("env").stdout
    assert "FUEL_AUTHORIZED_KEYS" not in seen
    assert "APP_SECRET" not in seen
    given = [line for line in seen.splitlines() if line.startswith(("GREETING", "TOKEN", "LINES", "MISSING"))]
    assert sorted(given) == sorted(f"{name}={value}" for name, value in SESSION.items())
    assert "variable LINES is left out" in entered.logs()
    assert "PATH=/home/dev/.local/bin:" in seen
    # Nor in a process that it may look into.
    everything = entered.ssh("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; ps axww").stdout
    assert "sshd" in everything
    assert SECRET not in everything
    assert "FUEL_AUTHORIZED_KEYS" not in everything
    for file in ("/workspaces/.fuel-code/ssh/authorized_keys", "/run/fuel-code/authorized_keys"):
        assert entered.ssh(f"echo x >> {file}").returncode != 0
    for taken in ("mv /workspaces/.fuel-code /workspaces/mine", "rm -rf /workspaces/.fuel-code/ssh"):
        assert entered.ssh(taken).returncode != 0


def test_sshd_is_the_users_and_tini_is_first(entered: Machine) -> None:
    assert entered.exec("cat", "/proc/1/comm") == "tini"
    processes = entered.exec("ps", "-eo", "user=,comm=").splitlines()
    assert {line.split()[0] for line in processes if line.split()[1] == "sshd"} == {"dev"}
    assert docker("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", entered.name) == "true"


def test_ports_go_to_the_person_and_nowhere_else(entered: Machine) -> None:
    serve = (
        "python3 -m http.server --bind 127.0.0.1 8000 --directory /usr/local/lib/fuel-code >/dev/null 2>&1 & echo up"
    )
    assert entered.ssh(serve).stdout == "up\n"
    eventually(lambda: entered.ssh("curl -sf 127.0.0.1:8000/healthy").returncode == 0)
    # -W is one forwarded connection on standard input and output.
    asked = subprocess.run(
        [*entered.argv(options=("-W", "127.0.0.1:8000"))],
        input="GET /healthy HTTP/1.0\r\n\r\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "200 OK" in asked.stdout
    elsewhere = entered.ssh(options=("-W", "172.17.0.1:22"))
    assert "administratively prohibited" in elsewhere.stderr
    backwards = entered.ssh("true", options=("-R", "9999:127.0.0.1:22"))
    assert "remote port forwarding failed" in backwards.stderr
    agent = entered.ssh("echo ${SSH_AUTH_SOCK:-none}", options=("-o", "ForwardAgent=yes"))
    assert agent.stdout == "none\n"


def test_files_go_in_and_out(entered: Machine, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("something\n")
    options = [part for part in entered.argv()[1:-1] if part not in ("-p", entered.port)]
    for source, target in (("there", "dev@127.0.0.1:/workspaces/"), ("dev@127.0.0.1:/workspaces/there", "back")):
        ends = [end if ":" in end else str(tmp_path / end) for end in (source, target)]
        subprocess.run(["scp", "-q", "-P", entered.port, *options, *ends], check=True, timeout=300)
    assert (tmp_path / "back").read_text() == "something\n"


def test_a_login_begins_in_the_workspace(entered: Machine) -> None:
    entered.exec("install", "-d", "-o", "dev", "-g", "dev", "/workspaces/a b")
    entered.exec("sh", "-c", "echo '/workspaces/a b' >/workspaces/.fuel-code/workspace")
    assert entered.ssh("pwd").stdout == "/workspaces/a b\n"
    assert entered.ssh("cd && pwd -P && echo $HOME").stdout == "/workspaces/.fuel-code/home\n/home/dev\n"


def first_word(connection: socket.socket) -> bytes:
    """What a server says first; nothing when it does not want to talk."""
    with contextlib.suppress(ConnectionError):
        return connection.recv(64)
    return b""


def test_whoever_only_knocks_is_soon_one_of_few(entered: Machine) -> None:
    knocking = [socket.create_connection(("127.0.0.1", int(entered.port)), timeout=60) for _count in range(30)]
    try:
        said = [first_word(each) for each in knocking]
        answered = [each for each in said if each.startswith(b"SSH-2.0-")]
        # MaxStartups begins to refuse at 6, and PerSourceMaxStartups refuses every one above 10.
        assert 1 <= len(answered) <= 10
    finally:
        for each in knocking:
            each.close()
    eventually(lambda: entered.ssh("true").returncode == 0, entered.logs)


def test_a_connection_has_four_tries(entered: Machine, tmp_path: Path) -> None:
    keys = [key_pair(tmp_path, f"guess-{number}") for number in range(5)]
    guesses = tuple(part for key in keys for part in ("-i", str(key)))
    # The right one comes sixth.
    late = subprocess.run(
        [*entered.argv(key=keys[0], options=guesses)[:-1], "-i", str(entered.key), "dev@127.0.0.1", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert late.returncode == 255
    assert "Too many authentication failures" in late.stderr


def test_what_sshd_itself_says_of_its_settings(entered: Machine) -> None:
    told = entered.exec("/usr/sbin/sshd", "-T", "-f", "/run/fuel-code/sshd_config", user="dev").splitlines()
    settings = dict(line.split(" ", 1) for line in told)
    assert settings["logingracetime"] == "20"
    assert settings["maxstartups"] == "6:50:30"
    assert settings["permitrootlogin"] == "no"
    assert settings["passwordauthentication"] == settings["kbdinteractiveauthentication"] == "no"
    assert settings["x11forwarding"] == settings["permittunnel"] == settings["gatewayports"] == "no"
    assert settings["permituserrc"] == settings["allowagentforwarding"] == "no"
    assert settings["banner"] == "none"


def test_a_key_is_let_in_later_and_stays(entered: Machine, tmp_path: Path) -> None:
    later = key_pair(tmp_path, "later")
    assert entered.ssh("true", key=later).returncode == 255
    for _twice in range(2):
        entered.exec("fuel-code-admit", stdin=f"{public(later)}\n")
    kept = entered.exec("cat", "/workspaces/.fuel-code/ssh/authorized_keys").splitlines()
    assert kept == [" ".join(public(later).split()[:2])]
    assert entered.ssh("true", key=later).returncode == 0
    refused = entered.exec("fuel-code-admit", check=False, stdin=f'command="id" {public(later)}\n')
    assert "no public key that may come in" in refused


def test_of_the_keys_given_only_plain_good_ones_are_taken(entered: Machine, tmp_path: Path) -> None:
    good = public(key_pair(tmp_path, "good"))
    kind, blob, _comment = good.split()
    damaged = f"{kind} {blob[:-6]}"
    rsa = public(key_pair(tmp_path, "rsa", "rsa", "-b", "2048"))
    facts = {"key": good, "blob": blob, "damaged": damaged, "rsa": rsa, "long": "A" * 9000}
    lines = [form.format(**facts) for form in BAD_KEYS.values()]
    ecdsa = public(key_pair(tmp_path, "ecdsa", "ecdsa", "-b", "384"))
    text = "\n".join([*lines, "", "# a comment", good, ecdsa]).encode()
    done = subprocess.run(
        ["docker", "exec", "-i", entered.name, "/usr/local/lib/fuel-code/check-keys"],
        input=text,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().splitlines() == [" ".join(key.split()[:2]) for key in (good, ecdsa)]
    left_out = [line for line in done.stderr.decode().splitlines() if "is left out" in line]
    assert [int(line.split("line ")[1].split()[0]) for line in left_out] == list(range(1, len(BAD_KEYS) + 1))
    assert "\x1b" not in done.stderr.decode()
