# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files get a second run: asked after real runs of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "unsteady.py"
PASSES = "def test_it():\n    pass\n"
FAILS = "def test_it():\n    assert False\n\nclass TestMore:\n    def test_this(self):\n        assert False\n"
BREAKS = "import pytest\n\n@pytest.fixture\ndef thing():\n    raise OSError\n\ndef test_it(thing):\n    pass\n"
ONCE = "import pytest\n\npytestmark = pytest.mark.once\n\n" + FAILS


def second_runs(folder: Path, files: dict[str, str]) -> list[str] | None:
    """What the tool says after a run of these files; None when it gives none a second run."""
    for name, text in files.items():
        file = folder / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers = once\naddopts = --import-mode=importlib\n", encoding="utf-8"
    )
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    line = [sys.executable, "-m", "pytest", "-q", "--cache-clear", "tests"]
    subprocess.run(line, cwd=folder, env=environment, check=False, stdout=subprocess.DEVNULL)
    line = [sys.executable, str(TOOL), ".pytest_cache/v/cache/lastfailed"]
    asked = subprocess.run(line, cwd=folder, check=False, capture_output=True, text=True)
    assert asked.stderr == ""
    assert asked.returncode in (0, 1)
    return asked.stdout.splitlines() if asked.returncode == 0 else None


def test_a_file_with_failures_or_errors_gets_one(tmp_path: Path) -> None:
    files = {"e2e/test_a.py": FAILS, "e2e/test_b.py": PASSES, "unit/test_c.py": BREAKS}
    assert second_runs(tmp_path, files) == ["tests/e2e/test_a.py", "tests/unit/test_c.py"]


@pytest.mark.parametrize(
    "files",
    [
        {"test_a.py": PASSES},
        {f"test_{number}.py": FAILS for number in range(4)},
        {"test_a.py": FAILS, "test_b.py": ONCE},
        {"test_a.py": FAILS, "test_b.py": "import nothing_of_this_name\n"},
    ],
    ids=["nothing failed", "too much failed", "once is enough", "not even read"],
)
def test_nothing_gets_one(tmp_path: Path, files: dict[str, str]) -> None:
    assert second_runs(tmp_path, files) is None


def test_without_a_list_nothing_gets_one(tmp_path: Path) -> None:
    asked = subprocess.run([sys.executable, str(TOOL), "none"], cwd=tmp_path, check=False, capture_output=True)
    assert (asked.returncode, asked.stdout, asked.stderr) == (1, b"", b"")
