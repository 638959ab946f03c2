# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/audit-log: who changed what, and who was refused. For admins."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl.environments.clock import rfc3339
from fuelctl.server.account_types import AuditLogOut, AuditQuery
from fuelctl.server.parts import parts
from fuelctl.server.types import ProblemOut
from fuelctl.store import audit_log
from fuelctl.store.audit_log import Filter
from fuelctl.store.models import AuditRow

api = APIBlueprint(
    "audit_log", __name__, url_prefix="/api/audit-log", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut}
)


@api.get("", responses={200: AuditLogOut}, summary="Read the audit log")
def listing(query: AuditQuery) -> Response:
    """The newest first; with `after`, the oldest first from there on, for whoever keeps a copy elsewhere."""
    wanted = Filter(query.actor, query.action, query.object, query.outcome)
    with parts().core.database.read() as session:
        found = audit_log.page(session, wanted, before=query.before, after=query.after, limit=query.limit)
    cursor = found[-1].seq if len(found) == query.limit else None
    if query.after is not None:
        # Whoever follows asks again from where this page ends.
        cursor = found[-1].seq if found else query.after
    return jsonify(entries=[_view(row) for row in found], cursor=cursor)


def _view(row: AuditRow) -> dict[str, Any]:
    names = ("seq", "actor", "token_id", "address", "user_agent", "action", "object", "outcome", "before", "after")
    return {"at": rfc3339(row.at), **{name: getattr(row, name) for name in names}}
