#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_keypair
short_description: Make or remove the SSH key pair of an environment
version_added: 0.1.0
description:
  - Keeps an ed25519 key pair in a folder, or in a bucket of S3. Both halves appear whole or not at all, a repeat keeps
    the pair that is there, and no temporary file is left.
  - The private half is in no result, no diff and no log. With O(backend=s3) it is in no file either.
  - With O(backend=s3) both objects are encrypted and private, and O(state=present) fails unless the bucket blocks
    public access by all four of its settings. O(state=absent) removes every version of both.
requirements:
  - OpenSSH's C(ssh-keygen) on the host where the module runs, usually the controller.
  - With O(backend=s3), boto3 >= 1.35.3, botocore >= 1.35.3 and the collection amazon.aws. O(backend=file) needs none.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  state:
    description: Whether the pair is to be there.
    type: str
    choices: [present, absent]
    default: present
  backend:
    description:
      - Where the pair is kept.
      - With V(s3) the options of AWS say who calls it and where. They count for nothing else.
    type: str
    choices: [file, s3]
    default: file
  path:
    description:
      - File of the private half (mode 0600); the public half is beside it, with C(.pub) added.
      - The folder around it is made with mode 0700 and should hold nothing else. It is removed when it becomes empty.
      - With O(backend=s3), the name of the private half's object in O(bucket).
      - Required with O(state=present).
    type: path
  paths:
    description: Several such, to be removed in one run, instead of O(path). Only with O(state=absent).
    type: list
    elements: path
  comment:
    description: Comment in the public half.
    type: str
    default: fuel-code
  bucket:
    description: Bucket that has the pair. It has to be there. Required with O(backend=s3).
    type: str
  kms_key:
    description: KMS key that encrypts the objects. S3's own key, without.
    type: str
    default: ''
extends_documentation_fragment:
  - fuel_code.remote.attributes
  - fuel_code.remote.aws.patience
  - amazon.aws.common.modules
  - amazon.aws.region.modules
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Make a key pair
  fuel_code.remote.ssh_keypair:
    path: ~/.local/share/fuel-code/keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519
    comment: fuel-code-01JD3Z5Q8W6S9X4V7T2R1P0N8M
  register: key

- name: Remove it
  fuel_code.remote.ssh_keypair:
    path: ~/.local/share/fuel-code/keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519
    state: absent

- name: Make one that is kept in S3
  fuel_code.remote.ssh_keypair:
    backend: s3
    bucket: our-private-keys
    path: ssh-keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519
    region: eu-central-1
  register: key
"""

RETURN = r"""
path:
  description: File of the private half, or its object as C(s3://bucket/name).
  returned: success, without O(paths)
  type: str
  sample: /home/ada/.local/share/fuel-code/keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519
public_key:
  description: The public half, one line. Empty in check mode when there is none yet.
  returned: success and O(state=present)
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZopxtR1NLt fuel-code-01JD3Z5Q8W6S9X4V7T2R1P0N8M
fingerprint:
  description: Fingerprint of the key.
  returned: success and O(state=present)
  type: str
  sample: SHA256:2a5e
resources:
  description: The files or objects, each with the answer to whether it is there.
  returned: O(state=absent)
  type: list
  elements: dict
  sample: [{kind: local_key, name: /home/ada/id_ed25519, state: gone, detail: ""}]
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: Failed to write the key pair, hint: null, where: /keys, code: key_storage, details: {}}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils import _ssh_keys_s3
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._ssh_keys import ARGUMENTS, RULES, keypair, together


def connect(module: AnsibleModule) -> Api:
    """S3 with the module's own options. amazon.aws and boto3 are imported here, where they are asked for."""
    try:
        import boto3  # noqa: F401 - amazon.aws goes on without, up to its first call
        from ansible_collections.amazon.aws.plugins.module_utils.botocore import boto3_conn, get_aws_connection_info
    except ImportError as error:
        raise FuelError(
            f"Keys in S3 need boto3 and the collection amazon.aws: {error}",
            hint="pip install 'boto3>=1.35.3', and ansible-galaxy collection install amazon.aws",
            code="missing_library",
        ) from error
    region, endpoint, parameters = get_aws_connection_info(module)
    # One call waits at most so long for an answer, and botocore repeats nothing: Api does, within a time that is ours.
    retries = {"mode": "standard", "total_max_attempts": 1}
    config: Dict[str, Any] = {"connect_timeout": 5, "read_timeout": 20, "retries": retries}
    if endpoint:
        # A bucket of another S3 is rarely a host name of its own.
        config["s3"] = {"addressing_style": "path"}
    client = boto3_conn(
        module, conn_type="client", resource="s3", region=region, endpoint=endpoint, config=config, **parameters
    )
    return Api(client, patience=module.params["patience"])


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **RULES)
    try:
        if module.params["backend"] == "s3":
            api = connect(module)
            result = together(lambda each: _ssh_keys_s3.keypair(api, each, check=module.check_mode), module.params)
        else:
            result = together(lambda each: keypair(each, check=module.check_mode), module.params)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
