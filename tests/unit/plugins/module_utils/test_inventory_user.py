# SPDX-License-Identifier: GPL-3.0-or-later
"""Where fuelctl keeps a user's things: the plugin has to find the same places without importing it."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory._user import User

ID = "01JD0000000000000000000001"


@pytest.fixture
def home(tmp_path):
    for kind in ("config", "state", "data/ssh/keys"):
        (tmp_path / kind).mkdir(parents=True)
    return tmp_path


def user(home, **more):
    return User({"FUELCTL_HOME": str(home), "XDG_DATA_HOME": str(home / "xdg")}, **more)


def test_a_socket_in_a_deep_folder_has_a_stand_in(tmp_path):
    assert user(tmp_path / "h").socket() == str(tmp_path / "h" / "state" / "server.sock")
    deep = user(tmp_path / ("x" * 120))
    assert deep.socket().startswith(f"/tmp/fuelctl-{os.getuid()}/")
    assert len(deep.socket()) < 100


def test_the_server_is_what_is_given_then_what_is_configured_then_the_socket(home):
    assert user(home).server(None, None, None).url is None
    (home / "token").write_text("secret\n")
    config = home / "config" / "config.toml"
    config.write_text(f'[server]\nurl = "https://fuel.example.org"\ntoken_file = "{home}/token"\n')
    found = user(home).server(None, None, None)
    assert (found.url, found.token) == ("https://fuel.example.org", "secret")
    assert user(home).server(None, "given", None).token == "given"
    other = user(home).server("https://other.example.org", None, None)
    assert (other.url, other.token) == ("https://other.example.org", None), "the token is not for strangers"
    config.write_text("[server\n")
    with pytest.raises(UsageError):
        user(home).server(None, None, None)
    with pytest.raises(UsageError):
        user(home).server("https://x", None, str(home / "nothing"))


def test_a_login_of_fuelctl_is_followed_and_its_token_goes_nowhere_else(home):
    logins = {"current": "https://team", "servers": {"https://team": {"token": "own"}, "https://b": {"token": "other"}}}
    (home / "state").mkdir(parents=True, exist_ok=True)
    (home / "state" / "logins.json").write_text(json.dumps(logins))
    found = user(home).server(None, None, None)
    assert (found.url, found.token) == ("https://team", "own")
    assert user(home).server("https://b/", None, None).token == "other"
    assert user(home).server("https://c", None, None).token is None
    (home / "state" / "logins.json").write_text("{")
    with pytest.raises(UsageError):
        user(home).server(None, None, None)


def test_entries_are_read_off_the_comments(home):
    (home / "data" / "ssh" / "config").write_text(
        "# Written by fuelctl; changes made here are lost.\n"
        f"# fuelctl {json.dumps({'id': ID, 'name': 'shop'})}\nHost fuel-shop\n"
        "# fuelctl {broken\n# fuelctl []\n# fuelctl {}\n"
    )
    assert user(home).ssh_entries() == {ID: ("fuel-shop", None)}
    with (home / "data" / "ssh" / "config").open("a") as stream:
        stream.write(f"# fuelctl {json.dumps({'id': ID, 'name': 'shop', 'machine': 'fuel@203.0.113.7 22'})}\n")
    assert user(home).ssh_entries() == {ID: ("fuel-shop", f"fuel-shop-{ID.lower()}.machine")}
    assert user(home / "nothing").ssh_entries() == {}


def test_keys_of_fuelctl_and_of_playbooks(home):
    assert user(home).key(ID) is None
    own = home / "mine" / ID
    own.mkdir(parents=True)
    (own / "id_ed25519").touch()
    (own / "machine_known_hosts").touch()
    mine = user(home, keys_path=str(home / "mine"))
    assert mine.key(ID) == str(own / "id_ed25519")
    assert mine.machine_known_hosts(ID) == str(own / "machine_known_hosts")
    (home / "data" / "ssh" / "keys" / ID).touch()
    assert mine.key(ID) == str(home / "data" / "ssh" / "keys" / ID)
