# SPDX-License-Identifier: GPL-3.0-or-later
"""hadolint, where it is installed (extra `fly`): a linter of Dockerfiles that knows far more of shell and packages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fuelctl._shared._fly_app.report import Finding

_SEVERITIES = {"error": "error", "warning": "warning"}
_PATIENCE = 30


def program() -> str | None:
    """Its path: beside this Python, where the extra installs it, else wherever PATH finds it."""
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.is_file() else shutil.which("hadolint")


def lint(path: str, file: str, text: str) -> Iterator[Finding]:
    """What `path`, a hadolint, says of a Dockerfile's text; nothing when it does not say it in time."""
    try:
        done = subprocess.run(
            [path, "--no-fail", "--format", "json", "-"],
            input=text.encode("utf-8", "replace"),
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
        told = json.loads(done.stdout or b"[]")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return
    for item in told if isinstance(told, list) else ():
        rule, severity = str(item.get("code", "")), _SEVERITIES.get(str(item.get("level")), "info")
        why = "hadolint's rule " + rule
        fix = f"see https://github.com/hadolint/hadolint/wiki/{rule}, or allow it by `# hadolint ignore={rule}`"
        yield Finding(rule, severity, file, int(item.get("line") or 1), str(item.get("message", "")), why, fix)
