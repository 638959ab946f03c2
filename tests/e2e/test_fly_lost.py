# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on Fly.io and in no database: found by the marks that it bears, and ended; nothing else is touched."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import dev_image
from tests.lab.fly.client import FlyLab

from . import fly

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

OWNER = "integration"


def new_id() -> str:
    return "01" + secrets.token_hex(12).upper()


def marks(environment: str, **more: str) -> dict[str, str]:
    """As the product marks the machine that an environment is."""
    ours = {"fuel_code_managed": "true", "fuel_code_environment": environment, "fuel_code_owner": OWNER}
    return {**ours, "fuel_code_name": "lost", "fuel_code_expires_at": "1893456000", **more}


def launch(lab: FlyLab, app: str, given: dict[str, str] | None) -> None:
    """An app with an address, a secret and a volume, and a machine with these marks, or without a machine."""
    lab.api("POST", "/apps", {"app_name": app, "org_slug": "personal"})
    lab.api("POST", f"/apps/{app}/ip_assignments", {"type": "v4"})
    lab.api("POST", f"/apps/{app}/secrets", {"values": {"KEY": "x"}})
    volume = lab.api("POST", f"/apps/{app}/volumes", {"name": "workspace", "region": "fra", "size_gb": 1})[1]["id"]
    if given is not None:
        config = {"image": "debian:bookworm", "metadata": given, "mounts": [{"volume": volume, "path": "/workspaces"}]}
        status, made = lab.api("POST", f"/apps/{app}/machines", {"name": "dev", "region": "fra", "config": config})
        assert status == 200, made


@pytest.fixture
def lab() -> Iterator[FlyLab]:
    with FlyLab(machines=False, boot_delay=0) as started:
        yield started


def of(lab: FlyLab, apps: set[str]) -> list[Any]:
    """All there is of these apps."""
    truth = lab.truth()
    return [
        apps & set(truth["apps"]),
        *([x for x in truth[kind] if x["app"] in apps] for kind in ("machines", "volumes")),
    ]


def test_what_no_database_knows_is_found_and_ended_and_nothing_foreign_is_touched(lab: FlyLab, tmp_path: Path) -> None:
    whole, bare, taken = new_id(), new_id(), new_id()
    foreign: dict[str, dict[str, str] | None] = {
        "shop": {},
        "fuel-code-shop": {"fuel_code_managed": "true"},
        "copied": marks(whole),
        "nearly": marks(new_id(), fuel_code_managed="TRUE"),
        f"fuel-code-{new_id().lower()}x": marks(new_id()),
        # Named as one of ours, and somebody's all the same.
        f"fuel-code-{taken.lower()}": {"team": "blue"},
    }
    for app, given in foreign.items():
        launch(lab, app, given)
    launch(lab, f"fuel-code-{whole.lower()}", marks(whole))
    launch(lab, f"fuel-code-{bare.lower()}", None)
    apps = set(foreign)
    before = of(lab, apps)
    lab.ask("DELETE", "calls")
    with fly.present(lab, tmp_path / "home") as user:
        seen = user.run("audit", "--provider", "fly", "--json", ok=False).json["environments"]
        assert {each["id"]: (each["state"], each["owner"], each["name"]) for each in seen} == {
            whole: ("unowned", OWNER, "lost"),
            bare: ("unowned", "", ""),
            taken: ("unowned", "", ""),
        }
        sweep = ("audit", "--provider", "fly", "--sweep", "--yes", "--all-owners", "--grace", "0s", "--json")
        swept = user.run(*sweep, ok=False, timeout=900).json["swept"]
        receipts = {each["id"]: each["receipt"] for each in swept}
        for one in (whole, bare):
            assert receipts[one]["complete"], receipts
            assert all(line["state"] == "gone" for line in receipts[one]["resources"])
        assert not (receipts.get(taken) or {}).get("complete")
        assert set(lab.truth()["apps"]) == apps
        assert of(lab, apps) == before
        named = {call["app_name"] for call in lab.calls() if call["action"] in fly.CHANGES and "app_name" in call}
        assert named & apps == set(), "no call that changes something names what is somebody else's"


@pytest.mark.soak
def test_a_lost_database_and_all_keys_with_it(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By its name alone it is found, looked into over Fly.io's own channel, kept for its work, and ended when told."""
    dev_image.ensure("remote")
    with FlyLab() as lab:
        with fly.present(lab, tmp_path / "home") as user:
            repository = fly.sample(tmp_path_factory)
            made = user.run("up", str(repository), "--provider=fly", "--name=shop", "--yes", "--json", timeout=900).json
            user.run("exec", "shop", "--", "touch", "precious.txt")
            user.run("server", "stop")
            user.kill_everything()
            shutil.rmtree(user.base["FUELCTL_HOME"])
        with fly.guest(lab, tmp_path / "home") as user:
            assert user.run("ls", "--json").json["environments"] == []
            [seen] = user.run("audit", "--provider", "fly", "--json", ok=False).json["environments"]
            assert (seen["id"], seen["state"], seen["name"]) == (made["id"], "unowned", "shop")
            kept = user.run("down", "--tagged", "shop", "--provider", "fly", "--yes", ok=False, timeout=600)
            assert "precious.txt" in kept.text, str(kept)
            assert len(lab.volumes()) == 1
            done = user.run("down", "shop", "--discard", "--yes", "--json", timeout=600).json["environments"][0]
            assert (done["id"], done["status"]) == (made["id"], "terminated")
            assert done["receipt"]["complete"] is True
