# SPDX-License-Identifier: GPL-3.0-or-later
"""From a distribution's name and a size to an AMI and an instance type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._image import (
    DISTRIBUTIONS,
    FRESH,
    SIZES,
    Cache,
    architecture_of,
    find,
    type_for,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError


class Client:
    """Answers DescribeImages out of a list, and counts."""

    def __init__(self, *images: dict[str, str]) -> None:
        self.images = list(images)
        self.asked: list[dict[str, Any]] = []

    def describe_images(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        wanted = asked.get("ImageIds")
        return {"Images": [each for each in self.images if wanted is None or each["ImageId"] in wanted]}


OLD = {"ImageId": "ami-00000001", "CreationDate": "2026-01-02T00:00:00.000Z"}
NEW = {"ImageId": "ami-00000002", "CreationDate": "2026-09-02T00:00:00.000Z"}


@pytest.mark.parametrize(
    ("cpus", "memory_gb", "expected"),
    [(2, 4, "t3.medium"), (1, 1, "t3.small"), (2, 4.1, "t3.large"), (4, 4, "t3.xlarge"), (8, 16, "m7i.2xlarge")],
)
def test_the_smallest_that_is_large_enough(cpus: float, memory_gb: float, expected: str) -> None:
    assert type_for(cpus, memory_gb) == expected


def test_sizes_grow() -> None:
    assert [each[1:] for each in SIZES] == sorted(each[1:] for each in SIZES)


def test_nothing_is_large_enough() -> None:
    with pytest.raises(UsageError, match="no instance type is known that has 65 CPUs"):
        type_for(65, 4)


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["t3.medium", "m7i.large"], "x86_64"),
        (["t4g.small", "m7g.large", "c7gn.xlarge", "r8gd.large", "a1.large"], "arm64"),
        (["g5.xlarge", "p4d.24xlarge", "x2idn.16xlarge"], "x86_64"),
        (["g5g.xlarge"], "arm64"),
        ([], "x86_64"),
    ],
)
def test_architecture(types: list[str], expected: str) -> None:
    assert architecture_of(types) == expected


def test_two_architectures_are_refused() -> None:
    with pytest.raises(UsageError, match="two architectures"):
        architecture_of(["t3.medium", "t4g.medium"])


@pytest.mark.parametrize("image", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_the_newest_of_its_makers_is_taken(image: str, architecture: str) -> None:
    client = Client(OLD, NEW)
    found, how = find(Api(client), image, architecture, endpoint="here", cache=Cache())
    assert (found, how) == (NEW, "found")
    [asked] = client.asked
    assert asked["Owners"] == [DISTRIBUTIONS[image].owner]
    filters = {each["Name"]: each["Values"][0] for each in asked["Filters"]}
    assert filters["architecture"] == architecture
    assert "{" not in filters["name"]


def test_it_is_remembered_for_a_day_and_for_one_place(tmp_path: Path) -> None:
    now = 1_000_000.0
    cache = Cache(str(tmp_path / "cache"), clock=lambda: now)
    client = Client(OLD)
    assert find(Api(client), "debian-12", "x86_64", endpoint="here", cache=cache)[1] == "found"
    client.images.append(NEW)
    assert find(Api(client), "debian-12", "x86_64", endpoint="here", cache=cache) == (OLD, "remembered")
    assert find(Api(client), "debian-12", "x86_64", endpoint="there", cache=cache) == (NEW, "found")
    now += FRESH
    assert find(Api(client), "debian-12", "x86_64", endpoint="here", cache=cache) == (NEW, "found")


def test_one_that_was_withdrawn_is_looked_up_again(tmp_path: Path) -> None:
    cache, client = Cache(str(tmp_path)), Client(OLD)
    find(Api(client), "debian-12", "x86_64", endpoint="here", cache=cache)
    client.images = [NEW]
    assert find(Api(client), "debian-12", "x86_64", endpoint="here", cache=cache) == (NEW, "found")


def test_a_cache_that_cannot_be_read_or_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(str(tmp_path / "file" / "below"))
    assert find(Api(Client(NEW)), "debian-12", "x86_64", endpoint="here", cache=cache) == (NEW, "found")


@pytest.mark.parametrize("image", ["debian", "ami-", "ami-XYZ", "al2023; rm", ""])
def test_what_is_no_image(image: str) -> None:
    with pytest.raises(UsageError, match="no AMI id and no distribution"):
        find(Api(Client()), image, "x86_64", endpoint="", cache=Cache())


def test_a_region_without_it() -> None:
    with pytest.raises(FuelError, match="there is no AMI of debian-12 for arm64 in this region"):
        find(Api(Client()), "debian-12", "arm64", endpoint="", cache=Cache())
