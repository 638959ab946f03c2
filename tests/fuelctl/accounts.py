# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's server in a test: its users with their tokens, and requests on their behalf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient

from fuelctl.accounts import tokens, users
from fuelctl.accounts.roles import Role, Scope
from fuelctl.environments.core import Core
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from tests.fuelctl.api import BODY, SMALL, Started


@dataclass
class Team:
    """`http` is reached over TCP, as strangers reach it."""

    core: Core
    started: Started
    http: FlaskClient
    known: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, role: Role) -> str:
        """A user; their token, with scope `all`."""
        self.known[name] = users.add(self.core, name, role, days=90).text
        return self.known[name]

    def token(self, name: str, scope: Scope, days: float = 90) -> str:
        """Another token of this user."""
        with self.core.write() as session:
            user = users.existing(session, name)
            return tokens.issue(self.core, session, user, name=str(scope), scope=scope, days=days).text

    def ask(self, who: str, method: str, path: str, **fields: Any) -> Any:
        """An answer; `who` is a user's name, or a token."""
        token = self.known.get(who, who)
        headers: Mapping[str, str] = fields.pop("headers", {})
        return self.http.open(path, method=method, headers={"Authorization": f"Bearer {token}", **headers}, **fields)

    def make(self, who: str, **fields: Any) -> dict[str, Any]:
        """An environment of this user's."""
        answer = self.ask(who, "POST", "/api/remote", json={**BODY, **fields})
        assert answer.status_code == 202, answer.json
        found: dict[str, Any] = answer.get_json()
        return found

    def log(self, **query: str) -> list[dict[str, Any]]:
        """The audit log, the newest first, as an admin reads it."""
        admin = next(name for name in self.known if name == "root")
        answer = self.ask(admin, "GET", "/api/audit-log", query_string={"limit": "1000", **query})
        assert answer.status_code == 200, answer.json
        found: list[dict[str, Any]] = answer.json["entries"]
        return found


def team(core: Core, started: Started, **fields: Any) -> Team:
    """A server with an admin (`root`), two members (`ada`, `bob`) and a viewer (`vera`)."""
    app = create_app(Parts(core, started, **{"settings": SMALL, "embedded": False, **fields}))
    made = Team(core, started, app.test_client())
    for name, role in (("root", Role.ADMIN), ("ada", Role.MEMBER), ("bob", Role.MEMBER), ("vera", Role.VIEWER)):
        made.add(name, role)
    return made
