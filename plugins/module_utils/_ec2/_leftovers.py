# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What an instance had, asked for once it is gone: the rest of the receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List, Sequence, Set

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


def confirm(api: Api, kind: Kind, ending: "Ending", had: Sequence[str]) -> List[Dict[str, str]]:
    """Ask for what the instances had and for what carries the tags, until it is gone or time is up: receipt entries.

    What nothing holds any more is deleted: an end that was interrupted half-way may have left it.
    """
    expected: Set[str] = set(had)
    begun = ending.clock()
    while True:
        present = _present(api, kind, ending, sorted(expected))
        expected |= set(present)
        if not present or ending.clock() - begun > min(ending.timeout, PATIENCE):
            break
        for name in sorted(name for name, state in present.items() if state == "available"):
            _delete(api, kind, name)
        ending.sleep(ending.interval)
    return [
        {
            "kind": kind.name,
            "name": name,
            "state": "present" if name in present else "gone",
            "detail": present.get(name, ""),
        }
        for name in sorted(expected)
    ]


def _present(api: Api, kind: Kind, ending: "Ending", names: Sequence[str]) -> Dict[str, str]:
    """Those that carry these environments' tags, or are named: id to state."""
    filters = [_describe.of_environments(ids) for ids in _describe.chunks(ending.environment_ids)]
    filters += [[{"Name": kind.id_filter, "Values": ids}] for ids in _describe.chunks(names)]
    try:
        found = {
            each[kind.id_key]: str(each.get(kind.state_key, ""))
            for each_filter in filters
            for each in api.pages(kind.describe, kind.key, Filters=each_filter)
        }
    except ApiError as error:
        raise _refusals.explain(error) from error
    return {name: state for name, state in found.items() if state != "deleted"}


def _delete(api: Api, kind: Kind, name: str) -> None:
    try:
        api.call(kind.delete, **{kind.id_key: name})
    except ApiError as error:
        # Gone in the meantime, or still held by an instance on its way out: the next look says which.
        if not (error.code.endswith((".NotFound", ".InUse")) or error.code == "VolumeInUse"):
            raise _refusals.explain(error, name) from error
