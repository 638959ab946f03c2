# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules blueprint_info and blueprint by their main(): check mode, run, check mode, run."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.fuel_code.remote.plugins.modules import blueprint, blueprint_info


@pytest.fixture
def run(capsys, tmp_path):
    def call(module, check=False, **params):
        arguments = {
            **params,
            "_ansible_check_mode": check,
            "_ansible_remote_tmp": str(tmp_path),
            "_ansible_diff": True,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "package.json").write_text('{"dependencies": {"next": "14"}}', "utf-8")
    (folder / "package-lock.json").write_text("{}", "utf-8")
    (folder / "fly.toml").write_text('app = "shop"\n[http_service]\ninternal_port = 3000\n', "utf-8")
    return folder


def test_info(run, project):
    result = run(blueprint_info, path=str(project))
    assert result["changed"] is False
    assert result["blueprint"]["setup"] == ["npm ci"]
    assert {"field", "value", "source", "kind", "confidence"} <= set(result["evidence"][0])
    assert result["platforms"][0]["name"] == "fly.io"
    assert result["warnings_found"] == []


def test_info_of_nothing_fails_with_one_line(run, tmp_path):
    result = run(blueprint_info, path=str(tmp_path / "nothing"))
    assert result["failed"]
    assert result["error"]["code"] == "no_directory"
    assert "\n" not in result["msg"]


def test_check_run_check_run(run, project):
    wanted = run(blueprint_info, path=str(project))["blueprint"]
    file = project / ".fuel-code/env.yaml"
    first = run(blueprint, check=True, path=str(project), blueprint=wanted)
    assert first["changed"]
    assert not file.exists()
    second = run(blueprint, path=str(project), blueprint=wanted)
    assert second["changed"]
    assert second["diff"] == first["diff"]
    assert file.read_text("utf-8") == second["diff"]["after"]
    file.write_text("# by hand\n" + file.read_text("utf-8"), "utf-8")
    for check in (True, False):
        again = run(blueprint, check=check, path=str(project), blueprint=wanted)
        assert not again["changed"]
        assert again["sha256"] == second["sha256"]
    assert file.read_text("utf-8").startswith("# by hand")


def test_absent(run, project):
    run(blueprint, path=str(project), blueprint={"image": "a:1"})
    file = project / ".fuel-code/env.yaml"
    assert run(blueprint, check=True, path=str(project), state="absent")["changed"]
    assert file.exists()
    assert run(blueprint, path=str(project), state="absent")["changed"]
    assert not file.exists()
    assert not run(blueprint, path=str(project), state="absent")["changed"]


def test_a_wrong_blueprint_is_refused_with_every_problem(run, project):
    result = run(blueprint, path=str(project), blueprint={"image": "-x", "ports": [0]})
    assert result["failed"]
    assert [problem["path"] for problem in result["error"]["details"]["problems"]] == ["image", "ports[0]"]


def test_nothing_is_written_through_a_link(run, project, tmp_path):
    (tmp_path / "outside").mkdir()
    (project / ".fuel-code").symlink_to(tmp_path / "outside")
    assert run(blueprint, path=str(project), blueprint={"image": "a:1"})["failed"]
    assert list((tmp_path / "outside").iterdir()) == []
