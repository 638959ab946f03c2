# SPDX-License-Identifier: GPL-3.0-or-later
"""Role control_plane on a fresh Debian: a server that people log in to, and that comes back whatever happens to it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.harness import Fuelctl
from tests.lab import wheels

from .plane_machine import PlaneMachine

pytestmark = pytest.mark.docker
SERVER = "fuelctl-server.service"
SERVICES = [SERVER, "fuelctl-worker@1.service"]
Person = Callable[[str], Fuelctl]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneMachine]:
    """The role was played once, on a machine that had nothing."""
    with PlaneMachine(tmp_path_factory.mktemp("plane"), wheels.archive()) as machine:
        machine.play()
        machine.take_certificate()
        yield machine


@pytest.fixture(scope="module")
def person(plane: PlaneMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody elsewhere, who trusts the machine's certificate."""
    people: dict[str, Fuelctl] = {}

    def named(name: str) -> Fuelctl:
        if name not in people:
            home = tmp_path_factory.mktemp(name)
            people[name] = Fuelctl(home, environment={"SSL_CERT_FILE": str(plane.certificate)})
        return people[name]

    yield named
    for each in people.values():
        each.kill_everything()


@pytest.fixture(scope="module")
def admin(plane: PlaneMachine, person: Person) -> Fuelctl:
    """Whoever brought the first token from the machine."""
    admin = person("admin")
    token = plane.sh("cat /var/lib/fuelctl/state/server.token")
    done = admin.run("login", plane.url, "--token-file=-", stdin=token + "\n")
    assert done.stdout == f"You are admin, an admin, at {plane.url}.\n"
    return admin


@pytest.fixture(scope="module")
def ada(plane: PlaneMachine, person: Person, admin: Fuelctl) -> Fuelctl:
    """A member whom the admin let in."""
    token = admin.run("user", "add", "ada", "--role", "member").stdout
    ada = person("ada")
    ada.run("login", plane.url, "--token-file=-", stdin=token)
    return ada


def wait_for(condition: Callable[[], Any], seconds: float = 240) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


class TestTheWayIn:
    def test_played_again_it_changes_nothing(self, plane: PlaneMachine) -> None:
        assert plane.play()["changed"] == 0

    def test_it_is_ready_through_tls(self, plane: PlaneMachine) -> None:
        status, headers, _body = plane.ask("/readyz")
        assert status == 200
        assert headers["server"] == "nginx"
        assert headers["x-content-type-options"] == "nosniff"

    def test_http_leads_to_https(self, plane: PlaneMachine) -> None:
        assert "https://localhost/x" in plane.sh("curl -si http://127.0.0.1/x")

    def test_nothing_but_nginx_and_the_database_listens_and_the_server_on_loopback_alone(
        self, plane: PlaneMachine
    ) -> None:
        lines = [line.split() for line in plane.sh("ss -Hltn").splitlines()]
        outside = {line[3].rpartition(":")[2] for line in lines if not line[3].startswith(("127.", "[::1]"))}
        assert outside <= {"22", "80", "443"}

    def test_two_people_log_in_and_see_who_they_are(self, plane: PlaneMachine, admin: Fuelctl, ada: Fuelctl) -> None:
        assert admin.run("whoami", "--json").json["role"] == "admin"
        assert ada.run("whoami", "--json").json["name"] == "ada"
        assert {each["name"] for each in admin.run("user", "ls", "--json").json["users"]} == {"admin", "ada"}
        assert "No active environments" in ada.run("ls").text

    def test_the_log_names_the_callers_address_and_not_what_a_caller_says_it_is(
        self, plane: PlaneMachine, admin: Fuelctl
    ) -> None:
        plane.ask("/api/users", {"Authorization": "Bearer none", "X-Forwarded-For": "203.0.113.9"})
        entries = admin.run("audit-log", "--json").json["entries"]
        addresses = {each["address"] for each in entries if each["actor"] != "system"} - {None, ""}
        assert addresses
        assert not addresses & {"127.0.0.1", "203.0.113.9"}

    def test_metrics_are_for_the_machine_itself(self, plane: PlaneMachine) -> None:
        assert plane.ask("/metrics")[0] == 403
        assert "fuelctl_workers 1" in plane.sh("curl -s http://127.0.0.1:8080/metrics")


class TestOnTheMachine:
    def test_secrets_are_for_whom_they_are_for(self, plane: PlaneMachine) -> None:
        assert plane.sh("stat -c '%a %U:%G' /etc/fuelctl/secret.key") == "600 root:root"
        assert plane.sh("stat -c '%a %U:%G' /etc/fuelctl/config.toml") == "640 root:fuelctl"
        assert plane.sh(
            "stat -c %a /var/lib/fuelctl /etc/fuelctl/tls/server.key /var/lib/fuelctl/state/server.token"
        ) == ("700\n600\n600")
        key = plane.sh("cat /etc/fuelctl/secret.key")
        assert key not in plane.sh("cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
        # One key, the one that the service manager hands over.
        assert plane.sh("find /var/lib/fuelctl -name secret.key") == ""
        rights = "SELECT rolsuper, rolcreaterole, rolreplication FROM pg_roles WHERE rolname = 'fuelctl'"
        assert plane.sh(f'cd /; runuser -u postgres -- psql -tAc "{rights}"') == "f|f|f"

    @pytest.mark.parametrize("service", SERVICES)
    def test_a_service_that_was_taken_over_could_not_do_much(self, plane: PlaneMachine, service: str) -> None:
        pid = plane.pid(service)
        status = plane.sh(f"cat /proc/{pid}/status")
        assert "NoNewPrivs:\t1" in status
        assert "CapBnd:\t0000000000000000" in status
        for path in ("/usr/x", "/etc/fuelctl/x", "/opt/fuelctl/x", "/var/backups/x", "/root/x"):
            tried = plane.sh(f"nsenter --target {pid} --mount touch {path} 2>&1", check=False)
            assert "Read-only" in tried or "Permission" in tried or "No such file" in tried, (path, tried)
        plane.sh(f"nsenter --target {pid} --mount touch /var/lib/fuelctl/x && rm /var/lib/fuelctl/x")


class TestComingBack:
    @pytest.mark.parametrize("service", SERVICES)
    def test_killed_it_is_started_again(self, plane: PlaneMachine, ada: Fuelctl, service: str) -> None:
        before = plane.pid(service)
        plane.sh(f"kill -9 {before}")
        wait_for(lambda: plane.pid(service) not in (0, before))
        plane.wait_ready(120)
        assert ada.run("whoami", "--json").json["name"] == "ada"

    def test_after_a_reboot_all_is_back(self, plane: PlaneMachine, ada: Fuelctl) -> None:
        plane.reboot()
        plane.wait_ready(180)
        assert ada.run("whoami", "--json").json["name"] == "ada"
        assert plane.sh(f"systemctl is-active {' '.join(SERVICES)} nginx fuelctl-backup.timer").split() == (
            ["active"] * (len(SERVICES) + 2)
        )


class TestBackups:
    def test_a_lost_database_comes_back_with_its_users_and_tokens(
        self, plane: PlaneMachine, admin: Fuelctl, ada: Fuelctl
    ) -> None:
        plane.sh("systemctl start fuelctl-backup")
        [backup] = plane.sh("ls -d /var/backups/fuelctl/2*").split()
        assert plane.sh(f"stat -c '%a %U' {backup} {backup}/database.dump") == "700 fuelctl\n600 fuelctl"
        admin.run("user", "add", "late", "--role", "viewer")
        plane.sh("cd / && runuser -u postgres -- dropdb --force fuelctl")
        wait_for(lambda: not plane.is_ready())
        # Of another key nothing in the database could be read.
        plane.sh("head -c 32 /dev/urandom | base64 | tr '+/' '-_' > /etc/fuelctl/secret.key")
        assert "is in its place" in plane.sh(f"fuelctl-restore {backup}")
        assert plane.is_ready()
        assert ada.run("whoami", "--json").json["name"] == "ada"
        assert {each["name"] for each in admin.run("user", "ls", "--json").json["users"]} == {"admin", "ada"}
        assert (
            plane.sh(f"cmp /etc/fuelctl/secret.key {backup}/secret.key && stat -c %a /etc/fuelctl/secret.key") == "600"
        )

    def test_a_damaged_backup_changes_nothing(self, plane: PlaneMachine, ada: Fuelctl) -> None:
        [backup] = plane.sh("ls -d /var/backups/fuelctl/2*").split()[-1:]
        plane.sh(
            f"cp -a {backup} /root/damaged && printf x | dd of=/root/damaged/database.dump bs=1 seek=999 conv=notrunc"
        )
        before = plane.pid(SERVER)
        said = plane.sh("fuelctl-restore /root/damaged 2>&1", check=False)
        assert "it is damaged; nothing was changed" in said
        assert plane.pid(SERVER) == before
        assert ada.run("whoami", "--json").json["name"] == "ada"


class TestPlayedAgain:
    def test_a_newer_release_takes_over_with_a_backup_and_the_old_one_is_kept(
        self, plane: PlaneMachine, ada: Fuelctl
    ) -> None:
        old = plane.sh("readlink /opt/fuelctl/current")
        digest = hashlib.sha256(plane.archive.read_bytes()).hexdigest()
        new = f"/opt/fuelctl/releases/{hashlib.sha256(f'{digest}  '.encode()).hexdigest()[:16]}"
        # As if it had been built there; that it can be, the first one has shown.
        plane.sh(f"cp -al {old} {new}")
        backups = plane.sh("ls -d /var/backups/fuelctl/2*").split()
        plane.play(control_plane_extras=[], control_plane_settings={"max_environments_per_owner": 3})
        assert plane.sh("readlink /opt/fuelctl/current") == new
        assert plane.sh("ls -d /opt/fuelctl/releases/*").split() == sorted([old, new])
        assert len(plane.sh("ls -d /var/backups/fuelctl/2*").split()) == len(backups) + 1
        assert "max_environments_per_owner = 3" in plane.sh("cat /etc/fuelctl/config.toml")
        assert ada.run("whoami", "--json").json["name"] == "ada"

    def test_taken_away_it_leaves_what_it_knew(self, plane: PlaneMachine) -> None:
        assert plane.play(control_plane_state="absent")["changed"] > 0
        assert plane.sh("systemctl list-units --plain --no-legend 'fuelctl*'") == ""
        assert plane.sh("ls /opt/fuelctl /usr/local/bin/fuelctl 2>/dev/null", check=False) == ""
        assert plane.sh("cd /; runuser -u postgres -- psql -d fuelctl -tAc 'SELECT count(*) FROM users'") == "2"
        plane.sh("test -s /etc/fuelctl/secret.key")
        plane.play(control_plane_state="absent", control_plane_purge=True)
        assert plane.sh("ls -d /etc/fuelctl /var/lib/fuelctl 2>/dev/null", check=False) == ""
        assert "fuelctl" not in plane.sh("cd /; runuser -u postgres -- psql -tAc 'SELECT datname FROM pg_database'")
        assert plane.sh("ls -d /var/backups/fuelctl/2*")
