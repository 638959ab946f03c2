# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment may ask for, and what is refused with the field's name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.data_validation import (
    DENIED_ENV,
    DENIED_ENV_PREFIXES,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._spec import (
    Spec,
    folder_name,
    login_name_allowed,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZopxtR1NLtYhGi77M ada"
BASE = {
    "environment_id": "01JD3Z5Q8W6S9X4V7T2R1P0N8M",
    "owner": "ada",
    "name": "api",
    "image": "node:22-bookworm",
    "workspace": "node-api",
    "authorized_keys": [KEY],
}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def build(**changes):
    return Spec.build(**{**BASE, **changes})


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"environment_id": "nonsense"}, None),
        ({"name": "Not Plain"}, None),
        ({"owner": ""}, "owner"),
        ({"owner": "a\nb"}, "owner"),
        ({"image": "--privileged"}, "image"),
        ({"image": "a b"}, "image"),
        ({"image": ""}, "image"),
        ({"system_packages": ["-oAPT::Update::Pre-Invoke::=id"]}, "system_packages"),
        ({"system_packages": ["a b"]}, "system_packages"),
        ({"system_packages": ["git\nmalware"]}, "system_packages"),
        ({"ca_certificates": ["no certificate"]}, "ca_certificates"),
        ({"ca_certificates": [CERTIFICATE + "-----BEGIN PRIVATE KEY-----"]}, "ca_certificates"),
        ({"authorized_keys": [KEY + "\n" + KEY]}, "authorized_keys"),
        ({"authorized_keys": ['command="id" ' + KEY]}, "authorized_keys"),
        ({"env": {"A": "x\ny"}}, "env"),
        ({"env": {"A": "x\0y"}}, "env"),
        ({"env": {"A": "x" * 65537}}, "env"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"LD_PRELOAD": "/x.so"}}, "env"),
        ({"env": {"path": "/x"}}, "env"),
        ({"env": {f"V{number}": "" for number in range(901)}}, "env"),
        ({"secrets_json": "[1]"}, "secrets"),
        ({"secrets_json": "canary-that-is-no-json"}, "secrets"),
        ({"secrets_json": json.dumps({"A": "x\ny"})}, "secrets"),
        ({"secrets_json": json.dumps({"BASH_ENV": "x"})}, "secrets"),
        ({"ports": [0]}, "ports"),
        ({"ports": [65536]}, "ports"),
        ({"services": [{"name": "../x", "image": "redis"}]}, "services"),
        ({"services": [{"name": "db", "image": "--rm"}]}, "services.db.image"),
        ({"services": [{"name": "db", "image": "a"}, {"name": "db", "image": "b"}]}, "services"),
        ({"services": [{"name": "db", "image": "a", "env": {"LD_AUDIT": ""}}]}, "services.db.env"),
        ({"memory": "much"}, "memory"),
        ({"memory": "1k"}, "memory"),
        ({"cpus": 0}, "cpus"),
        ({"caches": ["nosuch"]}, "caches"),
        ({"user": "root"}, "user"),
        ({"user": "-x"}, "user"),
    ],
)
def test_bad_values_are_refused_with_their_field(changes, where):
    with pytest.raises(UsageError) as caught:
        build(**changes)
    assert caught.value.where == where
    assert "\n" not in str(caught.value)


def test_a_bad_secret_is_never_quoted():
    for text in ("canary-that-is-no-json", json.dumps({"A": "canary\n"}), json.dumps({"A": ["canary"]})):
        with pytest.raises(UsageError) as caught:
            build(secrets_json=text)
        assert "canary" not in str(caught.value.as_dict())
        assert caught.value.__cause__ is None


def test_whatever_a_blueprint_may_not_set_is_refused_here_too():
    for name in DENIED_ENV + [f"{prefix}X" for prefix in DENIED_ENV_PREFIXES]:
        assert not login_name_allowed(name, from_image=False), name


def test_an_image_may_set_its_loader_path_but_not_the_login():
    assert login_name_allowed("LD_LIBRARY_PATH", from_image=True)
    assert login_name_allowed("PATH", from_image=True)
    assert not login_name_allowed("HOME", from_image=True)
    assert not login_name_allowed("SSH_AUTH_SOCK", from_image=True)


def test_good_values_are_taken_as_they_are():
    spec = build(
        env={"A": "{{ lookup('pipe', 'id') }} $(id) \"'", "N": 3, "EMPTY": ""},
        secrets_json='{"TOKEN": "t"}',
        memory="1.5g",
        cpus=2,
        services=[{"name": "my_db.x", "image": "postgres:16", "command": ["-c", "fsync=off"]}],
    )
    assert spec.env == {"A": "{{ lookup('pipe', 'id') }} $(id) \"'", "N": "3", "EMPTY": ""}
    assert spec.secrets == {"TOKEN": "t"}
    assert spec.memory == 1536 * 1024 * 1024
    assert spec.workspace == "/workspaces/node-api"
    assert spec.services[0].command == ("-c", "fsync=off")


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("node-api", "node-api"),
        ("my repo", "my-repo"),
        ("/home/ada/src/api/", "api"),
        ("../..", "workspace"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("$(id)", "id"),
        ("a\nb", "a-b"),
        ("", "workspace"),
        ("x" * 500, "x" * 100),
    ],
)
def test_folder_names_are_plain(text, folder):
    assert folder_name(text) == folder


def test_fingerprint_moves_with_what_needs_a_new_container_only():
    plain = build().fingerprint()
    assert build(env={"A": "1"}, secrets_json="{}", expires_at=5, ca_certificates=[CERTIFICATE]).fingerprint() == plain
    changes: list[dict[str, Any]] = [
        {"image": "debian:bookworm"},
        {"ports": [3000]},
        {"memory": "1g"},
        {"cpus": 1},
        {"system_packages": ["jq"]},
        {"workspace": "other"},
        {"user": "ada"},
        {"caches": ["npm"]},
    ]
    assert len({plain, *(build(**change).fingerprint() for change in changes)}) == 1 + len(changes)


def test_owners_do_not_share_caches():
    assert build().cache_volume("npm") != build(owner="bob").cache_volume("npm")
