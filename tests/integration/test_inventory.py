# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory where there is no control plane: a real environment on the engine, and machines by a cloud's tags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from fuelctl import ssh_config

from .machine import Environment, ansible, docker

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def plain(value: Any) -> Any:
    """Without the mark that Ansible shows on what it must not take for a template."""
    if isinstance(value, dict):
        return value["__ansible_unsafe"] if "__ansible_unsafe" in value else {k: plain(v) for k, v in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


class Controller:
    """Somebody with Ansible and a configuration of the inventory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "environments.yml"

    def run(self, program: str, *arguments: str, lines: str, **environ: str) -> str:
        self.config.write_text(f"plugin: fuel_code.remote.environments\n{lines}")
        surroundings = {"FUELCTL_HOME": str(self.folder / "home"), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
        words = [program, "-i", str(self.config), *arguments]
        done = ansible(*words, collections=self.folder / "c", home=self.folder, **surroundings, **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def hosts(self, lines: str, **environ: str) -> Any:
        return plain(json.loads(self.run("ansible-inventory", "--list", lines=lines, **environ)))


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    made = Environment(
        tmp_path_factory.mktemp("environment"), name="inventoried", options={"image": "python:3.11-bookworm"}
    )
    try:
        made.up()
        yield made
    finally:
        made.end()


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.docker
class TestEngine:
    def test_labels_say_who_is_there_and_modules_run_in_it(
        self, environment: Environment, controller: Controller
    ) -> None:
        found = controller.hosts("source: engine\nowners: [integration]\n")
        assert "fuel-inventoried" in found["fuel_environments"]["hosts"]
        variables = found["_meta"]["hostvars"]["fuel-inventoried"]
        assert (variables["fuel_id"], variables["fuel_owner"]) == (environment.id, "integration")
        assert variables["fuel_workspace"] == "/workspaces/my-repo"
        assert "fuel-inventoried" in found["fuel_workspace_my_repo"]["hosts"]
        said = controller.run("ansible", "fuel-inventoried", "-m", "ansible.builtin.ping", lines="source: engine\n")
        assert '"ping": "pong"' in said
        said = controller.run("ansible", "fuel-inventoried", "-m", "ansible.builtin.command", "-a", "id -un",
                              lines="source: engine\n")  # fmt: skip
        assert environment.made["user"] in said

    def test_by_ssh_with_fuelctl_s_entry(
        self, environment: Environment, controller: Controller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FUELCTL_HOME", str(controller.folder / "home"))
        made = environment.made
        key = " ".join(made["host_key"].split()[:2])
        with ssh_config.locked():
            ssh_config.put(ssh_config.Entry(environment.id, "inventoried", made["container"], made["user"], key, "s"))
            ssh_config.store_key(environment.id, environment.key.read_text())
        arguments = ("fuel-inventoried", "-m", "ansible.builtin.ping", "-vvv")
        said = controller.run("ansible", *arguments, lines="source: engine\n")
        assert '"ping": "pong"' in said
        assert "SSH: EXEC ssh" in said

    def test_a_stopped_one_is_shown_as_such(self, environment: Environment, controller: Controller) -> None:
        docker("stop", "--time", "1", environment.names.container)
        try:
            found = controller.hosts("source: engine\n")
            assert "fuel-inventoried" in found["fuel_state_stopped"]["hosts"]
        finally:
            docker("start", environment.names.container)


class TestCloud:
    def test_machines_by_their_tags_in_every_region_that_is_named(self, endpoint: str, controller: Controller) -> None:
        for region, name, tagged in (
            ("eu-central-1", "shop", True),
            ("us-east-1", "web", True),
            ("us-east-1", "somebody-elses", False),
            ("us-west-2", "not-asked-for", True),
        ):
            client = boto3.client(
                "ec2", region, endpoint_url=endpoint, aws_access_key_id="testing", aws_secret_access_key="testing"
            )
            tags = {"Name": f"fuel-code-{name}", "fuel-code:owner": "alice"}
            if tagged:
                tags["fuel-code:managed"] = "true"
                tags["fuel-code:environment"] = f"01JD00000000000000000000{len(name):02d}"
            given = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}]
            client.run_instances(
                ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="t3.large", TagSpecifications=given
            )
        lines = (
            "source: ec2\nregions: [eu-central-1, us-east-1]\n"
            "keyed_groups: [{key: fuel_facts.region, prefix: region}]\ncompose: {kind: fuel_facts.type}\n"
        )
        found = controller.hosts(lines, AWS_ENDPOINT_URL=endpoint, **CREDENTIALS)
        machines = found["fuel_environment_machines_ec2"]["hosts"]
        assert len(machines) == 2
        variables = [found["_meta"]["hostvars"][name] for name in machines]
        assert sorted(each["fuel_environments"][0] for each in variables) == ["shop", "web"]
        assert {each["fuel_facts"]["region"] for each in variables} == {"eu-central-1", "us-east-1"}
        assert set(found["region_eu_central_1"]["hosts"]) | set(found["region_us_east_1"]["hosts"]) == set(machines)
        assert all(each["kind"] == "t3.large" for each in variables)
