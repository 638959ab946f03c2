# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What an instance had, asked for once it is gone: the rest of the receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .. import _identity
from . import _describe, _refusals
from ._api import Api, ApiError

if TYPE_CHECKING:
    from ._terminate import Ending

#: AWS takes its time to delete them after the instance.
PATIENCE = 30.0


@dataclass(frozen=True)
class Kind:
    """How AWS speaks of one kind; `attribute` is where Instance keeps the ids."""

    name: str
    attribute: str
    describe: str
    key: str
    id_key: str
    state_key: str
    id_filter: str
    delete: str


KINDS = (
    Kind(
        name="volume",
        attribute="volumes",
        describe="describe_volumes",
        key="Volumes",
        id_key="VolumeId",
        state_key="State",
        id_filter="volume-id",
        delete="delete_volume",
    ),
    Kind(
        name="network interface",
        attribute="interfaces",
        describe="describe_network_interfaces",
        key="NetworkInterfaces",
        id_key="NetworkInterfaceId",
        state_key="Status",
        id_filter="network-interface-id",
        delete="delete_network_interface",
    ),
)


def confirm(api: Api, kind: Kind, ending: "Ending", had: Mapping[str, str]) -> List[Tuple[str, Dict[str, str]]]:
    """Ask for what the instances had and for what carries the tags, until it is gone or time is up.

    What nothing holds any more is deleted: an end that was interrupted half-way may have left it.

    :param had: id of each thing that an instance had -> environment id.
    :returns: (environment id, receipt entry) for each thing.
    """
    owners: Dict[str, str] = dict(had)
    begun = ending.clock()
    while True:
        present = _present(api, kind, ending, sorted(owners))
        for name, found in present.items():
            owners[name] = owners.get(name) or environment_of(found)
        if not present or ending.clock() - begun > min(ending.timeout, PATIENCE):
            break
        for name in sorted(name for name, found in present.items() if found.get(kind.state_key) == "available"):
            _delete(api, kind, name)
        ending.sleep(ending.interval)
    return [(owners[name], _entry(kind, name, present.get(name))) for name in sorted(owners)]


def environment_of(described: Mapping[str, Any]) -> str:
    """The environment that a volume or an interface says it belongs to; empty without our tag."""
    tags = described.get("Tags") or described.get("TagSet") or []
    return next((str(each["Value"]) for each in tags if each["Key"] == _identity.TAG_ENVIRONMENT), "")


def _entry(kind: Kind, name: str, found: Optional[Mapping[str, Any]]) -> Dict[str, str]:
    if found is None:
        return {"kind": kind.name, "name": name, "state": "gone", "detail": ""}
    return {"kind": kind.name, "name": name, "state": "present", "detail": str(found.get(kind.state_key, ""))}


def _present(api: Api, kind: Kind, ending: "Ending", names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """Those that carry these environments' tags, or are named: id to what AWS says of it."""
    filters = [_describe.of_environments(ids) for ids in _describe.chunks(ending.environment_ids)]
    filters += [[{"Name": kind.id_filter, "Values": ids}] for ids in _describe.chunks(names)]
    try:
        found = {
            str(each[kind.id_key]): each
            for each_filter in filters
            for each in api.pages(kind.describe, kind.key, Filters=each_filter)
        }
    except ApiError as error:
        raise _refusals.explain(error) from error
    return {name: each for name, each in found.items() if each.get(kind.state_key) != "deleted"}


def _delete(api: Api, kind: Kind, name: str) -> None:
    try:
        api.call(kind.delete, **{kind.id_key: name})
    except ApiError as error:
        # Gone in the meantime, or still held by an instance on its way out: the next look says which.
        if not (error.code.endswith((".NotFound", ".InUse")) or error.code == "VolumeInUse"):
            raise _refusals.explain(error, name) from error
