# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup finds certificates and only certificates."""

from __future__ import annotations

from ansible_collections.fuel_code.remote.plugins.lookup.ca_certificates import LookupModule

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def look(*folders):
    return LookupModule().run([str(folder) for folder in folders])


def test_only_certificates_are_found_in_the_order_of_their_names(tmp_path):
    below = tmp_path / "team"
    below.mkdir()
    (below / "b.crt").write_text(CERTIFICATE + "b")
    (tmp_path / "a.crt").write_text(CERTIFICATE + "a")
    (tmp_path / "notes.txt").write_text(CERTIFICATE)
    (tmp_path / "empty.crt").write_text("")
    (tmp_path / "key.crt").write_text(CERTIFICATE + "-----BEGIN PRIVATE KEY-----")
    (tmp_path / "binary.crt").write_bytes(b"\xff\xfe")
    assert [text[-1] for text in look(tmp_path)] == ["a", "b"]


def test_a_folder_that_is_not_there_gives_nothing(tmp_path):
    assert look(tmp_path / "nowhere") == []
    assert look() == []
