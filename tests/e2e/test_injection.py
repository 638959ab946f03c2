# SPDX-License-Identifier: GPL-3.0-or-later
"""Template code in what a repository says is data: it reaches the container letter by letter and runs nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from .harness import BASE_IMAGE, Fuelctl, leftovers, make_repository, write_blueprint

pytestmark = pytest.mark.docker


def test_template_code_in_a_blueprint_is_only_text(user: Fuelctl, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    payload = "{{ lookup('pipe', 'touch " + str(marker) + "') }}"
    repository = make_repository(tmp_path / "repo {{ 7 * 7 }} $(touch x) 'quoted'")
    write_blueprint(
        repository,
        f"""\
version: 1
image: {BASE_IMAGE}
env:
  PAYLOAD: "{payload}"
  OTHER: "{{% for i in range(3) %}}x{{% endfor %}}$(touch {marker})`touch {marker}`"
setup:
  - printf '%s' "$PAYLOAD" > seen.txt
agent:
  name: claude-code
  settings:
    env:
      NOTE: "{payload}"
""",
    )
    document = user.run("up", str(repository), "--name", "payload", "--yes", "--json").json
    assert document["status"] == "ready"
    assert document["conditions"] == []
    assert user.run("exec", "payload", "--", "cat", "seen.txt").stdout == payload
    assert payload in user.run("exec", "payload", "--", "sh", "-c", "cat ~/.claude/settings.json").stdout.replace(
        "\\", ""
    )
    assert not marker.exists()
    user.run("down", "payload", "--yes", "--discard")
    assert not marker.exists()
    assert leftovers(document["id"]) == []
