# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is sent to Fly.io: names, marks, configuration, and values that no machine could be given."""

from __future__ import annotations

import io
import json
from email.message import Message
from urllib.error import HTTPError, URLError

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
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
    # Its host does not answer.
    assert _tags.of({"config": None, "incomplete_config": {"metadata": {"k": "v"}}}) == {"k": "v"}


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


class OneMachine:
    """An app with a machine that has ended once, and does so again so many looks after it was started; 0 for never."""

    def __init__(self, *, policy="no", code=0, there=True, looks=1):
        self.policy, self.code, self.looks = policy, code, looks
        self.now = 0.0
        self.starts = 0
        self.runs = 0
        self.state = "stopped"
        self.events = [{"id": "old", "request": {"exit_event": {"exit_code": 0}}}]
        self.there = there
        self.metadata = {}

    def shown(self):
        if self.state == "starting":
            self.runs -= 1
            if not self.runs:
                self.events.insert(0, {"id": f"exit-{self.now}", "request": {"exit_event": {"exit_code": self.code}}})
                self.state = "stopped"
            elif self.runs < -1:
                self.state = "started"
        config = {"restart": {"policy": self.policy}, "metadata": self.metadata}
        return {"id": "1", "name": "dev", "state": self.state, "config": config, "events": list(self.events)}

    def open(self, url, *, method, data=None, **_how):
        self.now += 0.1
        if url.endswith("/lease"):
            return io.BytesIO(b'{"nonce": "n"}')
        if url.endswith("/start") or (method == "POST" and url.endswith("/machines")):
            self.starts += 1
            self.there = True
            if not url.endswith("/start"):
                self.events, self.metadata = [], json.loads(data)["config"]["metadata"]
            self.state, self.runs = "starting", self.looks
            return io.BytesIO(json.dumps(self.shown()).encode())
        found = self.shown()
        if "/wait?" in url and self.starts and self.state == "stopped" and self.policy == "on-failure":
            # As its policy says, Fly.io itself starts it again.
            self.state = "started"
        if url.endswith("/machines"):
            return io.BytesIO(json.dumps([found] if self.there else []).encode())
        return io.BytesIO(json.dumps(found).encode())

    def ensure(self, **more):
        api = _api.Api(self.open, "FlyV1 secret", clock=lambda: self.now, sleep=self.sleep)
        plan = _machine.Plan("a", "dev", **more)
        return _machine.ensure(api, plan, _machine.Waiting(timeout=30.0))

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("config", [None, {"image": "x", "restart": {"policy": "no"}}])
@pytest.mark.parametrize("looks", [1, 2, 5])
@pytest.mark.parametrize("code", [0, 7])
def test_a_machine_that_was_started_and_has_ended_is_not_started_again(config, looks, code):
    fly = OneMachine(there=config is None, looks=looks, code=code)
    with pytest.raises(FuelError) as raised:
        fly.ensure(config=config)
    assert raised.value.code == "fly_ended"
    assert f"exited with {code}" in str(raised.value)
    assert fly.starts == 1


def test_what_fly_starts_again_by_itself_is_waited_for():
    fly = OneMachine(policy="on-failure", code=1)
    assert fly.ensure().machine["state"] == "started"
    assert fly.starts == 1


def test_a_machine_that_ended_once_is_started():
    fly = OneMachine(looks=0)
    assert fly.ensure().done == ["start"]
    assert fly.starts == 1


class Addresses:
    """An app whose list shows an address so many looks after it was assigned."""

    def __init__(self, *answers, later=0, there=1):
        self.answers = list(answers)
        self.later = later
        self.ips = [f"198.51.100.{number}" for number in range(there)]
        self.asked = self.released = 0
        self.now = 0.0

    def open(self, url, *, method, **_how):
        if url.endswith("/ip_assignments") and method == "POST":
            self.asked += 1
            self.ips.append(f"203.0.113.{self.asked}")
            if self.answers and self.answers.pop(0):
                raise URLError("lost")
        elif method == "DELETE":
            self.released += 1
        elif url.endswith("/ip_assignments"):
            self.later -= bool(self.asked)
            shown = self.ips if not self.asked or self.later < 0 else []
            return io.BytesIO(json.dumps({"ips": [{"ip": each} for each in shown]}).encode())
        return io.BytesIO(json.dumps({"name": "a", "organization": {"slug": "o"}}).encode())

    def ensure(self, **more):
        api = _api.Api(self.open, "FlyV1 secret", clock=lambda: self.now, sleep=self.sleep)
        return _app.ensure(api, _app.Wanted("a", "o", addresses=("v4",), **more))

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("lost", [False, True])
def test_an_address_that_is_listed_late_is_not_asked_for_twice(lost):
    fly = Addresses(lost, later=4, there=0)
    assert fly.ensure()
    assert (fly.asked, fly.released) == (1, 0)


def test_an_address_that_was_lost_and_never_comes_is_asked_for_again():
    fly = Addresses(True, later=14, there=0)
    fly.ensure()
    assert fly.asked == 2


@pytest.mark.parametrize(("sole", "released"), [(False, 0), (True, 2)])
def test_addresses_that_somebody_else_asked_for_are_left_alone(sole, released):
    fly = Addresses(there=3)
    assert fly.ensure(sole=sole) is sole
    assert (fly.asked, fly.released) == (0, released)


class Restored:
    """An app whose volume is restored from a snapshot for so many looks, and grows then."""

    def __init__(self, looks):
        self.looks = looks
        self.volume = {"id": "vol_1", "name": "work", "size_gb": 1, "state": "restoring"}
        self.calls = []
        self.now = 0.0

    def open(self, url, *, method, data, **_how):
        self.calls.append(method)
        if method == "PUT":
            assert self.volume["state"] == "created"
            self.volume["size_gb"] = json.loads(data)["size_gb"]
            return io.BytesIO(json.dumps({"volume": self.volume, "needs_restart": True}).encode())
        if url.endswith("/vol_1"):
            self.looks -= 1
            self.volume["state"] = "restoring" if self.looks > 0 else "created"
        return io.BytesIO(json.dumps(self.volume if url.endswith("/vol_1") else [self.volume]).encode())

    def sleep(self, seconds):
        self.now += seconds

    def ensure(self, **more):
        api = _api.Api(self.open, "FlyV1 secret", clock=lambda: self.now, sleep=self.sleep)
        return _volume.ensure(api, _volume.Wanted("a", "work", **more))


def test_a_volume_from_a_snapshot_is_waited_for_and_says_whether_its_machine_sees_it_grow():
    fly = Restored(looks=3)
    found = fly.ensure()
    assert (found.volume["state"], found.done, found.needs_restart) == ("created", [], False)
    assert fly.now == 3 * _volume.INTERVAL
    grown = Restored(looks=2).ensure(size_gb=5)
    assert (grown.volume["size_gb"], grown.done, grown.needs_restart) == (5, ["extend"], True)


def test_a_volume_that_stays_on_its_way_is_not_waited_for_without_end():
    fly = Restored(looks=10_000)
    with pytest.raises(FuelError) as raised:
        fly.ensure()
    assert raised.value.code == "fly_slow"
    assert fly.now <= _volume.READY + 2 * _volume.INTERVAL


class Snapshots:
    """An app with a volume whose snapshots are listed so many looks after they were asked for."""

    def __init__(self, *there, later=0, broken=False, volume=True):
        self.there = [{"id": each, "created_at": f"2026-01-0{at + 1}"} for at, each in enumerate(there)]
        self.later = later
        self.broken = broken
        self.asked = 0
        self.now = 0.0
        self.volumes = [{"id": "vol_1", "name": "work", "size_gb": 10, "region": "fra", "state": "created"}]
        if not volume:
            self.volumes = []

    def open(self, url, *, method, **_how):
        if method == "POST":
            self.asked += 1
            return io.BytesIO(b"")
        if method == "DELETE":
            self.volumes = []
            return io.BytesIO(b"{}")
        if not url.endswith("/snapshots"):
            return io.BytesIO(json.dumps(self.volumes).encode())
        if self.broken:
            raise HTTPError(url, 500, "Broken", Message(), io.BytesIO(b"{}"))
        if self.asked:
            self.later -= 1
            if self.later == -1:
                self.there.append({"id": "vs_new", "created_at": "2026-02-01", "size": 7, "retention_days": 5})
        return io.BytesIO(json.dumps(self.there).encode())

    def sleep(self, seconds):
        self.now += seconds

    def api(self):
        return _api.Api(self.open, "FlyV1 secret", clock=lambda: self.now, sleep=self.sleep)

    def snapshot(self, **more):
        made, asked = _volume.snapshot(self.api(), _volume.Wanted("a", "work"), **more)[1:]
        return made and made["id"], asked


def test_a_snapshot_that_is_listed_late_is_waited_for():
    fly = Snapshots("vs_daily", later=3)
    assert (fly.snapshot(), fly.asked) == (("vs_new", True), 1)
    never = Snapshots(later=10_000)
    assert (never.snapshot(), never.asked) == ((None, True), 1)


def test_one_that_was_made_since_it_was_wanted_is_the_one():
    fly = Snapshots("vs_daily", "vs_mine")
    assert (fly.snapshot(known=["vs_daily"]), fly.asked) == (("vs_mine", False), 0)
    assert (fly.snapshot(known=["vs_daily", "vs_mine"]), fly.asked) == (("vs_new", True), 1)
    looked = Snapshots("vs_daily")
    assert (looked.snapshot(known=["vs_daily"], check_only=True), looked.asked) == ((None, True), 0)


def test_what_is_to_be_extended_or_snapshotted_is_never_made():
    fly = Snapshots(volume=False)
    for act in (fly.snapshot, lambda: _volume.ensure(fly.api(), _volume.Wanted("a", "work"), make=False)):
        with pytest.raises(FuelError) as raised:
            act()
        assert raised.value.code == "fly_missing"
    assert fly.asked == 0


def test_a_volume_in_the_words_that_all_providers_share():
    fly = Snapshots("vs_daily")
    fly.asked = 1
    told = _volume.disk(fly.volumes[0], _volume.listed_snapshots(fly.api(), "a", fly.volumes[0]), needs_restart=False)
    assert (told["id"], told["region"], told["size_gb"], told["needs_restart"]) == ("vol_1", "fra", 10, False)
    assert [each["id"] for each in told["snapshots"]] == ["vs_new", "vs_daily"]
    assert told["snapshots"][0] == {
        "id": "vs_new",
        "created_at": "2026-02-01",
        "state": "",
        "stored_bytes": 7,
        "days": 5,
    }
    assert (told["prices"]["gb_month"], told["prices"]["snapshot_gb_month"]) == (0.15, 0.08)


@pytest.mark.parametrize("broken", [False, True])
def test_an_end_names_the_snapshots_that_stay_and_does_not_wait_for_them(broken):
    fly = Snapshots("vs_daily", broken=broken)
    fly.asked = 1
    ended, [line] = _volume.destroy(fly.api(), _volume.Wanted("a", "work"))
    assert (ended, line["state"]) == (["vol_1"], "gone")
    said = "Fly.io keeps its snapshots for up to 5 days: vs_new, vs_daily"
    assert line["detail"] == ("" if broken else said)


class Recorded:
    """An app that is there once it was made, and notes what it is sent."""

    def __init__(self, *addresses):
        self.addresses = list(addresses)
        self.asked = []

    def open(self, url, *, method, data, **_how):
        self.asked.append((method, url.partition("/v1")[2], json.loads(data) if data else None))
        if url.endswith("/ip_assignments"):
            return io.BytesIO(json.dumps({"ips": self.addresses}).encode())
        there = [each[0] for each in self.asked if each[0] in ("POST", "DELETE")]
        if method == "GET" and (not there or there[-1] == "DELETE"):
            raise HTTPError(url, 404, "Not Found", Message(), io.BytesIO(b"{}"))
        return io.BytesIO(b'{"id": "1", "name": "a", "organization": {"slug": "o"}}')


def test_an_app_is_made_with_a_key_of_its_own_each_time():
    keys = []
    for _each in "ab":
        fly = Recorded()
        assert _app.ensure(_api.Api(fly.open, "FlyV1 secret"), _app.Wanted("a", "o"))
        [body] = [each[2] for each in fly.asked if each[0] == "POST"]
        assert (body["name"], body["app_name"], body["org_slug"]) == ("a", "a", "o")
        keys.append(body["idempotency_key"])
    assert keys[0] != keys[1]


def test_an_app_is_ended_with_the_machines_that_run():
    fly = Recorded()
    fly.asked.append(("POST", "", None))
    assert _app.destroy(_api.Api(fly.open, "FlyV1 secret"), "a", "", "o")[0]
    assert ("DELETE", "/apps/a?force=true", None) in fly.asked


def test_what_machines_connect_from_is_no_address_of_the_app():
    fly = Recorded({"ip": "198.51.100.9", "egress": True}, {"ip": "203.0.113.7", "egress": False, "network": None})
    found = _app.addresses(_api.Api(fly.open, "FlyV1 secret"), "a")
    assert [(each["ip"], each["kind"]) for each in found] == [("203.0.113.7", "v4")]
