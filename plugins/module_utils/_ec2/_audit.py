# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Everything in a region that carries our tag, by environment: instances, and what outlives them when an end broke off.

An entry: {environment_id, owner, name, region, account, shared, since, expires_at, login, machines, resources}; times
are epoch seconds or None, resources [{kind, name, state}]. `shared` are an owner's security groups which no machine of
theirs needs any more. Their environment id is computed from owner and region, so that an end by this id finds them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from .. import _identity
from .._errors import FuelError, UsageError
from . import _describe, _refusals
from ._api import Api, ApiError
from ._tags import EXPIRES_AT, moment
from ._view import Instance, machine

_OURS = [{"Name": f"tag:{_identity.TAG_MANAGED}", "Values": ["true"]}]
_AT_ONCE = 8
_PREFIX = "fuel-code-"


def regions(api: Api) -> List[str]:
    """Every region that the account can use."""
    try:
        answer = api.call("describe_regions")
    except ApiError as error:
        raise _refusals.explain(error) from error
    return sorted(str(each["RegionName"]) for each in answer.get("Regions") or [])


def audit(apis: Mapping[str, Api], account: str) -> Tuple[List[Dict[str, Any]], List[Dict[str, Any]]]:
    """(entries, problems) of these regions, asked beside each other; a problem: {region, message, hint, code}."""

    def ask(region: str) -> Tuple[List[Dict[str, Any]], List[Dict[str, Any]]]:
        try:
            return audit_region(apis[region], region, account), []
        except FuelError as error:
            told = {"message": error.message, "hint": error.hint, "code": error.code}
            return [], [{"region": region, **told}]

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        answers = list(pool.map(ask, sorted(apis)))
    return [one for found, _bad in answers for one in found], [one for _found, bad in answers for one in bad]


def audit_region(api: Api, region: str, account: str) -> List[Dict[str, Any]]:
    """The entries of one region, sorted; FuelError when it cannot be asked."""
    try:
        instances = [each for each in _describe.managed(api) if each.state != "terminated"]
        volumes = list(api.pages("describe_volumes", "Volumes", Filters=_OURS))
        interfaces = list(api.pages("describe_network_interfaces", "NetworkInterfaces", Filters=_OURS))
        groups = list(api.pages("describe_security_groups", "SecurityGroups", Filters=_OURS))
    except ApiError as error:
        raise _refusals.explain(error, region) from error
    book = _Book(region, account)
    for instance in instances:
        book.instance(instance)
    for each in volumes:
        if each.get("State") != "deleted":
            made = each["CreateTime"].timestamp() if each.get("CreateTime") else None
            book.add(_tags(each.get("Tags")), "volume", each["VolumeId"], str(each.get("State") or ""), made)
    for each in interfaces:
        tags = _tags(each.get("TagSet") or each.get("Tags"))
        book.add(tags, "network interface", each["NetworkInterfaceId"], str(each.get("Status") or ""), None)
    needed = {instance.tags.get(_identity.TAG_OWNER, "") for instance in instances}
    for each in groups:
        owner = _tags(each.get("Tags")).get(_identity.TAG_OWNER, "")
        book.group(owner, each["GroupId"], needed=owner in needed)
    return book.entries()


def add_keys(
    found: List[Dict[str, Any]], kept: Mapping[str, Mapping[str, float]], place: Mapping[str, str], *, everywhere: bool
) -> List[Dict[str, Any]]:
    """The entries with the keys that are kept in S3 (environment id -> URL -> epoch seconds).

    Keys of an environment of which nothing else was found make an entry of their own only if every region was asked
    (`everywhere`): otherwise its machine may run where nobody looked.

    :param place: the bucket's region, and the account.
    """
    book = _Book(place["region"], place["account"])
    for environment_id, objects in sorted(kept.items()):
        lines = [{"kind": "key_object", "name": url, "state": "stored"} for url in sorted(objects)]
        theirs = [one for one in found if one["environment_id"] == environment_id]
        if theirs:
            theirs[0]["resources"] += lines
        elif everywhere:
            for line in lines:
                tags = {_identity.TAG_ENVIRONMENT: environment_id}
                book.add(tags, line["kind"], line["name"], line["state"], objects[line["name"]])
    return found + book.entries()


class _Book:
    """Entries of one region while they are put together."""

    def __init__(self, region: str, account: str) -> None:
        self._place = {"region": region, "account": account}
        self._found: Dict[Tuple[str, str], Dict[str, Any]] = {}

    def add(self, tags: Mapping[str, str], kind: str, name: str, state: str, since: Optional[float]) -> Dict[str, Any]:
        """One resource, with the environment that its tags say."""
        raw = tags.get(_identity.TAG_ENVIRONMENT, "")
        try:
            one_id, called = _identity.check_environment_id(raw), _name(tags.get("Name", ""))
        except UsageError:
            # No environment of ours has such an id: it is told of, and nothing is ended by it.
            one_id, called = "", raw
        one = self._entry(one_id, called, tags.get(_identity.TAG_OWNER, ""))
        one["resources"].append({"kind": kind, "name": name, "state": state})
        one["expires_at"] = one["expires_at"] or moment(tags.get(EXPIRES_AT, ""))
        known = [each for each in (one["since"], since) if each is not None]
        one["since"] = min(known) if known else None
        return one

    def instance(self, instance: Instance) -> None:
        """An instance that has not ended."""
        one = self.add(instance.tags, "instance", instance.instance_id, instance.state, instance.launched_at)
        one["machines"].append(machine(instance, 0, "public"))

    def group(self, owner: str, group_id: str, *, needed: bool) -> None:
        """An owner's security group: it is that of their machines, as long as there is one."""
        line = {"kind": "security_group", "name": group_id, "state": "in use" if needed else "left"}
        theirs = [one for one in self._found.values() if one["owner"] == owner and one["machines"]]
        if needed and theirs:
            theirs[0]["resources"].append(line)
            return
        one_id = _identity.environment_id_for(owner, f"access/{self._place['region']}")
        one = self._entry(one_id, "access", owner)
        one["shared"] = True
        one["resources"].append(line)

    def entries(self) -> List[Dict[str, Any]]:
        """In an order that does not depend on AWS's."""
        return [self._found[key] for key in sorted(self._found)]

    def _entry(self, one_id: str, name: str, owner: str) -> Dict[str, Any]:
        empty: Dict[str, Any] = {"environment_id": one_id, "owner": owner, "name": name, **self._place, "shared": False}
        empty.update({"since": None, "expires_at": None, "login": None, "machines": [], "resources": []})
        # Of what has no proper id, each strange id is an entry for itself.
        return self._found.setdefault((one_id, name if not one_id else ""), empty)


def _tags(given: Optional[Iterable[Mapping[str, str]]]) -> Dict[str, str]:
    return {each["Key"]: each["Value"] for each in given or []}


def _name(tag: str) -> str:
    """What the environment is called, as its machine's tag `Name` says it."""
    try:
        return _identity.check_environment_name(tag[len(_PREFIX) :] if tag.startswith(_PREFIX) else "")
    except UsageError:
        return ""
