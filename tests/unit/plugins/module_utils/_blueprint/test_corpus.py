# SPDX-License-Identifier: GPL-3.0-or-later
"""Detection against the corpus: every project of the table gives the answer that the table has."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _blueprint
from ansible_collections.fuel_code.remote.tests.unit.plugins.module_utils._blueprint.corpus_table import (
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


def test_the_corpus_is_as_large_as_promised():
    assert len(PROJECTS) >= 250
