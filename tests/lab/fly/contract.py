# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the Machines API that is used here: each operation under the id that the published description has.

Held to the description by a test: published.yml has its facts, conformance.py the differences that are known and their
reasons, which come from the resource pages of https://fly.io/docs/machines/api/ and Fly.io's own Go client.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """One call. `sends` and `answers` are the names of fields at the top; `answers` of one item where it is a list."""

    id: str
    method: str
    path: str
    sends: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    many: bool = False
    #: Fields under which the wire has what the description shows at the top.
    wrapped: str = ""
    status: int = 200


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_APP = _names("id name network status organization machine_count volume_count")
_MACHINE = _names(
    "id name state region instance_id version private_ip config image_ref created_at updated_at events checks"
    " host_status cordoned"
)
_LAUNCH = _names("name region config skip_launch lease_ttl min_secrets_version skip_secrets skip_service_registration")
_EVENT = _names("id type status source timestamp request")
_LEASE = _names("nonce expires_at owner description version")
_VOLUME = _names(
    "id name state size_gb region zone encrypted attached_machine_id attached_alloc_id created_at blocks block_size"
    " blocks_free blocks_avail fstype snapshot_retention auto_backup_enabled host_status"
)
_NEW_VOLUME = _names(
    "name region size_gb encrypted fstype snapshot_id source_volume_id snapshot_retention auto_backup_enabled compute"
    " require_unique_zone"
)
_SECRET = _names("name digest created_at updated_at")
_SNAPSHOT = _names("id status size volume_size digest created_at retention_days")
_ADDRESS = _names("ip region service_name shared created_at")
_A, _M, _V = "/apps/{app_name}", "/apps/{app_name}/machines/{machine_id}", "/apps/{app_name}/volumes/{volume_id}"
_S = "/apps/{app_name}/secrets"

OPERATIONS = (
    Operation("Apps_list", "GET", "/apps", query=_names("org_slug app_role"), answers=_names("apps total_apps")),
    Operation(
        "Apps_create",
        "POST",
        "/apps",
        _names("name app_name org_slug network idempotency_key"),
        _names("id created_at"),
        status=201,
    ),
    Operation("Apps_show", "GET", _A, answers=_APP),
    Operation("Apps_delete", "DELETE", _A, query=_names("force"), status=202),
    Operation("App_IPAssignments_list", "GET", f"{_A}/ip_assignments", answers=_names("ips")),
    Operation(
        "App_IPAssignments_create",
        "POST",
        f"{_A}/ip_assignments",
        _names("type region org_slug network service_name"),
        _ADDRESS,
    ),
    Operation("App_IPAssignments_delete", "DELETE", f"{_A}/ip_assignments/{{ip}}", status=204),
    Operation(
        "Machines_list",
        "GET",
        f"{_A}/machines",
        query=_names("include_deleted include_leases region state summary metadata.{key} cursor limit"),
        answers=_MACHINE,
        many=True,
    ),
    Operation("Machines_create", "POST", f"{_A}/machines", _LAUNCH, _MACHINE),
    Operation("Machines_show", "GET", _M, answers=_MACHINE, query=_names("version include_leases")),
    Operation("Machines_update", "POST", _M, _LAUNCH | {"current_version"}, _MACHINE),
    Operation("Machines_delete", "DELETE", _M, query=_names("force")),
    Operation("Machines_start", "POST", f"{_M}/start"),
    Operation("Machines_stop", "POST", f"{_M}/stop", _names("signal timeout")),
    Operation("Machines_suspend", "POST", f"{_M}/suspend"),
    Operation("Machines_signal", "POST", f"{_M}/signal", _names("signal")),
    Operation("Machines_cordon", "POST", f"{_M}/cordon"),
    Operation("Machines_uncordon", "POST", f"{_M}/uncordon"),
    Operation(
        "Machines_wait",
        "GET",
        f"{_M}/wait",
        query=_names("state instance_id version timeout from_event_id"),
        answers=_names("ok state version event_id"),
    ),
    Operation(
        "Machines_exec",
        "POST",
        f"{_M}/exec",
        _names("command cmd stdin timeout container"),
        _names("exit_code exit_signal stdout stderr"),
    ),
    Operation("Machines_list_events", "GET", f"{_M}/events", answers=_EVENT, many=True, query=_names("limit")),
    Operation("Machines_list_versions", "GET", f"{_M}/versions", answers=_names("version user_config"), many=True),
    Operation("Machines_show_metadata", "GET", f"{_M}/metadata"),
    Operation(
        "Machines_update_metadata", "PATCH", f"{_M}/metadata", _names("metadata machine_version updated_at"), status=204
    ),
    Operation("Machines_get_metadata_key", "GET", f"{_M}/metadata/{{key}}", answers=_names("value")),
    Operation("Machines_upsert_metadata", "POST", f"{_M}/metadata/{{key}}", _names("value updated_at"), status=204),
    Operation("Machines_delete_metadata", "DELETE", f"{_M}/metadata/{{key}}", status=204),
    Operation("Machines_show_lease", "GET", f"{_M}/lease", answers=_LEASE, wrapped="data"),
    Operation(
        "Machines_create_lease",
        "POST",
        f"{_M}/lease",
        _names("ttl description"),
        _LEASE,
        query=_names("ttl"),
        wrapped="data",
        status=201,
    ),
    Operation("Machines_release_lease", "DELETE", f"{_M}/lease"),
    Operation("Secrets_list", "GET", _S, answers=_names("secrets"), query=_names("min_version show_secrets")),
    Operation("Secrets_update", "POST", _S, _names("values"), _names("secrets version")),
    Operation("Secret_get", "GET", f"{_S}/{{secret_name}}", answers=_SECRET, query=_names("min_version show_secrets")),
    Operation("Secret_create", "POST", f"{_S}/{{secret_name}}", _names("value"), _SECRET | {"version"}, status=201),
    Operation("Secret_delete", "DELETE", f"{_S}/{{secret_name}}", answers=_names("version")),
    Operation("Volumes_list", "GET", f"{_A}/volumes", answers=_VOLUME, many=True, query=_names("summary")),
    Operation("Volumes_create", "POST", f"{_A}/volumes", _NEW_VOLUME, _VOLUME),
    Operation("Volumes_get_by_id", "GET", _V, answers=_VOLUME),
    Operation("Volumes_update", "PUT", _V, _names("snapshot_retention auto_backup_enabled"), _VOLUME),
    Operation("Volume_delete", "DELETE", _V, answers=_VOLUME),
    Operation("Volumes_extend", "PUT", f"{_V}/extend", _names("size_gb"), _names("volume needs_restart")),
    Operation("Volumes_list_snapshots", "GET", f"{_V}/snapshots", answers=_SNAPSHOT, many=True),
    Operation("createVolumeSnapshot", "POST", f"{_V}/snapshots"),
    Operation(
        "Machines_org_list",
        "GET",
        "/orgs/{org_slug}/machines",
        query=_names("include_deleted region state summary updated_after cursor limit"),
        answers=_names("machines next_cursor error_regions last_machine_id last_updated_at"),
    ),
)
