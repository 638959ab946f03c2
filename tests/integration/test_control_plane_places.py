# SPDX-License-Identifier: GPL-3.0-or-later
"""Role control_plane on Debian 13, and a server and its workers on machines of their own, with a database elsewhere."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import BASE_IMAGE, Fuelctl, make_repository, write_blueprint
from tests.lab import wheels

from .machine import docker
from .own_machine import USER, OwnMachine
from .plane_machine import PlaneMachine

pytestmark = [pytest.mark.docker, pytest.mark.soak, pytest.mark.timeout(3600)]
PASSWORD = "of the team"
DATABASE = (
    "postgresql+psycopg://team@db.example.org/team?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt"
)
#: What a provider of databases sets up: a name with a certificate for it, and somebody with a password.
_EXTERNAL = """\
apt-get update -q && apt-get install -qy --no-install-recommends postgresql openssl >/dev/null
cd /var/lib/postgresql && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 9 \
  -subj /CN=db.example.org -addext subjectAltName=DNS:db.example.org -keyout server.key -out server.crt 2>/dev/null
chown postgres: server.key server.crt
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "CREATE ROLE team LOGIN PASSWORD 'of the team'" \
  -c "ALTER SYSTEM SET listen_addresses = '*'" -c "ALTER SYSTEM SET max_connections = 400" \
  -c "ALTER SYSTEM SET ssl_cert_file = '$PWD/server.crt'" -c "ALTER SYSTEM SET ssl_key_file = '$PWD/server.key'"
runuser -u postgres -- createdb --owner=team team
for file in /etc/postgresql/*/main/pg_hba.conf; do echo "hostssl team team all scram-sha-256" >>"$file"; done
systemctl restart postgresql
"""
_BELIEVE = "cat > /usr/local/share/ca-certificates/db.crt && update-ca-certificates >/dev/null 2>&1"


@pytest.fixture(scope="module")
def trixie(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneMachine]:
    """A Debian 13 that had nothing: server, worker, database, proxy, backups."""
    folder = tmp_path_factory.mktemp("trixie")
    with PlaneMachine(folder, wheels.archive(wheels.TRIXIE), "machine-trixie") as machine:
        machine.play()
        machine.take_certificate()
        yield machine


def person(home: Path, plane: PlaneMachine) -> Fuelctl:
    """Its first admin."""
    made = Fuelctl(home, environment={"SSL_CERT_FILE": str(plane.certificate)})
    token = plane.sh("cat /var/lib/fuelctl/state/server.token")
    made.run("login", plane.url, "--token-file=-", stdin=token + "\n")
    return made


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.5)
    return found


def way_in(worker: PlaneMachine, own: OwnMachine) -> tuple[str, ...]:
    """Let the worker in on somebody's own machine; what `up` is told of that."""
    key = "/var/lib/fuelctl/.ssh/id_ed25519"
    worker.sh(
        "install -d -m 700 -o fuelctl -g fuelctl /var/lib/fuelctl/.ssh && cd / &&"
        f" runuser -u fuelctl -- ssh-keygen -q -t ed25519 -N '' -f {key}"
    )
    own.sh(f"echo '{worker.sh(f'cat {key}.pub')}' >> /home/{USER}/.ssh/authorized_keys")
    own.load(BASE_IMAGE)
    return (f"--host={USER}@build.example.org", "--option", f"fingerprint={own.fingerprint()}")


def test_on_debian_13(trixie: PlaneMachine, tmp_path: Path) -> None:
    assert trixie.sh(". /etc/os-release && echo $VERSION_CODENAME") == "trixie"
    assert trixie.ask("/readyz")[0] == 200
    admin = person(tmp_path / "admin", trixie)
    try:
        admin.run("user", "add", "ada", "--role", "member")
        trixie.sh("systemctl start fuelctl-backup")
        [backup] = trixie.sh("ls -d /var/backups/fuelctl/2*").split()
        admin.run("user", "add", "late", "--role", "viewer")
        assert "is in its place" in trixie.sh(f"fuelctl-restore {backup}")
        assert {each["name"] for each in admin.run("user", "ls", "--json").json["users"]} == {"admin", "ada"}
        trixie.reboot()
        trixie.wait_ready(120)
        assert admin.run("whoami", "--json").json["name"] == "admin"
        assert trixie.play()["changed"] == 0, "twice is once"
    finally:
        admin.kill_everything()


@pytest.fixture
def network() -> Iterator[str]:
    """Machines have names in it."""
    name = f"fuel-places-{secrets.token_hex(4)}"
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


def test_a_server_on_one_machine_its_worker_on_another_and_the_database_on_a_third(
    network: str, tmp_path: Path
) -> None:
    def named(name: str) -> tuple[str, ...]:
        return ("--network", network, "--network-alias", f"{name}.example.org")

    database = PlaneMachine(tmp_path / "db", kind="machine-trixie", words=named("db"))
    server = PlaneMachine(tmp_path / "server", wheels.archive(wheels.TRIXIE), "machine-trixie", words=named("fuel"))
    worker = PlaneMachine(tmp_path / "worker", wheels.archive(), words=named("worker"))
    own = OwnMachine(tmp_path / "own", "machine-docker")
    with own, database, server, worker:
        docker("network", "connect", "--alias", "build.example.org", network, own.name)
        database.sh(_EXTERNAL)
        for machine in (server, worker):
            machine.sh(_BELIEVE, given=database.sh("cat /var/lib/postgresql/server.crt") + "\n")
        server.own["control_plane_workers"] = 0
        given = {
            "control_plane_database_url": DATABASE,
            "control_plane_database_password": PASSWORD,
            "control_plane_secret_key_host": server.name,
            "control_plane_extras": [],
        }
        server.play(workers=[worker], **given)
        server.take_certificate()
        admin = person(tmp_path / "admin", server)
        try:
            wait_for(lambda: server.ask("/readyz")[0] == 200)
            assert server.sh("systemctl list-units --all --plain --no-legend 'fuelctl-worker@*'") == ""
            assert worker.sh("sha256sum </etc/fuelctl/secret.key") == server.sh("sha256sum </etc/fuelctl/secret.key")
            assert "nginx" not in worker.sh("ls /etc"), "a worker needs no more than the database and the key"
            assert server.sh("systemctl list-unit-files --plain --no-legend 'postgresql*'", check=False) == ""
            for machine in (server, worker):
                assert machine.sh("grep -rlF 'of the team' /etc/fuelctl /etc/systemd/system") == "/etc/fuelctl/pgpass"
                assert machine.sh("stat -c '%a %U' /etc/fuelctl/pgpass") == "600 fuelctl"
                seen = machine.sh("cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
                assert PASSWORD not in seen
            encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'team'"
            assert database.sh(f'cd /; runuser -u postgres -- psql -tAc "{encrypted}"') == "t"

            options = way_in(worker, own)
            repository = make_repository(tmp_path / "app")
            write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\n")
            up = ("up", str(repository), "--provider=ssh", *options, "--yes")
            first = admin.run(*up, "--name=first", "--json", timeout=900).json["id"]
            assert first.lower() in own.sh("docker ps --format '{{.Names}}'").lower()

            worker.sh("systemctl stop fuelctl-worker@1.service")
            status, _headers, body = wait_for(lambda: (said := server.ask("/readyz"))[0] == 503 and said)
            assert (status, json.loads(body)["workers"], json.loads(body)["database"]) == (503, False, True)
            assert "No worker is there" in admin.run("ls").text
            waiting = admin.start(*up, "--name=second")
            wait_for(lambda: "second" in admin.run("ls").text)
            assert "no worker is there" in admin.run("extend", "first", "2h", ok=False).text
            assert admin.show("second")["status"] == "provisioning"
            worker.sh("systemctl start fuelctl-worker@1.service")
            waiting.communicate(timeout=900)
            assert waiting.returncode == 0
            assert admin.show("second")["status"] in {"ready", "idle"}
            wait_for(lambda: server.ask("/readyz")[0] == 200)
            assert "No worker is there" not in admin.run("ls").text

            worker.sh(f"kill -9 {worker.pid('fuelctl-worker@1.service')}")
            server.sh("systemctl start fuelctl-backup")
            assert server.sh("ls -d /var/backups/fuelctl/2*")
            # The database's machine goes off and on again; nothing has to be done here or there.
            database.reboot()
            server.wait_ready(300)
            admin.run("down", "--all", "--yes", "--discard", timeout=900)
            receipts = [each["receipt"]["complete"] for each in admin.run("ls", "--all", "--json").json["environments"]]
            assert receipts == [True, True]
            assert own.sh("docker ps --all --quiet") == ""
        finally:
            admin.kill_everything()
