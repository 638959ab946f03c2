# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The arguments of AWS for a module that mostly does without it, and so is no AnsibleAWSModule."""

from __future__ import annotations

import importlib
from typing import Any, Dict


def env_fallback(*names: str) -> Any:
    """Ansible's own; imported when it is called, because this file is also read where there is no Ansible."""
    return importlib.import_module("ansible.module_utils.basic").env_fallback(*names)


#: What modules of amazon.aws take (its fragments `common` and `region`): the sanity tests hold this against them.
ARGUMENTS: Dict[str, Any] = {
    "access_key": {
        "aliases": ["aws_access_key_id", "aws_access_key"],
        "fallback": (env_fallback, ["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"]),
        "no_log": False,
    },
    "secret_key": {
        "aliases": ["aws_secret_access_key", "aws_secret_key"],
        "fallback": (env_fallback, ["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"]),
        "no_log": True,
    },
    "session_token": {
        "aliases": ["aws_session_token"],
        "fallback": (env_fallback, ["AWS_SESSION_TOKEN"]),
        "no_log": True,
    },
    "profile": {"aliases": ["aws_profile"], "fallback": (env_fallback, ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])},
    "endpoint_url": {"aliases": ["aws_endpoint_url"], "fallback": (env_fallback, ["AWS_URL"])},
    "validate_certs": {"type": "bool", "default": True},
    "aws_ca_bundle": {"type": "path", "fallback": (env_fallback, ["AWS_CA_BUNDLE"])},
    "aws_config": {"type": "dict"},
    "debug_botocore_endpoint_logs": {
        "type": "bool",
        "default": False,
        "fallback": (env_fallback, ["ANSIBLE_DEBUG_BOTOCORE_LOGS"]),
    },
    "region": {"aliases": ["aws_region"], "fallback": (env_fallback, ["AWS_REGION", "AWS_DEFAULT_REGION"])},
}
