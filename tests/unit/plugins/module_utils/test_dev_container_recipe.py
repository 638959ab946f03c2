# SPDX-License-Identifier: GPL-3.0-or-later
"""The derived image: what is asked of a base, what is built from it, when it is the same again."""

from __future__ import annotations

import io
import tarfile

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._image import failure
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._recipe import (
    Base,
    image_changes,
    image_key,
    pack,
    parse_probe,
    recipe,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def contents(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive}


def probe(**fields):
    return "\n".join(f"{name}={value}" for name, value in fields.items())


def test_uid_1000_of_the_image_is_taken():
    text = probe(system="Debian", apt="yes", entry="node:x:1000:1000::/home/node:/bin/bash")
    assert parse_probe(text, "node:22") == Base("Debian", "node", "/home/node")


def test_without_uid_1000_a_user_is_made():
    assert parse_probe(probe(system="Debian", apt="yes", entry=""), "debian").user == "dev"
    assert parse_probe(probe(system="Debian", apt="yes", entry="", taken="dev"), "debian").user == "fuel"
    assert parse_probe(probe(system="Debian", apt="yes", entry=""), "debian", "ada") == Base(
        "Debian", "ada", "/home/ada"
    )


@pytest.mark.parametrize("home", ["/", "/root", "/nonexistent", "/home/a b", "/home/$(id)", "relative", "/a/../b", ""])
def test_an_odd_home_is_replaced(home):
    text = probe(system="Debian", apt="yes", entry=f"node:x:1000:1000::{home}:/bin/sh")
    assert parse_probe(text, "x").home == "/home/node"


def test_an_odd_user_is_refused():
    with pytest.raises(FuelError, match="unusual name"):
        parse_probe(probe(system="Debian", apt="yes", entry='a";RUN id:x:1000:1000::/home/a:/bin/sh'), "x")


def test_a_base_without_apt_is_refused_with_its_name():
    with pytest.raises(FuelError, match=r"not Debian-like \(Alpine Linux v3.20\)") as caught:
        parse_probe(probe(system="Alpine Linux v3.20"), "node:22-alpine")
    assert caught.value.code == "image_not_debian"


def test_the_key_moves_with_every_input_and_not_with_their_order():
    one = image_key("sha256:a", ["a", "b"], ["c"])
    assert image_key("sha256:a", ["b", "a"], ["c"]) == one
    others = {image_key("sha256:b", ["a", "b"], ["c"]), image_key("sha256:a", ["a"], ["c"])}
    others |= {image_key("sha256:a", ["a", "b"], []), image_key("sha256:a", ["a", "b"], ["c"], "ada")}
    assert len(others | {one}) == 5


def test_certificates_bring_their_variables_and_only_they():
    base = Base("Debian", "dev", "/home/dev")
    plain = contents(recipe(base, ["jq"], []))
    assert not [change for change in image_changes("sha256:a", base, []) if change.startswith("ENV")]
    assert "jq\n" in plain["fuel-code/packages"]
    assert (plain["fuel-code/user"], plain["fuel-code/home"]) == ("dev", "/home/dev")
    trusting = contents(recipe(base, [], [CERTIFICATE]))
    assert "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt" in image_changes("a", base, [CERTIFICATE])
    assert trusting["fuel-code/certificates/000.crt"] == CERTIFICATE


def test_packing_is_reproducible():
    assert pack({"a": "1", "b": "2"}) == pack({"a": "1", "b": "2"})


def test_an_unknown_package_is_named():
    lines = ["Reading package lists...", "E: Unable to locate package nosuch"]
    error = failure(FuelError("rc 100", code="docker_failed"), "debian", lines)
    assert error.code == "package_unknown"
    assert "nosuch" in error.message
    assert error.where == "system_packages"


def test_a_mirror_failure_says_so_and_a_full_disk_stays_one():
    lines = ["E: Failed to fetch http://deb.debian.org/x  404  Not Found"]
    assert failure(FuelError("x"), "debian", lines).code == "packages_failed"
    assert failure(FuelError("x", code="disk_full"), "debian", lines).code == "disk_full"
