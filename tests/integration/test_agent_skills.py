# SPDX-License-Identifier: GPL-3.0-or-later
"""Skills in a real container: there for the detected platform and no other, and the real agent knows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.urls import open_url

from fuelctl._shared._coding_agent._present import Agent, Wanted
from fuelctl._shared._coding_agent._registry import Registry
from fuelctl._shared._coding_agent._skills import MARK, pack_skills, wanted
from fuelctl._shared._coding_agent._store import MOUNT, VOLUME, Store
from fuelctl._shared._docker import Docker
from fuelctl._shared._errors import UsageError
from fuelctl._shared._inside import InContainer
from tests.integration.containers import CHECKOUT, USER, Box, box, play
from tests.integration.test_coding_agent import claude
from tests.lab.messages_api import messages_api

pytestmark = pytest.mark.docker
WORKSPACE = "/workspaces/app"
HOME = f"/home/{USER}/.claude/skills"
SKILLS = str(CHECKOUT / "skills")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@pytest.fixture(scope="module")
def shared() -> Iterator[Box]:
    with box("--network", "host", "--volume", f"{VOLUME}:{MOUNT}:ro") as made:
        yield made


@pytest.fixture
def container(shared: Box) -> Box:
    shared.sh(
        f"rm -rf /home/{USER}/.claude* /usr/local/bin/claude /usr/local/lib/fuel-code /var/lib/fuel-code {WORKSPACE};"
        f" install -d -o {USER} {WORKSPACE}",
        user="0",
    )
    return shared


def present(cache: Path, container: Box, *names: str, path: str = SKILLS, **more: Any) -> dict[str, Any]:
    agent = Agent(Store(Docker(), Registry(open_url), str(cache)), "claude-code", "latest")
    settings = Wanted(workspace=WORKSPACE, skills=names, skills_path=path, **more)
    return agent.present(InContainer(container.name, USER), settings, check=False)


def there(container: Box) -> list[str]:
    return container.sh(f"ls {HOME} 2>/dev/null", check=False).split()


def told(result: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["state"] for each in result["skills"]}


def test_the_real_agent_knows_an_installed_skill_and_no_other(cache: Path, container: Box) -> None:
    result = present(cache, container, "flyio")
    assert told(result) == {"flyio": "installed"}
    with messages_api() as api:
        done = claude(container, api, "-p", "hello", "--dangerously-skip-permissions")
    assert done.returncode == 0, done.stderr
    offered = json.dumps(api.requests)
    assert "Deploy, configure, operate and debug apps on Fly.io" in offered
    assert "Write, check, install, upgrade and roll back Helm charts" not in offered
    # The whole text is read when it is needed, not before.
    assert "The ten commonest errors" not in offered
    assert present(cache, container, "flyio")["changed"] is False


def test_it_is_whole_and_the_users_own(cache: Path, container: Box) -> None:
    present(cache, container, "flyio", "helm")
    for path in sorted(Path(SKILLS, "flyio").rglob("*")):
        if path.is_file():
            inside = f"{HOME}/flyio/{path.relative_to(Path(SKILLS, 'flyio'))}"
            assert container.sh(f"cat '{inside}'") == path.read_text().strip(), inside
    assert container.sh(f"find {HOME} ! -user {USER}") == ""
    assert container.sh(f"ls -A /home/{USER}/.claude").split().count(".fuel-code-skills") == 0


def test_it_goes_when_the_platform_has_gone_and_comes_back(cache: Path, container: Box) -> None:
    present(cache, container, "flyio", "kubernetes")
    assert there(container) == ["flyio", "kubernetes"]
    gone = present(cache, container, "kubernetes")
    assert (gone["changed"], there(container)) == (True, ["kubernetes"])
    assert present(cache, container)["changed"] is True
    assert there(container) == []
    assert present(cache, container)["changed"] is False
    present(cache, container, "flyio")
    assert there(container) == ["flyio"]


def test_what_the_user_has_or_changed_is_left_alone(cache: Path, container: Box) -> None:
    container.sh(f"mkdir -p {HOME}/flyio && echo mine > {HOME}/flyio/SKILL.md")
    result = present(cache, container, "flyio", "helm")
    assert told(result) == {"flyio": "left", "helm": "installed"}
    assert container.sh(f"cat {HOME}/flyio/SKILL.md") == "mine"
    # Changed in place, it is the user's own from then on: neither replaced nor removed.
    container.sh(f"echo more >> {HOME}/helm/SKILL.md")
    assert told(present(cache, container, "helm")) == {"helm": "left"}
    present(cache, container)
    assert there(container) == ["flyio", "helm"]
    assert container.sh(f"tail -n 1 {HOME}/helm/SKILL.md") == "more"


def test_links_and_the_projects_own_are_left_alone(cache: Path, container: Box) -> None:
    container.sh(f"mkdir -p {HOME} {WORKSPACE}/.claude/skills/helm; ln -s /etc {HOME}/flyio")
    container.sh(f"echo ours > {WORKSPACE}/.claude/skills/helm/SKILL.md")
    result = present(cache, container, "flyio", "helm")
    assert told(result) == {"flyio": "left", "helm": "left"}
    assert "project" in next(each["reason"] for each in result["skills"] if each["name"] == "helm")
    assert container.sh(f"readlink {HOME}/flyio") == "/etc"
    assert not container.sh(f"ls {HOME}/helm", check=False)


def test_the_callers_own_of_that_name_comes_first(cache: Path, container: Box, tmp_path: Path) -> None:
    present(cache, container, "flyio")
    own = tmp_path / ".claude" / "skills" / "flyio"
    own.mkdir(parents=True)
    (own / "SKILL.md").write_text("---\nname: flyio\ndescription: mine\n---\n")
    result = present(cache, container, "flyio", home=str(tmp_path))
    assert told(result) == {"flyio": "left"}
    assert "description: mine" in container.sh(f"cat {HOME}/flyio/SKILL.md")
    assert not container.sh(f"ls {HOME}/flyio/REFERENCE.md", check=False)


def test_a_new_version_replaces_the_old_and_half_a_skill_is_none(cache: Path, container: Box, tmp_path: Path) -> None:
    old, packed = tmp_path / "skills", tmp_path / "packed"
    (old / "flyio").mkdir(parents=True)
    (old / "flyio" / "SKILL.md").write_text("---\nname: flyio\ndescription: old\n---\n")
    (old / "flyio" / "OLD.md").write_text("old\n")
    pack_skills(str(old), str(packed))
    present(cache, container, "flyio", path=str(packed))
    assert "OLD.md" in container.sh(f"ls {HOME}/flyio")
    # What a kill in the middle leaves behind.
    container.sh(f"mkdir -p /home/{USER}/.claude/.fuel-code-skills/new; rm -rf {HOME}/flyio")
    present(cache, container, "flyio", path=str(packed))
    assert present(cache, container, "flyio")["changed"] is True
    assert container.sh(f"ls -A {HOME}/flyio").split() == [MARK, "REFERENCE.md", "SKILL.md", "examples"]
    with pytest.raises(UsageError, match="no skill 'nothing'"):
        present(cache, container, "nothing")


def test_the_module_by_platforms(cache: Path, container: Box, tmp_path: Path) -> None:
    def task(**more: Any) -> dict[str, Any]:
        common = {"container": container.name, "user": USER, "workspace": WORKSPACE, "cache_path": str(cache)}
        return {"fuel_code.remote.coding_agent": {**common, **more}}

    fly, sure = {"name": "fly.io", "confidence": 0.7}, {"name": "helm", "confidence": 0.69}
    results = play(
        [
            {**task(platforms=[fly, sure]), "check_mode": True},
            task(platforms=[fly, sure]),
            task(platforms=[fly, sure]),
            task(platforms=[sure]),
            task(platforms=[fly], skills="none"),
            task(skills=["helm"]),
        ],
        tmp_path,
    )
    assert [result["changed"] for result in results] == [True, True, False, True, False, True], results
    assert [[each["name"] for each in result["skills"]] for result in results] == [
        ["flyio"], ["flyio"], ["flyio"], [], [], ["helm"],
    ]  # fmt: skip
    assert there(container) == ["helm"]
    assert wanted(["auto"], [fly, sure]) == ["flyio"]
