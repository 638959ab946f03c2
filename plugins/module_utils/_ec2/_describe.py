# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Asking AWS what there is. What it does not say is no proof: Describe lags behind by seconds."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence

from .. import _identity
from ._api import Api
from ._view import Instance, read

#: AWS takes this many values in one filter.
FILTER_VALUES = 200


def chunks(values: Sequence[str], size: int = FILTER_VALUES) -> List[List[str]]:
    """The values in their order, at most `size` together."""
    return [list(values[start : start + size]) for start in range(0, len(values), size)]


def of_environments(environment_ids: Sequence[str]) -> List[Dict[str, Any]]:
    """The filter for everything that we made for these environments."""
    return [
        {"Name": f"tag:{_identity.TAG_MANAGED}", "Values": ["true"]},
        {"Name": f"tag:{_identity.TAG_ENVIRONMENT}", "Values": list(environment_ids)},
    ]


def instances_of(api: Api, environment_ids: Sequence[str]) -> List[Instance]:
    """Every instance that carries these environments' tags, dead ones included as long as AWS shows them."""
    return [each for ids in chunks(environment_ids) for each in _instances(api, Filters=of_environments(ids))]


def managed(api: Api) -> List[Instance]:
    """Every instance of the region that carries our tag."""
    return _instances(api, Filters=[{"Name": f"tag:{_identity.TAG_MANAGED}", "Values": ["true"]}])


def instances_by_id(api: Api, instance_ids: Sequence[str]) -> Dict[str, Instance]:
    """Those that AWS knows, by a filter: one unknown id among `InstanceIds` fails the whole call."""
    found: Dict[str, Instance] = {}
    for ids in chunks(instance_ids):
        for each in _instances(api, Filters=[{"Name": "instance-id", "Values": ids}]):
            found[each.instance_id] = each
    return found


def instances_by_token(api: Api, token: str) -> List[Instance]:
    """Those that a launch with this client token made."""
    return _instances(api, Filters=[{"Name": "client-token", "Values": [token]}])


def launched(answer: Mapping[str, Any]) -> Instance:
    """The instance in RunInstances' answer."""
    return read(answer["Instances"][0])


def _instances(api: Api, **parameters: Any) -> List[Instance]:
    reservations: Iterable[Dict[str, Any]] = api.pages("describe_instances", "Reservations", **parameters)
    return [read(each) for reservation in reservations for each in reservation.get("Instances") or []]
