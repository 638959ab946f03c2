#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_audit_info
short_description: List everything on EC2 that carries our tag
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Lists instances, volumes, network interfaces and security groups that carry the collection's tag, by environment, in
    one region, in several, or in all that the account can use. With O(keys_bucket), keys in S3 as well.
  - Regions are asked beside each other. One that cannot be asked is told in RV(problems) and does not hide the others.
    When none can be asked the module fails.
options:
  regions:
    description: Regions to look into. Without any, O(region).
    type: list
    elements: str
    default: []
  all_regions:
    description: Look into every region that the account can use, whatever O(regions) says.
    type: bool
    default: false
  keys_bucket:
    description:
      - Bucket in which M(fuel_code.remote.ssh_keypair) keeps the environments' keys. Objects below no environment's id
        are not told of.
      - Keys of an environment of which nothing else is there are told of with O(all_regions) only, when every region
        could be asked. Otherwise its machine may run where nobody looked.
    type: str
    default: ''
  keys_prefix:
    description: What comes before the environments' ids there.
    type: str
    default: ssh-keys
  keys_region:
    description: The bucket's region. Without it, O(region).
    type: str
    default: ''
extends_documentation_fragment:
  - fuel_code.remote.attributes.info
  - fuel_code.remote.aws
  - fuel_code.remote.aws.patience
  - fuel_code.remote.progress
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: See what we have anywhere
  fuel_code.remote.ec2_audit_info:
    all_regions: true
    region: eu-central-1
  register: audit
"""

RETURN = r"""
environments:
  description:
    - By environment and region, everything that carries the tag. C(since) is when the oldest of it was made and
      C(expires_at) when its machine ends by itself, as epoch seconds; none where nothing says it.
    - C(environment_id) is empty where the tag holds none.
    - With C(shared), these are an owner's security groups that no machine needs any more.
  returned: success
  type: list
  elements: dict
  sample:
    - environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
      owner: alice
      name: shop
      region: eu-central-1
      account: "123456789012"
      shared: false
      since: 1767225600.0
      expires_at: 1767254400.0
      login: null
      machines: []
      resources: [{kind: instance, name: i-0123456789abcdef0, state: running}]
regions:
  description: The regions that were asked.
  returned: success
  type: list
  elements: str
  sample: [eu-central-1]
problems:
  description: Regions that could not be asked, with C(region), C(message), C(hint) and C(code).
  returned: success
  type: list
  elements: dict
  sample: []
steps:
  description: What was done, with C(stage), C(step), C(state), C(seconds) and C(message).
  returned: always
  type: list
  elements: dict
error:
  description: What went wrong, with C(message), C(hint), C(where), C(code) and C(details).
  returned: failure
  type: dict
"""

from typing import Any, Dict, List, Tuple

from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.fuel_code.remote.plugins.module_utils import _ssh_keys_s3
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _audit, _module
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def connect(module: AnsibleAWSModule, regions: List[str], service: str = "ec2") -> Dict[str, Api]:
    """An API for each region, all of one session: a session of its own reads AWS's descriptions anew each time."""
    import boto3
    from botocore.config import Config

    _region, endpoint, parameters = get_aws_connection_info(module)
    session = boto3.session.Session(profile_name=parameters.pop("profile_name", None))
    config = Config(**_module.CLIENT).merge(parameters.pop("aws_config", None) or Config())
    if endpoint and service == "s3":
        # A bucket of another S3 is rarely a host name of its own.
        config = config.merge(Config(s3={"addressing_style": "path"}))
    return {
        each: Api(
            session.client(service, region_name=each, endpoint_url=endpoint, config=config, **parameters),
            patience=module.params["patience"],
        )
        for each in regions
    }


def look(module: AnsibleAWSModule, progress: Progress) -> Dict[str, Any]:
    """The module's result."""
    with progress.step("audit") as step:
        if module.params["all_regions"] and not module.region:
            # Where to ask for the others; this one is always among them.
            module.params["region"] = "us-east-1"
        account = _module.account_of(module)
        wanted = list(dict.fromkeys(module.params["regions"])) or [module.region or ""]
        if module.params["all_regions"]:
            wanted = _audit.regions(_module.connect(module))
        found, problems = _audit.audit(connect(module, wanted), account)
        if problems and len(problems) == len(wanted):
            first = problems[0]
            raise FuelError(first["message"], hint=first["hint"], where=first["region"], code=first["code"])
        if module.params["keys_bucket"]:
            found, problems = with_keys(module, found, problems, account)
        step.message = f"{len(found)} in {len(wanted)} regions"
    return {"changed": False, "environments": found, "regions": wanted, "problems": problems}


def with_keys(
    module: AnsibleAWSModule, found: List[Dict[str, Any]], problems: List[Dict[str, Any]], account: str
) -> Tuple[List[Dict[str, Any]], List[Dict[str, Any]]]:
    """(entries, problems) with the keys of the bucket; that it cannot be asked is one problem more."""
    params = module.params
    region = params["keys_region"] or module.region or ""
    everywhere = params["all_regions"] and not problems
    try:
        api = connect(module, [region], "s3")[region]
        kept = _ssh_keys_s3.stored(api, params["keys_bucket"], params["keys_prefix"])
    except FuelError as error:
        told = {"message": error.message, "hint": error.hint, "code": error.code}
        return found, [*problems, {"region": f"s3://{params['keys_bucket']}", **told}]
    place = {"region": region, "account": account}
    return _audit.add_keys(found, kept, place, everywhere=everywhere), problems


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "regions": {"type": "list", "elements": "str", "default": []},
            "all_regions": {"type": "bool", "default": False},
            "keys_bucket": {"type": "str", "default": "", "no_log": False},
            "keys_prefix": {"type": "str", "default": "ssh-keys", "no_log": False},
            "keys_region": {"type": "str", "default": "", "no_log": False},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: look(module, progress))


if __name__ == "__main__":
    main()
