# SPDX-License-Identifier: GPL-3.0-or-later
"""What providers show, against the database: who owns it, what is swept, and what a lost database can still end."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths
from fuelctl.client import Client
from fuelctl.environments.adopt import adopt
from fuelctl.environments.audit import read
from fuelctl.environments.core import MachineError
from fuelctl.environments.journal import Journal
from fuelctl.environments.registry import begin_termination
from fuelctl.store import environments
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows import audit as workflow
from tests.fuelctl.control import check_of
from tests.fuelctl.stage import Done, Stage, gone, refused, repository

ME = getpass.getuser()
LOST = "01JD3Z5Q8W6S9X4V7T2R1P0N8M"
OTHER = "01JD3Z5Q8W6S9X4V7T2R1P0N8N"
ACCESS = "01JD3Z5Q8W6S9X4V7T2R1P0N8P"


@pytest.fixture(autouse=True)
def _surroundings(surroundings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)


def thing(environment_id: str, **fields: Any) -> dict[str, Any]:
    """As a provider's module shows it: an environment of mine, two hours old."""
    return {
        "environment_id": environment_id,
        "owner": ME,
        "name": "shop",
        "since": time.time() - 7200,
        "resources": [{"kind": "container", "name": f"fuel-code-{environment_id.lower()}-1", "state": "running"}],
        **fields,
    }


def known(stage: Stage, fuelctl: Any, tmp_path: Path, name: str) -> str:
    """An environment that the database knows."""
    repo = repository(tmp_path / name)
    made = fuelctl("up", str(repo), "--yes", "--name", name, "--json")
    assert made.code == 0, made.err
    return str(made.json["id"])


def row(stage: Stage, environment_id: str) -> EnvironmentRow | None:
    with stage.core.database.read() as session:
        return environments.get(session, environment_id)


def states(done: Done) -> dict[str, str]:
    return {each["id"]: each["state"] for each in done.json["environments"]}


def test_nothing_there_is_well(fuelctl: Any, stage: Stage) -> None:
    done = fuelctl("audit")
    assert (done.code, done.out) == (0, "Nothing carries fuelctl's label.\n")
    assert "Asked: local." in done.err


def test_owned_expired_and_unowned(fuelctl: Any, stage: Stage, tmp_path: Path) -> None:
    mine, over, ended = (known(stage, fuelctl, tmp_path, name) for name in ("mine", "over", "ended"))
    fuelctl("down", "ended", "--yes")
    with stage.core.write() as session:
        environments.change(session, over, expires_at=time.time() - 3600)
    stage.shown["local"] = [thing(each) for each in (mine, over)]
    well = fuelctl("audit", "--json")
    assert (well.code, states(well)) == (0, {mine: "owned", over: "expired"})
    # What the database says is gone, and is there, belongs to nobody.
    stage.shown["local"] = [thing(each) for each in (mine, over, ended, LOST)]
    bad = fuelctl("audit", "--json")
    assert (bad.code, states(bad)) == (1, {mine: "owned", over: "expired", ended: "unowned", LOST: "unowned"})
    told = fuelctl("audit")
    assert told.code == 1
    assert "1 owned, 1 expired, 2 unowned. Asked: local." in told.out
    assert "fuelctl audit --sweep" in told.err
    assert [place.provider for place in stage.places] == ["local"] * 3


def test_a_group_that_an_owner_still_needs_is_owned(fuelctl: Any, stage: Stage, tmp_path: Path) -> None:
    mine = known(stage, fuelctl, tmp_path, "mine")
    with stage.core.write() as session:
        environments.change(session, mine, provider={"name": "ec2", "options": {}, "region": "eu-central-1"})
    group = thing(ACCESS, shared=True, name="access", since=None, region="eu-central-1")
    stage.shown["ec2"] = [group, {**group, "environment_id": OTHER, "owner": "bob"}]
    assert states(fuelctl("audit", "--json")) == {ACCESS: "owned", OTHER: "unowned"}


def test_a_place_that_cannot_be_asked_is_no_well_being(fuelctl: Any, stage: Stage) -> None:
    stage.shown["ec2"] = MachineError("the AWS credentials have expired", hint="renew them", code="ec2_credentials")
    done = fuelctl("audit")
    assert done.code == 1
    assert "error: ec2 could not be asked: the AWS credentials have expired\n  hint: renew them" in done.err
    assert fuelctl("audit", "--provider", "local").code == 0
    document = fuelctl("audit", "--json").json
    assert (document["complete"], document["problems"][0]["provider"]) == (False, "ec2")


def test_regions(fuelctl: Any, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*arguments: str) -> Any:
        stage.places.clear()
        fuelctl("audit", "--provider", "ec2", *arguments)
        return (list(stage.places[0].regions), stage.places[0].all_regions)

    # Where nothing says a region, all of them are meant.
    assert asked() == ([], True)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert asked() == (["eu-west-1"], False)
    assert asked("--region", "eu-north-1") == (["eu-north-1"], False)
    mine = known(stage, fuelctl, tmp_path, "mine")
    with stage.core.write() as session:
        environments.change(session, mine, provider={"name": "ec2", "options": {}, "region": "us-west-2"})
    assert asked() == (["eu-west-1", "us-west-2"], False)
    assert asked("--all-regions")[1] is True


def test_sweep_ends_what_is_unowned_old_and_mine(fuelctl: Any, stage: Stage, tmp_path: Path) -> None:
    mine = known(stage, fuelctl, tmp_path, "mine")
    young, ageless, bobs, strange = (f"01JD3Z5Q8W6S9X4V7T2R1P0N{end}" for end in ("9A", "9B", "9C", "9D"))
    stage.shown["local"] = [
        thing(mine),
        thing(LOST),
        thing(young, since=time.time() - 60),
        thing(ageless, since=None),
        thing(bobs, owner="bob"),
        thing("", name="'; rm -rf /", owner=ME),
    ]
    refused_ = fuelctl("audit", "--sweep")
    assert refused_.code == 2
    assert "give --yes" in refused_.err
    assert row(stage, LOST) is None, "nothing is done before the question"
    done = fuelctl("audit", "--sweep", "--yes")
    assert done.code == 1, "what stays is still unowned"
    ended = row(stage, LOST)
    assert ended is not None
    assert (ended.status, ended.name, ended.owner, ended.ended_by) == ("terminated", "shop", ME, "user")
    assert ended.receipt
    assert ended.receipt["complete"]
    assert f"shop ({LOST}): terminated" in done.out
    for each, why in ((young, "only"), (ageless, "age is not known"), (bobs, "belongs to bob")):
        assert row(stage, each) is None
        assert why in next(line for line in done.err.splitlines() if line.startswith(f"{each} stays"))
    assert "holds no id of ours" in done.err
    assert row(stage, mine).status == "ready"
    stage.shown["local"] = [thing(mine), thing(young, since=time.time() - 60), thing(ageless, since=None)]
    everything = fuelctl("audit", "--sweep", "--yes", "--grace", "0s", "--json")
    assert everything.code == 0
    assert {each["id"] for each in everything.json["swept"]} == {young, ageless}
    assert all(each["receipt"]["complete"] for each in everything.json["swept"])
    assert strange not in everything.out


def test_what_is_gone_before_it_is_swept_stops_nothing(stage: Stage) -> None:
    stage.shown["local"] = [thing(OTHER)]
    client = Client(socket_path=str(paths.server_socket()))
    taken = client.adopt([LOST, OTHER], lease_seconds=300, skip_missing=True)
    assert [each["id"] for each in taken["environments"]] == [OTHER]
    assert (taken["missing"], taken["complete"]) == ([LOST], True)
    assert row(stage, LOST) is None


def test_what_was_not_found_again_because_a_place_went_dark_is_not_swept(fuelctl: Any, stage: Stage) -> None:
    """The first look sees it, and before the second its provider stops answering."""
    shown = {"local": [thing(LOST)], "ec2": [thing(OTHER, region="eu-north-1")]}
    dark = MachineError("AWS cannot be reached", hint="check the network", code="ec2_unreachable")

    class Darkening(dict[str, Any]):
        """Answers once, then only for `local`."""

        asked = 0

        def get(self, name: str, default: Any = None) -> Any:
            self.asked += name == "ec2"
            return dark if name == "ec2" and self.asked > 1 else super().get(name, default)

    stage.shown = Darkening(shown)
    done = fuelctl("audit", "--sweep", "--yes")
    assert done.code == 1
    assert f"{OTHER} stays: its place could not be asked again" in done.err
    assert f"shop ({LOST}): terminated" in done.out
    assert row(stage, OTHER) is None


def test_several_are_taken_back_together_or_not_at_all(fuelctl: Any, stage: Stage) -> None:
    stage.shown["local"] = [thing(LOST)]
    assert fuelctl("down", "--tagged", LOST, OTHER, "--yes").code == 1
    assert row(stage, LOST) is None


def test_a_sweep_that_is_killed_is_ended_by_the_reaper(fuelctl: Any, stage: Stage) -> None:
    """What it has taken back lives for some minutes, and not for the rest of its lease."""
    stage.shown["local"] = [thing(LOST, expires_at=time.time() + 7200)]
    client = Client(socket_path=str(paths.server_socket()))
    [taken] = client.adopt([LOST], lease_seconds=300)["environments"]
    assert taken["lease"]["ttl_seconds"] == 300
    kept = row(stage, LOST)
    assert kept is not None
    check_at = check_of(stage.core, LOST).check_at
    assert check_at is not None
    assert check_at <= kept.expires_at <= time.time() + 300


def test_others_are_swept_only_when_that_is_said(fuelctl: Any, stage: Stage) -> None:
    stage.shown["local"] = [thing(LOST, owner="bob"), thing(OTHER, owner="carol")]
    assert fuelctl("audit", "--sweep", "--yes").code == 1
    assert row(stage, LOST) is None
    only = fuelctl("audit", "--sweep", "--yes", "--owner", "bob")
    assert only.code == 0
    assert (row(stage, LOST) is not None, row(stage, OTHER) is None) == (True, True)
    stage.shown["local"] = [thing(OTHER, owner="carol")]
    assert fuelctl("audit", "--sweep", "--yes", "--all-owners").code == 0
    assert row(stage, OTHER) is not None


def test_an_end_that_fails_is_no_sweep(fuelctl: Any, stage: Stage) -> None:
    def stays(_stage: Stage, journal: Journal) -> None:
        journal.not_terminated({"message": "the engine does not answer", "code": "docker_unavailable"}, None)

    stage.plays["terminate"] = stays
    stage.shown["local"] = [thing(LOST)]
    done = fuelctl("audit", "--sweep", "--yes")
    assert done.code == 1
    assert "could not be ended completely yet" in done.err
    # It has a row now, so it is tried again like any other, and is nobody's no more.
    assert states(fuelctl("audit", "--json")) == {LOST: "owned"}


@pytest.mark.parametrize("ref", [LOST, LOST.lower(), LOST[:20], "shop"])
def test_down_by_the_label_alone(fuelctl: Any, stage: Stage, ref: str) -> None:
    assert fuelctl("down", ref, "--yes").code == 1, "the database does not know it"
    stage.shown["local"] = [thing(OTHER, name="another"), thing(LOST)]
    if ref == LOST[:20]:
        stage.shown["local"] = [thing(LOST)]
    done = fuelctl("down", "--tagged", ref, "--yes", "--json")
    assert done.code == 0, done.err
    [ended] = done.json["environments"]
    assert (ended["id"], ended["status"], ended["receipt"]["complete"]) == (LOST, "terminated", True)
    assert row(stage, OTHER) is None
    stage.shown["local"] = []
    again = fuelctl("down", "--tagged", ref, "--yes")
    assert again.code == 1
    assert "no provider shows an environment" in again.err


def test_down_tagged_asks_before_it_takes_work(fuelctl: Any, stage: Stage) -> None:
    stage.plays["terminate"] = refused
    stage.shown["local"] = [thing(LOST)]
    done = fuelctl("down", "--tagged", LOST, "--yes")
    assert done.code == 1
    assert "was not ended: work in it would be lost" in done.err
    kept = row(stage, LOST)
    assert kept is not None
    assert kept.status == "ready"
    stage.plays["terminate"] = gone
    assert fuelctl("down", "shop", "--yes", "--discard").code == 0


def test_down_tagged_of_what_is_known_asks_nobody(fuelctl: Any, stage: Stage, tmp_path: Path) -> None:
    mine = known(stage, fuelctl, tmp_path, "mine")
    assert fuelctl("down", "--tagged", "mine", "--yes").code == 0
    assert stage.places == []
    ended = row(stage, mine)
    assert ended is not None
    # And once more, when the database says that it is gone and its machine is there all the same.
    stage.shown["local"] = [thing(mine, name="mine")]
    assert fuelctl("down", "--tagged", mine, "--yes").code == 0
    assert len(stage.places) == 1


def test_a_provider_without_regions_is_asked_where_its_environments_are(
    fuelctl: Any, stage: Stage, tmp_path: Path
) -> None:
    """And what is taken back from there is ended there."""
    hosts = {name: known(stage, fuelctl, tmp_path, name) for name in ("one", "two", "three")}
    for name, environment_id in hosts.items():
        where = {"host": "a@x" if name == "three" else f"a@{name}"}
        with stage.core.write() as session:
            environments.change(session, environment_id, provider={"name": "ssh", "options": where})
    stage.shown["ssh"] = []
    fuelctl("audit", "--json")
    asked = [place.options for place in stage.places if place.provider == "ssh"]
    assert sorted(each["host"] for each in asked) == ["a@one", "a@two", "a@x"]
    assert not any(place.all_regions for place in stage.places if place.provider == "ssh")
    with stage.core.write() as session:
        for name in ("one", "two"):
            environments.change(session, hosts[name], ended_at=time.time())
    stage.shown["ssh"] = [thing(LOST)]
    assert fuelctl("down", "--tagged", LOST, "--provider", "ssh", "--yes").code == 0
    ended = row(stage, LOST)
    assert ended is not None
    assert ended.provider["options"] == {"host": "a@x"}


def test_two_of_one_name_are_told_apart(fuelctl: Any, stage: Stage) -> None:
    stage.shown["local"] = [thing(LOST), thing(OTHER)]
    done = fuelctl("down", "--tagged", "shop", "--yes")
    assert done.code == 1
    assert "may mean 2 environments" in done.err
    both = fuelctl("down", "--tagged", LOST, OTHER, "--yes", "--json")
    assert both.code == 0
    assert {each["name"] for each in both.json["environments"]} == {"shop", f"shop-{OTHER[-8:].lower()}"}


def test_what_was_not_found_while_a_place_was_dark_is_not_said_to_be_gone(fuelctl: Any, stage: Stage) -> None:
    stage.shown["ec2"] = MachineError("AWS cannot be reached", hint="check the network", code="ec2_unreachable")
    done = fuelctl("down", "--tagged", LOST, "--yes")
    assert done.code == 1
    assert "not every place could be asked: ec2: AWS cannot be reached" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "--grace", "soon"],
        ["audit", "--owner", "a", "--all-owners"],
        ["audit", "--region", "x", "--all-regions"],
        ["audit", "--provider", "../x"],
        ["down", "--tagged", "--all"],
        ["down", "x", "--provider", "ec2"],
        ["down", "--tagged"],
    ],
)
def test_wrong_usage(fuelctl: Any, stage: Stage, arguments: list[str]) -> None:
    done = fuelctl(*arguments)
    assert done.code in (1, 2)
    assert stage.places == []


def test_a_hostile_label_is_words_and_no_more(fuelctl: Any, stage: Stage) -> None:
    stage.shown["local"] = [
        thing(
            LOST, owner="\x1b[2Jmallory", name="a\nb", resources=[{"kind": "c\x1b[1m", "name": "n\r\n", "state": "s"}]
        )
    ]
    done = fuelctl("audit")
    assert "\x1b" not in done.out
    assert len(done.out.splitlines()) == 3


def test_an_adopted_row_can_be_ended_twice_and_adopted_once(fuelctl: Any, stage: Stage) -> None:
    stage.shown["local"] = [thing(LOST)]
    del stage.plays["terminate"]
    first = stage_adopt(stage)
    assert stage_adopt(stage) == first
    _row, one = begin_termination(stage.core, LOST, discard=True, by="user")
    _row, two = begin_termination(stage.core, LOST, discard=True, by="user")
    assert one == two


def stage_adopt(stage: Stage) -> tuple[str, int]:
    found = adopt(stage.core, read("local", thing(LOST)), {}, "")
    return found.name, found.version


def test_which_providers_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert workflow.providers(set()) == ["local"]
    assert "ec2" in workflow.providers({"ec2"})
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert workflow.providers(set()) == ["ec2", "local"]
    monkeypatch.delenv("AWS_PROFILE")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("")
    assert workflow.providers(set()) == ["ec2", "local"]
