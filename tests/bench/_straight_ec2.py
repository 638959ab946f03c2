# SPDX-License-Identifier: GPL-3.0-or-later
"""The yardstick of EC2: straight_ec2.sh as user-data of an instance of the same image, entered over SSH at its end."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections import defaultdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.bench._harness import command
from tests.lab.ec2.client import Ec2Lab

SCRIPT = Path(__file__).resolve().parent / "straight_ec2.sh"
KEY_NAME = "fuel-code-bench"
PATIENCE = 600.0


class _Handler(SimpleHTTPRequestHandler):
    """Serves the repository and takes what machines tell."""

    told: dict[str, list[tuple[str, float]]]

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.told[self.client_address[0]].append((said, time.time()))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any, **__: Any) -> None:
        pass


class StraightEc2:
    """`with StraightEc2(...) as straight: straight.up()`; its machines are the lab's, and end with it."""

    def __init__(self, lab: Ec2Lab, client: Any, ami: str, repository: Path, folder: Path, image: str) -> None:
        self._lab, self._client, self._ami, self._image = lab, client, ami, image
        self._repository, self._folder = repository, folder
        self._told: dict[str, list[tuple[str, float]]] = defaultdict(list)
        #: Seconds from the answer of RunInstances to the login, and to the end of each stage.
        self.seconds: list[float] = []
        self.stages: dict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> StraightEc2:
        bare = self._folder / "served" / "repository"
        command("git", "clone", "-q", "--bare", str(self._repository), str(bare))
        command("git", "update-server-info", cwd=bare)
        self._key = self._folder / "key"
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key))
        self._client.import_key_pair(KeyName=KEY_NAME, PublicKeyMaterial=self._key.with_suffix(".pub").read_bytes())
        handler = type("_Told", (_Handler,), {"told": self._told})
        # Machines see this one where their network begins.
        network = str(urlsplit(self._lab.registry).hostname).rpartition(".")[0]
        self._server = ThreadingHTTPServer((f"{network}.1", 0), partial(handler, directory=str(bare.parent)))
        self._url = f"http://{network}.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def up(self, agent_url: str) -> None:
        """Launch it, wait for its last word, log in through it. RuntimeError when it does not get there."""
        answer = self._client.run_instances(
            ImageId=self._ami,
            InstanceType="t3.medium",
            MinCount=1,
            MaxCount=1,
            KeyName=KEY_NAME,
            UserData=self._user_data(agent_url),
        )
        begun, instance = time.time(), answer["Instances"][0]["InstanceId"]
        facts = self._client.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        told = self._told[facts["PrivateIpAddress"]]
        while not told or told[-1][0] != "ready":
            if time.time() - begun > PATIENCE or (told and told[-1][0].startswith("failed")):
                raise RuntimeError(f"the straight script did not come to its end: {told}")
            time.sleep(0.05)
        self._enter(facts["PublicIpAddress"])
        self.seconds.append(time.time() - begun)
        for stage, at in told:
            self.stages[stage].append(at - begun)

    def _enter(self, address: str) -> None:
        known = f"-o UserKnownHostsFile={self._folder}/known_hosts -o StrictHostKeyChecking=accept-new"
        through = f"ssh -F none -i {self._key} {known} debian@{address} sudo docker exec -i work /usr/sbin/sshd -i"
        ssh = ["ssh", "-F", "none", "-i", str(self._key), *shlex.split(known), "-o", f"ProxyCommand={through}"]
        ssh += ["-o", f"HostKeyAlias=work-{address}", "node@work", "true"]
        done = subprocess.run(ssh, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the straight script's machine cannot be entered: {done.stderr.strip()}")

    def _user_data(self, agent_url: str) -> str:
        given = {
            "repository": f"{self._url}/repository",
            "folder": self._repository.name,
            "image": self._image,
            "mirror": self._lab.registry,
            "agent_url": agent_url,
            "key": self._key.with_suffix(".pub").read_text().strip(),
            "report": self._url,
        }
        head = [f"{name}={shlex.quote(value)}" for name, value in given.items()]
        return "\n".join(["#!/bin/bash", *head, SCRIPT.read_text()])
