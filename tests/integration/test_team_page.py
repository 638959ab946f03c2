# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/user/team.md as a newcomer follows it, word by word: an empty machine, two laptops, a machine to build on."""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import BASE_IMAGE
from tests.lab.ec2 import image

from .machine import CHECKOUT, docker
from .own_machine import OwnMachine
from .page import Shell, commands
from .plane_machine import PlaneMachine

pytestmark = [pytest.mark.docker, pytest.mark.soak, pytest.mark.timeout(5400)]
PAGE = CHECKOUT / "docs" / "user" / "team.md"
BEGIN = "From an empty machine to two people, in ten minutes"
#: What somebody has where they sit.
_LAPTOP = """\
apt-get update -q && apt-get install -qy --no-install-recommends python3-venv openssh-client git >/dev/null
for user in you ada; do
  useradd -m -s /bin/bash $user
  runuser -u $user -- sh -c 'mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
  runuser -u $user -- git config --global user.name $user
  runuser -u $user -- git config --global user.email $user@example.org
done
"""
#: What a provider of machines sets up.
_SERVER = """\
ssh-keygen -A >/dev/null && systemctl restart ssh
useradd -m -s /bin/bash debian && echo 'debian ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/debian
install -d -m 700 -o debian -g debian /home/debian/.ssh
"""
#: An authority that signs for whoever answers at the name, as Let's Encrypt does, with an account made by itself.
_AUTHORITY = """\
apt-get update -q && apt-get install -qy --no-install-recommends pebble openssl >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 9 -subj /CN=acme.example.org \
  -addext subjectAltName=DNS:acme.example.org -keyout /key.pem -out /cert.pem 2>/dev/null
cat >/pebble.json <<END
{"pebble": {"listenAddress": "0.0.0.0:14000", "managementListenAddress": "0.0.0.0:15000", "certificate": "/cert.pem",
 "privateKey": "/key.pem", "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
 "externalAccountBindingRequired": false}}
END
PEBBLE_VA_NOSLEEP=1 nohup pebble -config /pebble.json >/pebble.log 2>&1 &
"""
_CERTBOT = """\
mkdir -p /root/.config/letsencrypt && cd /root/.config/letsencrypt
printf '%s = true\\n' no-verify-ssl agree-tos non-interactive register-unsafely-without-email >cli.ini
echo 'server = https://acme.example.org:14000/dir' >>cli.ini
echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/90unattended
"""


class Place:
    """A network with the machines of the page, and the shells in them."""

    def __init__(self, folder: Path) -> None:
        self.network = f"fuel-page-{secrets.token_hex(4)}"
        self.laptop, self.authority = f"{self.network}-laptop", f"{self.network}-acme"
        self.server = PlaneMachine(folder / "server", words=self._named("fuel.example.org"))
        self.build = OwnMachine(folder / "build", "machine-docker")

    def _named(self, name: str) -> tuple[str, ...]:
        return ("--network", self.network, "--network-alias", name)

    def open(self) -> None:
        trixie = image.ensure("machine-trixie")
        for name, alias in ((self.laptop, "laptop"), (self.authority, "acme.example.org")):
            docker("run", "--detach", "--init", "--name", name, *self._named(alias), trixie, "sleep", "infinity")
        self.on(self.laptop, _LAPTOP)
        self.on(self.authority, _AUTHORITY)
        self.server.sh(_SERVER)
        docker("network", "connect", "--alias", "build.example.org", self.network, self.build.name)
        self.build.load(BASE_IMAGE)
        key = {user: self.on(self.laptop, f"cat /home/{user}/.ssh/id_ed25519.pub") for user in ("you", "ada")}
        self.server.sh(f"echo '{key['you']}' | install -m 600 -o debian /dev/stdin /home/debian/.ssh/authorized_keys")
        self.build.sh(f"printf '%s\\n' '{key['you']}' '{key['ada']}' >> /home/alice/.ssh/authorized_keys")
        # They logged in once and compared the key.
        for user in key:
            known = (
                f"ssh-keyscan -t ed25519 fuel.example.org build.example.org 2>/dev/null > /home/{user}/.ssh/known_hosts"
            )
            self.on(self.laptop, f"{known}; chown {user}: /home/{user}/.ssh/known_hosts")

    def on(self, container: str, script: str, given: bytes = b"") -> str:
        """Run a script there as root."""
        command = ["docker", "exec", "--interactive", container, "bash", "-ec", script]
        done = subprocess.run(command, input=given, capture_output=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout.decode().strip()

    def close(self) -> None:
        docker("rm", "--force", "--volumes", self.laptop, self.authority)
        docker("network", "disconnect", "--force", self.network, self.build.name)

    def publish(self, version: str) -> None:
        """Where the clone comes from gets this checkout, as that version."""
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True).stdout
        pack = ["tar", "--create", "--null", "--files-from=-"]
        tar = subprocess.run(pack, cwd=CHECKOUT, input=tracked, capture_output=True, check=True)
        self.on(self.laptop, "mkdir -p /srv/fuel && tar -C /srv/fuel -x --no-same-owner", tar.stdout)
        self.on(
            self.laptop,
            f"""cd /srv/fuel && sed -i 's/^__version__ = .*/__version__ = "{version}"/' fuelctl/__init__.py
            git config --system --replace-all safe.directory '*'
            git init -q -b main && git add --all
            git -c user.name=x -c user.email=x@example.org commit -qm {version}""",
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    made = Place(folder)
    docker("network", "create", made.network)
    try:
        with made.server, made.build:
            try:
                made.open()
                made.publish("0.0.9")
                yield made
            finally:
                made.close()
    finally:
        docker("network", "rm", made.network)


@pytest.fixture(scope="module")
def you(place: Place) -> Iterator[Shell]:
    with Shell(place.laptop, "you") as shell:
        shell.type("git clone -q /srv/fuel fuel_code.remote && cd fuel_code.remote")
        yield shell


@pytest.fixture(scope="module")
def ada(place: Place) -> Iterator[Shell]:
    with Shell(place.laptop, "ada") as shell:
        yield shell


def test_from_an_empty_machine_to_two_people(place: Place, you: Shell, ada: Shell) -> None:
    install, let_in, log_in = commands(PAGE, BEGIN)
    begun = time.monotonic()
    assert "https://fuel.example.org is ready" in you.follow(install)
    said = you.follow(let_in)
    assert "You are admin, an admin, at https://fuel.example.org." in said
    [token] = re.findall(r"^fctl_\S+$", said, re.MULTILINE)
    place.on(
        place.laptop, "cp /home/you/fuel_code.remote/fuel.crt /home/you/fuel_code.remote/dist/fuelctl-*.whl /home/ada/"
    )
    ada.follow(log_in[:-1])
    assert "You are ada, a member, at https://fuel.example.org." in ada.type(log_in[-1], answers=[("Token: ", token)])
    print(f"\nfrom an empty machine to two people: {(time.monotonic() - begun) / 60:.1f} minutes")
    assert "No active environments" in ada.type("fuelctl ls")
    assert place.server.sh("ls /var/lib/fuelctl/state/server.token", check=False) == ""
    assert "admin" in you.type("fuelctl user ls")
    for refused in ("fuelctl user ls", "fuelctl audit-log", "fuelctl user add eve --role admin"):
        assert "error: " in ada.type(refused, ok=False)


def test_a_member_makes_an_environment_and_others_see_it(place: Place, you: Shell, ada: Shell) -> None:
    key, use = commands(PAGE, "Where environments are made")
    you.follow(key)
    blueprint = f"version: 1\\nimage: {BASE_IMAGE}\\n"
    ada.type(
        f"mkdir -p my-project/.fuel-code && printf '{blueprint}' >my-project/.fuel-code/env.yaml &&"
        " git -C my-project init -q -b main && git -C my-project add -A && git -C my-project commit -qm Start"
    )
    change, up, enter = use
    ada.type(change)
    ada.type(up, answers=[("[Y/n]", "y")])
    assert "/workspaces/my-project" in ada.type(enter, answers=[("$ ", "pwd; exit")])
    assert re.search(r"my-project +ada ", you.type("fuelctl ls"))
    eve = re.findall(r"^fctl_\S+$", you.type("fuelctl user add eve --role member"), re.MULTILINE)[0]
    with Shell(place.laptop, "ada") as other:
        other.type(
            f"export FUELCTL_HOME=/tmp/eve FUELCTL_SERVER_URL=https://fuel.example.org FUELCTL_SERVER_TOKEN={eve}"
        )
        other.type("export SSL_CERT_FILE=$HOME/fuel.crt; . ~/fuel/bin/activate")
        assert re.search(r"my-project +ada ", other.type("fuelctl ls")), "everybody sees it"
        for refused in ("down my-project --yes", "extend my-project 2h", "ssh my-project true"):
            assert "error: " in other.type(f"fuelctl {refused}", ok=False)


def test_upgraded_as_printed_it_keeps_people_and_environments(place: Place, you: Shell, ada: Shell) -> None:
    assert "0.0.9" in place.server.sh("fuelctl version")
    [upgrade] = commands(PAGE, "Upgrades")
    place.publish("0.0.10")
    you.follow(upgrade)
    assert "0.0.10" in place.server.sh("fuelctl version")
    assert len(place.server.sh("ls /var/backups/fuelctl").split()) == 1
    assert len(place.server.sh("ls /opt/fuelctl/releases").split()) == 2
    assert re.search(r"^User: +ada$", ada.type("fuelctl whoami"), re.MULTILINE)
    assert "ready" in ada.type("fuelctl status my-project")
    assert "there" in ada.type("fuelctl ssh my-project echo there")


def test_a_certificate_of_an_authority(place: Place, you: Shell, ada: Shell) -> None:
    place.server.sh(_CERTBOT)
    ask, use = commands(PAGE, "The certificate")
    with Shell(place.server.name, "debian") as on_it:
        on_it.follow(ask)
    # Believed by everybody: by the machine's own list.
    root = place.on(place.authority, "curl -sk https://127.0.0.1:15000/roots/0")
    place.on(place.laptop, "cat > /usr/local/share/ca-certificates/acme.crt && update-ca-certificates", root.encode())
    release = place.server.sh("readlink /opt/fuelctl/current")
    you.follow(use)
    assert place.server.sh("readlink /opt/fuelctl/current") == release
    assert re.search(r"^User: +admin$", you.type("fuelctl whoami"), re.MULTILINE)
    assert re.search(r"^User: +ada$", ada.type("unset SSL_CERT_FILE; fuelctl whoami"), re.MULTILINE)
    serial = "openssl s_client -connect fuel.example.org:443 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    before = place.server.sh(serial)
    # Without a terminal it would wait for up to eight minutes.
    place.server.sh("certbot renew --force-renewal --no-random-sleep-on-renew")
    assert place.server.sh(serial) != before, "nginx has read the new one"
    assert "  ✓  " in ada.type("fuelctl down my-project --yes --discard")
    assert "No active environments" in you.type("fuelctl ls")
