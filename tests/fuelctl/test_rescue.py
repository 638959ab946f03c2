# SPDX-License-Identifier: GPL-3.0-or-later
"""Rescue before an end: what the workflow does with what the playbook brings, and who gets it afterwards."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuelctl import paths
from fuelctl._shared._rescue._folder import unpack
from fuelctl.environments import idleness, registry, rescues
from fuelctl.environments.core import Core
from fuelctl.environments.decision import Action, Observations, decide, later
from fuelctl.environments.states import ENTERABLE
from fuelctl.store import environments
from fuelctl.store.database import Database
from fuelctl.store.models import RescueRow
from fuelctl.store.secrets import Safe
from tests.fuelctl.accounts import Team
from tests.fuelctl.control import Lab, wanted

WORK = {"image": "debian", "work": {"uncommitted": ["M a"], "counts": {"uncommitted": 1}}}


@pytest.fixture
def lab(database: Database) -> Iterator[Lab]:
    made = Lab(Core(database, Safe(paths.secret_key_file())))
    yield made
    made.engine.close()


def end(lab: Lab, made: str, by: str, *, discard: bool = False, rescue: bool = False) -> Any:
    """As the reaper ends it, seen a moment ago."""
    now = lab.core.clock()
    with lab.core.write() as session:
        known = idleness.touched(idleness.read(None), "start", now)
        seen = replace(known, quiet=7200.0, observed=asdict(now)).as_dict() if by == "idle" else known.as_dict()
        environments.change(session, made, activity=seen, ending={"inputs": {"fresh_for": 180.0}})
    _row, operation_id = registry.begin_termination(lab.core, made, discard=discard, by=by, rescue=rescue)
    assert operation_id is not None
    lab.engine.start("terminate", made, operation_id)
    return lab.settled(made)


def up(lab: Lab, blueprint: dict[str, Any], **fields: Any) -> str:
    made = lab.up(blueprint=blueprint, **{"rescue": True, "idle_seconds": 1800, **fields})
    assert lab.settled(made).status == "ready"
    return made


def kept(lab: Lab) -> list[RescueRow]:
    with lab.core.database.read() as session:
        return rescues.listing(session)


def test_an_idle_end_with_work_is_rescued_and_then_ended(lab: Lab, tmp_path: Path) -> None:
    made = up(lab, WORK)
    row = end(lab, made, "idle")
    assert row.status == "terminated"
    assert row.rescued["state"] == "saved"
    (saved,) = kept(lab)
    assert (saved.id, saved.environment_id, saved.complete) == (row.rescued["id"], made, True)
    assert lab.core.files.sha256(rescues.key(saved.id)) == saved.sha256
    with lab.core.files.open(rescues.key(saved.id)) as stream:
        (tmp_path / "back").mkdir()
        unpack(stream, str(tmp_path / "back"), saved.size)
    assert sorted(file.name for file in (tmp_path / "back").iterdir()) == ["repo.bundle", "rescue.json", "source.json"]
    assert "remote.rescue.done" in lab.types(made)
    assert not list(paths.rescuing_folder("x").parent.iterdir())


@pytest.mark.parametrize(("lives", "reason"), [({"rescue_fails": True}, "disk is full"), ({"rescue_lacks": True}, "")])
def test_one_that_was_not_all_saved_is_kept_as_before(lab: Lab, lives: dict[str, Any], reason: str) -> None:
    made = up(lab, {**WORK, **lives})
    row = end(lab, made, "idle")
    assert row.status == "ready"
    assert [condition["type"] for condition in row.conditions] == ["idle, unsaved work"]
    assert reason in str(row.rescued.get("reason") or "")
    # What could be saved is kept all the same, and what was saved later takes its place.
    before = [one.id for one in kept(lab)]
    assert len(before) == (1 if "rescue_lacks" in lives else 0)
    # Its TTL ends it whether or not it could be saved.
    assert end(lab, made, "ttl", discard=True).status == "terminated"
    assert len(kept(lab)) == len(before)
    assert [one.id for one in kept(lab)] != before or not before
    assert {name.split("/")[1] for name in lab.core.files.list("rescues")} == {one.id for one in kept(lab)}


def test_a_rescue_that_hangs_is_cut_off_by_its_ttl_and_grace(lab: Lab) -> None:
    # Longer where its playbook did not even begin: this machine is busy.
    for grace in (8.0, 30.0, 150.0):
        made = up(lab, {**WORK, "rescue_takes": 600}, ttl_seconds=30)
        object.__setattr__(lab.plant, "rescue_grace", grace)
        with lab.core.write() as session:
            now = lab.core.clock()
            environments.change(session, made, expires_at=now.wall + 2, lease_boottime=now.boottime + 2)
        begun = time.monotonic()
        row = end(lab, made, "ttl", discard=True)
        assert row.status == "terminated"
        assert time.monotonic() - begun < 400, "it waited for a rescue that takes 600 s"
        assert kept(lab) == []
        if (lab.world / "rescues.log").exists():
            break
    assert "cut off" in row.rescued["reason"]
    asked = (lab.world / "rescues.log").read_text().split()
    # Its watchdog was not moved beyond the grace.
    assert int(asked[1]) <= now.wall + 2 + grace


def test_who_begins_to_work_while_it_is_saved_keeps_it(lab: Lab) -> None:
    made = up(lab, {**WORK, "rescue_waits": True})
    now = lab.core.clock()
    with lab.core.write() as session:
        seen = replace(idleness.read(None), quiet=7200.0, observed=asdict(now))
        environments.change(session, made, activity=seen.as_dict(), ending={"inputs": {"fresh_for": 180.0}})
    _row, operation_id = registry.begin_termination(lab.core, made, discard=False, by="idle")
    lab.engine.start("terminate", made, str(operation_id))
    lab.wait(made, lambda _row: (lab.world / "rescues.log").exists())
    with lab.core.write() as session:
        typed = idleness.touched(seen, "terminal", lab.core.clock())
        environments.change(session, made, activity=typed.as_dict())
    (lab.world / "go").touch()
    row = lab.settled(made)
    assert row.status == "ready"
    assert row.rescued["state"] == "saved"


def test_when_it_is_not_wanted_nothing_is_played(lab: Lab) -> None:
    refused = end(lab, up(lab, WORK), "user")
    assert refused.status == "ready"
    with lab.core.write() as session:
        environments.change(session, refused.id, rescue=False)
    assert end(lab, refused.id, "idle").status == "ready"
    assert not (lab.world / "rescues.log").exists()
    assert end(lab, refused.id, "user", rescue=True).status == "terminated"
    assert len(kept(lab)) == 1


def test_what_is_old_is_forgotten_and_what_no_row_names(lab: Lab) -> None:
    made = up(lab, WORK)
    saved = end(lab, made, "idle").rescued["id"]
    stray = "01" + "0" * 24
    lab.core.files.put(rescues.key(stray), b"x")
    now = lab.core.clock().wall
    assert rescues.forget(lab.core, now - 86400) == 1
    assert [one.id for one in kept(lab)] == [saved]
    assert rescues.forget(lab.core, now + 1) == 1
    assert kept(lab) == []
    assert lab.core.files.list("rescues") == []


def _save(core: Core, environment_id: str, rescue_id: str) -> None:
    manifest = {
        "commit": "a" * 40,
        "branch": "main",
        "complete": True,
        "counts": {"files": 1},
        "left_out": {},
        "unfinished": [],
    }
    core.files.put(rescues.key(rescue_id), io.BytesIO(b"tar"), private=True)
    with core.write() as session:
        row = environments.get(session, environment_id)
        assert row is not None
        rescues.add(session, core, row, rescue_id, tar=(3, "c" * 64), manifest=manifest)


def test_only_its_owner_and_an_admin_have_it(team: Team) -> None:
    made = team.make("ada", name="api")
    rescue_id = "01JD3Z5Q8W6S9X4V7T2R1P0N8M"
    _save(team.core, made["id"], rescue_id)
    for who, status in (("ada", 200), ("root", 200), ("bob", 403), ("vera", 403)):
        for path in (f"/api/rescues/{rescue_id}", "/api/rescues/api", f"/api/rescues/{rescue_id}/content"):
            assert team.ask(who, "GET", path).status_code == status, (who, path)
        asked = {"json": {**_body(), "from_rescue": rescue_id}}
        made_of_it = team.ask(who, "POST", "/api/remote", **asked)
        assert made_of_it.status_code == (202 if status == 200 else 403), made_of_it.json
    assert team.ask("ada", "GET", f"/api/rescues/{rescue_id}/content").data == b"tar"
    assert [one["id"] for one in team.ask("ada", "GET", "/api/rescues").json["rescues"]] == [rescue_id]
    assert team.ask("bob", "GET", "/api/rescues").json["rescues"] == []
    assert team.ask("bob", "GET", "/api/rescues?everybody=true").status_code == 403
    assert len(team.ask("root", "GET", "/api/rescues?everybody=true").json["rescues"]) == 1
    assert team.ask("bob", "DELETE", f"/api/rescues/{rescue_id}").status_code == 403
    assert team.ask("ada", "DELETE", f"/api/rescues/{rescue_id}").status_code == 200
    assert team.ask("ada", "GET", f"/api/rescues/{rescue_id}").status_code == 404
    actions = [entry["action"] for entry in team.log(object=rescue_id)]
    assert {"rescue.save", "rescue.fetch", "rescue.remove"} <= set(actions)


def _body() -> dict[str, Any]:
    from tests.fuelctl.api import BODY

    return {**{name: value for name, value in BODY.items() if name not in ("name", "source")}}


def test_made_from_a_rescue_it_has_its_source_already(team: Team) -> None:
    made = team.make("ada", name="api")
    _save(team.core, made["id"], "01JD3Z5Q8W6S9X4V7T2R1P0N8M")
    answer = team.ask("ada", "POST", "/api/remote", json={**_body(), "from_rescue": "api"})
    assert answer.status_code == 202
    assert answer.json["operation"] is None or answer.json["operation"] == "provision"
    key = f"sources/{answer.json['id']}/source.tar"
    assert team.core.files.read(key) == b"tar"
    with team.core.database.read() as session:
        row = environments.get(session, answer.json["id"])
    assert row is not None
    assert row.operation == "provision"
    assert (row.source or {})["complete"] is True
    both = {**_body(), "from_rescue": "api", "source": {"sha256": "a" * 64, "size": 3}}
    assert team.ask("ada", "POST", "/api/remote", json=both).json["code"] == "two_sources"


@pytest.mark.parametrize(
    ("asked", "blueprint", "expected"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_blueprint_and_caller_switch_it_off(team: Team, asked: bool, blueprint: bool, expected: bool) -> None:
    body = _body()
    body["blueprint"] = {**body["blueprint"], "rescue": blueprint}
    made = team.ask("ada", "POST", "/api/remote", json={**body, "rescue": asked}).json
    assert "id" in made, made
    with team.core.database.read() as session:
        row = environments.get(session, made["id"])
    assert row is not None
    assert row.rescue is expected


SEEN = Observations("active", None, False, 100.0, 3600.0, True, False, 0, 0.0, False, lead=60.0)


@given(
    left=st.floats(-100, 7200),
    lead=st.floats(0, 60),
    status=st.sampled_from(["provisioning", "ready", "active", "idle", "error"]),
    operation=st.sampled_from([None, "provision"]),
)
def test_a_rescue_has_its_lead_and_nothing_else_ends_sooner(
    left: float, lead: float, status: str, operation: str | None
) -> None:
    seen = replace(SEEN, seconds_left=left, lead=lead, status=status, operation=operation, operation_running=True)
    plain = replace(seen, lead=0.0)
    if decide(plain).action == Action.END:
        assert decide(seen).action == Action.END
    early = decide(seen).action == Action.END and decide(plain).action != Action.END
    assert not early or (status in ENTERABLE and operation is None and left <= lead)
    # Whoever waits as long as it is told to comes before the rescue has to begin.
    decision = decide(seen)
    if decision.action == Action.KEEP and status in ENTERABLE and operation is None:
        assert decision.check_in <= max(1.0, left - lead)
        assert decide(later(seen, left - lead + 0.001)).action == Action.END


def test_rows_tell_their_lead(core: Core) -> None:
    from fuelctl.environments.observations import observe

    made = registry.create(core, wanted(ttl_seconds=600, rescue=True))
    plain = registry.create(core, wanted(ttl_seconds=600, name="plain"))
    seen = [observe(row, None, core.clock(), frozenset(), slept=False, period=60).lead for row in (made, plain)]
    assert seen == [30.0, 0.0]
    assert json.dumps(vars(SEEN))
