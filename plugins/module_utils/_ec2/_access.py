# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Who may connect: one security group per owner and VPC, port 22 from single addresses, gone with the last machine."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Set

from .. import _identity
from .._errors import FuelError
from .._receipt import GONE, PRESENT, entry
from . import _refusals
from ._api import Api, ApiError
from ._view import Instance, read

#: AWS lets go of a group some seconds after the last interface that was in it.
PATIENCE = 60.0
#: Half-seconds for which a group that was just made may be unknown.
_TRIES = 20
#: How AWS says that there is no such group.
UNKNOWN = frozenset({"InvalidGroup.NotFound", "InvalidGroupId.NotFound", "InvalidSecurityGroupID.NotFound"})


def group_name(owner: str) -> str:
    """`fuel-code-remote-` and a digest: an owner may be called anything, a group may not."""
    return f"fuel-code-remote-{hashlib.sha256(owner.encode('utf-8')).hexdigest()[:16]}"


def rule(group_id: str, network: str) -> str:
    """How receipts and journals name a rule."""
    return f"{group_id} port 22 from {network}"


@dataclass
class Access:
    """What there is: the group, its VPC, the networks that are let in, and whether this run changed anything."""

    group_id: str
    vpc_id: str
    networks: List[str]
    changed: bool


def vpc_of(api: Api, subnet_ids: Sequence[str]) -> str:
    """The VPC of these subnets, or the region's default one; FuelError when there is none."""
    if subnet_ids:
        try:
            subnets = api.call("describe_subnets", SubnetIds=list(subnet_ids)).get("Subnets") or []
        except ApiError as error:
            raise _refusals.explain(error) from error
        found = {str(each["VpcId"]) for each in subnets}
        if len(found) != 1:
            raise FuelError(
                "the subnets are not of one VPC", hint="name subnets of one VPC", where=", ".join(subnet_ids)
            )
        return found.pop()
    try:
        vpcs = api.call("describe_vpcs", Filters=[{"Name": "is-default", "Values": ["true"]}]).get("Vpcs") or []
    except ApiError as error:
        raise _refusals.explain(error) from error
    if not vpcs:
        raise _refusals.explain(ApiError("DescribeVpcs", "VPCIdNotSpecified", ""))
    return str(vpcs[0]["VpcId"])


def find_group(api: Api, owner: str, vpc_id: Optional[str] = None) -> List[Dict[str, Any]]:
    """The owner's groups that are ours, in one VPC or in all of the region."""
    filters = [
        {"Name": "group-name", "Values": [group_name(owner)]},
        {"Name": f"tag:{_identity.TAG_MANAGED}", "Values": ["true"]},
    ]
    if vpc_id:
        filters.append({"Name": "vpc-id", "Values": [vpc_id]})
    try:
        return list(api.pages("describe_security_groups", "SecurityGroups", Filters=filters))
    except ApiError as error:
        raise _refusals.explain(error) from error


def networks_of(group: Dict[str, Any]) -> Set[str]:
    """Networks that port 22 of this group lets in."""
    return {
        str(each["CidrIp"])
        for permission in group.get("IpPermissions") or []
        if permission.get("IpProtocol") == "tcp" and (permission.get("FromPort"), permission.get("ToPort")) == (22, 22)
        for each in permission.get("IpRanges") or []
    }


def ensure(api: Api, owner: str, vpc_id: str, networks: Sequence[str], *, check: bool = False) -> Access:
    """The owner's group in this VPC, with port 22 open to these networks, besides those that were let in before."""
    groups = find_group(api, owner, vpc_id)
    changed = not groups
    if check:
        known = networks_of(groups[0]) if groups else set()
        missing = set(networks) - known
        return Access(groups[0]["GroupId"] if groups else "", vpc_id, sorted(known | missing), changed or bool(missing))
    group_id = str(groups[0]["GroupId"]) if groups else _create(api, owner, vpc_id)
    known = networks_of(groups[0]) if groups else set()
    for network in sorted(set(networks) - known):
        changed = _let_in(api, group_id, network) or changed
    return Access(group_id, vpc_id, sorted(known | set(networks)), changed)


def let_in_again(api: Api, group_ids: Sequence[str], networks: Sequence[str]) -> None:
    """Open port 22 of those of these groups that are ours to the networks that it has been closed to since."""
    filters = [
        {"Name": "group-id", "Values": list(group_ids)},
        {"Name": f"tag:{_identity.TAG_MANAGED}", "Values": ["true"]},
    ]
    for group in list(api.pages("describe_security_groups", "SecurityGroups", Filters=filters)):
        for network in sorted(set(networks) - networks_of(group)):
            _let_in(api, str(group["GroupId"]), network)


def _create(api: Api, owner: str, vpc_id: str) -> str:
    tags = {_identity.TAG_MANAGED: "true", _identity.TAG_OWNER: owner, "Name": group_name(owner)}
    try:
        made = api.call(
            "create_security_group",
            GroupName=group_name(owner),
            Description="Machines of fuel_code.remote: SSH from their owner's address",
            VpcId=vpc_id,
            TagSpecifications=[
                {
                    "ResourceType": "security-group",
                    "Tags": [{"Key": name, "Value": value} for name, value in sorted(tags.items())],
                }
            ],
        )
        return str(made["GroupId"])
    except ApiError as error:
        # A name is taken once per VPC: another run, or an earlier try of this call, was faster.
        if error.code != "InvalidGroup.Duplicate":
            raise _refusals.explain(error) from error
    groups = find_group(api, owner, vpc_id)
    if not groups:
        raise FuelError(
            "there is a security group of our name that does not carry our tag",
            hint="rename or remove it",
            where=f"{group_name(owner)} in {vpc_id}",
            code="ec2_foreign",
        )
    return str(groups[0]["GroupId"])


def _let_in(api: Api, group_id: str, network: str) -> bool:
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": network, "Description": "SSH from the owner of the environment"}],
    }
    for _try in range(_TRIES):
        answer = _attempt(api, group_id, permission)
        if answer is not None:
            return answer
        time.sleep(0.5)
    raise _refusals.explain(ApiError("AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound", group_id), group_id)


def _attempt(api: Api, group_id: str, permission: Dict[str, Any]) -> Optional[bool]:
    """Whether the rule was added; None while the group, which was just made, is not known everywhere yet."""
    try:
        api.call("authorize_security_group_ingress", GroupId=group_id, IpPermissions=[permission])
    except ApiError as error:
        if error.code == "InvalidPermission.Duplicate":
            return False
        if error.code in UNKNOWN:
            return None
        raise _refusals.explain(error, group_id) from error
    return True


def living(api: Api, owner: str) -> List[Instance]:
    """The owner's machines that have not ended."""
    filters = [
        {"Name": f"tag:{_identity.TAG_MANAGED}", "Values": ["true"]},
        {"Name": f"tag:{_identity.TAG_OWNER}", "Values": [owner]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    reservations = api.pages("describe_instances", "Reservations", Filters=filters)
    return [read(each) for reservation in reservations for each in reservation.get("Instances") or []]


def delete(
    api: Api,
    group: Dict[str, Any],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> List[Dict[str, str]]:
    """Remove a group in which nothing is any more, with its rules; each as an entry of a receipt."""
    group_id, begun = str(group["GroupId"]), clock()
    detail = ""
    while True:
        try:
            api.call("delete_security_group", GroupId=group_id)
            break
        except ApiError as error:
            if error.code in UNKNOWN:
                break
            if error.code not in ("DependencyViolation", "InvalidGroup.InUse"):
                raise _refusals.explain(error, group_id) from error
            if clock() - begun > PATIENCE:
                detail = "something is still in it"
                break
        sleep(1.0)
    left = describe_group(api, group_id)
    state = PRESENT if left else GONE
    rules = [
        entry("ingress_rule", rule(group_id, network), PRESENT if network in left else GONE)
        for network in sorted(networks_of(group))
    ]
    return [*rules, entry("security_group", group_id, state, detail)]


def describe_group(api: Api, group_id: str) -> Set[str]:
    """Networks that it lets in, or a word for none, while it is there; empty when it is gone."""
    filters = [{"Name": "group-id", "Values": [group_id]}]
    found = list(api.pages("describe_security_groups", "SecurityGroups", Filters=filters))
    return (networks_of(found[0]) or {"nobody"}) if found else set()
