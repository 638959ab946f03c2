# SPDX-License-Identifier: GPL-3.0-or-later
"""Module fly_app_config by its main(): check mode, run, check mode, run; what is kept; what is missing."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_app import resources
from ansible_collections.fuel_code.remote.plugins.modules import fly_app_config


@pytest.fixture
def run(capsys, tmp_path):
    def call(check=False, **params):
        arguments = {"_ansible_check_mode": check, "_ansible_remote_tmp": str(tmp_path), **params}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            fly_app_config.main()
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>Hello</h1>", "utf-8")
    return folder


def test_check_run_check_run(run, project):
    wanted = {"path": str(project), "regions": ["fra"], "ci": "none", "environments": ["dev", "production"]}
    first = run(check=True, **wanted)
    assert first["changed"]
    assert not (project / "fly.toml").exists()
    assert [item["after_header"] for item in first["diff"]][:2] == ["fly.dev.toml", "fly.toml"]
    second = run(**wanted)
    assert second["changed"]
    assert second["framework"] == "static"
    assert all(file["written"] for file in second["files"])
    assert 'app = "shop-dev"' in (project / "fly.dev.toml").read_text("utf-8")
    assert not run(check=True, **wanted)["changed"]
    last = run(**wanted)
    assert not last["changed"]
    assert last["diff"] == []


def test_what_was_edited_is_kept_unless_forced(run, project):
    run(path=str(project), ci="none")
    (project / "Dockerfile").write_text("FROM nginx:1.29\n", "utf-8")
    kept = run(path=str(project), ci="none")
    assert not kept["changed"]
    assert kept["kept"] == ["Dockerfile"]
    assert run(path=str(project), ci="none", force=True)["changed"]
    assert "ARG WEB_IMAGE" in (project / "Dockerfile").read_text("utf-8")


def test_without_its_templates_it_says_where_to_run(run, project, monkeypatch):
    monkeypatch.setattr(resources, "FOLDER", "/nowhere")
    monkeypatch.setattr(resources, "_CACHE", {})
    failed = run(path=str(project))
    assert failed["failed"]
    assert failed["error"]["code"] == "no_templates"
    assert "delegate_to: localhost" in failed["msg"]


def test_nothing_that_fits(run, tmp_path):
    failed = run(path=str(tmp_path))
    assert failed["failed"]
    assert failed["error"]["code"] == "no_template"
