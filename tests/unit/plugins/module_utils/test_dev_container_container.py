# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument lists of docker create, the choice of ports, and the reading of docker inspect."""

from __future__ import annotations

import json
import socket

from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._container import (
    choose_ports,
    create_args,
    observe,
    published,
    service_args,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._spec import Spec
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed, Docker

STEM = "fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1"


def build(**changes):
    base = {
        "environment_id": "01JD3Z5Q8W6S9X4V7T2R1P0N8M",
        "owner": 'a,"b',
        "name": "api",
        "image": "node:22-bookworm",
        "workspace": "node-api",
        "authorized_keys": [],
    }
    return Spec.build(**{**base, **changes})


def test_nothing_is_privileged_and_nothing_secret_is_an_argument():
    spec = build(secrets_json='{"T": "canary"}', env={"A": "b"}, memory="1g", caches=["npm"])
    args = create_args(spec, "/home/dev", [{"container": 80, "host": 8080}], 2.0)
    text = " ".join(args)
    assert "canary" not in text
    assert "--privileged" not in args
    assert "--cap-add" not in args
    assert "docker.sock" not in text
    assert args[args.index("--publish") + 1] == "127.0.0.1:8080:80"
    assert args[args.index("--memory") + 1] == str(1024**3)
    assert args[args.index("--cpus") + 1] == "2"
    assert args[-1] == "fuel-code/environment:01jd3z5q8w6s9x4v7t2r1p0n8m-1"


def test_an_owner_cannot_add_fields_to_a_mount():
    mounts = [word for word in create_args(build(), "/home/dev", [], None) if word.startswith('"type=volume"')]
    assert any('"volume-label=fuel-code:owner=a,""b"' in mount for mount in mounts)
    agents = next(mount for mount in mounts if "fuel-code-agents" in mount)
    assert agents.endswith(",readonly")


def test_values_of_a_service_go_by_stdin():
    spec = build(services=[{"name": "db", "image": "postgres:16", "env": {"P": "value-of-p"}, "command": ["-c", "x"]}])
    args, stdin = service_args(spec, spec.services[0])
    assert "value-of-p" not in " ".join(args)
    assert stdin == b"P=value-of-p\n"
    assert args[-4:] == ["--", "postgres:16", "-c", "x"]
    assert args[args.index("--network-alias") + 1] == "db"


def test_a_free_port_keeps_its_number_and_a_taken_one_gets_another():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        chosen = choose_ports([taken])[0]
    assert chosen["container"] == taken
    assert chosen["host"] != taken
    assert choose_ports([chosen["host"]])[0] == {"container": chosen["host"], "host": chosen["host"]}
    assert choose_ports([chosen["host"]], taken=[chosen["host"]])[0]["host"] != chosen["host"]


def test_a_network_of_the_same_name_is_no_container():
    network = {"Name": STEM, "IPAM": {}}
    watchdog = {"Name": f"/{STEM}.watchdog", "State": {"Running": True}}

    def run(args, _stdin, _timeout):
        return Completed(args, 1, json.dumps([network, watchdog]).encode(), b"Error: No such object: x")

    observed = observe(Docker(run), build())
    assert observed.container is None
    assert observed.watchdog == watchdog


def test_published_ports_are_read_from_the_bindings():
    bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "22/tcp": None}
    assert published({"HostConfig": {"PortBindings": bindings}}) == [{"container": 80, "host": 8080}]
    assert published(None) == []
