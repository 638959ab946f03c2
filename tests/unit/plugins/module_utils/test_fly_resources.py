# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is sent to Fly.io: names, marks, configuration, and values that no machine could be given."""

from __future__ import annotations

import io
import json
from urllib.error import URLError

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import (
    _api,
    _app,
    _machine,
    _secrets,
    _tags,
    _volume,
)
from ansible_collections.fuel_code.remote.plugins.modules import fly_machine

ENVIRONMENT = "01JD0000000000000000000000"


@pytest.mark.parametrize("name", ["a", "fuel-code-01jd0000000000000000000000", "a1"])
def test_names_of_apps(name):
    assert _app.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 64, "a\n"])
def test_names_that_no_app_has(name):
    with pytest.raises(UsageError):
        _app.check_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "-a", "a" * 64])
def test_names_that_no_machine_has(name):
    with pytest.raises(UsageError):
        _machine.check_name(name)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ({"ip": "203.0.113.7", "shared": False}, "v4"),
        ({"ip": "203.0.113.7", "shared": True}, "shared_v4"),
        ({"ip": "2a09:8280:1::1"}, "v6"),
        ({"ip": "fdaa:0:1::3"}, "private_v6"),
    ],
)
def test_kinds_of_addresses(address, kind):
    assert _app.kind_of(address) == kind


def test_marks_name_the_environment_and_nothing_that_is_none():
    assert _tags.metadata(ENVIRONMENT.lower(), "alice", 5) == {
        "fuel_code_managed": "true",
        "fuel_code_environment": ENVIRONMENT,
        "fuel_code_owner": "alice",
        "fuel_code_expires_at": "5",
    }
    # Who stops a machine need not know whose it is.
    assert "fuel_code_owner" not in _tags.metadata(ENVIRONMENT, "")
    with pytest.raises(UsageError):
        _tags.metadata("x", "alice")
    assert _tags.of({}) == {}
    assert _tags.of({"config": {"metadata": None}}) == {}


def test_digest_of_a_configuration_depends_on_what_it_says_alone():
    one = _machine.Plan("a", "m", config={"image": "x", "env": {"A": "1", "B": "2"}})
    other = _machine.Plan("b", "n", config={"env": {"B": "2", "A": "1"}, "image": "x"}, metadata={"k": "v"})
    assert one.made_from() == other.made_from()
    assert one.made_from() != _machine.Plan("a", "m", config={"image": "y"}).made_from()


def parameters(**more):
    spec = fly_machine.argument_spec()
    given = {name: option.get("default") for name, option in spec.items()}
    return {**given, "app": "a", "name": "m", **more}


def test_configuration_as_the_api_takes_it():
    services = [{"port": 10022, "internal_port": 2222, "autostart": True, "autostop": "stop"}]
    made = fly_machine.configuration(
        parameters(image="x", env={"A": 1}, services=services, command=["sleep", "1"], config={"schedule": "daily"})
    )
    assert made["env"] == {"A": "1"}
    assert made["services"][0]["ports"] == [{"port": 10022, "handlers": []}]
    assert made["services"][0]["autostop"] == "stop"
    assert made["init"] == {"cmd": ["sleep", "1"]}
    assert made["schedule"] == "daily"
    assert made["restart"] == {"policy": "no"}


def test_without_an_image_the_configuration_is_left_as_it_is():
    assert fly_machine.plan(parameters(state="stopped")).config is None
    assert fly_machine.plan(parameters(state="present")).state == ""


@pytest.mark.parametrize(
    "wanted", [{"name": "A"}, {"name": "a-b"}, {"size_gb": 0}, {"size_gb": 501}, {"snapshot_days": 0}]
)
def test_volumes_that_fly_does_not_take(wanted):
    with pytest.raises(UsageError):
        _volume.check(_volume.Wanted(**{"app": "a", "name": "work", **wanted}))


@pytest.mark.parametrize(
    "values", [{"A B": "x"}, {"1A": "x"}, {"A": ""}, {"A": 5}, {"A": "a\0b"}, {"A": "x" * 65537}, {"A": "\ud800"}]
)
def test_secrets_that_no_machine_could_be_given(values):
    with pytest.raises(UsageError) as raised:
        _secrets.check(values)
    assert not [
        value for value in values.values() if isinstance(value, str) and value and value in str(raised.value)[20:]
    ]


def test_secrets_are_read_from_a_file_that_is_ones_own(tmp_path):
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"A": "two\nlines"}))
    path.chmod(0o600)
    assert _secrets.read(str(path)) == {"A": "two\nlines"}
    for mode, content in ((0o640, "{}"), (0o600, "[]"), (0o600, "{")):
        path.write_text(content)
        path.chmod(mode)
        with pytest.raises(UsageError):
            _secrets.read(str(path))
    with pytest.raises(UsageError):
        _secrets.read(str(tmp_path / "none"))


class Volumes:
    """An app whose list shows a volume so many looks after it was made."""

    def __init__(self, later, *, loses):
        self.later = later
        self.loses = loses
        self.made = []
        self.now = 0.0

    def open(self, _url, *, method, data, **_how):
        if method == "GET":
            self.later -= bool(self.made)
            return io.BytesIO(json.dumps(self.made if self.later < 0 else []).encode())
        name = json.loads(data)["name"]
        self.made.append({"id": f"vol_{len(self.made)}", "name": name, "size_gb": 1, "state": "created"})
        if self.loses:
            raise URLError("lost")
        return io.BytesIO(json.dumps(self.made[-1]).encode())

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("loses", [False, True])
def test_a_volume_that_is_listed_late_is_not_made_twice(loses):
    fly = Volumes(4, loses=loses)
    api = _api.Api(fly.open, "FlyV1 secret", clock=lambda: fly.now, sleep=fly.sleep)
    result = _volume.ensure(api, _volume.Wanted("a", "work"))
    assert (len(fly.made), result.done) == (1, ["create"])
    assert result.volume == fly.made[0]
