# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demos on a local cloud share: a home of their own in build/, steps as a person takes them, and an end.

The cloud is a lab (docs/developer/lab.md). fuelctl runs the code that runs against the real one; only the endpoint
differs. All of it ends with the program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import demo

#: The name of the one environment.
NAME = "cloud"


@dataclass(frozen=True)
class Demo:
    """One cloud's: `provider` as `fuelctl up` calls it, `foreign` what variables about the real one begin with."""

    provider: str
    foreign: tuple[str, ...]

    @property
    def home(self) -> Path:
        return demo.CHECKOUT / "build" / f"demo-{self.provider}"

    def say(self, text: str) -> None:
        print(f"demo-{self.provider}: {text}", flush=True)

    def prepare(self) -> float:
        """The repository, and an empty home; returns when it began."""
        started = time.monotonic()
        demo.prepare_repository()
        shutil.rmtree(self.home, ignore_errors=True)
        return started

    def variables(self, lab: Mapping[str, str]) -> dict[str, str]:
        """This shell's environment, with the lab for the cloud and the demo's home for the user's."""
        foreign = (*self.foreign, "FUELCTL_")
        mine = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**mine, **lab, "FUELCTL_HOME": str(self.home / "fuelctl"), "FUELCTL_SSH_CONFIG": "none"}

    def write_settings(self, options: Mapping[str, object]) -> None:
        folder = self.home / "fuelctl" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
        (folder / "config.toml").write_text("\n".join([f"[providers.{self.provider}]", *lines]) + "\n")

    def way(self, variables: dict[str, str], options: Sequence[str], steps: Sequence[Sequence[str]]) -> int:
        """Up with these options, the steps, and down; the first exit code that is not 0."""
        up = ("up", str(demo.REPOSITORY), "--provider", self.provider, *options, "--name", NAME, "--ttl", "1h", "--yes")
        try:
            for step in (up, *steps):
                if code := self._fuelctl(variables, *step):
                    self.say(f"failed with {code}")
                    return code
            return 0
        finally:
            # Whatever happened: the cloud ends with this program, and an environment should not be left hanging in it.
            if code := self._fuelctl(variables, "down", "--all", "--yes", "--discard"):
                self.say(f"ending it failed with {code}")
            subprocess.run([str(demo.FUELCTL), "server", "stop"], check=False, env=variables, stdout=subprocess.DEVNULL)

    def over(self, code: int, left: Sequence[str], started: float, then: str) -> int:
        """Say what the cloud still holds, or what comes next; returns the program's exit code."""
        if left:
            self.say(f"left in the cloud: {', '.join(left)}")
            return code or 1
        if not code:
            self.say(f"done in {time.monotonic() - started:.0f} s; nothing is left. {then}")
        return code

    def _fuelctl(self, variables: dict[str, str], *arguments: str) -> int:
        """Run fuelctl in the foreground, as a person would; returns its exit code."""
        self.say(f"$ fuelctl {' '.join(arguments)}")
        return subprocess.run([str(demo.FUELCTL), *arguments], check=False, env=variables).returncode
