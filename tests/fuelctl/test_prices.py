# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl prices`: refreshed from a server that speaks AWS's format, kept all or nothing, and never in the way."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from typing import Any

import pytest

from fuelctl import prices
from fuelctl.__main__ import run
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._prices import _book
from tests.fuelctl.price_server import PriceServer, price_list, price_server


@pytest.fixture
def aws() -> Iterator[PriceServer]:
    with price_server() as server:
        server.lists = {
            "eu-central-1": price_list("eu-central-1", {"m7i.large": 0.1207, "x99.large": 1.5}, 0.0952),
            "us-east-1": price_list("us-east-1", {"m7i.large": 0.1008}, 0.08),
        }
        yield server


def of(region: str) -> _book.Region:
    return prices.load().book.regions[region]


def test_what_was_refreshed_wins_and_the_rest_stays(aws: PriceServer) -> None:
    assert not of("eu-central-1").verified
    prices.refresh(["eu-central-1"], aws.url)
    found = of("eu-central-1")
    assert (found.instances["m7i.large"], found.instances["x99.large"], found.gp3_gb_month) == (0.1207, 1.5, 0.0952)
    assert (found.verified, found.published) == (True, "2026-09-21")
    assert "Karpenter" in of("us-east-1").source, "nobody asked for that one"
    prices.refresh(["us-east-1"], aws.url)
    assert of("eu-central-1") == found, "an earlier refresh is kept"
    assert of("us-east-1").verified
    assert prices.file().stat().st_mode & 0o777 == 0o600


def test_all_regions_are_those_of_the_index(aws: PriceServer) -> None:
    assert set(prices.refresh([], aws.url)) == {"eu-central-1", "us-east-1"}


@pytest.mark.parametrize("fault", ["cut", "cut-plain", "503", "html"])
def test_a_refresh_that_fails_leaves_the_prices_at_hand(aws: PriceServer, fault: str) -> None:
    prices.refresh(["eu-central-1"], aws.url)
    before = prices.file().read_bytes()
    aws.lists["eu-central-1"] = price_list("eu-central-1", {"m7i.large": 7.0}, 0.0952, noise=300)
    aws.fault = fault
    with pytest.raises(FuelError) as caught:
        prices.refresh(["eu-central-1"], aws.url)
    assert caught.value.hint
    assert caught.value.where
    assert prices.file().read_bytes() == before


def test_what_was_fetched_before_the_fault_is_kept(aws: PriceServer) -> None:
    aws.lists["us-east-1"] = b"no list at all"
    with pytest.raises(FuelError):
        prices.refresh(["eu-central-1", "us-east-1"], aws.url)
    assert of("eu-central-1").verified
    assert "Karpenter" in of("us-east-1").source


def test_nobody_there_is_one_line() -> None:
    with pytest.raises(FuelError) as caught:
        prices.refresh(["eu-central-1"], "http://127.0.0.1:9")
    assert caught.value.code == "prices_unreachable"
    assert "HTTPS_PROXY" in str(caught.value.hint)


@pytest.mark.parametrize("base", ["file:///etc", "ftp://x", "x", ""])
def test_only_http(base: str) -> None:
    with pytest.raises(UsageError):
        prices.refresh(["eu-central-1"], base)


def test_a_region_that_aws_does_not_have(aws: PriceServer) -> None:
    with pytest.raises(UsageError, match="mars-1"):
        prices.refresh(["mars-1"], aws.url)
    assert not prices.file().exists()


def test_a_large_list_is_read_row_by_row(aws: PriceServer) -> None:
    machines = {f"m{number}.large": 0.1 for number in range(100)}
    aws.lists["eu-central-1"] = content = price_list("eu-central-1", machines, 0.09, noise=3000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    prices.refresh(["eu-central-1"], aws.url)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert len(of("eu-central-1").instances) == 100
    assert len(content) > 30_000_000
    assert grown < len(content) / 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}'])
def test_a_broken_file_is_passed_over_and_told_of(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    prices.file().parent.mkdir(parents=True, exist_ok=True)
    prices.file().write_bytes(content)
    loaded = prices.load()
    assert loaded.book == _book.builtin()
    assert loaded.trouble is not None
    assert run(["prices", "show", "m7i.large"]) == 0
    assert "warning: the price file cannot be read" in capsys.readouterr().err
    assert run(["prices", "reset"]) == 0
    assert prices.load().trouble is None


class TestCommand:
    def call(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["prices", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    def test_show_names_source_and_date(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = self.call(capsys, "show", "m7i.large", "t3.medium")
        assert code == 0
        assert "m7i.large" in out
        assert "0.1008" in out
        assert "Source: AWS price list of us-east-1" in out
        assert "2026-01-19" in out
        assert err == ""
        code, out, err = self.call(capsys, "show", "--region", "eu-central-1")
        assert "not verified" in out
        assert "estimates" in err

    def test_show_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _err = self.call(capsys, "show", "m7i.large", "--json")
        document: dict[str, Any] = json.loads(out)
        assert code == 0
        assert document["instances"] == {"m7i.large": 0.1008}
        assert (document["region"], document["currency"], document["verified"]) == ("us-east-1", "USD", True)

    def test_refresh(self, capsys: pytest.CaptureFixture[str], aws: PriceServer) -> None:
        code, out, err = self.call(capsys, "refresh", "--region", "eu-central-1", "--from", aws.url)
        assert (code, out) == (0, "eu-central-1: 2 machine types, published 2026-09-21\n")
        assert "Reading" in err
        code, out, _err = self.call(capsys, "refresh", "--all-regions", "--from", aws.url + "/", "--json")
        assert set(json.loads(out)["regions"]) == {"eu-central-1", "us-east-1"}

    @pytest.mark.parametrize(
        "arguments",
        [
            ("refresh",),
            ("refresh", "--all-regions", "--region", "us-east-1"),
            ("show", "--region", "mars-1"),
        ],
    )
    def test_wrong_usage(self, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
        code, out, err = self.call(capsys, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")

    def test_an_unknown_type(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, _out, err = self.call(capsys, "show", "x9.large")
        assert code == 1
        assert "x9.large" in err


class TestWish:
    """What is priced is what role provider_ec2 asks for."""

    @pytest.fixture(autouse=True)
    def _no_region(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_REGION", raising=False)
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)

    def wish(self, resources: dict[str, Any], options: dict[str, Any] | None = None, region: str = "") -> Any:
        return prices.wish({"resources": resources, "provider": {"name": "ec2", "region": region, "options": options}})

    def test_the_smallest_type_that_is_large_enough(self) -> None:
        assert self.wish({"cpus": 4, "memory_gb": 16}).types == ("t3.xlarge",)
        assert self.wish({"cpus": 2, "memory_gb": 4}, {"memory_gb": 8}).types == ("t3.large",)

    def test_options_go_before_the_blueprint(self) -> None:
        found = self.wish(
            {"instance_type": "m5.large", "disk_gb": 20},
            {
                "instance_types": ["c5.large", "c5.large", "c6i.large"],
                "region": "us-west-2",
                "disk_gb": 50,
                "spot": True,
            },
            "eu-west-1",
        )
        assert (found.types, found.region, found.disk_gb) == (("c5.large", "c6i.large"), "us-west-2", 50)
        assert (found.spot, found.public_ipv4) == (True, True)
        assert not self.wish({}, {"public_address": False}).public_ipv4
        assert self.wish({"instance_type": "m5.large"}, None, "eu-west-1").types == ("m5.large",)

    def test_the_region_of_the_shell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.wish({}).region == ""
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
        assert self.wish({}).region == "eu-west-3"

    @pytest.mark.parametrize("wrong", ["many", [], {"a": 1}, -1, 1e300, float("nan"), True])
    def test_options_that_make_no_sense_are_no_fault_here(self, wrong: Any) -> None:
        found = self.wish({"cpus": 2, "memory_gb": 4}, {"disk_gb": wrong, "cpus": wrong, "instance_types": wrong})
        assert 0 <= found.disk_gb <= 1e6
