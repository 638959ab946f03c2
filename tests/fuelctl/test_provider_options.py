# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of machine: options over the blueprint over the settings over the environment, and who may say what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths
from fuelctl._shared._blueprint import from_dict, to_dict
from fuelctl._shared._errors import UsageError
from fuelctl.cli import _provider
from fuelctl.cli._provider import Asked, settle


def blueprint(**provider: Any) -> dict[str, Any]:
    return dict(to_dict(from_dict({"image": "debian:bookworm", "provider": {"name": "ec2", **provider}}, "test")))


def settled(made: dict[str, Any], asked: Asked | None = None, *, foreign: bool = False) -> dict[str, Any]:
    settle(made, asked or Asked(), foreign=foreign)
    return made


@pytest.fixture(autouse=True)
def nothing_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def write_settings(text: str) -> None:
    paths.config_file().parent.mkdir(parents=True, exist_ok=True)
    paths.config_file().write_text(text)


def test_the_region_is_the_nearest_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aws-config").write_text("[default]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n")
    assert settled(blueprint())["provider"]["region"] == "eu-west-1"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert settled(blueprint())["provider"]["region"] == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert settled(blueprint())["provider"]["region"] == "eu-west-3"
    write_settings('[providers.ec2]\nregion = "eu-north-1"\n')
    assert settled(blueprint())["provider"]["region"] == "eu-north-1"
    assert settled(blueprint(region="us-east-1"))["provider"]["region"] == "us-east-1"
    asked = Asked(region="us-west-2")
    assert settled(blueprint(region="us-east-1"), asked)["provider"]["region"] == "us-west-2"


def test_what_is_said_of_one_provider_means_nothing_to_another() -> None:
    made = blueprint(region="eu-west-1", options={"image": "debian-12"})
    assert settled(made, Asked(name="local"))["provider"] == {"name": "local", "region": "", "options": {}}


def test_no_region_at_all() -> None:
    with pytest.raises(UsageError, match="No region is named"):
        settled(blueprint())


def test_options_over_the_blueprint_over_the_settings() -> None:
    write_settings('[providers.ec2]\nspot = true\nimage = "debian-13"\nzones = ["eu-west-1a"]\n')
    made = blueprint(region="eu-west-1", options={"image": "debian-12"})
    asked = Asked(types=["m7i.large", "m6i.large"], disk_gb=50, options=["zones=eu-west-1b, eu-west-1c"])
    found = settled(made, asked)
    assert found["provider"]["options"] == {
        "spot": True,
        "image": "debian-12",
        "zones": ["eu-west-1b", "eu-west-1c"],
        "instance_types": ["m7i.large", "m6i.large"],
    }
    assert (found["resources"]["instance_type"], found["resources"]["disk_gb"]) == ("m7i.large", 50)
    assert settled(blueprint(region="eu-west-1"), Asked(spot=False))["provider"]["options"]["spot"] is False


def test_local_takes_none_and_needs_no_region() -> None:
    made = dict(to_dict(from_dict({"image": "debian:bookworm"}, "test")))
    assert settled(made)["provider"] == {"name": "local", "region": "", "options": {}}
    with pytest.raises(UsageError, match="provider local has no option 'spot'"):
        settled(dict(to_dict(from_dict({"image": "debian:bookworm"}, "test"))), Asked(spot=True))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("spott=true", "no option 'spott'"),
        ("spot=perhaps", "no bool"),
        ("wait_timeout=soon", "no float"),
        ("spot", "is no option"),
        ("region=eu-west-1", "no option 'region'"),
    ],
)
def test_what_is_no_option(option: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settled(blueprint(region="eu-west-1"), Asked(options=[option]))


def test_a_typing_error_in_a_file_is_told() -> None:
    with pytest.raises(UsageError, match="no option 'instance_typ'"):
        settled(blueprint(region="eu-west-1", options={"instance_typ": "x"}))
    write_settings("[providers.ec2]\nspott = true\n")
    with pytest.raises(UsageError, match=r"providers\.ec2\.spott is not a setting"):
        settled(blueprint(region="eu-west-1"))


@pytest.mark.parametrize(
    "option", ["instance_profile", "allow_from", "address_services", "registry_mirrors", "kms_key"]
)
def test_a_repository_does_not_decide_on_rights(option: str) -> None:
    with pytest.raises(UsageError, match="not a repository's to decide"):
        settled(blueprint(region="eu-west-1", options={option: "x"}), foreign=True)
    settled(blueprint(region="eu-west-1", options={option: "x"}))


def test_fly_has_to_be_told_its_image_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLY_REGION", raising=False)
    with pytest.raises(UsageError, match="No region is named") as caught:
        settled(blueprint(), Asked(name="fly"))
    assert "FLY_REGION" in str(caught.value.hint)
    monkeypatch.setenv("FLY_REGION", "fra")
    with pytest.raises(UsageError, match="has to be told its image"):
        settled(blueprint(), Asked(name="fly"))
    write_settings('[providers.fly]\nimage = "registry.fly.io/mine:dev"\norg = "mine"\n')
    place = settled(blueprint(), Asked(name="fly", options=["autostop=stop"]))["provider"]
    assert place == {
        "name": "fly",
        "region": "fra",
        "options": {"image": "registry.fly.io/mine:dev", "org": "mine", "autostop": "stop"},
    }
    assert _provider.image({"image": "debian:bookworm", "provider": place}) == "registry.fly.io/mine:dev"
    ec2 = {"name": "ec2", "options": {"image": "ami-1"}}
    assert _provider.image({"image": "debian:bookworm", "provider": ec2}) == "debian:bookworm"
    for said, wrong in (("autostop=sometimes", "none of off, stop, suspend"), ("cpu_kind=x", "shared, performance")):
        with pytest.raises(UsageError, match=wrong):
            settled(blueprint(), Asked(name="fly", options=[said]))
    foreign = dict(
        to_dict(from_dict({"image": "debian:bookworm", "provider": {"name": "fly", "options": {"org": "x"}}}, "test"))
    )
    with pytest.raises(UsageError, match=r"provider\.options\.org, which is not a repository's"):
        settled(foreign, foreign=True)
