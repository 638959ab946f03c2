# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's container on a real engine, entered over real SSH."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .machine import Environment, docker

pytestmark = pytest.mark.docker

CANARY = "sk-canary-4be1-never-shown"
LISTENER = (
    "$s = IO::Socket::INET->new(Listen => 5, LocalPort => shift, ReuseAddr => 1) or die; "
    'while (my $c = $s->accept) { print $c "hello from $ENV{GREETER}\\n"; close $c }'
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """One that is up for the whole file."""
    port = free_port()
    made = Environment(
        tmp_path_factory.mktemp("environment"),
        options={
            "ports": [port],
            "env": {"GREETING": 'it\'s "{{ 1 }}" $(id) `id` ü'},
            "secrets_json": json.dumps({"TOKEN": CANARY}),
            "services": [
                {
                    "name": "echo",
                    "image": "debian:bookworm",
                    "command": ["perl", "-MIO::Socket::INET", "-e", LISTENER, "7000"],
                    "env": {"GREETER": "the service"},
                }
            ],
        },
    )
    try:
        foreseen = made.up(check=True)
        assert foreseen.changed
        assert made.left() == []
        assert made.up().changed
        yield made
    finally:
        made.end()
    assert made.left() == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_a_repeat_changes_nothing(environment: Environment) -> None:
    assert not environment.up(check=True).changed
    outcome = environment.up()
    assert not outcome.changed
    assert outcome.before["container"] == outcome.after["container"]


def test_a_command_runs_in_the_workspace_as_a_plain_user_with_sudo(environment: Environment) -> None:
    done = environment.ssh("pwd; id -u; sudo -n id -u; echo $HOME; exit 7")
    assert done.stdout.split() == ["/workspaces/my-repo", "1000", "0", "/home/dev"]
    assert done.returncode == 7
    assert done.stderr == ""


def test_a_login_shell_begins_in_the_workspace_too(environment: Environment) -> None:
    words = ["ssh", "-tt", *environment.ssh_command("environment")]
    typed = "echo at:$PWD; cd; bash -c 'echo then:$PWD'; exit 3\n"
    done = subprocess.run(words, input=typed, capture_output=True, text=True, timeout=300, check=False)
    assert "at:/workspaces/my-repo" in done.stdout
    assert "then:/home/dev" in done.stdout
    assert done.returncode == 3


def test_variables_and_secrets_arrive_exactly(environment: Environment) -> None:
    done = environment.ssh('printf "%s\\n" "$GREETING" "$TOKEN" "$FUEL_CODE_NAME" "$LANG"; echo $PATH')
    lines = done.stdout.splitlines()
    assert lines[:4] == [environment.options["env"]["GREETING"], CANARY, "it", "C.UTF-8"]
    assert lines[4].startswith("/home/dev/.local/bin:/usr/local/sbin:")
    login = environment.ssh("bash -lc 'echo $PATH; echo $TOKEN'").stdout.splitlines()
    assert lines[4] in login[0]
    assert login[1] == CANARY


def test_a_command_without_ssh_can_have_the_same_environment(environment: Environment) -> None:
    argv = ["exec", "--user", "dev", environment.names.container, "fuel-code-run", "printenv", "GREETING"]
    assert docker(*argv) == environment.options["env"]["GREETING"]


def test_secrets_show_nowhere_on_the_machine(environment: Environment) -> None:
    names = [environment.names.container, f"{environment.names.container}.watchdog", environment.made["services"][0]]
    seen = docker("inspect", *names) + docker("history", "--no-trunc", environment.names.image_tag)
    seen += environment.progress.read_text() + json.dumps(environment.steps)
    assert CANARY not in seen
    assert environment.ssh("stat -c %a ~/.ssh/environment").stdout.strip() == "600"


def test_secrets_stay_until_others_are_given(environment: Environment) -> None:
    assert not environment.up(secrets_json=None).changed
    assert environment.ssh("echo $TOKEN").stdout.strip() == CANARY
    assert environment.up(secrets_json='{"OTHER": "x"}').changed
    assert environment.ssh("echo $TOKEN$OTHER").stdout.strip() == "x"
    assert environment.up().changed


def test_files_go_in_and_out(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    options = environment.ssh_command()
    subprocess.run(["scp", "-q", *options, str(tmp_path / "file"), "environment:by-sftp"], check=True, timeout=300)
    subprocess.run(["scp", "-q", "-O", *options, str(tmp_path / "file"), "environment:by-scp"], check=True, timeout=300)
    assert environment.ssh("cat by-sftp by-scp").stdout == "content\n" * 2
    subprocess.run(["sftp", "-q", *options, "environment"], input=b"get by-sftp back\n", cwd=tmp_path, check=True)
    assert (tmp_path / "back").read_text() == "content\n"
    assert environment.ssh("rm by-sftp by-scp && rsync --version").returncode == 0


def test_editors_can_forward_to_a_port_inside(environment: Environment) -> None:
    words = ["ssh", *environment.ssh_command("-W", "echo:7000", "environment")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
    assert done.stdout == "hello from the service\n", done.stderr


def test_a_service_is_reached_under_its_name(environment: Environment) -> None:
    assert environment.ssh("bash -c 'cat < /dev/tcp/echo/7000'").stdout == "hello from the service\n"


def test_a_published_port_is_reached_on_loopback_only(environment: Environment) -> None:
    (port,) = environment.made["ports"]
    assert port["host"] == port["container"] == environment.options["ports"][0]
    bindings = json.loads(docker("inspect", "-f", "{{json .HostConfig.PortBindings}}", environment.names.container))
    assert [binding["HostIp"] for hosts in bindings.values() for binding in hosts] == ["127.0.0.1"]
    start = f"GREETER=inside nohup perl -MIO::Socket::INET -e '{LISTENER}' {port['container']} >/dev/null 2>&1 &"
    environment.ssh(start)
    for _attempt in range(50):
        with socket.create_connection(("127.0.0.1", port["host"]), timeout=5) as connection:
            said = connection.makefile().read()
        if said:
            break
        time.sleep(0.1)
    assert said == "hello from inside\n"


def test_only_the_right_key_opens_and_only_the_right_host_is_believed(environment: Environment, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    words = ["ssh", *environment.ssh_command("environment", "true", key=other)]
    refused = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr
    known = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    words = ["ssh", *environment.ssh_command("environment", "true", known=known)]
    refused = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_root_and_passwords_are_not_let_in(environment: Environment) -> None:
    words = ["ssh", *environment.ssh_command("-l", "root", "environment", "true")]
    assert subprocess.run(words, capture_output=True, timeout=300, check=False).returncode == 255
    shown = docker("exec", environment.names.container, "/usr/sbin/sshd", "-T", "-f", "/etc/fuel-code/sshd_config")
    assert "passwordauthentication no" in shown
    assert "kbdinteractiveauthentication no" in shown


def test_the_machine_s_authorities_are_trusted_inside(environment: Environment) -> None:
    if not environment.parameters()["ca_certificates"]:
        assert "SSL_CERT_FILE" not in environment.ssh("printenv").stdout
        return
    assert environment.ssh("echo $NODE_EXTRA_CA_CERTS").stdout.strip() == "/etc/ssl/certs/ca-certificates.crt"
    assert environment.ssh("ls /usr/local/share/ca-certificates/fuel-code").stdout.split()


def test_a_stopped_container_is_started_again_with_all_it_holds(environment: Environment) -> None:
    key = environment.made["host_key"]
    environment.ssh("touch ~/kept")
    docker("kill", environment.names.container)
    assert environment.up().changed
    assert environment.made["host_key"] == key
    assert environment.ssh("ls ~/kept").returncode == 0
    assert not environment.up().changed


def test_a_spoilt_login_is_repaired(environment: Environment) -> None:
    docker(
        "exec",
        environment.names.container,
        "sh",
        "-c",
        "rm /etc/fuel-code/authorized_keys; echo >~dev/.ssh/environment",
    )
    assert environment.up().changed
    assert environment.ssh("echo $TOKEN").stdout.strip() == CANARY


def test_another_specification_makes_another_container_and_keeps_the_workspace(environment: Environment) -> None:
    environment.ssh("echo kept > work.txt")
    before = environment.made["container_id"]
    (service,) = environment.made["services"]
    served = docker("inspect", "-f", "{{.Id}}", service)
    extra = free_port()
    assert environment.up(ports=[*environment.options["ports"], extra]).changed
    assert environment.made["container_id"] != before
    assert [port["container"] for port in environment.made["ports"]] == sorted([*environment.options["ports"], extra])
    assert environment.ssh("cat work.txt").stdout == "kept\n"
    assert docker("inspect", "-f", "{{.Id}}", service) == served
    assert environment.up().changed


def test_a_taken_port_gets_a_free_number(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        try:
            environment.up(ports=[taken])
            (port,) = environment.made["ports"]
            assert port["container"] == taken
            assert port["host"] not in (0, taken)
            assert not environment.up(ports=[taken]).changed
        finally:
            environment.end()


def test_the_end_takes_its_own_and_leaves_the_neighbour(environment: Environment, tmp_path: Path) -> None:
    other = Environment(tmp_path, name="other")
    try:
        other.up(services=[{"name": "db", "image": "debian:bookworm", "command": ["sleep", "600"]}])
        volume = docker("volume", "ls", "-q", "--filter", f"label=fuel-code:environment={other.id}")
        assert volume == other.names.workspace_volume
    finally:
        receipt = other.end()
    assert receipt["complete"]
    kinds = [line["kind"] for line in receipt["resources"]]
    assert sorted(kinds) == ["container", "container", "image_tag", "network", "volume", "watchdog"]
    assert {line["state"] for line in receipt["resources"]} == {"gone"}
    assert other.left() == []
    assert environment.ssh("true").returncode == 0
    again = other.end()
    assert again["complete"]
    assert len(again["resources"]) == 5
