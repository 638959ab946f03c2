# SPDX-License-Identifier: GPL-3.0-or-later
"""What environments cost: counted from machines that were seen running, and held by limits before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from fuelctl._shared._prices import _book, _offer
from fuelctl._shared._prices._offer import Offer
from fuelctl.config import Settings
from fuelctl.environments import budget, cost, registry
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.environments.power import set_power
from fuelctl.environments.views import environment_view
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import environments, events
from fuelctl.store.environments import Wanted
from fuelctl.store.models import EnvironmentRow, EventRow
from fuelctl.webhooks import story
from tests.fuelctl.control import HandClock, wanted

BOOK = _book.builtin()
EC2 = {"name": "ec2", "options": {}}
SMALL = _offer.offer(BOOK, _offer.Wish("us-east-1", ("m7i.large",)))
HOURLY = 0.1008 + 0.005


def machine(launched_at: float, name: str = "i-1", **fields: Any) -> dict[str, Any]:
    """What module ec2_machine shows."""
    return {
        "instance_id": name,
        "state": "running",
        "instance_type": "m7i.large",
        "zone": "us-east-1a",
        "market": "on-demand",
        "address": "203.0.113.7",
        "public_address": "203.0.113.7",
        "launched_at": launched_at,
        **fields,
    }


def fly_machine(**fields: Any) -> dict[str, Any]:
    """What module fly_machine shows."""
    return {
        "id": "148ed1",
        "instance_id": "01JVERSION",
        "state": "started",
        "region": "iad",
        "created_at": "1970-01-01T01:00:00.5Z",
        "config": {"guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 2048}},
        **fields,
    }


class TestAMachineThatCanBeStopped:
    def test_it_costs_its_volume_while_it_is_stopped(self) -> None:
        made = cost.noted({"name": "fly"}, [fly_machine(), fly_machine(instance_id="another version")], 10, BOOK)
        awake, asleep = 13.38 / 720 + 3.5 / 730, 3.5 / 730
        assert cost.cost(made, 7200.5).hourly == pytest.approx(awake, abs=1e-5)
        assert cost.powered(made, 7200.5, awake=True) is made
        stopped = cost.powered(made, 3600.5 + 36000, awake=False)
        assert cost.powered(stopped, 90000, awake=False) is stopped
        assert cost.cost(stopped, 90000).hourly == pytest.approx(asleep, abs=1e-5)
        again = cost.powered(stopped, 3600.5 + 72000, awake=True)
        found = cost.cost(again, 3600.5 + 108000)
        assert found.total == pytest.approx(20 * awake + 10 * asleep, abs=1e-4)
        assert sorted(again["machines"]) == ["148ed1", "148ed1/1", "148ed1/2"]
        over = cost.ended(again, 3600.5 + 108000)
        assert cost.powered(over, 10**6, awake=False) is over
        assert cost.noted(again, [fly_machine()], 10, BOOK) == again

    def test_a_larger_volume_costs_more_from_then_on(self) -> None:
        made = cost.noted({"name": "fly"}, [fly_machine()], 10, BOOK)
        gb = 0.15 / 730
        assert (cost.disk_gb(made), cost.disk_gb({})) == (10, None)
        assert cost.growing(made, 30).hourly == pytest.approx(20 * gb)
        assert cost.growing(made, 5).hourly == 0
        assert cost.grown(made, 7200.5, 10) is made
        larger = cost.grown(made, 3600.5 + 36000, 30)
        assert (cost.disk_gb(larger), cost.grown(larger, 10**6, 30) is larger) == (30, True)
        stopped = cost.powered(larger, 3600.5 + 72000, awake=False)
        awake, asleep = 13.38 / 720 + 3.5 / 730, 3.5 / 730
        assert cost.cost(stopped, 3600.5 + 72000).hourly == pytest.approx(asleep + 20 * gb, abs=1e-5)
        found = cost.cost(stopped, 3600.5 + 108000)
        assert found.total == pytest.approx(20 * awake + 10 * asleep + 20 * 20 * gb, abs=1e-4)
        # A machine that is made anew has the volume that there is.
        again = cost.noted(larger, [fly_machine(id="another", created_at="1970-01-02T01:00:00Z")], 10, BOOK)
        assert (cost.disk_gb(again), sum(one["ended"] is None for one in again["machines"].values())) == (30, 1)
        over = cost.ended(larger, 10**6)
        assert cost.grown(over, 10**6, 50) is over

    def test_one_whose_price_nobody_knows_is_said_to_be_so(self) -> None:
        made = cost.noted({"name": "fly"}, [fly_machine(region="xyz")], 10, BOOK)
        assert cost.cost(made, 7200.5).hourly is None
        assert cost.cost(cost.grown(made, 7200.5, 20), 7200.5).hourly is None
        for odd in ({"id": None}, {"created_at": "soon"}, {"config": {"guest": {"cpus": "2"}}}):
            assert cost.noted({"name": "fly"}, [fly_machine(**odd)], 10, BOOK) == {"name": "fly"}

    def test_other_machines_are_never_asleep(self) -> None:
        made = cost.noted(dict(EC2), [machine(1000.0)], 0, BOOK)
        assert cost.powered(made, 5000.0, awake=False) is made


class TestNoted:
    def test_type_region_and_address_are_shown(self) -> None:
        told = cost.noted(dict(EC2), [machine(1000.0)], 0, BOOK)
        assert (told["type"], told["region"], told["address"]) == ("m7i.large", "us-east-1", "203.0.113.7")

    @pytest.mark.parametrize(
        ("zone", "region"),
        [
            ("eu-central-1b", "eu-central-1"),
            ("us-west-2-lax-1a", "us-west-2"),
            ("us-gov-west-1a", "us-gov-west-1"),
            ("", ""),
        ],
    )
    def test_the_region_of_a_zone(self, zone: str, region: str) -> None:
        assert cost.noted({}, [machine(1.0, zone=zone)], 0, BOOK)["region"] == region

    def test_a_machine_that_never_ran_costs_nothing(self) -> None:
        for seen in (
            machine(1000.0, state="pending"),
            machine(1000.0, state="terminated"),
            {**machine(0.0), "launched_at": None},
            machine(1000.0, instance_id=None),
            {"address": "203.0.113.7"},
        ):
            assert cost.cost(cost.noted(dict(EC2), [seen], 0, BOOK), 99_999.0).total == 0

    def test_seen_again_it_is_the_same_machine_at_the_same_price(self) -> None:
        once = cost.noted(dict(EC2), [machine(1000.0)], 0, BOOK)
        again = cost.noted(once, [machine(1000.0), machine(1000.0)], 0, _book.Book({}))
        assert again["machines"] == once["machines"]

    def test_the_next_attempt_ends_the_one_before_it(self) -> None:
        told = cost.noted(dict(EC2), [machine(0.0), machine(1800.0, "i-2")], 0, BOOK)
        now = cost.cost(told, 3600.0)
        assert now.hourly == pytest.approx(HOURLY)
        assert now.total == pytest.approx(HOURLY)

    def test_spot_and_other_regions_are_estimates_and_the_unknown_is_unknown(self) -> None:
        assert cost.cost(cost.noted({}, [machine(0.0, market="spot")], 0, BOOK), 3600.0).estimate
        assert cost.cost(cost.noted({}, [machine(0.0, zone="eu-west-1a")], 0, BOOK), 3600.0).estimate
        unknown = cost.cost(cost.noted({}, [machine(0.0, instance_type="x9.large")], 0, BOOK), 3600.0)
        assert (unknown.hourly, unknown.total) == (None, None)


def make(core: Core, name: str, **fields: Any) -> EnvironmentRow:
    offer = fields.pop("offer", SMALL)
    limit = fields.pop("month_limit", 1e9)
    return registry.create(core, wanted(name=name, provider=dict(EC2), **fields), offer=offer, month_limit=limit)


def journal(core: Core, environment_id: str) -> Journal:
    operation_id = registry.begin_provisioning(core, environment_id)
    assert operation_id is not None
    return Journal.open(core, environment_id, operation_id)


def shown(core: Core, environment_id: str) -> Any:
    with core.database.read() as session:
        row = environments.get(session, environment_id)
        assert row is not None
        return environment_view(row, core.clock().wall)


RECEIPT = {"complete": True, "resources": []}


class TestCounted:
    def test_from_the_launch_to_the_receipt_and_no_further(self, core: Core, clock: HandClock) -> None:
        row = make(core, "a")
        assert shown(core, row.id).cost.total == 0
        pen = journal(core, row.id)
        pen.machines([machine(clock.wall)])
        clock.pass_(1800)
        now = shown(core, row.id)
        assert now.cost.hourly == pytest.approx(HOURLY)
        assert now.cost.total == pytest.approx(HOURLY / 2)
        assert (now.provider.type, now.provider.region, now.provider.address) == (
            "m7i.large",
            "us-east-1",
            "203.0.113.7",
        )
        pen.failed({"message": "m"}, RECEIPT)
        clock.pass_(36_000)
        ended = shown(core, row.id)
        assert (ended.status, ended.cost.hourly) == ("error", 0)
        assert ended.cost.total == pytest.approx(HOURLY / 2)

    def test_a_receipt_that_is_not_complete_stops_no_clock(self, core: Core, clock: HandClock) -> None:
        row = make(core, "a")
        pen = journal(core, row.id)
        pen.machines([machine(clock.wall)])
        pen.failed({"message": "m"}, {"complete": False, "resources": []})
        clock.pass_(3600)
        assert shown(core, row.id).cost.total == pytest.approx(HOURLY)

    def test_one_that_ended_by_itself_while_nobody_looked_ended_at_its_time(self, core: Core, clock: HandClock) -> None:
        row = make(core, "a", ttl_seconds=3600)
        pen = journal(core, row.id)
        pen.machines([machine(clock.wall)])
        pen.ready({"conditions": [], "connection": {}, "agent": None, "provider": {}, "resources": []})
        clock.pass_(7 * 86400)
        _row, operation_id = registry.begin_termination(core, row.id, discard=True, by="machine")
        assert operation_id is not None
        Journal.open(core, row.id, operation_id).terminated(RECEIPT)
        assert shown(core, row.id).cost.total == pytest.approx(HOURLY)

    def test_local_is_free(self, core: Core, clock: HandClock) -> None:
        row = registry.create(core, wanted(name="here"), month_limit=0.01)
        clock.pass_(36_000)
        assert shown(core, row.id).cost == cost.Cost("USD", 0, 0, estimate=False)


class TestMonthLimit:
    def test_the_next_up_is_refused_with_the_figures(self, core: Core, clock: HandClock) -> None:
        # One hour at 0.1058 each.
        first = make(core, "a", ttl_seconds=3600, month_limit=0.25)
        journal(core, first.id).machines([machine(clock.wall)])
        make(core, "b", ttl_seconds=3600, month_limit=0.25)
        clock.pass_(1800)
        with pytest.raises(budget.BudgetError) as caught:
            make(core, "c", ttl_seconds=3600, month_limit=0.25)
        told = caught.value
        assert told.code == "month_limit"
        assert told.details["spent"] == pytest.approx(HOURLY / 2)
        assert told.details["promised"] == pytest.approx(HOURLY / 2 + HOURLY / 2), "the rest of a's lease, and b's"
        assert told.details["asked"] == pytest.approx(HOURLY)
        for figure in ("0.26", "0.25", "0.05", "0.11"):
            assert figure in told.message
        assert "fuelctl ls" in str(told.hint)
        make(core, "c", ttl_seconds=1800, month_limit=0.25)

    def test_a_stopped_machine_counts_as_such_and_its_start_as_what_it_adds(self, core: Core, clock: HandClock) -> None:
        awake, asleep = 13.38 / 720 + 3.5 / 730, 3.5 / 730
        hours = 100
        row = make(core, "a", offer=Offer(awake, awake, estimate=False), ttl_seconds=hours * 3600)
        pen = journal(core, row.id)
        pen.machines([fly_machine(created_at=rfc3339(clock.wall))])
        pen.ready({"conditions": [], "connection": {}, "agent": None, "provider": {}, "resources": []})

        def month() -> budget.Month:
            with core.database.read() as session:
                return budget.month([session.get_one(EnvironmentRow, row.id)], clock.wall)

        def put(state: str, **options: Any) -> EnvironmentRow:
            with core.database.read() as session:
                present = session.get_one(EnvironmentRow, row.id)
            return set_power(core, present, state, lambda _row, _state: None, **options)

        assert month().spent == pytest.approx(0, abs=1e-3)
        assert month().promised == pytest.approx(hours * awake, rel=1e-3)
        clock.pass_(10 * 3600)
        put("stopped")
        clock.pass_(10 * 3600)
        # By what was seen: ten hours of each; stopped, the rest of its lease costs its disk and address.
        assert month().spent == pytest.approx(10 * awake + 10 * asleep, rel=1e-3)
        assert month().promised == pytest.approx(80 * asleep, rel=1e-3)
        total = 10 * awake + 10 * asleep + 80 * awake
        with pytest.raises(budget.BudgetError) as caught:
            put("started", month_limit=total - 0.01)
        assert caught.value.code == "month_limit"
        assert caught.value.details["asked"] == pytest.approx(80 * (awake - asleep), rel=1e-3)
        put("started", month_limit=total + 0.01)
        # What runs already is started as often as one likes.
        put("started", month_limit=0.01)
        assert month().promised == pytest.approx(80 * awake, rel=1e-3)

    def test_it_is_each_owner_s_own(self, core: Core) -> None:
        make(core, "a", ttl_seconds=3600, month_limit=0.15)
        with pytest.raises(budget.BudgetError):
            make(core, "b", ttl_seconds=3600, month_limit=0.15)
        make(core, "b", ttl_seconds=3600, month_limit=0.15, owner="somebody")

    def test_what_has_ended_still_counts_this_month_and_not_in_the_next(self, core: Core, clock: HandClock) -> None:
        row = make(core, "a", ttl_seconds=3600)
        pen = journal(core, row.id)
        pen.machines([machine(clock.wall)])
        clock.pass_(3600)
        pen.failed({"message": "m"}, RECEIPT)
        with pytest.raises(budget.BudgetError):
            make(core, "b", ttl_seconds=3600, month_limit=0.15)
        clock.pass_(32 * 86400)
        make(core, "b", ttl_seconds=3600, month_limit=0.15)

    def test_a_refusal_leaves_nothing(self, core: Core) -> None:
        with pytest.raises(budget.BudgetError):
            make(core, "a", ttl_seconds=36_000, month_limit=0.15)
        with core.database.read() as session:
            assert environments.page(session, Wanted(include_ended=True)) == []

    def test_a_longer_lease_counts_as_well(self, core: Core, clock: HandClock) -> None:
        row = make(core, "a", ttl_seconds=3600)
        moved: list[float] = []
        with pytest.raises(budget.BudgetError):
            registry.extend_lease(core, row.id, 7200, lambda _row, at: moved.append(at), 0.15)
        assert moved == [], "its watchdog was not told either"
        registry.extend_lease(core, row.id, 7200, lambda _row, at: moved.append(at), 0.22)

    def test_its_owner_comes_near_it_once_a_month(self, core: Core, clock: HandClock) -> None:
        ceiling = SMALL.ceiling
        assert ceiling is not None
        limit = ceiling * 2.4
        make(core, "a", ttl_seconds=3600, month_limit=limit)
        assert told(core) == [], "an hour of 2.4"
        second = make(core, "b", ttl_seconds=3600, month_limit=limit)
        [near] = told(core)
        assert (near.environment_id, near.data["state"], near.data["owner"]) == (second.id, "near", second.owner)
        assert "83% of the limit" in near.data["message"]
        assert near.data["promised"] + near.data["asked"] == pytest.approx(2 * ceiling, abs=0.001)
        make(core, "c", ttl_seconds=60, month_limit=limit)
        registry.extend_lease(core, second.id, 3700, lambda _row, _at: None, limit)
        assert len(told(core)) == 1
        # Another owner's month is another one, and so is another limit.
        make(core, "d", owner="another", ttl_seconds=8000, month_limit=limit)
        make(core, "e", ttl_seconds=60, month_limit=limit + 0.01)
        assert [each.data["owner"] for each in told(core)] == [second.owner, "another", second.owner]

    def test_what_nobody_knows_the_price_of_is_refused_where_there_is_a_limit(self, core: Core) -> None:
        unknown = _offer.offer(BOOK, _offer.Wish("mars-1", ("m7i.large",)))
        with pytest.raises(budget.BudgetError) as caught:
            make(core, "a", offer=unknown, month_limit=100.0)
        assert caught.value.code == "price_unknown"
        make(core, "a", offer=unknown, month_limit=float("inf"))


def told(core: Core) -> list[EventRow]:
    with core.database.read() as session:
        return [each for each in events.after(session, 0) if each.type == "remote.budget"]


class TestApi:
    @pytest.fixture
    def http(self, core: Core) -> Iterator[FlaskClient]:
        app = create_app(Parts(core, lambda *_: None, Settings(month_limit_usd=1.0)))
        with app.test_client() as client:
            yield client

    def post(self, http: FlaskClient, **fields: Any) -> Any:
        blueprint = {
            "image": "debian:bookworm",
            "resources": {"instance_type": "m7i.large"},
            "provider": {"name": "ec2", "region": "us-east-1"},
        }
        body = {"provider": {"name": "ec2"}, "blueprint": blueprint, "repository": {"name": "app"}, "ttl_seconds": 3600}
        return http.post("/api/remote", json={**body, **fields})

    def test_too_dear_is_refused_before_anything_is_there(self, http: FlaskClient) -> None:
        refused = self.post(http, max_price_hour=0.1)
        assert (refused.status_code, refused.json["code"]) == (422, "too_dear")
        assert "0.108" in refused.json["detail"]
        assert http.get("/api/remote?include_terminated=true").json["environments"] == []
        assert self.post(http, max_price_hour=0.11).status_code == 202

    def test_the_options_that_are_used_count_and_not_the_blueprint_s(self, http: FlaskClient) -> None:
        types = {"instance_types": ["m7i.48xlarge"]}
        refused = self.post(http, provider={"name": "ec2", "options": types}, max_price_hour=0.5)
        assert refused.json["code"] == "too_dear"

    @pytest.mark.parametrize("wrong", [-1, "1", "NaN", True])
    def test_what_is_no_amount(self, http: FlaskClient, wrong: Any) -> None:
        assert self.post(http, max_price_hour=wrong).status_code == 422

    def test_the_month_s_limit_is_a_conflict_with_figures(self, http: FlaskClient) -> None:
        refused = self.post(http, ttl_seconds=36_000)
        assert (refused.status_code, refused.json["code"]) == (409, "month_limit")
        assert refused.json["details"]["limit"] == 1.0
        assert "control_plane.month_limit_usd" in refused.json["hint"]

    def test_a_refusal_is_told_once_a_month_to_who_wants_to_know(self, http: FlaskClient, core: Core) -> None:
        assert self.post(http, ttl_seconds=36_000).status_code == 409
        assert told(core) == [], "it is too much by itself"
        made = self.post(http, ttl_seconds=25_000)
        assert made.status_code == 202
        for _turn in range(3):
            assert self.post(http, ttl_seconds=36_000).json["code"] == "month_limit"
        assert http.post(f"/api/remote/{made.json['id']}/extend", json={"ttl_seconds": 86_400}).status_code == 409
        [reached] = told(core)
        assert (reached.data["state"], reached.environment_id) == ("reached", made.json["id"])
        said = story.tell(reached, None)
        assert said is not None
        assert said[0] == "owner.budget_reached"
        assert json.loads(said[1])["data"]["limit"] == 1.0
