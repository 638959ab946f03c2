# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Whose rule is whose: an owner's machines share a group, and each says by its tag which networks it is entered from.

A rule goes as soon as no machine says so any more. A machine that says nothing may need all of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Sequence, Set

from .. import _identity
from .._errors import FuelError
from .._receipt import GONE, PRESENT, entry
from . import _access, _describe, _refusals, _tags
from ._api import Api, ApiError
from ._view import Instance


@dataclass
class Moved:
    """What there is afterwards: the group, the networks of this environment, those that were let in for others too."""

    group_id: str
    vpc_id: str
    networks: List[str]
    all_networks: List[str]
    changed: bool


def move(api: Api, environment_id: str, networks: Iterable[str], *, keep: bool, check: bool = False) -> Moved:
    """Let these in to the environment's machine; with `keep` besides, otherwise instead of those that it was for.

    Its tag says first what is about to be let in, and last what no longer is: whoever is killed in between leaves no
    rule that nobody knows of. FuelError when the machine is not there.
    """
    machine = _machine(api, environment_id)
    owner = machine.tags.get(_identity.TAG_OWNER, "")
    [group] = _access.find_group(api, owner, machine.vpc_id) or [{}]
    if not group:
        raise FuelError(
            "the machine's security group is not there, so nobody can be let in",
            hint="see it in the EC2 console, or take the environment down",
            where=machine.instance_id,
            code="ec2_network",
        )
    group_id, before = str(group["GroupId"]), _tags.needs(machine.tags)
    wanted = set(networks) | (before or set() if keep else set())
    known = _access.networks_of(group)
    stale = (before or set()) - wanted
    changed = bool(wanted - known) or (before is not None and before != wanted)
    moved = Moved(group_id, machine.vpc_id, sorted(wanted), sorted(known | wanted), changed)
    if check:
        return moved
    if before is not None and wanted - before:
        _tags.put(api, [machine.instance_id], {_tags.LET_IN: _tags.let_in(before | wanted)})
    _access.ensure(api, owner, machine.vpc_id, sorted(wanted))
    # What a machine that says nothing was let in from before is not known: it stays as long as the group.
    if stale:
        revoked = revoke(api, group, stale - _others_need(api, owner, machine, known))
        _tags.put(api, [machine.instance_id], {_tags.LET_IN: _tags.let_in(wanted)})
        if stale - revoked:
            # Two that move at once each find the other needing what both are about to leave: the last one sees it.
            revoked |= revoke(api, group, stale - revoked - _others_need(api, owner, machine, known))
        moved.all_networks = sorted((known | wanted) - revoked)
    return moved


def release(
    api: Api,
    owner: str,
    had: Sequence[Instance] = (),
    *,
    check: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> "tuple[bool, List[Dict[str, str]]]":
    """Close the door behind machines that have ended (`had`): the owner's groups go with their last machine.

    As long as there is another one, the group is that one's and no part of the receipt; the rules go that were for
    these alone. Returns (changed, receipt lines).
    """
    try:
        groups = _access.find_group(api, owner)
        alive = _access.living(api, owner) if groups else []
        if alive:
            return _close(api, groups, alive, had, check=check)
        if check:
            return bool(groups), []
        return bool(groups), [line for group in groups for line in _access.delete(api, group, clock, sleep)]
    except ApiError as error:
        raise _refusals.explain(error) from error


def _close(
    api: Api, groups: Sequence[Dict[str, Any]], alive: Sequence[Instance], had: Sequence[Instance], *, check: bool
) -> "tuple[bool, List[Dict[str, str]]]":
    changed = False
    lines: List[Dict[str, str]] = []
    for group in groups:
        ended = [each for each in had if each.vpc_id in ("", group["VpcId"])]
        theirs: Set[str] = set().union(*(_tags.needs(each.tags) or set() for each in ended))
        # Rules that no machine tells of go too: of a launch that failed, of a machine that AWS does not show any more.
        theirs |= _access.networks_of(group)
        mine = theirs - needed(alive, theirs)
        present = mine & _access.networks_of(group)
        changed = changed or bool(present)
        if check or not mine:
            continue
        revoke(api, group, present)
        left = _access.describe_group(api, str(group["GroupId"]))
        lines += [
            entry("ingress_rule", _access.rule(str(group["GroupId"]), each), PRESENT if each in left else GONE)
            for each in sorted(mine)
        ]
    return changed, lines


def _others_need(api: Api, owner: str, machine: Instance, candidates: Set[str]) -> Set[str]:
    others = [each for each in _access.living(api, owner) if each.instance_id != machine.instance_id]
    return needed(others, candidates)


def needed(alive: Sequence[Instance], candidates: Set[str]) -> Set[str]:
    """Those of the networks that one of these machines may be entered from."""
    said = [_tags.needs(each.tags) for each in alive]
    return set().union(*(candidates if each is None else each for each in said))


def revoke(api: Api, group: Dict[str, Any], networks: Set[str]) -> Set[str]:
    """Close port 22 to them; those that are gone already are fine."""
    for network in sorted(networks & _access.networks_of(group)):
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": network}]}
        try:
            api.call("revoke_security_group_ingress", GroupId=group["GroupId"], IpPermissions=[permission])
        except ApiError as error:
            if error.code != "InvalidPermission.NotFound" and error.code not in _access.UNKNOWN:
                raise _refusals.explain(error, str(group["GroupId"])) from error
    return networks


def _machine(api: Api, environment_id: str) -> Instance:
    try:
        found = _describe.instances_of(api, [environment_id])
    except ApiError as error:
        raise _refusals.explain(error) from error
    for each in found:
        if not each.dead:
            return each
    ended = [each for each in found if each.reason]
    raise FuelError(
        f"its machine has ended: {_refusals.one_line(ended[-1].reason_text or ended[-1].reason)}"
        if ended
        else "AWS shows no machine of this environment",
        hint="see fuelctl status, or take the environment down",
        where=environment_id,
        code="ec2_ended" if ended else "ec2_not_found",
    )
