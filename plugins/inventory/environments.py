# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Inventory of live environments and the machines that they are on."""

from __future__ import annotations

DOCUMENTATION = r"""
name: environments
short_description: Live environments, and the machines that they are on, as hosts
version_added: 0.1.0
description:
  - Every live environment is a host, so that any playbook can be run in it. The machine that it is on is another one.
  - They are asked for from a fuelctl control plane, or without one from the labels of this machine's Docker engine and
    the tags of a cloud.
  - The configuration is a file whose name ends in C(fuel_code.yml), C(fuel_code.yaml), C(environments.yml) or
    C(environments.yaml).
  - An environment is C(fuel-<name>), in the groups C(fuel_environments), C(fuel_state_<status>), C(fuel_owner_<owner>),
    C(fuel_provider_<provider>) and C(fuel_workspace_<folder>). Where two owners have one of the same name, the end of
    its id is added.
  - A machine is C(fuel-machine-<address>), or C(fuel-machine-local), in the groups C(fuel_environment_machines) and
    C(fuel_environment_machines_<provider>).
  - One that is a machine itself, as on Fly.io, is that one host.
  - The variables of an environment are C(fuel_id), C(fuel_name), C(fuel_owner), C(fuel_state), C(fuel_provider),
    C(fuel_container), C(fuel_workspace), C(fuel_machine) and C(fuel_facts), and those by which Ansible gets in.
  - Modules need a Python in the container's image; M(ansible.builtin.raw) does not.
author:
  - fuel_code maintainers (@fuel-code)
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [fuel_code.remote.environments]
  source:
    description:
      - Whom to ask.
      - With V(control_plane), the server of O(server_url), that of fuelctl's C(config.toml), that of C(fuelctl login),
        or the one that fuelctl runs for this user.
      - With V(engine), this machine's Docker engine.
      - With V(ec2), EC2 in O(regions). Tags do not say how a container is entered, so there are machines only.
      - With V(fly), Fly.io, by the token in E(FLY_API_TOKEN). The host key and the private key are those that playbooks
        left in O(keys_path).
      - With V(auto), the control plane; where none listens, the engine, EC2 where O(regions) are given, and Fly.io
        where O(fly_org) is.
    type: str
    choices: [auto, control_plane, engine, ec2, fly]
    default: auto
  server_url:
    description: Address of a team's control plane.
    type: str
    env:
      - name: FUELCTL_SERVER_URL
  token:
    description: The token that it asks for.
    type: str
    env:
      - name: FUELCTL_SERVER_TOKEN
  token_file:
    description: File with that token.
    type: path
  timeout:
    description: Seconds to wait for the control plane's answer.
    type: float
    default: 30
  regions:
    description: Regions in which machines are looked for.
    type: list
    elements: str
    default: []
  aws_profile:
    description: The AWS profile whose credentials are used.
    type: str
    env:
      - name: AWS_PROFILE
  fly_org:
    description: Slug of the organization on Fly.io. V(personal), where O(source=fly) and none is given.
    type: str
  owners:
    description: Only environments of these owners.
    type: list
    elements: str
    default: []
  machines:
    description: Whether machines are hosts too.
    type: bool
    default: true
  connection:
    description:
      - How Ansible gets into a container.
      - With V(ssh), by the entries that fuelctl writes for plain C(ssh fuel-NAME).
      - With V(docker), by the connection plugin community.docker.docker, which asks for no key.
      - With V(auto), by ssh where fuelctl has written an entry, or the environment is on another machine.
    type: str
    choices: [auto, ssh, docker]
    default: auto
  keys_path:
    description: Folder with the keys of environments that playbooks made (C(remote_keys_path)).
    type: path
"""

EXAMPLES = r"""
# environments.yml
plugin: fuel_code.remote.environments

# Without a control plane, in two regions, with the expiry as a variable and groups by machine type
---
plugin: fuel_code.remote.environments
source: ec2
regions: [eu-central-1, us-east-1]
compose:
  ends_at: fuel_facts.expires_at
keyed_groups:
  - key: fuel_facts.type
    prefix: type
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /tmp/fuel-inventory
cache_timeout: 60
"""

import os
from typing import Any, Dict, List

from ansible.errors import AnsibleParserError
from ansible.module_utils.urls import open_url
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Docker
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._fly._api import PUBLIC, Api
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory import _control_plane, _engine, _fly
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory._hosts import Access, Host, hosts
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory._record import (
    Record,
    checked_all,
    from_dict,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._inventory._user import User

_ENDINGS = ("fuel_code.yml", "fuel_code.yaml", "environments.yml", "environments.yaml")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Ansible's entry point."""

    NAME = "fuel_code.remote.environments"

    def verify_file(self, path: str) -> bool:
        """Whether the file may be a configuration of ours, by its name."""
        return bool(super().verify_file(path)) and path.endswith(_ENDINGS)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the hosts to `inventory`."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            records = self._cached(path, cache)
            user = User(os.environ, self.get_option("keys_path"))
            wanted = set(self.get_option("owners"))
            records = [each for each in records if not wanted or each.owner in wanted]
            found = hosts(records, _access(user, records), self.get_option("connection"))
        except FuelError as error:
            raise AnsibleParserError(str(error)) from error
        for host in found:
            if self.get_option("machines") or "fuel_id" in host.variables:
                self._add(host)

    def _cached(self, path: str, cache: bool) -> List[Record]:
        """The records, from the cache where it is wanted and fresh."""
        self.load_cache_plugin()
        key = self.get_cache_key(path)
        wanted = self.get_option("cache")
        if wanted and cache:
            try:
                return [from_dict(each) for each in self._cache[key]]
            except (KeyError, TypeError, FuelError):
                # Not there, expired, or of another version.
                pass
        records = checked_all(self._asked())
        if wanted:
            self._cache[key] = [each.as_dict() for each in records]
        return records

    def _asked(self) -> List[Record]:
        source = self.get_option("source")
        if source in ("auto", "control_plane"):
            user = User(os.environ)
            given = [self._given(name) for name in ("server_url", "token", "token_file")]
            server = user.server(given[0], given[1], given[2])
            try:
                return _control_plane.ask(
                    socket_path=server.socket, url=server.url, token=server.token, timeout=self.get_option("timeout")
                )
            except _control_plane.NoServerError:
                if source != "auto" or server.url:
                    raise
        records: List[Record] = []
        if source not in ("ec2", "fly"):
            records += _engine.of_engine(Docker())
        if source == "ec2" and not self.get_option("regions"):
            raise FuelError("no regions are named", where="regions", hint="for example: regions: [eu-central-1]")
        if source not in ("engine", "fly"):
            for region in self.get_option("regions"):
                records += self._in_region(region)
        if source == "fly" or (source == "auto" and self.get_option("fly_org")):
            environ = os.environ
            api = Api(open_url, environ.get("FLY_API_TOKEN", ""), url=environ.get("FLY_API_HOSTNAME") or PUBLIC)
            records += _fly.of_organization(api, self.get_option("fly_org") or "personal")
        return records

    def _given(self, name: str) -> Any:
        """An option that may be a template, as it would have to be for a token from a vault."""
        value = self.get_option(name)
        return self.templar.template(value) if value and self.templar.is_template(value) else value

    def _in_region(self, region: str) -> List[Record]:
        try:
            import boto3
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise FuelError("EC2 needs boto3", hint="pip install boto3", code="no_boto3") from error
        from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _describe, _refusals
        from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api, ApiError

        try:
            client = boto3.session.Session(profile_name=self.get_option("aws_profile")).client("ec2", region)
            return _engine.of_cloud(_describe.managed(Api(client)), region)
        except ApiError as error:
            raise _refusals.explain(error, region) from error
        except BotoCoreError as error:
            raise FuelError(f"AWS cannot be asked: {error}", where=region, code="ec2_unusable") from error

    def _add(self, host: Host) -> None:
        self.inventory.add_host(host.name)
        # What others wrote is data, whatever it looks like.
        variables: Dict[str, Any] = {name: wrap_var(value) for name, value in host.variables.items()}
        for name, value in variables.items():
            self.inventory.set_variable(host.name, name, value)
        for group in host.groups:
            self.inventory.add_child(self.inventory.add_group(self._sanitize_group_name(group)), host.name)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host.name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host.name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host.name, strict=strict)


def _access(user: User, records: List[Record]) -> Dict[str, Access]:
    """What this user has for each environment."""
    entries, config = user.ssh_entries(), user.ssh_config()
    return {
        each.id: Access(
            ssh_host=entries.get(each.id, (None, None))[0],
            ssh_machine=entries.get(each.id, (None, None))[1],
            ssh_config=config,
            key=user.key(each.id) if each.machine else None,
            known_hosts=user.machine_known_hosts(each.id) if each.machine else None,
        )
        for each in records
    }
