# SPDX-License-Identifier: GPL-3.0-or-later
"""The Fly lab itself, as any client of the Machines API sees it, and what its control endpoint does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fly.client import FlyLab
from tests.lab.fly.contract import OPERATIONS

CONFIG = {"image": "debian:bookworm", "metadata": {"a": "1"}}


@pytest.fixture(scope="module")
def lab() -> Iterator[FlyLab]:
    with FlyLab(machines=False, boot_delay=0, end_delay=0) as started:
        yield started


@pytest.fixture(autouse=True)
def healed(lab: FlyLab) -> Iterator[None]:
    yield
    lab.heal()
    lab.configure(boot_delay=0, end_delay=0, rate_limits=0)


def app(lab: FlyLab, name: str) -> str:
    status, _made = lab.api("POST", "/apps", {"app_name": name, "org_slug": "personal"})
    assert status == 201
    return name


def machine(lab: FlyLab, name: str, **more: Any) -> dict[str, Any]:
    status, made = lab.api("POST", f"/apps/{name}/machines", {"name": "dev", "config": CONFIG, **more})
    assert status == 200, made
    assert isinstance(made, dict)
    return made


def state(lab: FlyLab, name: str, machine_id: str) -> str:
    return str(lab.api("GET", f"/apps/{name}/machines/{machine_id}")[1]["state"])


def test_token_is_required_and_app_names_are_everybodys(lab: FlyLab) -> None:
    assert lab.api("GET", "/apps/nobody", token="FlyV1 wrong") == (
        401,
        {"error": "Authenticate: token validation error"},
    )
    assert lab.api("GET", "/apps/nobody")[0] == 404
    app(lab, "taken")
    status, answer = lab.api("POST", "/apps", {"app_name": "taken", "org_slug": "other"})
    assert (status, answer["status"]) == (422, "name_taken")


def test_machine_names_are_unique_within_an_app(lab: FlyLab) -> None:
    made = machine(lab, app(lab, "unique"))
    status, answer = lab.api("POST", "/apps/unique/machines", {"name": "dev", "config": CONFIG})
    assert status == 409
    assert answer["error"] == (
        f'already_exists: unique machine name violation, machine ID {made["id"]} already exists with name "dev"'
    )
    assert machine(lab, app(lab, "other"))["id"] != made["id"]
    assert lab.api("DELETE", f"/apps/unique/machines/{made['id']}?force=true")[0] == 200
    assert lab.api("GET", f"/apps/unique/machines/{made['id']}/wait?state=destroyed&timeout=60")[0] == 200
    assert machine(lab, "unique")["id"] != made["id"]


def test_states_follow_each_other_and_wait_sees_them(lab: FlyLab) -> None:
    lab.configure(boot_delay=6, end_delay=6)
    path = f"/apps/{app(lab, 'states')}/machines/{machine(lab, 'states')['id']}"
    identifier = path.rpartition("/")[2]
    assert state(lab, "states", identifier) == "starting"
    assert lab.api("GET", f"{path}/wait?state=stopped&timeout=0")[0] == 408
    assert lab.api("GET", f"{path}/wait?state=started&timeout=60")[1]["state"] == "started"
    assert lab.api("POST", f"{path}/start")[0] == 412
    assert lab.api("DELETE", path)[0] == 412
    for act, passing, settled in (("suspend", "suspending", "suspended"), ("stop", "stopping", "stopped")):
        assert lab.api("POST", f"{path}/{act}")[0] == 200
        assert state(lab, "states", identifier) == passing
        assert lab.api("GET", f"{path}/wait?state={settled}&timeout=60")[0] == 200
    assert lab.api("POST", f"{path}/stop") == (409, {"error": "unable to stop machine, not currently started"})
    version = lab.api("GET", path)[1]["instance_id"]
    assert lab.api("POST", path, {"config": {**CONFIG, "env": {"B": "2"}}})[1]["state"] == "replacing"
    assert lab.api("GET", f"{path}/wait?state=started&timeout=60")[0] == 200
    shown = lab.api("GET", path)[1]
    assert shown["instance_id"] != version
    assert shown["config"]["env"] == {"B": "2"}
    kinds = [each["type"] for each in shown["events"]]
    assert kinds[0] == "start"
    assert {"launch", "suspend", "stop", "update"} <= set(kinds)


def test_lease_keeps_others_out_until_it_ends(lab: FlyLab) -> None:
    path = f"/apps/{app(lab, 'leases')}/machines/{machine(lab, 'leases', lease_ttl=60)['id']}"
    nonce = lab.api("GET", f"{path}/lease")[1]["data"]["nonce"]
    assert lab.api("POST", f"{path}/stop")[0] == 409
    refused = lab.api("POST", f"{path}/lease", {"ttl": 5})
    assert refused[0] == 409
    assert "lease currently held by" in refused[1]["error"]
    assert lab.api("DELETE", f"{path}/lease", nonce="wrong")[0] == 409
    assert lab.api("DELETE", f"{path}/lease", nonce=nonce)[0] == 200
    assert lab.api("GET", f"{path}/lease")[0] == 404
    assert lab.api("POST", f"{path}/lease", {"ttl": 1})[0] == 201
    lab.wait_for(lambda: lab.api("POST", f"{path}/stop")[0] == 200, 60)


def test_volume_is_held_by_one_machine_and_only_grows(lab: FlyLab) -> None:
    app(lab, "volumes")
    volume = lab.api("POST", "/apps/volumes/volumes", {"name": "work", "region": "fra", "size_gb": 2})[1]
    twin = lab.api("POST", "/apps/volumes/volumes", {"name": "work", "region": "fra", "size_gb": 2})[1]
    assert twin["id"] != volume["id"]
    mounts = [{"volume": volume["id"], "path": "/data"}]
    first = machine(lab, "volumes", region="fra", config={**CONFIG, "mounts": mounts})
    second = {"name": "two", "region": "fra", "config": {**CONFIG, "mounts": mounts}}
    assert lab.api("POST", "/apps/volumes/machines", second)[0] == 409
    assert lab.api("POST", "/apps/volumes/machines", {**second, "region": "ams"})[0] == 400
    path = f"/apps/volumes/volumes/{volume['id']}"
    assert lab.api("DELETE", path)[0] == 412
    assert lab.api("PUT", f"{path}/extend", {"size_gb": 2})[0] == 422
    assert lab.api("PUT", f"{path}/extend", {"size_gb": 5})[1]["volume"]["size_gb"] == 5
    assert lab.api("DELETE", f"/apps/volumes/machines/{first['id']}?force=true")[0] == 200
    lab.wait_for(lambda: lab.api("DELETE", path)[0] == 200, 60)
    assert lab.api("GET", path)[0] == 404


def test_app_takes_all_it_owns_with_it(lab: FlyLab) -> None:
    made = machine(lab, app(lab, "whole"))
    lab.api("POST", "/apps/whole/volumes", {"name": "work", "region": "iad", "size_gb": 1})
    lab.wait_for(lambda: state(lab, "whole", made["id"]) == "started", 60)
    assert lab.api("DELETE", "/apps/whole")[0] == 412
    assert lab.api("DELETE", "/apps/whole?force=true")[0] == 202
    assert lab.api("GET", f"/apps/whole/machines/{made['id']}")[0] == 404
    assert lab.machines("whole") == []
    assert lab.volumes("whole") == []


def test_lists_have_the_filters_and_pages_that_are_described(lab: FlyLab) -> None:
    app(lab, "filters")
    for name, mark in (("one", "x"), ("two", "x"), ("three", "y")):
        body = {"name": name, "skip_launch": name == "two", "config": {**CONFIG, "metadata": {"mark": mark}}}
        assert lab.api("POST", "/apps/filters/machines", body)[0] == 200
    path = "/apps/filters/machines"
    lab.wait_for(lambda: len(lab.api("GET", f"{path}?state=started")[1]) == 2, 60)
    assert [each["name"] for each in lab.api("GET", f"{path}?metadata.mark=x&state=created,stopped")[1]] == ["two"]
    assert "config" not in lab.api("GET", f"{path}?summary=true")[1][0]
    assert "lease" not in lab.api("GET", f"{path}?include_leases=true")[1][0]
    lab.api("POST", f"{path}/{lab.api('GET', path)[1][0]['id']}/lease", {"ttl": 60, "description": "why"})
    assert lab.api("GET", f"{path}?include_leases=true")[1][0]["lease"]["description"] == "why"
    assert [len(lab.api("GET", f"{path}?limit=2{more}")[1]) for more in ("", "&cursor=2")] == [2, 1]
    assert lab.api("GET", f"{path}?limit=0")[0] == 400
    [one] = [each for each in lab.api("GET", "/orgs/personal/machines")[1]["machines"] if each["name"] == "two"]
    assert (one["app_name"], one["config"]["metadata"]) == ("filters", {"mark": "x"})
    assert "instance_id" not in one


def test_creating_an_app_again_with_its_key_is_no_second_one(lab: FlyLab) -> None:
    body = {"name": "keyed", "org_slug": "personal", "idempotency_key": "k"}
    first = lab.api("POST", "/apps", body)
    assert lab.api("POST", "/apps", body) == first
    assert lab.api("POST", "/apps", {**body, "name": "other-keyed"})[0] == 422
    assert lab.api("POST", "/apps", {**body, "idempotency_key": "l"})[1]["status"] == "name_taken"


def test_what_an_update_cannot_change(lab: FlyLab) -> None:
    app(lab, "fixed")
    ids = [
        lab.api("POST", "/apps/fixed/volumes", {"name": "work", "region": "fra", "size_gb": 1})[1]["id"]
        for _each in "ab"
    ]
    mounts = [[{"volume": each, "path": "/data"}] for each in ids]
    made = machine(lab, "fixed", region="fra", config={**CONFIG, "mounts": mounts[0]})
    path = f"/apps/fixed/machines/{made['id']}"
    assert lab.api("POST", path, {"config": {**CONFIG, "mounts": mounts[1]}})[0] == 400
    assert lab.api("POST", path, {"config": made["config"], "current_version": "another"})[0] == 409
    assert lab.api("POST", path, {"config": made["config"], "name": "renamed"})[1]["name"] == "dev"
    assert lab.api("GET", f"{path}?version={made['version']}")[1]["state"] == "replaced"
    assert lab.api("PATCH", f"{path}/metadata", {"machine_version": "another", "metadata": {"k": "v"}})[0] == 412


def test_volume_from_a_snapshot_takes_its_time(lab: FlyLab) -> None:
    app(lab, "restored")
    volume = lab.api("POST", "/apps/restored/volumes", {"name": "work", "region": "fra", "size_gb": 1})[1]["id"]
    lab.api("POST", f"/apps/restored/volumes/{volume}/snapshots")
    [snapshot] = lab.api("GET", f"/apps/restored/volumes/{volume}/snapshots")[1]
    lab.configure(boot_delay=0.5)
    body = {"name": "copy", "region": "fra", "size_gb": 1, "snapshot_id": snapshot["id"]}
    copy = lab.api("POST", "/apps/restored/volumes", body)[1]
    assert copy["state"] == "restoring"
    mounts = [{"volume": copy["id"], "path": "/data"}]
    wanted = {"name": "dev", "region": "fra", "config": {**CONFIG, "mounts": mounts}}
    assert lab.api("POST", "/apps/restored/machines", wanted)[0] == 412
    lab.wait_for(lambda: lab.api("POST", "/apps/restored/machines", wanted)[0] == 200, 60)


def test_what_is_sent_otherwise_than_described_is_noted() -> None:
    with pytest.raises(AssertionError, match=r"Apps_create\.nam is not described"), FlyLab(machines=False) as other:
        other.api("POST", "/apps", {"nam": "x", "app_name": "noted", "org_slug": "personal"})


def test_faults_hit_what_they_name_and_as_often_as_they_say(lab: FlyLab) -> None:
    app(lab, "faults")
    lab.fault("Machines_create", code="insufficient_capacity", times=1, when={"region": "fra"})
    assert lab.api("POST", "/apps/faults/machines", {"config": CONFIG, "region": "ams"})[0] == 200
    refused = lab.api("POST", "/apps/faults/machines", {"config": CONFIG, "region": "fra"})
    assert (refused[0], refused[1]["status"]) == (422, "insufficient_capacity")
    assert lab.api("POST", "/apps/faults/machines", {"config": CONFIG, "region": "fra"})[0] == 200
    lab.fault("*", code="rate_limited", retry_after=3)
    assert lab.api("GET", "/apps/faults") == (429, {"error": "rate limit exceeded"})
    lab.heal()
    lab.fault("Volumes_create", "lost-error")
    assert lab.api("POST", "/apps/faults/volumes", {"name": "work"})[0] == 500
    assert len(lab.volumes("faults")) == 1
    with pytest.raises(ValueError, match="effect is one of"):
        lab.fault("Apps_show", "no such effect")
    with pytest.raises(ValueError, match="no setting"):
        lab.configure(no_such_setting=1)


def test_documented_limits_hold_when_asked_for(lab: FlyLab) -> None:
    path = f"/apps/{app(lab, 'limits')}/machines/{machine(lab, 'limits')['id']}"
    lab.configure(rate_limits=1)
    answers = [lab.api("POST", f"{path}/cordon")[0] for _each in range(6)]
    assert answers[:3] == [200, 200, 200]
    assert 429 in answers[3:]


def test_calls_are_recorded_without_what_was_sent(lab: FlyLab) -> None:
    app(lab, "recorded")
    lab.ask("DELETE", "calls")
    lab.api("POST", "/apps/recorded/secrets", {"values": {"KEY": "canary"}})
    [call] = lab.calls()
    assert (call["action"], call["status"], call["sent"]) == ("Secrets_update", 200, ["values"])
    assert "canary" not in str(call)
    listed = lab.api("GET", "/apps/recorded/secrets")[1]["secrets"]
    assert [each["name"] for each in listed] == ["KEY"]
    assert "canary" not in str(listed)


def test_every_answer_has_the_fields_of_the_contract(lab: FlyLab) -> None:
    """Each operation once; what it answers is neither less nor more than contract.py says."""
    path = f"/apps/{app(lab, 'shapes')}"
    volume = lab.api("POST", f"{path}/volumes", {"name": "work", "region": "iad", "size_gb": 1})[1]
    made = machine(lab, "shapes")
    lab.wait_for(lambda: state(lab, "shapes", made["id"]) == "started", 60)
    address = lab.api("POST", f"{path}/ip_assignments", {"type": "v4"})[1]["ip"]
    places = {
        "{app_name}": "shapes",
        "{machine_id}": made["id"],
        "{volume_id}": volume["id"],
        "{secret_name}": "KEY",
        "{org_slug}": "personal",
        "{key}": "b",
        "{ip}": address,
    }
    bodies: dict[str, dict[str, Any]] = {
        "Apps_create": {"app_name": "shapes-2", "org_slug": "personal"},
        "App_IPAssignments_create": {"type": "v6"},
        "Machines_create": {"name": "two", "config": CONFIG},
        "Machines_update": {"config": CONFIG},
        "Machines_signal": {"signal": "SIGHUP"},
        "Machines_exec": {"command": ["true"]},
        "Machines_update_metadata": {"metadata": {"d": "e", "a": None}},
        "Machines_upsert_metadata": {"value": "c"},
        "Machines_create_lease": {"ttl": 60},
        "Secrets_update": {"values": {"OTHER": "1"}},
        "Secret_create": {"value": "1"},
        "Volumes_create": {"name": "more"},
        "Volumes_update": {"snapshot_retention": 7},
        "Volumes_extend": {"size_gb": 2},
    }
    # What needs a machine that runs, and what ends things, has its turn.
    late = ("Machines_suspend", "Machines_start", "Machines_stop", "Secret_delete", "Machines_delete", "Volume_delete")
    order = sorted(OPERATIONS, key=lambda each: (late.index(each.id) if each.id in late else -1, each.method == "GET"))
    order = [each for each in order if each.id not in ("Apps_delete", "createVolumeSnapshot")]
    snapshots = [each for each in OPERATIONS if each.id == "createVolumeSnapshot"]
    last = [each for each in OPERATIONS if each.id == "Apps_delete"]
    nonce = ""
    for operation in snapshots + order + last:
        where = operation.path
        # The other key was deleted by then.
        key = {"{key}": "d"} if operation.id == "Machines_get_metadata_key" else {}
        for place, value in {**places, **key}.items():
            where = where.replace(place, value)
        if operation.id == "Machines_org_list":
            lab.wait_for(lambda: state(lab, "shapes", made["id"]) == "started", 60)
        settle(lab, path, made["id"], operation.id)
        query = {"Apps_list": "?org_slug=personal", "Machines_wait": "?state=settled"}
        query.update(dict.fromkeys(("Apps_delete", "Machines_delete"), "?force=true"))
        body = bodies.get(operation.id)
        status, answer = lab.api(operation.method, where + query.get(operation.id, ""), body, nonce=nonce)
        if operation.id == "Machines_exec":
            # Not in the description's answers: the lab says of itself that it cannot.
            assert status == 501, "a lab without machines cannot"
            continue
        assert status == operation.status, (operation.id, status, answer)
        if operation.id == "Machines_create_lease":
            nonce = answer["data"]["nonce"]
        if operation.id == "Machines_release_lease":
            lab.api("POST", f"{path}/machines/{made['id']}/lease", {"ttl": 60})
            nonce = lab.api("GET", f"{path}/machines/{made['id']}/lease")[1]["data"]["nonce"]
        shown = answer[operation.wrapped] if operation.wrapped else answer
        if operation.answers:
            shown = shown[0] if operation.many else shown
            assert set(shown) == operation.answers, operation.id


def settle(lab: FlyLab, path: str, machine_id: str, operation: str) -> None:
    """The machine in the state in which this operation can be asked for."""
    wanted = {"Machines_start": "suspended", "Machines_suspend": "started", "Machines_stop": "started"}
    state_wanted = wanted.get(operation, "settled")
    if operation in ("Machines_signal", "Machines_exec"):
        state_wanted = "started"
    if operation.startswith("Machines_"):
        lab.api("GET", f"{path}/machines/{machine_id}/wait?state={state_wanted}&timeout=60")


def test_two_labs_run_beside_each_other(lab: FlyLab) -> None:
    with FlyLab(machines=False) as other:
        assert other.endpoint != lab.endpoint
        begun = time.time()
        assert other.truth()["apps"] == []
        assert time.time() >= begun
