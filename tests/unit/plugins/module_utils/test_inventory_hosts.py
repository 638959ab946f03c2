# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as hosts: their names, groups and ways in."""

from __future__ import annotations

import io
import json
import shlex
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._view import Instance
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _tags
from ansible_collections.fuel_code.remote.plugins.module_utils._fly._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import idempotency_token
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory import _fly
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory._engine import of_cloud
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory._hosts import Access, hosts
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory._record import (
    Machine,
    Record,
    checked_all,
    from_dict,
)

ONE = "01JD0000000000000000000001"
TWO = "01JD0000000000000000000002"


def record(environment_id=ONE, **more):
    given = {
        "name": "shop",
        "owner": "alice",
        "status": "ready",
        "provider": "local",
        "container": f"fuel-code-{environment_id.lower()}-1",
        "user": "node",
        "workspace": "/workspaces/My Shop",
        "facts": {"region": None},
    }
    return Record(environment_id, **{**given, **more})


def by_name(found):
    return {host.name: host for host in found}


def test_a_container_and_its_machine():
    found = by_name(hosts([record()], {}))
    assert set(found) == {"fuel-shop", "fuel-machine-local"}
    assert found["fuel-shop"].groups == [
        "fuel_environments",
        "fuel_state_ready",
        "fuel_owner_alice",
        "fuel_provider_local",
        "fuel_workspace_My Shop",
    ]
    variables = found["fuel-shop"].variables
    assert variables["ansible_connection"] == "community.docker.docker"
    assert variables["ansible_host"] == f"fuel-code-{ONE.lower()}-1"
    assert variables["ansible_user"] == "node"
    assert variables["fuel_machine"] == "fuel-machine-local"
    machine = found["fuel-machine-local"]
    assert machine.groups == ["fuel_environment_machines", "fuel_environment_machines_local"]
    told = {"fuel_environments": ["shop"], "fuel_provider": "local", "fuel_facts": {}, "ansible_connection": "local"}
    assert machine.variables == told


def test_no_host_is_in_the_group_that_the_playbooks_work_on():
    found = hosts([record(), record(TWO, machine=Machine("203.0.113.7"))], {})
    assert "fuel_machines" not in {group for host in found for group in host.groups}


def test_one_name_of_two_owners():
    found = by_name(hosts([record(), record(TWO, owner="bob")], {}))
    assert {"fuel-shop-000001", "fuel-shop-000002"} < set(found)
    assert found["fuel-machine-local"].variables["fuel_environments"] == ["shop", "shop"]


def test_by_ssh_where_there_is_an_entry_or_another_machine():
    mine = {ONE: Access(ssh_host="fuel-shop", ssh_config="/home/a b/config")}
    for given, access, connection in (
        (record(), mine, "auto"),
        (record(), mine, "ssh"),
        (record(machine=Machine("203.0.113.7")), mine, "auto"),
    ):
        variables = by_name(hosts([given], access, connection))["fuel-shop"].variables
        assert (variables["ansible_connection"], variables["ansible_host"]) == ("ssh", "fuel-shop")
        assert shlex.split(variables["ansible_ssh_common_args"]) == ["-F", "/home/a b/config"]
    forced = by_name(hosts([record()], mine, "docker"))["fuel-shop"].variables
    assert forced["ansible_connection"] == "community.docker.docker"


def test_another_machine_is_one_host_however_many_environments_it_has():
    machine = Machine("203.0.113.7", 2222, "fuel")
    access = {ONE: Access(key="/k/id_ed25519", known_hosts="/k/it's known")}
    found = by_name(hosts([record(machine=machine, provider="ssh"), record(TWO, name="web", machine=machine)], access))
    assert set(found) == {"fuel-shop", "fuel-web", "fuel-machine-203.0.113.7-2222"}
    variables = found["fuel-machine-203.0.113.7-2222"].variables
    assert (variables["ansible_host"], variables["ansible_port"], variables["ansible_user"]) == (
        "203.0.113.7",
        2222,
        "fuel",
    )
    assert variables["fuel_environments"] == ["shop", "web"]
    words = shlex.split(variables["ansible_ssh_common_args"])
    assert 'UserKnownHostsFile="/k/it\'s known"' in words
    assert "StrictHostKeyChecking=yes" in words
    assert f"HostKeyAlias=fuel-{ONE.lower()}" in words


def test_a_machine_in_fuelctl_s_config_is_entered_by_it():
    access = {ONE: Access(ssh_host="fuel-shop", ssh_machine="fuel-shop-x.machine", ssh_config="/c", key="/k")}
    variables = by_name(hosts([record(machine=Machine("203.0.113.7"))], access))["fuel-machine-203.0.113.7"].variables
    assert (variables["ansible_host"], variables["ansible_ssh_common_args"]) == ("fuel-shop-x.machine", "-F /c")


def test_an_address_of_ipv6_names_a_host():
    assert "fuel-machine-2001-db8--1" in by_name(hosts([record(machine=Machine("2001:db8::1"))], {}))


def itself(**more):
    return record(container="", is_machine=True, machine=Machine("203.0.113.7", 10022, "dev"), provider="fly", **more)


def test_an_environment_that_is_its_machine_is_one_host_entered_by_fuelctl_s_entry():
    mine = {ONE: Access(ssh_host="fuel-shop", ssh_machine="fuel-shop-x.machine", ssh_config="/home/a b/config")}
    for connection in ("auto", "ssh", "docker"):
        (host,) = hosts([itself()], mine, connection)
        assert (host.name, host.variables["ansible_connection"]) == ("fuel-shop", "ssh")
        assert host.variables["ansible_host"] == "fuel-shop"
        assert shlex.split(host.variables["ansible_ssh_common_args"]) == ["-F", "/home/a b/config"]
    assert {"fuel_environments", "fuel_provider_fly", "fuel_state_ready"} <= set(host.groups)
    assert (host.variables["fuel_container"], host.variables["fuel_machine"]) == ("", "")


def test_an_environment_that_is_its_machine_is_entered_by_its_address_with_its_key_and_pin():
    (host,) = hosts([itself()], {ONE: Access(key="/k/id_ed25519", known_hosts="/k/machine_known_hosts")})
    said = {name: host.variables[name] for name in ("ansible_host", "ansible_port", "ansible_user")}
    assert said == {"ansible_host": "203.0.113.7", "ansible_port": 10022, "ansible_user": "node"}
    words = shlex.split(host.variables["ansible_ssh_common_args"])
    assert {"StrictHostKeyChecking=yes", f"HostKeyAlias=fuel-{ONE.lower()}"} <= set(words)
    assert host.variables["ansible_ssh_private_key_file"] == "/k/id_ed25519"


FLY: dict[str, Any] = {
    "id": "148e",
    "state": "started",
    "region": "fra",
    "app_name": f"fuel-code-{ONE.lower()}",
    "config": {
        "guest": {"cpu_kind": "shared", "cpus": 2},
        "services": [{"internal_port": 2222, "ports": [{"port": 10022}]}],
        "metadata": {
            "fuel_code_managed": "true",
            "fuel_code_environment": ONE,
            "fuel_code_owner": "alice",
            "fuel_code_name": "shop",
            "fuel_code_expires_at": "1767225600",
        },
    },
}


def test_metadata_name_an_environment_that_is_its_machine():
    found = _fly.of_machine(FLY, "203.0.113.7")
    assert (found.name, found.owner, found.status, found.provider) == ("shop", "alice", "running", "fly")
    assert (found.machine, found.is_machine) == (Machine("203.0.113.7", 10022, "dev"), True)
    assert (found.facts["type"], found.facts["expires_at"]) == ("shared-cpu-2x", "1767225600")
    assert [host.name for host in hosts(checked_all([found]), {})] == ["fuel-shop"]
    nowhere = _fly.of_machine({**FLY, "config": {**FLY["config"], "services": []}}, "203.0.113.7")
    assert not nowhere.is_machine


def test_one_without_a_public_address_is_named_by_its_private_one():
    lone = {**FLY["config"], "services": [], "env": {"FUEL_SSH_PORT": "2222"}}
    private = {**FLY, "private_ip": "fdaa:0:1:a7b::2", "config": lone}
    assert _fly.of_machine(private, "").machine == Machine("fdaa:0:1:a7b::2", 2222, "dev")
    for odd in ({**private, "private_ip": ""}, {**private, "config": {**lone, "env": {"FUEL_SSH_PORT": "-1"}}}, FLY):
        assert not _fly.of_machine(odd, "").is_machine


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        ({}, True),
        ({"app_name": "shop"}, False),
        ({"app_name": f"fuel-code-{TWO.lower()}"}, False),
        ({"config": {}}, False),
    ],
)
def test_marks_that_were_copied_elsewhere_are_not_believed(change, ours):
    assert _tags.is_ours({**FLY, **change}) is ours


def test_what_has_no_container_yet_is_no_host():
    assert set(by_name(hosts([record(container="")], {}))) == {"fuel-machine-local"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "{{ x }}"},
        {"name": "-oProxyCommand=x"},
        {"container": "x; rm -rf /"},
        {"container": "--privileged"},
        {"user": "-l"},
        {"user": "a b"},
        {"machine": Machine("-oProxyCommand=x")},
        {"machine": Machine("a b")},
        {"machine": Machine("")},
        {"machine": Machine("a", user="-x")},
        {"is_machine": True},
        {"is_machine": "yes"},
        {"machine": Machine("a", port="22; x")},  # type: ignore[arg-type]  # it comes from outside
    ],
)
def test_what_must_not_get_into_a_command_line_is_no_environment(wrong):
    assert checked_all([record(**wrong), record(TWO, name="web")]) == [record(TWO, name="web")]


def test_a_record_comes_back_from_a_cache_as_it_was():
    for given in (record(), itself(), record(machine=Machine("203.0.113.7", 2222, "fuel"))):
        assert from_dict(given.as_dict()) == given


@pytest.mark.parametrize(
    "wrong", [{}, {"id": ONE}, {**record().as_dict(), "new": 1}, {**record().as_dict(), "name": 7}]
)
def test_what_another_version_cached_is_not_believed(wrong):
    with pytest.raises(UsageError):
        from_dict(wrong)


def test_tags_name_machines_and_not_how_a_container_is_entered():
    instance = Instance(
        "i-1",
        "running",
        token=idempotency_token(ONE, 2, "instance"),
        environment_id=ONE,
        instance_type="t3.large",
        zone="eu-central-1a",
        public_address="203.0.113.7",
        tags={"Name": "fuel-code-shop", "fuel-code:owner": "alice", "fuel-code:expires-at": "2026-01-01T00:00:00Z"},
    )
    gone = Instance("i-2", "terminated", environment_id=TWO)
    nobody_s = Instance("i-3", "running")
    (found,) = of_cloud([instance, gone, nobody_s], "eu-central-1")
    assert (found.name, found.owner, found.status, found.provider) == ("shop", "alice", "running", "ec2")
    assert found.container == f"fuel-code-{ONE.lower()}-2"
    assert found.facts["expires_at"] == "2026-01-01T00:00:00Z"
    assert [host.name for host in hosts(checked_all([found]), {})] == ["fuel-machine-203.0.113.7"]


def test_a_machine_without_a_name_is_named_by_its_id():
    (found,) = of_cloud(
        [Instance("i-1", "pending", environment_id=ONE, tags={"Name": f"fuel-code-{ONE.lower()}"})], "r"
    )
    assert found.name == ONE.lower()
    (found,) = of_cloud([Instance("i-1", "pending", environment_id=ONE, tags={"Name": "somebody's"})], "r")
    assert found.name == ONE.lower()


class Organization:
    """Fly.io's answers by path: the list of an organization leaves out how a machine is entered."""

    def __init__(self):
        self.shown = {**FLY, "version": "01JVERSION"}
        self.overview = {**FLY, "config": {name: FLY["config"][name] for name in ("guest", "metadata")}}
        app = f"/v1/apps/{FLY['app_name']}"
        self.answers = {
            "/v1/orgs/acme/machines": {"machines": [self.overview], "next_cursor": ""},
            f"{app}/machines/{FLY['id']}": self.shown,
            f"{app}/ip_assignments": {
                "ips": [
                    {"ip": "198.51.100.9", "egress": True, "created_at": "1"},
                    {"ip": "198.51.100.8", "shared": True, "created_at": "2"},
                    {"ip": "203.0.113.7", "created_at": "3"},
                ]
            },
        }

    def open(self, url, **_how):
        return io.BytesIO(json.dumps(self.answers[urlsplit(url).path]).encode())


def test_how_a_machine_is_entered_is_asked_of_the_machine():
    [found] = _fly.of_organization(Api(Organization().open, "FlyV1 x"), "acme")
    assert found.machine is not None
    assert found.machine.address == "203.0.113.7"
