# SPDX-License-Identifier: GPL-3.0-or-later
"""Template code from elsewhere, in every place where text comes in: no piece of it is run, every letter arrives.

The runner, the playbooks, roles, filters and action plugins are the product's own. Only what would be done on a machine
is replaced: it writes down what it was given and answers with more of the same.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from fuelctl import _run_files
from fuelctl._shared._blueprint import from_dict, to_dict
from fuelctl.runner import RunResult, run_playbook

ROOT = Path(__file__).parents[2]
ID = "01JD3Z5Q8W6S9X4V7T2R1P0N8M"
#: Modules that work on a machine, and where the arguments of each are.
RECORDED = {
    "dev_container": "_dev_container._task",
    "dev_container_info": "_dev_container._info",
    "workspace": "_workspace._task",
    "coding_agent": "_coding_agent._task",
}
#: An action plugin that takes what the product's own takes, in the same way.
RECORDER = """
import json, os
from {task} import ARGUMENTS
from ansible_collections.fuel_code.remote.plugins.plugin_utils.in_process import InProcess

class ActionModule(InProcess):
    arguments = ARGUMENTS

    def work(self, params, *, check):
        with open(self.seen + ".jsonl", "a") as seen:
            seen.write(json.dumps(params) + "\\n")
        answer = self.seen + ".answer"
        return json.load(open(answer)) if os.path.exists(answer) else {{}}

"""

#: Expressions that run `touch MARKER` where they are taken for a template's.
EXPRESSIONS = (
    "lookup('pipe', 'touch MARKER')",
    "lookup('ansible.builtin.pipe', 'touch MARKER')",
    "query('pipe', 'touch MARKER')",
    "q('ansible.builtin.pipe', 'touch MARKER') | first",
    "lookup('lines', 'touch MARKER')",
    "lookup('pipe', ['touch', 'MARKER'] | join(' '), errors='ignore') | default('')",
    "lipsum.__globals__['os'].system('touch MARKER')",
    "cycler.__init__.__globals__.os.popen('touch MARKER').read()",
    "joiner.__init__.__globals__['__builtins__']['open']('MARKER', 'w')",
    "''.__class__.__mro__[1].__subclasses__() | map(attribute='__init__')",
    "hostvars['localhost'] ~ lookup('pipe', 'touch MARKER')",
    "vars['ansible_playbook_python'] ~ lookup('pipe', 'touch MARKER')",
)
#: Ways to say that an expression is one.
FORMS = (
    "{{ X }}",
    "{{X}}",
    "{{- X -}}",
    "{{+ X }}",
    "before {{ X }} after",
    '"{{ X }}"',
    "'{{ X }}'",
    "{% set x = X %}{{ x }}",
    "{%- if X -%}yes{%- endif -%}",
    "{% for x in [X] %}{{ x }}{% endfor %}",
    "{# harmless #}{{ X }}",
    "{% raw %}{{ 1 }}{% endraw %}{{ X }}",
    "{{ '{{' }} X {{ '}}' }}",
    "!unsafe {{ X }}",
    "!vault {{ X }}",
    '{"__ansible_unsafe": "{{ X }}"}',
    "- {{ X }}",
    "{{ X }}$(touch MARKER)`touch MARKER`; touch MARKER",
)


def corpus(marker: Path) -> list[str]:
    """Every expression in every form."""
    pairs = itertools.product(FORMS, EXPRESSIONS)
    return [form.replace("X", call).replace("MARKER", str(marker)) for form, call in pairs]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the collection, by links, where the machine's work is recording; what was recorded is in `world`."""
    world = tmp_path / "world"
    world.mkdir()
    root = tmp_path / "tree" / "ansible_collections" / "fuel_code" / "remote"
    (root / "plugins" / "action").mkdir(parents=True)
    for name in ("playbooks", "roles", "meta", "galaxy.yml"):
        (root / name).symlink_to(ROOT / name)
    for entry in (*(ROOT / "plugins").iterdir(), *(ROOT / "plugins" / "action").glob("*.py")):
        if entry.stem not in ("action", *RECORDED):
            (root / entry.relative_to(ROOT)).symlink_to(entry)
    for name, task in RECORDED.items():
        (root / "plugins" / "action" / f"{name}.py").write_text(
            RECORDER.format(task=f"ansible_collections.fuel_code.remote.plugins.module_utils.{task}", name=name)
            + f"    seen = {str(world / name)!r}\n"
        )
    monkeypatch.setattr(_run_files, "collections", lambda _folder: tmp_path / "tree")
    return world


def answer(world: Path, module: str, **result: Any) -> None:
    (world / f"{module}.answer").write_text(json.dumps({"changed": False, **result}))


def recorded(world: Path, module: str) -> dict[str, Any]:
    """What the module was given when it was last called."""
    found: dict[str, Any] = json.loads((world / f"{module}.jsonl").read_text().splitlines()[-1])
    return found


def play(tmp_path: Path, verb: str, variables: dict[str, Any]) -> RunResult:
    common = {"remote_environment_id": ID, "remote_attempt": 1, "remote_provider": "local"}
    return run_playbook(
        f"fuel_code.remote.remote_{verb}",
        variables={**common, "remote_keys_path": str(tmp_path / "keys"), **variables},
        secrets={},
        record=tmp_path / "runs" / verb,
        locks=[tmp_path / "lock"],
        on_events=lambda _events: None,
        verb=verb,
    )


def test_at_least_200_payloads_in_every_place_of_up_run_nothing_and_arrive(tmp_path: Path, world: Path) -> None:
    marker = tmp_path / "executed"
    payloads = corpus(marker)
    assert len(set(payloads)) >= 200
    deep = {text: [text, {"nested": {text: [text]}}] for text in payloads}
    several = " ".join(payloads[:: len(FORMS) + 1])
    servers = {f"s{number}": {"command": "mcp", "args": [text]} for number, text in enumerate(payloads)}
    blueprint = to_dict(
        from_dict(
            {
                "version": 1,
                "image": "debian:bookworm",
                "env": {f"P{number}": text for number, text in enumerate(payloads)},
                "setup": payloads,
                "provider": {"name": "local", "options": deep},
                "services": [
                    {"name": "db", "image": "debian:bookworm", "env": {"P": several}, "command": payloads[:100]}
                ],
                "agent": {"name": "claude-code", "settings": deep, "hooks": deep, "mcp_servers": servers},
            },
            "blueprint",
        )
    )
    source = tmp_path / payloads[0].replace("/", "_")
    source.mkdir()
    (source / "source.json").write_text(json.dumps({"name": several}))
    made = {"container": several, "user": payloads[1], "workspace": payloads[2], "home": payloads[3]}
    answer(world, "dev_container", environment=made, warnings=[payloads[4]], msg=payloads[5])
    result = play(
        tmp_path,
        "up",
        {
            "remote_name": payloads[6],
            "remote_owner": several,
            "remote_blueprint": blueprint,
            "remote_source": str(source),
            "remote_agent_home": str(tmp_path / payloads[7].replace("/", "_")),
            "remote_callback": {"url": several},
            "remote_provider_options": deep,
        },
    )
    assert result.status == "ok", result.failure
    assert not marker.exists()

    container = recorded(world, "dev_container")
    assert container["env"] == blueprint["env"]
    assert container["services"] == blueprint["services"]
    assert (container["name"], container["owner"], container["workspace"]) == (payloads[6], several, several)
    workspace = recorded(world, "workspace")
    assert workspace["setup"] == payloads
    assert (workspace["container"], workspace["user"], workspace["path"]) == (several, payloads[1], payloads[2])
    assert workspace["source"] == str(source)
    agent = recorded(world, "coding_agent")
    for field in ("settings", "hooks", "mcp_servers"):
        assert agent[field] == blueprint["agent"][field], field
    assert agent["events_url"].startswith(several)
    assert not marker.exists()


def test_what_a_machine_answers_is_text_too(tmp_path: Path, world: Path) -> None:
    marker = tmp_path / "executed"
    payloads = corpus(marker)
    cursors = dict(zip([f"E{number}" for number in range(len(payloads))], payloads, strict=True))
    login = {"container": payloads[0], "user": payloads[1], "workspace": payloads[2], "running": True}
    found = [{"environment_id": ID, "login": login, "owner": text} for text in payloads]
    answer(world, "dev_container_info", environments=found, observed=[{"events": payloads}])
    observed = play(tmp_path, "observe", {"remote_cursors": cursors})
    assert observed.status == "ok", observed.failure
    assert recorded(world, "dev_container_info")["cursors"] == cursors
    assert observed.of("dev_container_info")["observed"] == [{"events": payloads}]

    work = {"uncommitted": payloads, "unpushed": payloads, "stashes": []}
    answer(world, "workspace", work=work, would_lose=True, reason=" ".join(payloads))
    refused = play(tmp_path, "down", {"remote_discard": False})
    assert refused.status == "failed"
    assert payloads[0] in str(refused.failure)
    assert recorded(world, "workspace")["user"] == payloads[1]

    gone = [{"kind": "container", "name": text, "state": "gone", "detail": text} for text in payloads]
    answer(world, "dev_container", receipt={"complete": True, "resources": gone})
    ended = play(tmp_path, "down", {"remote_discard": True, "remote_owner": payloads[3]})
    assert ended.status == "ok", ended.failure
    receipt = ended.of("provider_receipt")["receipt"]
    assert [item["name"] for item in receipt["resources"]][: len(payloads)] == payloads
    assert not marker.exists()


def test_the_corpus_would_be_noticed(tmp_path: Path) -> None:
    """The payloads are live ones: taken for templates, by a playbook of our own, they do make the marker."""
    marker = tmp_path / "executed"
    playbook = tmp_path / "live.yml"
    task = {"ansible.builtin.debug": {"msg": corpus(marker)[0]}}
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    result = run_playbook(
        str(playbook),
        variables={},
        secrets={},
        record=tmp_path / "runs",
        locks=[tmp_path / "lock"],
        on_events=lambda _events: None,
    )
    assert result.status == "ok", result.failure
    assert marker.exists()
