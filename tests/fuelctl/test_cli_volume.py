# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl volume` against the real control plane, with a provider's disk played by the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._errors import UsageError
from fuelctl.cli.volume import gigabytes
from tests.fuelctl.stage import Stage

pytestmark = pytest.mark.usefixtures("surroundings")

PRICES = {"currency": "USD", "gb_month": 0.15, "snapshot_gb_month": 0.08, "snapshot_free_gb": 10}
PRICED = "Snapshots cost 0.08 USD per GB and month of what they store, beyond the first 10 GB of the account; "
PRICED += "that is not in what `ls` and `status` count.\n"


@pytest.mark.parametrize(("text", "found"), [("20", 20), ("20GB", 20), ("20 gb", 20), (" 1g ", 1), ("500G", 500)])
def test_sizes(text: str, found: int) -> None:
    assert gigabytes(text) == found


@pytest.mark.parametrize("text", ["", "0", "0GB", "-1", "+5", "1.5GB", "20TB", "20GBx", "x", "9" * 7, "\u0662"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        gigabytes(text)


def test_it_is_shown_extended_and_snapshotted(fuelctl: Any, stage: Stage, repo: Path) -> None:
    fuelctl("up", str(repo), "--yes")
    stage.disk = {"id": "vol_1", "region": "fra", "size_gb": 10, "snapshot_days": 5, "snapshots": [], "prices": PRICES}
    shown = fuelctl("volume", "show", "my-shop")
    said = "my-shop: 10 GB in fra (vol_1), 1.50 USD a month, stopped or not, until it ends\n"
    assert shown.out == said + "No snapshots.\n" + PRICED
    larger = fuelctl("volume", "extend", "my-shop", "20GB")
    assert (larger.out, larger.err) == (
        "The volume of my-shop has 20 GB, 3.00 USD a month, stopped or not, until it ends.\n",
        "",
    )
    smaller = fuelctl("volume", "extend", "my-shop", "10GB")
    assert smaller.code == 1
    assert "has 20 GB, and a volume never becomes smaller" in smaller.err
    made = fuelctl("volume", "snapshot", "my-shop")
    assert made.out == (
        "Snapshot vs_new of my-shop is made, kept for 5 days by its provider, also when my-shop has ended.\n" + PRICED
    )
    assert stage.disks == [
        ("shown", {}),
        ("extended", {"size_gb": 20}),
        ("extended", {"size_gb": 10}),
        ("shown", {}),
        ("snapshotted", {"known": []}),
    ]
    stage.disk["snapshots"][0]["stored_bytes"] = 1_200_000_000
    rows = fuelctl("volume", "show", "my-shop").out.splitlines()[1:3]
    assert [row.split() for row in rows] == [
        ["SNAPSHOT", "MADE", "STORES", "KEPT"],
        ["vs_new", "2026-01-02T00:00:00Z", "1.2", "GB", "5", "days"],
    ]
    stage.disk["needs_restart"] = True
    assert "fuelctl stop my-shop && fuelctl start my-shop" in fuelctl("volume", "extend", "my-shop", "30GB").err
    assert fuelctl("volume", "show", "my-shop", "--json").json["size_gb"] == 30


def test_where_there_is_none_one_line_says_so(fuelctl: Any, stage: Stage, repo: Path) -> None:
    fuelctl("up", str(repo), "--yes")
    for words in (("show", "my-shop"), ("extend", "my-shop", "20GB"), ("snapshot", "my-shop")):
        done = fuelctl("volume", *words)
        assert (done.code, done.out) == (1, "")
        assert done.err.splitlines() == [
            "error: my-shop: the provider local has no volume that outlives its machine",
            "  hint: what is worked on is saved by a rescue: fuelctl down --rescue my-shop",
        ]
    assert fuelctl("volume", "extend", "my-shop", "much").code == 2
