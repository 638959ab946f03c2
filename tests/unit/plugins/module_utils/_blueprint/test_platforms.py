# SPDX-License-Identifier: GPL-3.0-or-later
"""Platforms by their signals: weights, the extra for agreement, and files that only look like one."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.platforms import platforms

FLY = 'app = "shop"\nprimary_region = "fra"\n[http_service]\n  internal_port = 8080\n'

#: What it is -> (files, {platform: (confidence, detected)})
CASES = {
    "fly.toml alone": ({"fly.toml": FLY}, {"fly.io": (0.7, True)}),
    "fly.toml of something else": ({"fly.toml": "[wings]\nspan = 3\n"}, {}),
    "fly.toml of another tool's app": ({"fly.toml": "title = 'insects'\n[species]\nname = 'fly'\n"}, {}),
    "fly.toml that is not TOML": ({"fly.toml": "app = [\n"}, {}),
    "flyctl only": ({"Makefile": "deploy:\n\tflyctl deploy\n"}, {"fly.io": (0.3, False)}),
    "fly and script": ({"fly.toml": FLY, "Makefile": "deploy:\n\tfly deploy\n"}, {"fly.io": (1.0, True)}),
    "all of fly": (
        {
            "fly.toml": FLY,
            "bin/deploy.sh": "fly deploy\n",
            "config.json": '{"u": "https://a.fly.dev"}',
            "Dockerfile": "ENV FLY_X=1\n",
        },
        {"fly.io": (1.0, True)},
    ),
    "three weak ones agree": (
        {"deploy.sh": "fly deploy\n", "config.json": '{"u": "https://a.fly.dev"}', "Dockerfile": "# fly.io\n"},
        {"fly.io": (0.7, True)},
    ),
    "kubernetes": ({"k8s/app.yaml": "apiVersion: apps/v1\nkind: Deployment\n"}, {"kubernetes": (0.8, True)}),
    "helm": ({"chart/Chart.yaml": "apiVersion: v2\nname: a\n", "chart/values.yaml": "a: 1\n"}, {"helm": (0.9, True)}),
    "kustomize": ({"base/kustomization.yaml": "resources: []\n"}, {"kustomize": (0.8, True)}),
    "cdk": ({"cdk.json": '{"app": "npx ts-node bin/a.ts"}'}, {"aws-cdk": (0.8, True)}),
    "cdk.json of nothing": ({"cdk.json": '{"x": 1}'}, {}),
    "sam": ({"template.yaml": "Transform: AWS::Serverless-2016-10-31\n"}, {"aws-sam": (0.8, True)}),
    "template of something else": ({"template.yaml": "a: 1\n"}, {}),
    "copilot": (
        {"copilot/api/manifest.yml": "name: api\ntype: Load Balanced Web Service\n"},
        {"aws-copilot": (0.8, True)},
    ),
    "app runner": ({"apprunner.yaml": "version: 1.0\nruntime: python3\n"}, {"aws-apprunner": (0.9, True)}),
    "codedeploy": ({"appspec.yml": "version: 0.0\nos: linux\n"}, {"aws-codedeploy": (0.8, True)}),
    "terraform aws": ({"infra/main.tf": 'provider "aws" {\n}\n'}, {"aws-terraform": (0.8, True)}),
    "terraform of another cloud": ({"main.tf": 'provider "google" {\n}\n'}, {}),
    "nothing": ({"README.md": "fly deploy\n"}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_platforms(name, tmp_path):
    files, wanted = CASES[name]
    for file, text in files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    found = platforms(str(tmp_path))
    assert {entry["name"]: (entry["confidence"], entry["detected"]) for entry in found} == wanted
    for entry in found:
        for signal in entry["signals"]:
            file, _colon, line = signal["source"].rpartition(":")
            assert file in files
            assert line.isdigit()
