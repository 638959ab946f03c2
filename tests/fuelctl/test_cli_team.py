# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's server as its people see it, over real HTTP: log in, whoami, tokens, users, the audit log, log out."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl.accounts import users
from fuelctl.accounts.roles import Role
from fuelctl.cli import _logins, _settings
from fuelctl.client import Client
from tests.fuelctl import stage as stage_module
from tests.fuelctl.stage import Done, Stage
from tests.fuelctl.test_supervise import wait_until
from tests.ports import free_port

Run = Callable[..., Done]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(home: Path) -> Iterator[Stage]:
    """A team's server over TCP."""
    with stage_module.stage(tcp=True) as made:
        yield made


@pytest.fixture
def enter(server: Stage, fuelctl: Run, tmp_path: Path) -> Callable[[str, Role], str]:
    """Adds a user, logs in as them, and gives the token."""

    def enter(name: str, role: Role) -> str:
        token = users.add(server.core, name, role, days=90).text
        file = tmp_path / f"{name}.token"
        file.write_text(token + "\n")
        done = fuelctl("login", server.url, "--token-file", str(file))
        assert done.code == 0, done.err
        article = "an" if role is Role.ADMIN else "a"
        assert done.out == f"You are {name}, {article} {role}, at {server.url}.\n"
        assert token not in done.out + done.err
        return token

    return enter


class TestLogin:
    def test_the_token_is_kept_for_this_server_alone_where_nobody_else_reads_it(
        self, server: Stage, enter: Any, fuelctl: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = enter("ada", Role.MEMBER)
        assert paths.logins_file().stat().st_mode & 0o777 == 0o600
        assert _settings.server() == _settings.Server(server.url, token)
        found = fuelctl("whoami", "--json").json
        assert (found["name"], found["role"], found["server"]) == ("ada", "member", server.url)
        assert "Role:     member" in fuelctl("whoami").out
        monkeypatch.setenv("FUELCTL_SERVER_URL", "https://other.example.org")
        assert _settings.server() == _settings.Server("https://other.example.org", None)
        monkeypatch.setenv("FUELCTL_SERVER_URL", server.url + "/")
        assert _settings.server().token == token

    def test_it_is_asked_for_without_being_shown(
        self, server: Stage, fuelctl: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = users.add(server.core, "ada", Role.MEMBER, days=1).text
        asked: list[dict[str, Any]] = []

        def prompt(_text: str, **options: Any) -> str:
            asked.append(options)
            return token

        monkeypatch.setattr("fuelctl.cli.login.can_ask", lambda: True)
        monkeypatch.setattr(typer, "prompt", prompt)
        assert fuelctl("login", server.url).code == 0
        assert asked == [{"hide_input": True, "err": True}]

    def test_it_comes_from_stdin(self, server: Stage, fuelctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        token = users.add(server.core, "ada", Role.MEMBER, days=1).text
        monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))
        done = fuelctl("login", server.url + "/", "--token-file", "-", "--json")
        assert done.json["name"] == "ada"
        assert token not in done.out

    @pytest.mark.parametrize("text", ["", "two words", "a\nb", "\x1b[31m", "x" * 5000, "ümlaut"])
    def test_what_is_no_token_is_not_sent(self, server: Stage, fuelctl: Run, tmp_path: Path, text: str) -> None:
        (tmp_path / "token").write_text(text)
        done = fuelctl("login", server.url, "--token-file", str(tmp_path / "token"))
        assert done.code == 2
        assert "That is no token" in done.err
        assert not paths.logins_file().exists()

    def test_a_token_that_the_server_does_not_take_is_not_kept(
        self, server: Stage, fuelctl: Run, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("fctl_forged")
        done = fuelctl("login", server.url, "--token-file", str(tmp_path / "token"))
        assert done.code == 1
        assert "does not take this token" in done.err
        assert not paths.logins_file().exists()

    def test_it_does_not_travel_in_the_open_or_in_an_address(self, fuelctl: Run, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("t")
        given = ("--token-file", str(tmp_path / "token"))
        done = fuelctl("login", "http://fuel.example.org", *given)
        assert (done.code, "not encrypted" in done.err) == (2, True)
        assert fuelctl("login", "https://x:y@fuel.example.org", *given).code == 2
        assert fuelctl("login", "ftp://fuel.example.org", *given).code == 2
        assert fuelctl("login", "https://fuel.example.org", "--token-file", str(tmp_path / "no")).code == 2

    def test_without_a_terminal_it_says_how(self, server: Stage, fuelctl: Run) -> None:
        done = fuelctl("login", server.url)
        assert done.code == 2
        assert "--token-file" in done.err

    def test_logging_out_forgets_it(self, server: Stage, enter: Any, fuelctl: Run) -> None:
        token = enter("ada", Role.MEMBER)
        assert Client(url=server.url, token=token).whoami()["name"] == "ada"
        assert fuelctl("logout", "--json").json == {"forgotten": [server.url], "revoked": [server.url]}
        with pytest.raises(FuelError, match="token"):
            Client(url=server.url, token=token).whoami()
        assert token not in paths.logins_file().read_text()
        assert _settings.server() == _settings.Server()
        assert fuelctl("logout").out == "You are not logged in to a server.\n"
        kept = enter("bob", Role.MEMBER)
        assert fuelctl("logout", "--keep-token", "--json").json == {"forgotten": [server.url], "revoked": []}
        assert Client(url=server.url, token=kept).whoami()["name"] == "bob"
        nobody = ("http://127.0.0.1:9", "http://127.0.0.1:10")
        _logins.put(nobody[0], "t", "me")
        _logins.put(nobody[1] + "/", "u", "me")
        assert _settings.server() == _settings.Server(nobody[1], "u")
        done = fuelctl("logout", nobody[0] + "/")
        assert done.out == f"Forgotten: {nobody[0]}.\n"
        assert "was not told" in done.err
        assert fuelctl("logout", "--all").out == f"Forgotten: {nobody[1]}.\n"
        assert fuelctl("logout", "https://a", "--all").code == 2

    def test_the_laptop_registers_and_stays_the_same_one(self, server: Stage, enter: Any, fuelctl: Run) -> None:
        def devices(token: str) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = Client(url=server.url, token=token).call("GET", "/api/devices")["devices"]
            return found

        token = enter("ada", Role.VIEWER)
        [device] = devices(token)
        assert (device["name"], device["kind"], device["owner"]) == (socket.gethostname()[:100], "laptop", "ada")
        another = enter("bob", Role.MEMBER)
        [others] = devices(another)
        assert others["id"] != device["id"], "nobody can tell that two people sit at one machine"
        (paths.state_folder() / "again").write_text(token)
        assert fuelctl("login", server.url, "--token-file", str(paths.state_folder() / "again")).code == 0
        assert [each["id"] for each in devices(token)] == [device["id"]]

    def test_a_damaged_file_is_one_line(self, fuelctl: Run) -> None:
        paths.private_file(paths.logins_file(), b"[]")
        done = fuelctl("ls")
        assert done.code == 1
        assert done.err.startswith(f"error: {paths.logins_file()}: It is damaged")

    def test_a_token_file_in_the_settings_is_for_their_server_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "token").write_text("secret")
        text = f'[server]\nurl = "https://a"\ntoken_file = "{tmp_path}/token"\n'
        paths.private_file(paths.config_file(), text.encode())
        assert _settings.server() == _settings.Server("https://a", "secret")
        monkeypatch.setenv("FUELCTL_SERVER_URL", "https://b")
        assert _settings.server() == _settings.Server("https://b", None)


def test_the_doctor_says_what_to_do_about_a_token_that_is_over(server: Stage, enter: Any, fuelctl: Run) -> None:
    enter("ada", Role.MEMBER)
    users.add(server.core, "root", Role.ADMIN, days=1)
    users.change(server.core, "ada", disabled=True)
    [check] = [each for each in fuelctl("doctor", "--json").json["checks"] if each["name"] == "server"]
    assert check["good"] is False
    assert "fuelctl login URL" in check["fix"]
    assert "server stop" not in check["fix"]


class TestTokens:
    def test_made_listed_revoked(self, server: Stage, enter: Any, fuelctl: Run) -> None:
        enter("ada", Role.MEMBER)
        done = fuelctl("token", "create", "ci", "--scope", "read", "--days", "7")
        assert done.code == 0
        token = done.out.strip()
        assert Client(url=server.url, token=token).whoami()["scope"] == "read"
        assert "not shown again" in done.err
        assert token not in done.err
        listed = fuelctl("token", "ls")
        assert token not in listed.out
        assert [line.split()[1:5] for line in listed.out.splitlines()[1:]] == [
            ["ci", "ada", "read", "good"],
            ["first", "ada", "all", "good"],
        ]
        one = fuelctl("token", "ls", "--json").json["tokens"][0]["id"]
        assert fuelctl("token", "revoke", one).out == f"Revoked: {one} (ci of ada).\n"
        assert fuelctl("token", "revoke", one, "--json").json["tokens"][0]["good"] is False
        assert fuelctl("token", "revoke", "nobodys").code == 1
        assert fuelctl("token", "revoke", token).out == f"Revoked: {one} (ci of ada).\n"
        assert "revoked" in fuelctl("token", "ls").out
        assert fuelctl("token", "ls", "--everybody").code == 1
        assert fuelctl("token", "create", "x", "--days", "9999").code == 2

    def test_the_embedded_server_needs_none(self, stage: Stage, fuelctl: Run) -> None:
        assert fuelctl("token", "ls").out == "No tokens.\n"
        assert "your own on this machine" in fuelctl("whoami").out
        assert fuelctl("whoami", "--json").json["role"] == "admin"
        assert fuelctl("audit-log").out == "No entries.\n"
        assert fuelctl("user", "ls").out == "No users.\n"


class TestUsers:
    def test_an_admin_lets_people_in_and_out(self, server: Stage, enter: Any, fuelctl: Run) -> None:
        enter("root", Role.ADMIN)
        done = fuelctl("user", "add", "ada", "--role", "member")
        ada = Client(url=server.url, token=done.out.strip())
        assert ada.whoami()["role"] == "member"
        assert "ada is a member." in done.err
        assert fuelctl("user", "add", "ada").code == 1
        assert fuelctl("user", "add", "Ada!").code == 2
        made = fuelctl("user", "add", "vera", "--role", "viewer", "--json").json
        assert made["token"]["token"].startswith("fctl_")
        assert fuelctl("user", "role", "ada", "viewer").out == "ada: viewer, active.\n"
        assert ada.whoami()["role"] == "viewer"
        assert fuelctl("user", "disable", "ada").out == "ada: viewer, disabled.\n"
        assert [line.split()[:3] for line in fuelctl("user", "ls").out.splitlines()[1:]] == [
            ["ada", "viewer", "disabled"],
            ["root", "admin", "active"],
            ["vera", "viewer", "active"],
        ]
        assert "disabled" in fuelctl("token", "ls", "--user", "ada").out
        assert fuelctl("user", "enable", "ada").code == 0
        assert ada.whoami()["name"] == "ada"
        done = fuelctl("user", "disable", "root")
        assert (done.code, "root is the last admin" in done.err) == (1, True)
        assert fuelctl("user", "disable", "nobody").code == 1

    def test_a_member_is_told_no_in_one_line(self, enter: Any, fuelctl: Run) -> None:
        enter("ada", Role.MEMBER)
        for command in (["user", "ls"], ["user", "add", "eve"], ["audit-log"], ["reap", "--once"]):
            done = fuelctl(*command)
            assert done.code == 1
            assert done.err.splitlines()[0] == "error: you are ada, a member, who may not do that"


class TestEnvironments:
    def test_what_one_makes_is_ones_own(self, server: Stage, enter: Any, fuelctl: Run, repo: Path) -> None:
        enter("bob", Role.MEMBER)
        assert fuelctl("up", str(repo), "--yes", "--name", "theirs").code == 0
        enter("ada", Role.MEMBER)
        done = fuelctl("up", str(repo), "--yes", "--name", "mine")
        assert done.code == 0, done.err
        listed = fuelctl("ls").out.splitlines()
        assert listed[0].split()[:3] == ["ID", "NAME", "OWNER"]
        assert {tuple(line.split()[1:3]) for line in listed[1:]} == {("mine", "ada"), ("theirs", "bob")}
        assert [each["name"] for each in fuelctl("ls", "--owner", "bob", "--json").json["environments"]] == ["theirs"]
        done = fuelctl("down", "theirs", "--yes")
        assert done.code == 1
        assert "that is bob's, and you are ada" in done.err
        assert fuelctl("down", "--all", "--yes").code == 0
        server.join()
        assert [each["name"] for each in fuelctl("ls", "--json").json["environments"]] == ["theirs"]

    def test_the_same_name_is_free_for_everybody(self, enter: Any, fuelctl: Run, repo: Path) -> None:
        for name in ("bob", "ada"):
            enter(name, Role.MEMBER)
            done = fuelctl("up", str(repo), "--yes", "--name", "api")
            assert done.code == 0, done.err
        assert fuelctl("status", "api", "--json").json["owner"] == "ada"

    def test_the_list_of_ones_own_server_has_no_owners(self, stage: Stage, fuelctl: Run, repo: Path) -> None:
        fuelctl("up", str(repo), "--yes")
        assert "OWNER" not in fuelctl("ls").out


def test_the_audit_log_is_read(server: Stage, enter: Any, fuelctl: Run) -> None:
    enter("root", Role.ADMIN)
    for name in ("ada", "eve"):
        fuelctl("user", "add", name)
    fuelctl("user", "role", "eve", "viewer")
    with pytest.raises(Exception, match="wants a token"):
        Client(url=server.url, token="fctl_wrong").whoami()
    lines = fuelctl("audit-log", "--actor", "root").out.splitlines()
    assert lines[0].split()[:3] == ["SEQ", "AT", "ACTOR"]
    assert lines[1].rstrip().endswith('role="member"->"viewer"')
    assert " 127.0.0.1 " in lines[1]
    refused = fuelctl("audit-log", "--refused", "--json").json["entries"]
    assert [(row["actor"], row["action"]) for row in refused] == [("-", "access.unauthorized")]
    done = fuelctl("audit-log", "--limit", "1")
    assert "Older ones: --before " in done.err
    assert [row["object"] for row in fuelctl("audit-log", "--object", "eve", "--json").json["entries"]] == ["eve"] * 2
    assert fuelctl("audit-log", "--after", "0", "--limit", "1", "--json").json["entries"][0]["seq"] == 1


def test_a_server_that_is_run_for_the_first_time_lets_its_admin_in(home: Path) -> None:
    """The real one, under gunicorn: its first token is in a private file, and nowhere else."""
    port = free_port()
    file, url = paths.server_token_file(), f"http://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def alive() -> bool:
        try:
            return bool(Client(url=url).health())
        except FuelError:
            return False

    told = []
    for _start in range(2):
        command = [sys.executable, "-m", "fuelctl", "server", "run", "--bind", f"127.0.0.1:{port}"]
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(alive)
            token = file.read_text().strip()
            assert file.stat().st_mode & 0o777 == 0o600
            done = subprocess.run(
                [sys.executable, "-m", "fuelctl", "login", url, "--token-file", str(file), "--json"],
                env=environment,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert json.loads(done.stdout)["name"] == "admin", done.stderr
        finally:
            process.send_signal(signal.SIGTERM)
            _out, said = process.communicate(timeout=240)
        assert token not in said + done.stdout
        told.append(f"A token for user admin is in {file};" in said)
    assert told == [True, False]
    logs = [path for path in paths.state_folder().rglob("*.log") if token in path.read_text(errors="replace")]
    assert logs == []
