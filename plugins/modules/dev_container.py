#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dev_container
short_description: Bring up or remove the container of a development environment
version_added: 0.1.0
description:
  - Makes everything that one environment needs on a Docker engine, in one task. An image with OpenSSH, sudo and git is
    derived once from the base image and kept, then a watchdog, a network, a volume and the container, and inside it all
    that a login over SSH needs.
  - The names of all these are computed from the environment's id, so a repeat finds and completes what is there.
  - The watchdog is started before anything else of the environment. It ends the environment at O(expires_at) without
    any help.
  - No port is opened for SSH. Enter with
    C(ProxyCommand docker exec -i CONTAINER /usr/sbin/sshd -i -f /etc/fuel-code/sshd_config).
requirements:
  - The Docker command line, and the right to use the engine. E(DOCKER_HOST) is honoured.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  heartbeat_url:
    description:
      - Where the machine is to post every 30 s what is done in the environment, by a systemd timer that goes with it.
      - Where there is no systemd or no curl, or this is not run as root, there is none; see RV(heartbeat).
    type: str
  heartbeat_token_file:
    description: File with the bearer token for O(heartbeat_url). It is copied into a file that root alone can read.
    type: path
  state:
    description:
      - With V(present), the environment's container is made, completed or kept.
      - With V(absent), everything that carries the environment's label is removed, and the receipt is returned.
    type: str
    choices: [present, absent]
    default: present
  environment_id:
    description: The environment's id, a ULID.
    type: str
    required: true
  attempt:
    description: Number of the attempt; part of every name.
    type: int
    default: 1
  name:
    description: Name of the environment; the container's host name. Required if O(state=present).
    type: str
  owner:
    description: Who owns the environment. Required if O(state=present).
    type: str
  image:
    description: The base image, Debian-like. Required if O(state=present), unless O(environment_is=machine).
    type: str
  system_packages:
    description: Debian packages to have in the derived image beside what the environment itself needs.
    type: list
    elements: str
    default: []
  ca_certificates:
    description: Further certificate authorities for the derived image, each as PEM text.
    type: list
    elements: str
    default: []
  workspace:
    description:
      - Name of the repository. The workspace is the folder of that name in C(/workspaces). Defaults to O(name).
    type: str
  authorized_keys:
    description: Public keys that may enter, one line each.
    type: list
    elements: str
    default: []
  env:
    description:
      - Environment variables of every login. Names that steer the loader, the shell or the login itself are refused.
    type: dict
    default: {}
  secrets_json:
    description:
      - Further variables that are secret, as the text of a JSON object. They travel by standard input only.
      - Without this option, secrets from an earlier run are kept.
    type: str
  ports:
    description: Ports of the container to publish on the machine's loopback, under the same number or else a free one.
    type: list
    elements: int
    default: []
  services:
    description: Further containers on the environment's network, each reachable under its name.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The service's host name.
        type: str
        required: true
      image:
        description: The service's image.
        type: str
        required: true
      env:
        description: Environment variables of the service.
        type: dict
        default: {}
      ports:
        description: Ports that it listens on, for readers. The environment reaches all of them.
        type: list
        elements: int
        default: []
      command:
        description: Arguments instead of those of the image.
        type: list
        elements: str
        default: []
  memory:
    description: Limit of memory, for example V(4g).
    type: str
  cpus:
    description: Limit of CPUs. A machine that has fewer gives what it has.
    type: float
  caches:
    description:
      - Package managers whose download caches are shared between environments of the same owner.
      - C(npm), C(yarn), C(pnpm), C(pip), C(uv), C(go) and C(cargo) are known.
    type: list
    elements: str
    default: [npm, pip]
  user:
    description:
      - The user that enters; made when the image has none of that name.
      - Without it, the image's user with uid 1000, else V(dev).
    type: str
  expires_at:
    description:
      - When the watchdog ends the environment, in seconds since 1970. A repeat with another time moves it.
      - Without this option, a new environment gets eight hours, and one that is there keeps its time.
    type: float
  engine:
    description:
      - Installs the distribution's own Docker engine on the machine where there is none, and has it running, as
        M(fuel_code.remote.docker_engine) does. Without this option, there has to be one.
    type: dict
    suboptions:
      registry_mirrors:
        description: Addresses of registry mirrors that the engine is to have, besides those that it has.
        type: list
        elements: str
        default: []
  progress_path:
    description: File on the machine to which each step is appended as a line of JSON.
    type: path
extends_documentation_fragment:
  - fuel_code.remote.environment_is
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Bring up a container to work in
  fuel_code.remote.dev_container:
    environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
    name: api
    owner: ada
    image: node:22-bookworm
    workspace: node-api
    authorized_keys:
      - "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
    ports: [3000]
  register: api

- name: Remove it and prove it
  fuel_code.remote.dev_container:
    environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
    state: absent
"""

RETURN = r"""
heartbeat:
  description: Whether the machine tells O(heartbeat_url) by itself what is done in the environment.
  returned: success and O(state=present), not in check mode
  type: bool
  sample: true
environment:
  description: The environment as it is.
  returned: success and O(state=present), not in check mode
  type: dict
  sample:
    id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
    name: api
    container: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1
    container_id: 3b1c0f
    network: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1
    volumes: [fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1-workspace]
    image: fuel-code/environment:01jd3z5q8w6s9x4v7t2r1p0n8m-1
    image_id: sha256:1f0c
    base_digest: sha256:9a3e
    user: node
    uid: 1000
    home: /home/node
    workspace: /workspaces/node-api
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA
    ports: [{container: 3000, host: 3000}]
    services: []
    agents_volume: fuel-code-agents
resources:
  description: Everything that the environment owns on the engine.
  returned: success and O(state=present), not in check mode
  type: list
  elements: dict
  sample: [{kind: container, name: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1}]
receipt:
  description: What was removed, each asked for again.
  returned: O(state=absent)
  type: dict
  sample:
    complete: true
    checked_at: "2026-01-31T12:00:00Z"
    resources: [{kind: container, name: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1, state: gone, detail: ""}]
steps:
  description: What was done, step by step, with seconds.
  returned: always
  type: list
  elements: dict
  sample: [{stage: container, step: login, state: ok, seconds: 0.21, message: ""}]
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample:
    message: The Docker engine does not answer
    hint: start it
    where: null
    code: docker_unavailable
    details: {}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._task import (
    ARGUMENTS,
    RULES,
    dev_container,
)


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **RULES)
    result = dev_container(module.params, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
