# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document is the contract: requests made from it, by everybody, get the answers that it promises.

Always the same requests: what fails here fails again. Bounded: a few for each call, by each kind of token.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fuelctl import paths
from fuelctl.accounts.roles import Scope
from fuelctl.environments.core import Core
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.secrets import Safe
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import SMALL, Started, ready, token_of

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: For each call, of every kind of caller together.
EXAMPLES = 15
_EMPTY = create_app(Parts(None, Started(), SMALL))  # type: ignore[arg-type]  # the document needs nothing behind it
OPERATIONS = [result.ok() for result in schemathesis.openapi.from_dict(dict(_EMPTY.api_doc)).get_all_operations()]


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A team's server with something of everything; (team, token by kind of caller, ids that there are)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUELCTL_HOME", str(tmp_path_factory.mktemp("contract")))
        patch.setattr("fuelctl.server.parts.FAILURES", 1e9)
        database = Database(sqlite_url(paths.database_file()))
        database.migrate()
        core = Core(database, Safe(paths.secret_key_file()))
        team: Team = make_team(
            core, Started(), stopping=lambda: True, reap=lambda: dict.fromkeys(("checked", "ended", "failed"), 0)
        )
        made, other = team.make("ada", name="one")["id"], team.make("bob", name="two")["id"]
        own = token_of(core, made)["Authorization"].removeprefix("Bearer ")
        ready(core, made)
        tokens = {name: team.known[name] for name in ("root", "ada", "vera")}
        tokens |= {"reader": team.token("ada", Scope.READ), "environment": own, "nobody": ""}
        yield team, tokens, [made, other, "one", "nobody"]
        database.close()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_every_call_answers_as_the_document_says(operation: Any, everybody: Any) -> None:
    team, tokens, refs = everybody
    # Every request of one caller's counts against the same allowance of what an environment may tell.
    team.http.application.extensions["fuelctl"].rates.clock = iter(range(0, 10**9, 10_000)).__next__

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(),
        who=st.sampled_from(sorted(tokens)),
        ref=st.sampled_from([None, *refs]),
    )
    def ask(case: Any, who: str, ref: str | None) -> None:
        if ref is not None and "ref" in (case.path_parameters or {}):
            case.path_parameters["ref"] = ref
        case.operation.schema.app = team.http.application
        # The admin's own token has to stay good for all that follows.
        if who == "root" and operation.label in ("DELETE /api/whoami", "PATCH /api/users/{name}"):
            who = "vera"
        headers = {"Authorization": f"Bearer {tokens[who]}"} if tokens[who] else {}
        answer = case.call(app=team.http.application, base_url="http://localhost", headers=headers)
        case.validate_response(answer, checks=CHECKS)

    ask()
