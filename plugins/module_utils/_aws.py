# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""AWS for a module that mostly does without: amazon.aws and boto3 are imported only when they are asked for.

Modules that always call AWS are AnsibleAWSModule instead.
"""

from __future__ import annotations

from typing import Any, Dict

from ansible.module_utils.basic import env_fallback

from ._ec2._api import Api
from ._errors import FuelError

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


def connect(module: Any, service: str, patience: float) -> Api:
    """The service's API with the module's own options; FuelError when what it takes is not installed."""
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
    config: Dict[str, Any] = {
        "connect_timeout": 5,
        "read_timeout": 20,
        "retries": {"mode": "standard", "total_max_attempts": 1},
    }
    if endpoint:
        # A bucket of another S3 is rarely a host name of its own.
        config["s3"] = {"addressing_style": "path"}
    client = boto3_conn(
        module, conn_type="client", resource=service, region=region, endpoint=endpoint, config=config, **parameters
    )
    return Api(client, patience=patience)
