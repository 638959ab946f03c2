# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks: from the log into the outbox, and from there until they have arrived; on both databases."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.config import load as load_settings
from fuelctl.environments import registry, warnings
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.models import OutboxRow
from fuelctl.store.secrets import Safe
from fuelctl.webhooks import courier as module
from fuelctl.webhooks import receivers
from fuelctl.webhooks.courier import Courier, retry_delay
from fuelctl.webhooks.receivers import Receiver, Receivers
from fuelctl.webhooks.send import Sender
from fuelctl.webhooks.signature import headers, key
from tests.fuelctl import databases, receiver
from tests.fuelctl.control import HandClock
from tests.fuelctl.test_reaper import ready, row_of
from tests.fuelctl.test_supervise import wait_until
from tests.fuelctl.test_webhooks_guard import LOOPBACK
from tests.ports import free_port

RECEIPT = {
    "complete": True,
    "checked_at": "2027-01-15T08:00:00Z",
    "resources": [
        {"kind": "container", "name": "c", "state": "gone"},
        {"kind": "volume", "name": "v", "state": "gone"},
    ],
}


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


@pytest.fixture
def got() -> Iterator[receiver.Receiver]:
    with receiver.listening() as made:
        yield made


def to(port: int, *events: str, name: str = "chat") -> Receiver:
    return Receiver(name, f"http://127.0.0.1:{port}/hook", events or ("*",), base64.b64decode(receiver.SECRET))


def courier_of(core: Core, *known: Receiver, **more: Any) -> Courier:
    made = Courier(core, Receivers(known, LOOPBACK), **more)
    made.take_in()
    return made


def end(core: Core, environment_id: str, by: str = "ttl") -> None:
    _row, operation_id = registry.begin_termination(core, environment_id, discard=True, by=by)
    assert operation_id is not None
    Journal.open(core, environment_id, operation_id).terminated(RECEIPT)


def waiting(core: Core) -> list[OutboxRow]:
    with core.database.read() as session:
        return list(session.scalars(select(OutboxRow).order_by(OutboxRow.seq)))


def deliver_all(courier: Courier, one: Receiver) -> None:
    while courier.deliver(one) is not None:
        pass


def test_an_end_is_told_once_signed_and_with_its_receipt(core: Core, got: receiver.Receiver) -> None:
    before = ready(core)
    end(core, before)
    one = to(got.port)
    courier = courier_of(core, one)
    made = ready(core, name="api")
    end(core, made)
    assert courier.take_in() == 1
    assert courier.take_in() == 0, "what was taken in is not taken in again"
    deliver_all(courier, one)
    assert got.types == ["environment.ended"], "nobody is told of what was before"
    body = got.bodies[0]
    assert body["timestamp"] == "2027-01-15T08:00:00.000Z"
    assert body["data"]["environment"]["id"] == made
    assert body["data"]["environment"]["name"] == "api"
    assert body["data"]["by"] == "ttl"
    gone = {"container": 1, "volume": 1}
    assert body["data"]["receipt"] == {"complete": True, "checked_at": RECEIPT["checked_at"], "gone": gone}
    assert got.verify()
    assert waiting(core) == []


def test_a_signature_is_what_the_standard_says() -> None:
    # The example of standardwebhooks.com.
    made = headers(
        key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_gets_what_it_asked_for(core: Core, got: receiver.Receiver) -> None:
    wants, other = to(got.port, "environment.ended", "reaper.*"), to(got.port, "nothing.*", name="other")
    courier = courier_of(core, wants, other)
    made = ready(core)
    end(core, made)
    courier.take_in()
    courier.announce("reaper.failing", {"cycles": 5})
    courier.announce("budget.reached", {})
    assert {(row.receiver, row.type) for row in waiting(core)} == {
        ("chat", "environment.ended"),
        ("chat", "reaper.failing"),
    }


def test_what_does_not_arrive_is_sent_again_under_its_id_ever_more_slowly(
    core: Core, clock: HandClock, got: receiver.Receiver
) -> None:
    one = to(got.port)
    courier = courier_of(core, one)
    courier.announce("reaper.failing", {})
    got.answers = [500, -1, 302, 200]
    waits = []
    for turn in range(3):
        done = courier.deliver(one)
        assert done is not None
        assert not done.arrived
        assert courier.deliver(one) is None, "not before its time"
        row = waiting(core)[0]
        assert (row.attempts, row.problem) == (turn + 1, done.problem)
        waits.append(row.next_at - clock.wall)
        clock.pass_(waits[-1])
    assert waits == [10, 20, 40]
    last = courier.deliver(one)
    assert last is not None
    assert last.arrived
    assert len({headers["webhook-id"] for headers, _body in got.got}) == 1
    assert len({headers["webhook-timestamp"] for headers, _body in got.got}) == 4, "each is signed when it is sent"
    assert all(got.verify(index) for index in range(4))
    assert waiting(core) == []


def test_a_receiver_that_is_gone_for_good_is_given_up_in_the_end(
    core: Core, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    one = to(free_port())
    courier = courier_of(core, one)
    courier.announce("reaper.failing", {})
    for _turn in range(3):
        assert waiting(core)
        assert courier.deliver(one) is not None
        clock.pass_(module.SLOWEST_RETRY)
    assert waiting(core) == []
    assert sum(retry_delay(attempt) for attempt in range(30)) > 20 * 3600, "a day's outage is waited out"


def test_a_clock_that_was_set_back_holds_nothing_up(core: Core, clock: HandClock, got: receiver.Receiver) -> None:
    one = to(got.port)
    courier = courier_of(core, one)
    clock.wall += 10 * 86400
    courier.announce("reaper.failing", {})
    clock.wall -= 10 * 86400
    assert courier.deliver(one) is not None
    assert got.types == ["reaper.failing"]


def test_the_outbox_is_bounded_and_the_newest_stay(core: Core, got: receiver.Receiver) -> None:
    one = to(got.port)
    courier = courier_of(core, one, most=5)
    for number in range(8):
        courier.announce("reaper.failing", {"number": number})
    assert [json.loads(row.body)["data"]["number"] for row in waiting(core)] == [3, 4, 5, 6, 7]


def test_a_dead_receiver_holds_nobody_up(core: Core, got: receiver.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.1)
    with receiver.listening() as dead:
        dead.slow = 1.0
        sender = Sender(LOOPBACK, whole=600.0)
        courier = courier_of(core, to(dead.port, name="dead"), to(got.port, name="good"), sender=sender)
        courier.start()
        try:
            for number in range(20):
                courier.announce("reaper.failing", {"number": number})
            wait_until(lambda: len({headers["webhook-id"] for headers, _body in got.got}) == 20)
            wait_until(lambda: dead.got)
            begun = time.monotonic()
            courier.stop()
            assert time.monotonic() - begun < 300, "nor the end of the server"
        finally:
            courier.stop()
            dead.over.set()
            for thread in courier._threads:
                thread.join(120)


def test_two_who_deliver_send_each_once(core: Core, got: receiver.Receiver) -> None:
    one = to(got.port)
    first, second = courier_of(core, one), Courier(core, Receivers([one], LOOPBACK))
    for number in range(6):
        first.announce("reaper.failing", {"number": number})
    made = ready(core)
    end(core, made)
    assert first.take_in() + second.take_in() == 1
    import threading

    threads = [threading.Thread(target=deliver_all, args=(each, one)) for each in (first, second, first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got.got) == len({headers["webhook-id"] for headers, _body in got.got}) == 7


def test_what_is_for_a_receiver_that_was_taken_out_is_dropped(core: Core, got: receiver.Receiver) -> None:
    courier = courier_of(core, to(got.port))
    courier.announce("reaper.failing", {})
    Courier(core, Receivers()).start()
    assert waiting(core) == []
    made = ready(core)
    end(core, made)
    # Back again: from here on, and not from where it left off.
    again = courier_of(core, to(got.port))
    assert again.take_in() == 0


def test_each_kind_of_news_is_told(core: Core, clock: HandClock, got: receiver.Receiver) -> None:
    one = to(got.port)
    courier = courier_of(core, one)
    made = ready(core, name="api", ttl_seconds=600, idle_seconds=300)
    clock.pass_(400)
    for _turn in range(3):
        notices = warnings.due([row_of(core, made)], core.clock(), 60)
        warnings.tell(core, notices)
    _row, operation_id = registry.begin_termination(core, made, discard=True, by="user")
    for _turn in range(5):
        assert operation_id is not None
        Journal.open(core, made, operation_id).not_terminated({"message": "the cloud is away"}, None)
        clock.pass_(900)
        _row, operation_id = registry.begin_termination(core, made, discard=True, by="user")
    courier.take_in()
    deliver_all(courier, one)
    assert got.types == ["environment.expiring", "environment.ending_fails"], "each once"
    assert "ends in" in got.bodies[0]["data"]["message"]
    assert got.bodies[1]["data"]["message"] == "has failed 5 times: the cloud is away"
    row = row_of(core, made)
    assert row.conditions[-1]["message"].startswith("has failed 5 times")


def test_what_is_too_long_for_a_message_loses_its_details() -> None:
    from fuelctl.webhooks.story import document

    body = json.loads(document("reaper.failing", 0.0, {"message": "x" * 100_000}))
    assert body["data"] == {"environment": None, "cut": True}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_kill_9_around_the_sending_loses_nothing(
    core: Core, clock: HandClock, got: receiver.Receiver, moment: str, tmp_path: Path
) -> None:
    one = to(got.port)
    courier = courier_of(core, one)
    courier.announce("reaper.failing", {"number": 1})
    script = tmp_path / "die.py"
    url = core.database.url
    script.write_text(
        f"""
import os, signal, sys
from fuelctl import paths
from fuelctl.environments.core import Core
from fuelctl.store.database import Database
from fuelctl.store.secrets import Safe
from fuelctl.webhooks.courier import Courier
from fuelctl.webhooks.receivers import Receivers
from tests.fuelctl.test_webhooks import LOOPBACK, HandClock, to
def die():
    os.kill(os.getpid(), signal.SIGKILL)
class Mortal(Courier):
    def send(self, *given):
        if {moment!r} == "before":
            die()
        super().send(*given)
        die()
core = Core(Database({url!r}), Safe(paths.secret_key_file()), clock=HandClock())
one = to({got.port})
Mortal(core, Receivers([one], LOOPBACK)).deliver(one)
"""
    )
    done = subprocess.run(
        [sys.executable, str(script)], check=False, cwd=Path(__file__).parents[2], timeout=300, env=env()
    )
    assert done.returncode == -signal.SIGKILL
    assert len(got.got) == (1 if moment == "after" else 0)
    assert courier.deliver(one) is None, "claimed for a while, in case it still arrives"
    clock.pass_(retry_delay(0))
    assert courier.deliver(one) is not None
    assert [body["data"]["number"] for body in got.bodies] == [1] * (2 if moment == "after" else 1)
    assert len({headers["webhook-id"] for headers, _body in got.got}) == 1
    assert waiting(core) == []


def env() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


# What follows knows no database of a kind.


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"whsec_{receiver.SECRET}\n")
    file.chmod(0o600)
    return file


def settings(text: str) -> receivers.Receivers:
    file = paths.config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return receivers.load(load_settings())


def test_the_settings_name_receivers(secret: Path) -> None:
    found = settings(
        f"""
[control_plane]
webhook_networks = "10.1.0.0/16"
[[control_plane.webhooks]]
url = "https://hooks.example.com/T000/B000"
secret_file = "{secret}"
[[control_plane.webhooks]]
name = "pager"
url = "http://10.1.2.3:9000/"
secret_file = "{secret}"
events = ["reaper.*", "environment.ending_fails"]
"""
    )
    assert [(each.name, each.events) for each in found.known] == [
        ("hooks.example.com", ("*",)),
        ("pager", ("reaper.*", "environment.ending_fails")),
    ]
    assert found.known[1].wants("reaper.failing")
    assert not found.known[1].wants("environment.ended")
    assert "key" not in repr(found.known[0])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('url = "https://x/"', "needs a url and a secret_file"),
        ('url = "https://x/"\nsecret_file = "SECRET"\nretries = 3', "retries is not a setting"),
        ('url = "ftp://x/"\nsecret_file = "SECRET"', "no address of a receiver"),
        ('url = "https://x/"\nsecret_file = "/nowhere"', "cannot read the secret"),
        ('url = "https://x/"\nsecret_file = "SECRET"\nevents = "all"', "events must be a list"),
        ('url = "https://x/"\nsecret_file = "OPEN"', "others can read the secret"),
        ('url = "https://x/"\nsecret_file = "SHORT"', "shorter than 16 bytes"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_line(secret: Path, tmp_path: Path, table: str, said: str) -> None:
    for name, content, mode in (("open", "x" * 40, 0o644), ("short", "x", 0o600)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    for word in ("secret", "open", "short"):
        table = table.replace(word.upper(), str(tmp_path / word))
    with pytest.raises(FuelError, match=said) as raised:
        settings(f"[[control_plane.webhooks]]\n{table}\n")
    assert raised.value.hint
    assert isinstance(raised.value, UsageError) or "cannot read" in said


@pytest.fixture
def small(clock: HandClock) -> Iterator[Core]:
    made = Database(sqlite_url(paths.database_file()))
    made.migrate()
    yield Core(made, Safe(paths.secret_key_file()), clock=clock)
    made.close()


def test_they_are_tried_out_over_http(small: Core, got: receiver.Receiver) -> None:
    courier = courier_of(small, to(got.port), to(free_port(), name="dead"))
    courier.announce("reaper.failing", {})
    start: Callable[..., None] = lambda *_given: None  # noqa: E731 - what is started is not asked
    given = Parts(small, start, load_settings(), webhooks=courier.state, try_webhooks=courier.try_out)
    with create_app(given).test_client() as http:
        tried = http.post("/api/webhooks/test", json={}).get_json()["deliveries"]
        assert [(each["name"], each["arrived"]) for each in tried] == [("chat", True), ("dead", False)]
        assert got.types == ["test"]
        assert got.verify()
        assert http.post("/api/webhooks/test", json={"name": "nobody"}).status_code == 404
        shown = http.get("/api/webhooks").get_json()["webhooks"]
        assert [(each["name"], each["waiting"]) for each in shown] == [("chat", 1), ("dead", 1)]
        assert shown[0]["host"] == f"127.0.0.1:{got.port}", "of some receivers the path is a secret"
