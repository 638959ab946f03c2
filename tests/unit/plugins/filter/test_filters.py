# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that play 1 of every playbook rests on."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.fuel_code.remote.plugins.filter.blueprint import blueprint
from ansible_collections.fuel_code.remote.plugins.filter.environment_id import environment_id
from ansible_collections.fuel_code.remote.plugins.filter.platforms import platforms
from ansible_collections.fuel_code.remote.plugins.filter.source_name import source_name
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import check_environment_id


def test_an_id_is_the_same_for_the_same_owner_and_name():
    one = environment_id("api", "ada")
    assert check_environment_id(one) == one
    assert environment_id("api", "ada") == one
    assert len({one, environment_id("api", "bob"), environment_id("web", "ada")}) == 3


def test_a_bad_name_has_no_id():
    with pytest.raises(AnsibleFilterError, match="cannot name an environment"):
        environment_id("{{ x }}", "ada")


def test_a_folder_is_named_by_itself_and_a_bundle_by_what_it_says(tmp_path):
    assert source_name(str(tmp_path / "my api")) == "my api"
    bundle = tmp_path / "01JD"
    bundle.mkdir()
    (bundle / "source.json").write_text(json.dumps({"name": "node-api"}))
    assert source_name(bundle) == "node-api"
    (bundle / "source.json").write_text("[1]")
    assert source_name(bundle) == "01JD"


def test_a_written_blueprint_counts_and_is_completed(tmp_path):
    folder = tmp_path / ".fuel-code"
    folder.mkdir()
    (folder / "env.yaml").write_text("version: 1\nimage: debian:bookworm\nenv:\n  A: '{{ 1 }}'\n")
    made = blueprint(str(tmp_path))
    assert made["image"] == "debian:bookworm"
    assert made["env"] == {"A": "{{ 1 }}"}
    assert made["setup"] == []
    assert made["agent"]["name"] == "claude-code"


def test_without_one_the_repository_is_looked_at(tmp_path):
    (tmp_path / "package.json").write_text('{"name": "x", "engines": {"node": "22"}}')
    assert blueprint(str(tmp_path))["image"].startswith("node:22")


def test_a_dictionary_is_checked():
    assert blueprint({"image": "node:22-bookworm"})["ports"] == []
    with pytest.raises(AnsibleFilterError, match="image"):
        blueprint({"image": "--privileged"})


def test_what_is_wrong_in_a_file_is_named_with_its_line(tmp_path):
    folder = tmp_path / ".fuel-code"
    folder.mkdir()
    (folder / "env.yaml").write_text("version: 1\nports: [99999]\n")
    with pytest.raises(AnsibleFilterError, match=r"env\.yaml:2"):
        blueprint(str(tmp_path))


def test_platforms_of_a_folder_and_of_a_bundle(tmp_path):
    assert platforms(tmp_path / "nothing") == []
    assert platforms(tmp_path) == []
    (tmp_path / "fly.toml").write_text('app = "shop"\n')
    assert platforms(str(tmp_path)) == [{"name": "fly.io", "confidence": 0.7}]
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    told = [{"name": "helm", "confidence": 7}, {"name": "{{ x }}", "confidence": 1}, {"name": "aws-cdk"}, 3]
    (bundle / "source.json").write_text(json.dumps({"name": "x", "platforms": told}))
    assert platforms(bundle) == [{"name": "helm", "confidence": 1.0}]
    for broken in ("[1]", "{", '{"platforms": "all"}', "{}"):
        (bundle / "source.json").write_text(broken)
        assert platforms(bundle) == []
