# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for Fly.io on the lab's API: what they make once, change in place, refuse, and end with proof."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .fly import FlyLab, Modules, app_of, environment_id

IMAGE = "debian:bookworm"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    with (
        FlyLab(machines=False, boot_delay=0.1, end_delay=0.1) as lab,
        Modules(lab, tmp_path_factory.mktemp("fly")) as started,
    ):
        yield started


@pytest.fixture(autouse=True)
def healed(modules: Modules) -> Iterator[None]:
    yield
    modules.lab.heal()


@pytest.fixture
def app(modules: Modules) -> str:
    name = app_of(environment_id())
    assert modules.result("fly_app", app=name)["changed"]
    return name


def test_app_is_made_once_and_ends_with_all_it_owns(modules: Modules) -> None:
    environment = environment_id()
    wanted = {"app": app_of(environment), "addresses": ["v4"], "network": "own"}
    checked = modules.result("fly_app", _ansible_check_mode=True, **wanted)
    assert checked["changed"]
    assert wanted["app"] not in modules.lab.truth()["apps"]
    made = modules.result("fly_app", **wanted)
    assert made["changed"]
    assert [each["kind"] for each in made["addresses"]] == ["v4"]
    again = modules.result("fly_app", **wanted)
    assert not again["changed"]
    assert again["addresses"] == made["addresses"]
    modules.result("fly_machine", app=wanted["app"], name="dev", image=IMAGE, environment_id=environment, owner="alice")
    other = modules.result("fly_app", app=wanted["app"], state="absent", environment_id=environment_id())
    assert other["error"]["code"] == "fly_foreign"
    assert modules.lab.machines(str(wanted["app"]))
    ended = modules.result("fly_app", app=wanted["app"], state="absent", environment_id=environment)
    assert ended["receipt"]["complete"]
    assert [each["state"] for each in ended["receipt"]["resources"]] == ["gone"]
    assert modules.lab.machines(str(wanted["app"])) == []
    assert not modules.result("fly_app", app=wanted["app"], state="absent")["changed"]


def test_what_the_token_does_not_see_is_not_taken_for_gone(modules: Modules) -> None:
    """Fly.io says the same of an app that is gone and of one that is another organization's."""
    environment = environment_id()
    app = app_of(environment)
    modules.result("fly_app", app=app, org="ours")
    modules.result("fly_volume", app=app, name="workspace", region="fra")
    other = {"app": app, "state": "absent", "api_token": f"{modules.lab.token}@others"}
    owned = ({"module": "fly_machine", "name": "dev"}, {"module": "fly_volume", "name": "workspace"}, {})
    for one in owned:
        refused = modules.result(
            one.get("module", "fly_app"),
            **{key: value for key, value in one.items() if key != "module"},
            **other,
            org="ours",
        )
        assert refused["error"]["code"] == "fly_unseen", refused
        assert "does not see the organization ours" in refused["msg"]
        assert "receipt" not in refused
    unseen = modules.result("fly_machine_info", org="ours", api_token=other["api_token"])
    assert unseen["error"]["code"] == "fly_missing"
    assert modules.lab.volumes(app)
    ours = {"app": app, "org": "ours", "api_token": f"{modules.lab.token}@ours"}
    assert modules.result("fly_app", state="absent", **ours)["receipt"]["complete"]
    for one in owned:
        again = modules.result(
            one.get("module", "fly_app"),
            **{key: value for key, value in one.items() if key != "module"},
            **ours,
            state="absent",
        )
        assert (again["changed"], again["receipt"]["complete"]) == (False, True)


def test_lists_that_are_late_make_nothing_twice_and_hide_nothing(modules: Modules) -> None:
    environment = environment_id()
    app = app_of(environment)
    modules.lab.configure(list_lag=2)
    try:
        assert [each["kind"] for each in modules.result("fly_app", app=app, addresses=["v6"])["addresses"]] == ["v6"]
        for _twice in range(2):
            modules.result("fly_volume", app=app, name="workspace", region="fra", sole=True)
            made = modules.result("fly_machine", app=app, name="dev", image=IMAGE, environment_id=environment)
            assert made["machine"]["state"] == "started"
        # Known by its name, though no list shows it: a lab without machines refuses what is to be run in it.
        ran = modules.result("fly_exec", app=app, name="dev", argv=["true"], again=True)
        assert ran["error"]["details"]["status"] == 501
        assert len(modules.lab.machines(app)) == 1
        ended = modules.result("fly_app", app=app, state="absent", environment_id=environment)
        assert ended["receipt"]["complete"]
    finally:
        modules.lab.configure(list_lag=0)
    assert (modules.lab.machines(app), modules.lab.volumes(app)) == ([], [])


def test_app_of_somebody_else_is_refused(modules: Modules) -> None:
    modules.lab.api("POST", "/apps", {"app_name": "somebodys", "org_slug": "other"})
    refused = modules.result("fly_app", app="somebodys")
    assert refused["error"]["code"] == "fly_other_organization"
    assert "\n" not in refused["msg"]


def test_machine_check_run_check_run(modules: Modules, app: str) -> None:
    """Check mode, run, check mode, run: changed, changed, ok, ok."""
    environment = environment_id()
    wanted = {"app": app, "name": "dev", "image": IMAGE, "environment_id": environment, "owner": "alice"}
    checked = modules.result("fly_machine", _ansible_check_mode=True, _ansible_diff=True, **wanted)
    assert (checked["changed"], checked["done"]) == (True, ["create"])
    assert checked["diff"]["after"]["config"]["image"] == IMAGE
    assert modules.lab.machines(app) == []
    made = modules.result("fly_machine", **wanted)
    assert (made["changed"], made["done"], made["machine"]["state"]) == (True, ["create"], "started")
    assert made["machine"]["config"]["metadata"]["fuel_code_environment"] == environment
    for mode in (True, False):
        same = modules.result("fly_machine", _ansible_check_mode=mode, **wanted)
        assert (same["changed"], same["done"], same["machine"]["id"]) == (False, [], made["machine"]["id"])

    later = {**wanted, "expires_at": 1767225600}
    assert modules.result("fly_machine", _ansible_check_mode=True, **later)["done"] == ["metadata"]
    marked = modules.result("fly_machine", **later)
    assert marked["done"] == ["metadata"]
    assert marked["machine"]["instance_id"] == made["machine"]["instance_id"]
    larger = {**later, "memory_mb": 8192}
    assert modules.result("fly_machine", _ansible_check_mode=True, **larger)["done"] == ["update"]
    updated = modules.result("fly_machine", **larger)
    assert (updated["done"], updated["machine"]["id"]) == (["update"], made["machine"]["id"])
    assert updated["machine"]["config"]["guest"]["memory_mb"] == 8192
    assert not modules.result("fly_machine", **larger)["changed"]
    # What is not said anew stays as it was marked.
    less = {"app": app, "name": "dev", "environment_id": environment}
    assert modules.result("fly_machine", **less, state="stopped")["done"] == ["stop"]
    kept = modules.result("fly_machine", **less, image=IMAGE, memory_mb=2048)
    assert kept["done"][0] == "update"
    marks = kept["machine"]["config"]["metadata"]
    assert (marks["fuel_code_owner"], marks["fuel_code_expires_at"]) == ("alice", "1767225600")


def test_machine_goes_into_every_state_and_ends_with_proof(modules: Modules, app: str) -> None:
    machine = {"app": app, "name": "dev"}
    assert modules.result("fly_machine", **machine)["error"]["code"] == "fly_missing"
    made = modules.result("fly_machine", **machine, image=IMAGE, state="present")["machine"]
    assert made["state"] == "created"
    moves = (("started", "start"), ("suspended", "suspend"), ("stopped", "stop"), ("started", "start"))
    for state, call in moves:
        assert modules.result("fly_machine", **machine, state=state, _ansible_check_mode=True)["done"] == [call]
        moved = modules.result("fly_machine", **machine, state=state)
        assert (moved["done"], moved["machine"]["state"], moved["machine"]["id"]) == ([call], state, made["id"])
        assert not modules.result("fly_machine", **machine, state=state)["changed"]
    modules.result("fly_machine", **machine, state="stopped")
    asleep = modules.result("fly_machine", **machine, state="suspended")
    assert asleep["done"] == ["start", "suspend"]
    assert modules.result("fly_machine", **machine, state="absent", _ansible_check_mode=True)["changed"]
    ended = modules.result("fly_machine", **machine, state="absent")
    assert ended["receipt"]["complete"]
    assert made["id"] in ended["receipt"]["resources"][0]["name"]
    again = modules.result("fly_machine", **machine, state="absent")
    assert (again["changed"], again["receipt"]["complete"]) == (False, True)
    assert not [each for each in modules.lab.truth()["machines"] if each["app"] == app and each["lease"]]


def test_machine_of_somebody_else_is_not_touched(modules: Modules, app: str) -> None:
    body = {"name": "dev", "config": {"image": IMAGE}, "region": "fra"}
    made = modules.lab.api("POST", f"/apps/{app}/machines", body)[1]
    ours = {"app": app, "name": "dev", "image": IMAGE, "environment_id": environment_id(), "owner": "alice"}
    assert modules.result("fly_machine", **ours)["error"]["code"] == "fly_foreign"
    assert modules.result("fly_machine", **{**ours, "state": "absent"})["error"]["code"] == "fly_foreign"
    refused = modules.result("fly_machine", app=app, name="dev", image=IMAGE, region="ams")
    assert refused["error"]["code"] == "fly_other_region"
    assert modules.lab.api("GET", f"/apps/{app}/machines/{made['id']}")[1]["instance_id"] == made["instance_id"]


def test_lease_of_somebody_else_is_waited_for_and_told(modules: Modules, app: str) -> None:
    made = modules.result("fly_machine", app=app, name="dev", image=IMAGE)["machine"]
    path = f"/apps/{app}/machines/{made['id']}/lease"
    modules.lab.api("POST", path, {"ttl": 3600})
    for change in ({"state": "stopped"}, {"metadata": {"team": "blue"}}):
        refused = modules.result("fly_machine", app=app, name="dev", **change, lease_timeout=1)
        assert refused["error"]["code"] == "fly_leased"
    assert "lease currently held by" in refused["msg"]
    nonce = modules.lab.api("GET", path)[1]["data"]["nonce"]
    modules.lab.api("POST", path, {"ttl": 2}, nonce=nonce)
    assert modules.result("fly_machine", app=app, name="dev", state="stopped")["done"] == ["stop"]


def test_volume_is_made_once_grows_and_ends_with_proof(modules: Modules, app: str) -> None:
    wanted = {"app": app, "name": "workspace", "region": "fra", "size_gb": 2}
    assert modules.result("fly_volume", _ansible_check_mode=True, **wanted)["changed"]
    assert modules.lab.volumes(app) == []
    made = modules.result("fly_volume", **wanted)
    assert made["done"] == ["create"]
    assert not modules.result("fly_volume", **wanted)["changed"]
    larger = modules.result("fly_volume", **{**wanted, "size_gb": 5})
    assert (larger["done"], larger["volume"]["size_gb"], larger["volume"]["id"]) == (
        ["extend"],
        5,
        made["volume"]["id"],
    )
    assert not modules.result("fly_volume", **{**wanted, "size_gb": 1})["changed"]
    assert modules.result("fly_volume", **{**wanted, "region": "ams"})["error"]["code"] == "fly_other_region"
    kept = modules.result("fly_volume", app=app, name="workspace", state="snapshotted")
    shown = modules.result("fly_volume_info", app=app, snapshots=True)["volumes"]
    assert [each["id"] for each in shown[0]["snapshots"]] == [kept["snapshot"]["id"]]
    again = modules.result("fly_volume", app=app, name="workspace", state="snapshotted", known_snapshots=[])
    assert (again["changed"], again["disk"]["snapshot"]) == (False, kept["snapshot"]["id"])
    grown = modules.result("fly_volume", app=app, name="workspace", state="extended", size_gb=6)
    assert (grown["done"], grown["disk"]["size_gb"], len(grown["disk"]["snapshots"])) == (["extend"], 6, 1)
    assert modules.result("fly_volume", app=app, name="other", state="extended")["error"]["code"] == "fly_missing"
    assert modules.result("fly_volume_info", app=app, name="workspace", snapshots=True)["disk"]["size_gb"] == 6

    mounts = [{"volume": made["volume"]["id"], "path": "/data"}]
    modules.result("fly_machine", app=app, name="dev", image=IMAGE, region="fra", mounts=mounts)
    assert modules.result("fly_volume", app=app, name="workspace", state="absent")["error"]["code"] == "fly_in_use"
    modules.result("fly_machine", app=app, name="dev", state="absent")
    ended = modules.result("fly_volume", app=app, name="workspace", state="absent")
    assert ended["receipt"]["complete"]
    assert kept["snapshot"]["id"] in ended["receipt"]["resources"][0]["detail"]
    assert modules.lab.volumes(app) == []


def test_several_volumes_of_a_name_are_left_alone_unless_the_app_is_ours(modules: Modules, app: str) -> None:
    body = {"name": "workspace", "region": "fra", "size_gb": 1}
    ids = [modules.lab.api("POST", f"/apps/{app}/volumes", body)[1]["id"] for _each in range(3)]
    for state in ("present", "snapshotted", "absent"):
        refused = modules.result("fly_volume", app=app, name="workspace", state=state)
        assert refused["error"]["code"] == "fly_ambiguous"
    mounts = [{"volume": ids[1], "path": "/data"}]
    modules.result("fly_machine", app=app, name="dev", image=IMAGE, region="fra", mounts=mounts)
    kept = modules.result("fly_volume", app=app, name="workspace", sole=True)
    assert kept["volume"]["id"] == ids[1]
    assert [each["id"] for each in modules.lab.volumes(app)] == [ids[1]]


def test_secrets_are_set_without_being_told(modules: Modules, app: str, tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"FROM_FILE": "canary-file"}))
    file.chmod(0o600)
    wanted = {"app": app, "values": {"KEY": "canary-value"}, "values_file": str(file)}
    checked = modules.result("fly_secrets", _ansible_check_mode=True, **wanted)
    assert checked["set"] == ["FROM_FILE", "KEY"]
    assert modules.lab.truth()["secrets"][app] == []
    made = modules.result("fly_secrets", **wanted)
    assert (made["changed"], made["names"]) == (True, ["FROM_FILE", "KEY"])
    assert not modules.result("fly_secrets", **wanted)["changed"]
    other = modules.result("fly_secrets", app=app, values={"KEY": "canary-other"})
    assert other["set"] == ["KEY"]
    gone = modules.result("fly_secrets", app=app, values={"KEY": "canary-other"}, purge=True)
    assert (gone["removed"], gone["names"]) == (["FROM_FILE"], ["KEY"])
    assert modules.result("fly_secrets", app=app, absent=["KEY"])["removed"] == ["KEY"]
    bad = modules.result("fly_secrets", app=app, values={"KEY": "canary-\0"})
    shown = modules.result("fly_secrets_info", app=app)
    read = modules.result("fly_exec", app=app, name="dev", argv=["cat"], stdin="canary-stdin")
    assert read["error"]["code"] == "fly_not_started"
    for result in (checked, made, other, gone, bad, shown, read):
        # What the module was called with is the test's own.
        told = {key: value for key, value in result.items() if key != "invocation"}
        assert "canary" not in json.dumps(told)
        assert "canary" not in json.dumps(result.get("invocation", {}))
    file.chmod(0o644)
    assert "others can read" in modules.result("fly_secrets", **wanted)["msg"]


def test_info_finds_what_environments_own_by_their_marks(modules: Modules) -> None:
    environment = environment_id()
    modules.result("fly_app", app=app_of(environment), org="found")
    modules.result(
        "fly_machine", app=app_of(environment), name="dev", image=IMAGE, environment_id=environment, owner="bob"
    )
    modules.lab.api("POST", f"/apps/{app_of(environment)}/machines", {"name": "other", "config": {"image": IMAGE}})
    found = modules.result("fly_machine_info", org="found")
    assert [each["name"] for each in found["machines"]] == ["dev"]
    [line] = found["environments"]
    assert (line["environment_id"], line["owner"]) == (environment, "bob")
    assert [each["kind"] for each in line["resources"]] == ["fly machine", "fly app"]
    # What is left of one whose machine is gone is found by the app's name.
    orphan = environment_id()
    modules.result("fly_app", app=app_of(orphan), org="found")
    found = modules.result("fly_machine_info", org="found")
    assert [(each["environment_id"], len(each["resources"])) for each in found["environments"]] == sorted(
        [(environment, 2), (orphan, 1)]
    )
    shown = modules.result("fly_machine_info", app=app_of(environment))
    assert sorted(each["name"] for each in shown["machines"]) == ["dev", "other"]
    assert shown["app"]["organization"]["slug"] == "found"
    assert shown["observed"] == []
    modules.result("fly_machine", app=app_of(environment), name="dev", state="stopped")
    [asleep] = modules.result("fly_machine_info", app=app_of(environment))["observed"]
    assert (asleep["environment_id"], asleep["present"], asleep["running"]) == (environment, True, False)
    assert asleep["state"] == "stopped"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"action": "Machines_create", "code": "insufficient_capacity"}, "fly_capacity"),
        ({"action": "Machines_create", "code": "insufficient_memory"}, "fly_capacity"),
        ({"action": "Machines_list", "code": "unauthorized"}, "credentials"),
        ({"action": "Machines_create", "code": "trial"}, "permission"),
        ({"action": "Machines_list", "code": "rate_limited", "retry_after": 30}, "fly_busy"),
        ({"action": "Machines_list", "code": "unavailable"}, "fly_broken"),
        ({"action": "Machines_list", "effect": "reset"}, "fly_unreachable"),
    ],
)
def test_refusals_are_one_line_with_what_to_do(modules: Modules, app: str, rule: dict[str, Any], code: str) -> None:
    modules.lab.fault(**rule, when={"app": app})
    refused = modules.result("fly_machine", app=app, name="dev", image=IMAGE, patience=1)
    assert refused["error"]["code"] == code, refused
    assert refused["error"]["hint"]
    assert "\n" not in refused["msg"]
    assert "FlyV1" not in json.dumps({key: value for key, value in refused.items() if key != "invocation"})


def test_what_passes_is_waited_out(modules: Modules, app: str) -> None:
    modules.lab.fault("Machines_list", "reset", times=1, when={"app": app})
    modules.lab.fault("Machines_create", code="rate_limited", retry_after=0.1, times=2, when={"app": app})
    modules.lab.fault("Machines_wait", code="unavailable", times=1, when={"app": app})
    assert modules.result("fly_machine", app=app, name="dev", image=IMAGE)["machine"]["state"] == "started"
    assert len(modules.lab.machines(app)) == 1


@pytest.mark.parametrize("effect", ["lost-reset", "lost-error"])
def test_answers_that_are_lost_make_no_second_one(modules: Modules, app: str, effect: str) -> None:
    for action in ("Volumes_create", "Machines_create", "App_IPAssignments_create", "Machines_create_lease"):
        modules.lab.fault(action, effect, times=1, when={"app": app})
    assert [each["kind"] for each in modules.result("fly_app", app=app, addresses=["v6"])["addresses"]] == ["v6"]
    assert modules.result("fly_volume", app=app, name="workspace", region="fra")["done"] == ["create"]
    assert modules.result("fly_machine", app=app, name="dev", image=IMAGE)["machine"]["state"] == "started"
    assert len(modules.lab.volumes(app)) == 1
    assert len(modules.lab.machines(app)) == 1


def test_token_and_address_are_needed_and_checked(modules: Modules) -> None:
    assert modules.result("fly_app", app="x", api_token=" ")["error"]["code"] == "credentials"
    assert "no address" in modules.result("fly_app", app="x", api_url="http://example.com")["msg"]
    assert modules.result("fly_app", app="../../x")["error"]["hint"]
    wrong = modules.result("fly_app", app="x", api_token="FlyV1 wrong")
    assert wrong["error"]["code"] == "credentials"
