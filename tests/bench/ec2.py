# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine on EC2, and the end of a hundred.

Against the local EC2 with real machines behind it (`tests/lab/ec2`), so without a cloud's own waiting times.

- **up**: from the answer of RunInstances to `ready`, for `fuelctl up --provider ec2` on `examples/node-api`. The
  machine begins as a fresh Debian: the engine is installed, the image is pulled from a registry, what a login needs is
  put on top of it, the repository is cloned, `npm ci` runs, Claude Code is fetched. The yardstick is one straight bash
  script as user-data of the same image (`tests/bench/straight_ec2.sh`) that does the same steps one after the other,
  and is ready when somebody is in over SSH.
- **end**: `remote_down` of a hundred environments, against one. Machines are not behind these.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3

from fuelctl._shared._ec2 import _request
from fuelctl._shared._identity import environment_id_for
from tests.bench._harness import BIN, CHECKOUT, FUELCTL, Contender, Figure, Group, command, fuelctl_home, race, table
from tests.bench._peers import BASE_IMAGE, example_repository
from tests.bench._straight_ec2 import StraightEc2
from tests.bench.up import _agent_url, _agent_versions
from tests.lab.ec2.amis import ami_id
from tests.lab.ec2.client import Ec2Lab

RUNS = 3
END_RUNS = 3
MANY = 100
REGION = "us-east-1"
#: The newest one that the lab has: a fresh machine without an engine.
DEBIAN = "debian-12-amd64-20260914-2"


def measure() -> Group:
    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("straight", "end"):
            (folder / part).mkdir()
        up = _measure_up(folder)
        end = _measure_end(folder / "end")
    return Group(figures=up.figures + end.figures, details=f"{up.details}\n{end.details}")


class _Fuelctl:
    """fuelctl's side: each run an environment and a machine of its own, which stay until the end."""

    def __init__(self, env: dict[str, str], lab: Ec2Lab, repository: Path, blueprint: Path) -> None:
        self.env, self.lab = {**env, **lab.environment(REGION)}, lab
        self.repository, self.blueprint = repository, blueprint
        self.seconds: list[float] = []
        #: Seconds from the answer of RunInstances to the end of each stage, and how long it took itself.
        self.ends: dict[str, list[float]] = defaultdict(list)
        self.lengths: dict[str, list[float]] = defaultdict(list)
        config = Path(env["FUELCTL_HOME"]) / "config" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        options = lab.options(image="debian-12")
        config.write_text("[providers.ec2]\n" + "".join(f"{key} = {json.dumps(options[key])}\n" for key in options))

    def prepare(self) -> None:
        """The control plane is there, as on every day but the first."""
        command(FUELCTL, "ls", env=self.env)

    def up(self) -> None:
        self.name = f"bench-{len(self.seconds) + 1}"
        command(
            *(FUELCTL, "up", str(self.repository), "--name", self.name, "--blueprint", str(self.blueprint)),
            *("--provider", "ec2", "--yes"),
            env=self.env,
        )

    def note(self) -> None:
        """How long it took, as the environment itself tells it. Then nobody looks after it while others run."""
        document = json.loads(command(FUELCTL, "status", self.name, "--json", env=self.env))
        environment = document.get("environment", document)
        [begun] = [
            call["at"]
            for call in self.lab.calls("RunInstances")
            if environment["id"] in call["parameters"].values() and call["status"] == 200
        ]
        self.seconds.append(_moment(environment["ready_at"]) - begun)
        for event in json.loads(command(FUELCTL, "logs", self.name, "--json", env=self.env))["events"]:
            data = event.get("data") or {}
            if event["type"] == "remote.stage" and data.get("state") in ("ok", "reused"):
                self.ends[data["stage"]].append(_moment(event["at"]) - begun)
                self.lengths[data["stage"]].append(float(data.get("seconds") or 0.0))
        command(FUELCTL, "server", "stop", env=self.env)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _measure_up(folder: Path) -> Group:
    repository = example_repository(folder / "node-api")
    version = _agent_versions()[0]
    blueprint = folder / "env.yaml"
    blueprint.write_text(
        f"version: 1\nname: node-api\nimage: {BASE_IMAGE}\nsetup:\n  - npm ci\nports: [3000]\n"
        f"agent:\n  name: claude-code\n  version: {version}\n"
    )
    with Ec2Lab(images=[BASE_IMAGE]) as lab, fuelctl_home() as env:
        fuel = _Fuelctl(env, lab, repository, blueprint)
        with StraightEc2(lab, _client(lab), ami_id(DEBIAN), repository, folder / "straight", BASE_IMAGE) as straight:
            race(
                [
                    Contender("fuelctl up", fuel.up, prepare=fuel.prepare, after=fuel.note),
                    Contender("straight script", lambda: straight.up(_agent_url(version))),
                ],
                runs=RUNS,
                warm_up=0,
            )
    return _report_up(fuel, straight)


def _report_up(fuel: _Fuelctl, straight: StraightEc2) -> Group:
    ours, theirs = statistics.median(fuel.seconds), statistics.median(straight.seconds)
    rows = [
        (name, f"{statistics.median(each):.1f}", f"{min(each):.1f}", f"{max(each):.1f}", len(each))
        for name, each in (("fuelctl up --provider ec2", fuel.seconds), ("straight user-data", straight.seconds))
    ]
    stages = [
        (stage, f"{statistics.median(fuel.ends[stage]):.1f}", f"{statistics.median(fuel.lengths[stage]):.1f}")
        for stage in fuel.ends
    ]
    ends = {stage: statistics.median(each) for stage, each in straight.stages.items()}
    lengths = [end - begun for begun, end in pairwise([0.0, *ends.values()])]
    straight_stages = [
        (stage, f"{end:.1f}", f"{length:.1f}") for (stage, end), length in zip(ends.items(), lengths, strict=True)
    ]
    figure = Figure(
        "ec2_up_per_straight_user_data",
        ours / theirs,
        1.2,
        "x",
        len(fuel.seconds),
        note="1.0 is the goal; above 1.2 is a miss",
    )
    return Group(
        figures=[figure],
        details=table(("from RunInstances to ready", "median s", "fastest", "slowest", "runs"), rows)
        + "\n`fuelctl up`, median seconds by stage (`provider` begins before RunInstances; stages overlap):\n\n"
        + table(("stage", "ends at", "takes"), stages)
        + "\nThe straight script, median seconds by stage:\n\n"
        + table(("stage", "ends at", "takes"), straight_stages),
    )


def _client(lab: Ec2Lab) -> Any:
    return boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=lab.endpoint,
        aws_access_key_id="AKIALABLABLABLABLAB2",
        aws_secret_access_key="lab",
    )


def _measure_end(folder: Path) -> Group:
    with Ec2Lab(machines=False) as lab:
        ends = _Ends(lab, folder)
        one, many = (
            Contender(str(size), ends.end, prepare=partial(ends.launch, size), after=partial(ends.note, size))
            for size in (1, MANY)
        )
        race([one, many], runs=END_RUNS, warm_up=0)
    calls = {size: ends.calls[size][-1] for size in (1, MANY)}
    kinds = sorted({action for each in calls.values() for action in each})
    counted = {size: Counter(each) for size, each in calls.items()}
    return Group(
        figures=[
            Figure(
                "ec2_end_100_api_calls",
                statistics.median(_ending_calls(each) for each in ends.calls[MANY]),
                3.0,
                "calls",
                END_RUNS,
                note="find, terminate, be told that they are; the receipt's own questions are in the table",
            ),
            Figure("ec2_end_100_per_end_1", many.median / one.median, 2.0, "x", END_RUNS),
        ],
        details=f"`remote_down` takes {one.median:.1f} s for one and {many.median:.1f} s for {MANY}. Its API calls:\n\n"
        + table(("call", "one", str(MANY)), [(f"`{kind}`", counted[1][kind], counted[MANY][kind]) for kind in kinds]),
    )


def _ending_calls(actions: list[str]) -> int:
    """Those from the first on that terminate or ask whether it has: the receipt begins with the volumes."""
    return len([each for each in actions[: actions.index("DescribeVolumes")] if each.endswith("Instances")])


class _Ends:
    """A hundred environments or one, of one owner each time, and `remote_down` for all of them at once."""

    def __init__(self, lab: Ec2Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.calls: dict[int, list[list[str]]] = defaultdict(list)
        self._turn = 0
        self._environments: list[str] = []
        link = folder / "collections" / "ansible_collections" / "fuel_code" / "remote"
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
        self._env = {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "0",
            **lab.environment(REGION),
        }

    def launch(self, count: int) -> None:
        """As `ec2_machine` asks for them, without the wait."""
        self._turn += 1
        owner, client = f"bench-{self._turn}", _client(self.lab)
        self._environments = [environment_id_for(owner, f"end-{number}") for number in range(count)]
        for environment in self._environments:
            plan = _request.Plan(environment, owner, ami_id(DEBIAN), "/dev/xvda", [_request.Candidate("t3.medium")])
            client.run_instances(**_request.parameters(plan, plan.candidates[0], 1))
        time.sleep(1.0)
        self.lab.ask("DELETE", "calls")

    def end(self) -> None:
        variables = self.folder / "variables.json"
        given = {
            "remote_provider": "ec2",
            "remote_provider_options": self.lab.options(region=REGION),
            "remote_keys_path": str(self.folder / "keys"),
            "remote_environment_ids": self._environments,
            "remote_discard": True,
        }
        variables.write_text(json.dumps(given))
        command("ansible-playbook", "fuel_code.remote.remote_down", "-e", f"@{variables}", env=self._env)

    def note(self, size: int) -> None:
        self.calls[size].append([call["action"] for call in self.lab.calls() if call["service"] == "ec2"])
