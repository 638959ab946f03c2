# SPDX-License-Identifier: GPL-3.0-or-later
"""Detection against the corpus: every project of the table gives the answer that the table has."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _blueprint
from ansible_collections.fuel_code.remote.tests.unit.plugins.module_utils._blueprint.corpus_table import (
    answer,
    differences,
    materialise,
    projects,
)

PROJECTS = projects()


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_project(project, tmp_path):
    detection = _blueprint.detect(materialise(project, tmp_path))
    assert differences(project, detection) == []
    if "old" in project.more:
        return
    # Whatever is detected can be written, read and frozen.
    blueprint = _blueprint.from_dict(detection.blueprint, "detected")
    path = tmp_path / "env.yaml"
    path.write_text(_blueprint.to_yaml(blueprint, detection.sources()), "utf-8")
    assert _blueprint.load(path) == blueprint


EXAMPLES = {
    "monorepo": "node@22/pnpm go@1.23/go python@3.12/uv :3000,8080",
    "django-vite": "python@3.12/pip node@22~/npm? :8000? +db=postgres:16",
    "rails-shop": "ruby@3.3.6/bundler :3000? +db=postgres:17 +redis=redis:7",
    "go-service": "go@1.23.4/go :8081 +db=postgres:16-alpine +queue=nats:2",
    "node-api": "node@22/npm :3000",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name):
    folder = Path(__file__).parents[5] / "examples" / name
    if not folder.is_dir():
        pytest.skip("the collection's own tree carries no examples")
    assert answer(_blueprint.detect(folder), EXAMPLES[name]) == EXAMPLES[name]


def test_the_corpus_is_as_large_as_promised():
    assert len(PROJECTS) >= 250
