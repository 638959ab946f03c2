# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may what, as a pure decision: held against the table of the user's page, and against what must always be so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuelctl.accounts.roles import Action, Role, Scope, allowed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "user" / "team.md"
ROLES, SCOPES, ACTIONS = st.sampled_from(Role), st.sampled_from(Scope), st.sampled_from(Action)
#: The weaker first.
BY_ROLE = (Role.VIEWER, Role.MEMBER, Role.ADMIN)
BY_SCOPE = (Scope.READ, Scope.ENVIRONMENTS, Scope.ALL)
#: With scope `all`: action -> role -> to what.
WANTED: dict[Action, dict[Role, str]] = {
    Action.READ: {Role.VIEWER: "all", Role.MEMBER: "all", Role.ADMIN: "all"},
    Action.MAKE: {Role.VIEWER: "no", Role.MEMBER: "own", Role.ADMIN: "all"},
    Action.CHANGE: {Role.VIEWER: "no", Role.MEMBER: "own", Role.ADMIN: "all"},
    Action.TOKENS: {Role.VIEWER: "own", Role.MEMBER: "own", Role.ADMIN: "all"},
    Action.ADMINISTER: {Role.VIEWER: "no", Role.MEMBER: "no", Role.ADMIN: "all"},
}


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_a_token_for_all_gives_what_its_users_role_gives(role: Role, action: Action) -> None:
    found = (allowed(role, Scope.ALL, action, own=True), allowed(role, Scope.ALL, action, own=False))
    assert found == {"no": (False, False), "own": (True, False), "all": (True, True)}[WANTED[action][role]]


@given(role=ROLES, scope=SCOPES, action=ACTIONS, own=st.booleans())
def test_a_narrower_token_or_a_weaker_role_never_gives_more(
    role: Role, scope: Scope, action: Action, own: bool
) -> None:
    if not allowed(role, scope, action, own=own):
        for weaker in BY_ROLE[: BY_ROLE.index(role) + 1]:
            for narrower in BY_SCOPE[: BY_SCOPE.index(scope) + 1]:
                assert not allowed(weaker, narrower, action, own=own)
    if allowed(role, scope, action, own=False):
        assert allowed(role, scope, action, own=True)


@given(role=ROLES, scope=SCOPES, action=ACTIONS, own=st.booleans())
def test_what_must_never_be(role: Role, scope: Scope, action: Action, own: bool) -> None:
    if allowed(role, scope, action, own=own):
        assert role is Role.ADMIN or own or action is Action.READ, "nobody but an admin changes what is another's"
        assert role is not Role.VIEWER or action in (Action.READ, Action.TOKENS), "a viewer changes no environment"
        assert scope is not Scope.READ or action is Action.READ, "a token for reading changes nothing"
        assert scope is Scope.ALL or action not in (Action.TOKENS, Action.ADMINISTER), "only `all` makes more tokens"
        assert action is not Action.ADMINISTER or role is Role.ADMIN


@given(scope=SCOPES, role=ROLES)
def test_everybody_may_look(role: Role, scope: Scope) -> None:
    assert allowed(role, scope, Action.READ, own=False)


def test_the_users_page_has_the_same_table() -> None:
    rows = {
        cells[0]: dict(zip((Role.VIEWER, Role.MEMBER, Role.ADMIN), cells[1:], strict=True))
        for line in PAGE.read_text().splitlines()
        if (match := re.fullmatch(r"\| .*<!-- (\w+) --> \| (.*) \|", line))
        for cells in [[match[1], *match[2].split(" | ")]]
    }
    assert rows == {str(action): dict(WANTED[action]) for action in Action}
