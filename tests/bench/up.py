# SPDX-License-Identifier: GPL-3.0-or-later
"""From a repository to a running environment.

`fuelctl up` on `examples/node-api`: clone, `npm ci`, Claude Code present, ready to enter over SSH.

- **warm**: image and agent are cached, as on every day but the first. The peer is `devcontainer up` on the same base
  image and repository, with Claude Code baked into its image beforehand and `npm ci` as its `postCreateCommand`.
- **cold agent**: this version of the agent is on the machine for the first time. The peer is one straight bash script
  with the same steps (`tests/bench/straight.sh`).
- **overhead**: `up` warm less the straight script without the download: what is neither container engine, git, npm
  nor setup commands.
- **exec**: entering what is there, against `devcontainer exec`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.bench._harness import FUELCTL, Contender, Figure, Group, command, fuelctl_home, race, table
from tests.bench._peers import AGENT_PACKAGE, BASE_IMAGE, DevContainer, Straight, example_repository

RUNS = 5
COLD_RUNS = 3
EXEC_RUNS = 11
REGISTRY = "https://registry.npmjs.org"
VOLUME = "fuel-code-agents"


def measure() -> Group:
    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-") as name, fuelctl_home() as env:
        folder = Path(name)
        folder.chmod(0o755)
        repository = example_repository(folder / "node-api")
        newest, previous = _agent_versions()
        fuel = _Fuelctl(env, repository, folder)
        peer = DevContainer(_sub(folder, "devcontainer"), repository)
        peer.build_image()
        try:
            fuel.up("bench-first", newest)
            straight = Straight(repository, fuel.image("bench-first"), _sub(folder, "straight"))
            straight.up(_agent_url(newest))
            execs = _race_exec(fuel, peer)
            warm = _race_warm(fuel, peer, straight, newest)
            cold = _race_cold(fuel, straight, previous)
        finally:
            peer.down()
            peer.remove_images()
            if "straight" in locals():
                straight.down()
    return _group(fuel, execs, warm, cold)


def _sub(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _agent_versions() -> tuple[str, str]:
    """The newest release of the agent and the one before, which is cached nowhere."""
    request = urllib.request.Request(
        f"{REGISTRY}/{AGENT_PACKAGE.replace('/', '%2f')}", headers={"Accept": "application/vnd.npm.install-v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        versions = json.load(reply)["versions"]
    stable = sorted((v for v in versions if "-" not in v), key=lambda v: [int(part) for part in v.split(".")])
    return stable[-1], stable[-2]


def _agent_url(version: str) -> str:
    return f"{REGISTRY}/{AGENT_PACKAGE}/-/{AGENT_PACKAGE.partition('/')[2]}-{version}.tgz"


class _Fuelctl:
    """fuelctl's side: one environment at a time, the stages of each remembered."""

    def __init__(self, env: dict[str, str], repository: Path, folder: Path) -> None:
        self.env, self.repository, self.folder = env, repository, folder
        self.name = ""
        self.count = 0
        self.stages: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def up(self, name: str, version: str) -> None:
        blueprint = self.folder / f"{version}.yaml"
        blueprint.write_text(
            f"version: 1\nname: node-api\nimage: {BASE_IMAGE}\nsetup:\n  - npm ci\nports: [3000]\n"
            f"agent:\n  name: claude-code\n  version: {version}\n"
        )
        self.name = name
        command(
            FUELCTL, "up", str(self.repository), "--name", name, "--blueprint", str(blueprint), "--yes", env=self.env
        )

    def numbered_up(self, version: str) -> None:
        self.count += 1
        self.up(f"bench-{self.count}", version)

    def status(self, name: str) -> dict[str, Any]:
        document = json.loads(command(FUELCTL, "status", name, "--json", env=self.env))
        return dict(document.get("environment", document))

    def image(self, name: str) -> str:
        container = self.status(name)["connection"]["container"]
        return command("docker", "inspect", "--format", "{{.Image}}", container).strip()

    def execute(self) -> None:
        command(FUELCTL, "exec", self.name, "--", "true", env=self.env)

    def note_stages(self, kind: str) -> None:
        for stage in self.status(self.name)["stages"]:
            if stage.get("seconds") is not None:
                self.stages[kind][stage["stage"]].append(stage["seconds"])


def _race_warm(fuel: _Fuelctl, peer: DevContainer, straight: Straight, version: str) -> dict[str, Contender]:
    contenders = {
        "fuelctl": Contender("fuelctl up", lambda: fuel.numbered_up(version), after=lambda: fuel.note_stages("warm")),
        "devcontainer": Contender("devcontainer up", peer.up, prepare=peer.prepare),
        "straight": Contender("straight script", straight.up),
    }
    race(list(contenders.values()), runs=RUNS)
    return contenders


def _race_cold(fuel: _Fuelctl, straight: Straight, version: str) -> dict[str, Contender]:
    def forget() -> None:
        """This version only: the volume belongs to everybody on this machine."""
        script = f'find /agents -mindepth 1 -maxdepth 3 -name "*{version}*" -exec rm -rf {{}} +'
        mount = f"{VOLUME}:/agents"
        subprocess.run(
            ["docker", "run", "--rm", "-v", mount, BASE_IMAGE, "sh", "-c", script], check=False, capture_output=True
        )
        # As on a machine that never had it, where the agent is fetched while the container is made.
        for hint in Path(fuel.env["HOME"]).glob(f".cache/fuel-code/agents/*{version}.seen"):
            hint.unlink()

    contenders = {
        "fuelctl": Contender(
            "fuelctl up",
            lambda: fuel.numbered_up(version),
            prepare=forget,
            after=lambda: fuel.note_stages("cold agent"),
        ),
        "straight": Contender("straight script", lambda: straight.up(_agent_url(version))),
    }
    race(list(contenders.values()), runs=COLD_RUNS, warm_up=0)
    forget()
    return contenders


def _race_exec(fuel: _Fuelctl, peer: DevContainer) -> dict[str, Contender]:
    peer.prepare()
    peer.up()
    contenders = {
        "fuelctl": Contender("fuelctl exec", fuel.execute),
        "devcontainer": Contender("devcontainer exec", peer.execute),
    }
    race(list(contenders.values()), runs=EXEC_RUNS)
    return contenders


def _group(
    fuel: _Fuelctl, execs: dict[str, Contender], warm: dict[str, Contender], cold: dict[str, Contender]
) -> Group:
    ours = warm["fuelctl"].median
    rows = [
        (
            f"{each.name} ({kind})",
            f"{each.median:.2f}",
            f"{min(each.seconds):.2f}",
            f"{max(each.seconds):.2f}",
            len(each.seconds),
        )
        for kind, group in (("warm", warm), ("cold agent", cold), ("second", execs))
        for each in group.values()
    ]
    kinds = list(fuel.stages)
    names = list(dict.fromkeys(stage for kind in kinds for stage in fuel.stages[kind]))
    stage_rows = [
        (
            stage,
            *(
                f"{statistics.median(fuel.stages[kind][stage]):.2f}" if fuel.stages[kind][stage] else "-"
                for kind in kinds
            ),
        )
        for stage in names
    ]
    return Group(
        figures=[
            Figure(
                "up_warm_minus_devcontainer_up",
                ours - warm["devcontainer"].median,
                2.0,
                "s",
                RUNS,
                note="below 0 is faster than the peer, which is the goal; above 2 s is a miss",
            ),
            Figure("up_overhead", ours - warm["straight"].median, 3.0, "s", RUNS),
            Figure(
                "up_cold_agent_per_straight_script",
                cold["fuelctl"].median / cold["straight"].median,
                1.2,
                "x",
                COLD_RUNS,
            ),
            Figure(
                "exec_per_devcontainer_exec",
                execs["fuelctl"].median / execs["devcontainer"].median,
                1.5,
                "x",
                EXEC_RUNS,
            ),
        ],
        details=table(("contender", "median s", "fastest", "slowest", "runs"), rows)
        + "\nWhere the time of `fuelctl up` goes, median seconds by stage (stages overlap):\n\n"
        + table(("stage", *kinds), stage_rows),
    )
