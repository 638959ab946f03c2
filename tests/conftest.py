# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by all suites: what needs a Docker engine, and what happens when there is none.

Only the standard library and pytest: ansible-test loads this file too, in an environment of its own.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess

import pytest


@functools.lru_cache(maxsize=1)
def _missing_docker():
    """Why no engine can be used, in one line; empty when one answers."""
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"docker: {error}"
    return "" if done.returncode == 0 else f"docker: {done.stderr.strip()}"


def pytest_configure():
    """Whoever is started in the background may ignore Ctrl-C, and hand that on to all that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Below a test's own folder the path of Ansible's sockets would be longer than a socket's may be.
    os.environ.setdefault("ANSIBLE_SSH_CONTROL_PATH_DIR", f"/tmp/fuel-code-tests-{os.getuid()}")


def pytest_runtest_setup(item):
    """Tests marked `docker` run on a real engine. Without one they are skipped, and in CI they fail."""
    if item.get_closest_marker("docker") is None:
        return
    missing = _missing_docker()
    if not missing:
        return
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{missing} (CI must have a Docker engine)", pytrace=False)
    pytest.skip(missing)
