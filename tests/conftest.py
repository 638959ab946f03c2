# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by all suites: what needs a Docker engine, and what happens when there is none.

Only the standard library and pytest: ansible-test loads this file too, in an environment of its own.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

try:
    import hypothesis
except ImportError:
    # Whoever runs nothing that needs it need not have it.
    pass
else:
    # A machine that is busy is slow at times: nothing fails for that. And the same examples each time: what fails here
    # fails again. `make soak` tries others.
    patient = hypothesis.settings(
        deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.register_profile("soak", patient)
    hypothesis.settings.register_profile("steady", patient, derandomize=True)
    hypothesis.settings.load_profile("steady")

#: Below a test's own folder the path of Ansible's sockets would be longer than a socket's may be.
SOCKETS = "ANSIBLE_SSH_CONTROL_PATH_DIR"


@functools.lru_cache(maxsize=1)
def _missing_docker() -> str:
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


def pytest_configure(config: pytest.Config) -> None:
    """Whoever is started in the background may ignore Ctrl-C, and hand that on to all that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if SOCKETS not in os.environ:
        # xdist's workers find it made. /tmp whatever TMPDIR says, and 0700, because others may write there too.
        os.environ[SOCKETS] = folder = tempfile.mkdtemp(prefix="fuel-code-", dir="/tmp")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `docker` run on a real engine. Without one they are skipped, and in CI they fail."""
    if item.get_closest_marker("docker") is None:
        return
    missing = _missing_docker()
    if not missing:
        return
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{missing} (CI must have a Docker engine)", pytrace=False)
    pytest.skip(missing)
