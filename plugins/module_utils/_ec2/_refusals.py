# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""AWS's refusals, each as one line that says what to do."""

from __future__ import annotations

from typing import Dict, Tuple

from .._errors import FuelError
from ._api import BROKEN, THROTTLED, UNANSWERED, UNREACHED, ApiError

#: Not here, not now, not of this kind: the next type, zone or market may do.
CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "SpotMaxPriceTooLow",
        "Unsupported",
        "UnsupportedOperation",
    }
)
QUOTA = frozenset(
    {"InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "SpotInstanceCountLimitExceeded", "VcpuLimitExceeded"}
)
NEXT = CAPACITY | QUOTA

_CREDENTIALS = ("credentials", "AWS does not accept the credentials", "check them: aws sts get-caller-identity")
_EXPIRED = ("credentials", "the AWS credentials have expired", "renew them (aws sso login, or a new session token)")
_NONE = (
    "credentials",
    "no AWS credentials were found",
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
)
_REGION = ("region", "this is no AWS region, or none is set", "set AWS_REGION, for example eu-central-1")

#: AWS's code: our code, what is wrong, what to do. `{said}` is AWS's own message, `{operation}` the call.
TABLE: Dict[str, Tuple[str, str, str]] = {
    "UnauthorizedOperation": (
        "permission",
        "AWS does not allow this identity to call {operation}",
        "add ec2:{operation} to its IAM policy",
    ),
    "AccessDenied": (
        "permission",
        "AWS does not allow this identity to call {operation}",
        "add it to the identity's IAM policy",
    ),
    "AuthFailure": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": (
        "credentials",
        "AWS says that the request is too old",
        "check this machine's clock, then renew the session token",
    ),
    "TokenRefreshRequired": _EXPIRED,
    "UnauthorizedSSOTokenError": _EXPIRED,
    "SSOTokenLoadError": _EXPIRED,
    "CredentialRetrievalError": _NONE,
    "NoCredentialsError": _NONE,
    "PartialCredentialsError": _NONE,
    "ProfileNotFound": ("credentials", "{said}", "name a profile of ~/.aws/config"),
    "NoRegionError": _REGION,
    "InvalidRegionError": _REGION,
    "OptInRequired": (
        "region",
        "this AWS account may not use EC2 here: {said}",
        "enable the region (Account settings) or complete the sign-up",
    ),
    "Blocked": ("account", "AWS has blocked this account", "write to AWS support"),
    "PendingVerification": ("account", "AWS is still verifying this account", "wait for its mail, at most four hours"),
    "VcpuLimitExceeded": (
        "quota",
        "the account's vCPU quota for this kind of instance is used up",
        "end what runs, name a smaller type, or raise the quota (Service Quotas, EC2)",
    ),
    "InstanceLimitExceeded": (
        "quota",
        "the account's instance quota is used up",
        "end what runs, name another type, or raise the quota (Service Quotas, EC2)",
    ),
    "MaxSpotInstanceCountExceeded": (
        "quota",
        "the account's spot quota is used up",
        "do without spot, or raise the quota (Service Quotas, EC2)",
    ),
    "InsufficientInstanceCapacity": (
        "capacity",
        "AWS has no capacity for this instance type here",
        "name more types or zones, or try again later",
    ),
    "Unsupported": ("capacity", "this instance type is not offered here: {said}", "name another type or zone"),
    "SpotMaxPriceTooLow": ("capacity", "AWS has no spot capacity at this price", "allow on-demand, or try again later"),
    "InvalidAMIID.NotFound": (
        "image",
        "there is no such AMI in this region: {said}",
        "name one of this region; an AMI id is valid in one region only",
    ),
    "InvalidAMIID.Malformed": ("image", "this is no AMI id: {said}", "an AMI id looks like ami-0123456789abcdef0"),
    "InvalidAMIID.Unavailable": ("image", "this AMI cannot be used now: {said}", "name another one"),
    "InvalidSubnetID.NotFound": (
        "network",
        "there is no such subnet in this region: {said}",
        "name one of this region",
    ),
    "InvalidSubnet": ("network", "this subnet cannot be used: {said}", "name another one"),
    "InsufficientFreeAddressesInSubnet": ("network", "the subnet has no free address", "name another subnet"),
    "InvalidGroup.NotFound": ("network", "there is no such security group: {said}", "name one of this VPC"),
    "InvalidGroupId.Malformed": (
        "network",
        "this is no security group: {said}",
        "an id looks like sg-0123456789abcdef0",
    ),
    "InvalidSecurityGroupID.NotFound": ("network", "there is no such security group: {said}", "name one of this VPC"),
    "VPCIdNotSpecified": ("network", "this account has no default VPC in this region", "name a subnet"),
    "MissingInput": ("network", "this account has no default subnet here: {said}", "name a subnet"),
    "InvalidKeyPair.NotFound": ("key", "there is no such key pair in this region: {said}", "import it first"),
    "InvalidInstanceType": ("type", "this is no instance type: {said}", "see aws ec2 describe-instance-types"),
    "InvalidParameterCombination": ("parameters", "AWS refuses this combination: {said}", "change the options"),
    "OperationNotPermitted": (
        "protected",
        "AWS does not permit {operation}: {said}",
        "take the termination protection off this instance (it is not set by us)",
    ),
    "IdempotentParameterMismatch": (
        "token",
        "this attempt was launched before with other parameters, and its instance cannot be seen",
        "run again in a minute, or take the environment down first",
    ),
}


def one_line(text: str, limit: int = 300) -> str:
    """AWS's message without the encoded blob of an authorisation failure, as one line."""
    head = text.partition("Encoded authorization failure message:")[0]
    flat = " ".join(head.split()).rstrip(". ")
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def explain(error: ApiError, where: str = "") -> FuelError:
    """The refusal for a person. `where` names the region, the instance or the candidates that were tried."""
    said = one_line(error.message)
    details = {"operation": error.operation, "aws_code": error.code, "aws_message": said, "tries": error.tries}
    if error.code in TABLE:
        code, message, hint = TABLE[error.code]
        facts = {"said": said, "operation": error.operation}
        return FuelError(
            message.format_map(facts),
            hint=hint.format_map(facts),
            where=where or None,
            code=f"ec2_{code}",
            details=details,
        )
    if error.code in UNREACHED:
        message, hint = f"AWS cannot be reached: {said}", "check the network, the region's name and the endpoint URL"
        return FuelError(message, hint=hint, where=where or None, code="ec2_unreachable", details=details)
    if error.code in UNANSWERED:
        many = f", asked {error.tries} times" if error.tries > 1 else ""
        message = f"AWS did not answer {error.operation} in time{many}"
        hint = "check the network and any proxy, then run again: what AWS has done already is found"
        return FuelError(message, hint=hint, where=where or None, code="ec2_no_answer", details=details)
    if error.code in THROTTLED or error.code in BROKEN:
        message = f"AWS did not serve {error.operation} in {error.tries} tries: {said or error.code}"
        hint = "try again in some minutes"
        return FuelError(message, hint=hint, where=where or None, code="ec2_busy", details=details)
    message = f"{error.operation} failed: {error.code}" + (f": {said}" if said else "")
    hint = "see AWS's error codes for EC2"
    return FuelError(message, hint=hint, where=where or None, code="ec2_refused", details=details)
