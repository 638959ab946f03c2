# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What RunInstances is asked: pure, and the same bytes for the same plan, as its client token demands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from .. import _identity
from .._errors import UsageError
from . import _tags

SPOT = "spot"
ON_DEMAND = "on-demand"
#: AWS's limit, before base64.
USER_DATA_LIMIT = 16384


@dataclass(frozen=True)
class Candidate:
    """One thing to ask for; `subnet` and `zone` are empty where AWS is to choose."""

    instance_type: str
    market: str = ON_DEMAND
    subnet: str = ""
    zone: str = ""

    def __str__(self) -> str:
        place = self.subnet or self.zone
        return self.instance_type + (f" in {place}" if place else "") + (" (spot)" if self.market == SPOT else "")


@dataclass(frozen=True)
class Plan:
    """A machine as it is wanted. Times are epoch seconds, sizes GiB."""

    environment_id: str
    owner: str
    image_id: str
    root_device: str
    candidates: Sequence[Candidate]
    name: str = ""
    expires_at: Optional[int] = None
    key_name: str = ""
    security_groups: Sequence[str] = ()
    #: Networks that are let in because of this machine.
    let_in: Sequence[str] = ()
    user_data: str = ""
    disk_gb: int = 30
    kms_key: str = ""
    instance_profile: str = ""
    public_address: Optional[bool] = None


def candidates(types: Sequence[str], subnets: Sequence[str], zones: Sequence[str], spot: bool) -> List[Candidate]:
    """In the order in which they are tried: spot before on-demand, then the types as given, each in every place.

    Subnets settle the zones, so zones count only without subnets.
    """
    places = [(subnet, "") for subnet in subnets] if subnets else [("", zone) for zone in zones]
    return [
        Candidate(instance_type=each, market=market, subnet=subnet, zone=zone)
        for market in ([SPOT, ON_DEMAND] if spot else [ON_DEMAND])
        for each in types
        for subnet, zone in (places or [("", "")])
    ]


def token(environment_id: str, attempt: int) -> str:
    """The client token of this attempt's instance."""
    return _identity.idempotency_token(environment_id, attempt, "instance")


def tags(plan: Plan) -> Dict[str, str]:
    """On the instance, its volume and its network interface, from the moment they exist."""
    made = _identity.labels(plan.environment_id, plan.owner)
    made["Name"] = f"fuel-code-{plan.name}" if plan.name else f"fuel-code-{plan.environment_id.lower()}"
    if plan.expires_at is not None:
        made[_tags.EXPIRES_AT] = _tags.stamp(plan.expires_at)
    for name, value in made.items():
        if len(value) > _tags.LONGEST:
            raise UsageError(f"the tag {name} would have {len(value)} characters", hint="AWS takes at most 256")
    return made


def parameters(plan: Plan, candidate: Candidate, attempt: int) -> Dict[str, Any]:
    """Keyword arguments of boto3's `run_instances`; UsageError for what AWS would refuse anyway."""
    if len(plan.user_data.encode("utf-8")) > USER_DATA_LIMIT:
        raise UsageError("user-data is larger than 16 KiB", hint="do the rest over SSH")
    disk: Dict[str, Any] = {
        "VolumeType": "gp3",
        "VolumeSize": plan.disk_gb,
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    if plan.kms_key:
        disk["KmsKeyId"] = plan.kms_key
    tagged = [{"Key": name, "Value": value} for name, value in sorted(tags(plan).items())]
    let_in = [{"Key": _tags.LET_IN, "Value": _tags.let_in(plan.let_in)}] if plan.let_in else []
    kinds = ["instance", "network-interface", "volume"]
    asked: Dict[str, Any] = {
        "ClientToken": token(plan.environment_id, attempt),
        "ImageId": plan.image_id,
        "InstanceType": candidate.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        # Power-off inside is the watchdog's last word: it must end the costs.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "BlockDeviceMappings": [{"DeviceName": plan.root_device, "Ebs": disk}],
        # One hop: the container on the machine gets no answer from the metadata service.
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "disabled",
        },
    }
    if candidate.market == SPOT:
        kinds.append("spot-instances-request")
        asked["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        }
    asked["TagSpecifications"] = [
        {"ResourceType": kind, "Tags": tagged + (let_in if kind == "instance" else [])} for kind in kinds
    ]
    if candidate.zone:
        asked["Placement"] = {"AvailabilityZone": candidate.zone}
    if plan.key_name:
        asked["KeyName"] = plan.key_name
    if plan.user_data:
        asked["UserData"] = plan.user_data
    if plan.instance_profile:
        kind = "Arn" if plan.instance_profile.startswith("arn:") else "Name"
        asked["IamInstanceProfile"] = {kind: plan.instance_profile}
    asked.update(_network(plan, candidate))
    return asked


def _network(plan: Plan, candidate: Candidate) -> Dict[str, Any]:
    """Subnet and groups, inside an interface of our own only where AWS takes the address option nowhere else."""
    groups = list(plan.security_groups)
    if plan.public_address is None:
        made: Dict[str, Any] = {"SubnetId": candidate.subnet} if candidate.subnet else {}
        if groups:
            made["SecurityGroupIds"] = groups
        return made
    interface: Dict[str, Any] = {
        "DeviceIndex": 0,
        "AssociatePublicIpAddress": plan.public_address,
        "DeleteOnTermination": True,
    }
    if candidate.subnet:
        interface["SubnetId"] = candidate.subnet
    if groups:
        interface["Groups"] = groups
    return {"NetworkInterfaces": [interface]}
