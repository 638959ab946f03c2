# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, tokens, first run, limits and the audit log over a real store, on SQLite and on Postgres."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.accounts import tokens, users
from fuelctl.accounts.roles import Identity, Role, Scope
from fuelctl.environments import registry
from fuelctl.environments.budget import BudgetError
from fuelctl.environments.core import Core
from fuelctl.environments.registry import ConflictError, NotFoundError
from fuelctl.store import audit_log, environments, events
from fuelctl.store import users as known_users
from fuelctl.store.audit_log import Actor, Entry, Filter
from fuelctl.store.database import Database
from fuelctl.store.models import Base, TokenRow
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import Started
from tests.fuelctl.control import HandClock, wanted
from tests.fuelctl.databases import KINDS, of_kind


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database of each kind."""
    yield from of_kind(request)


def add(core: Core, name: str = "ada", role: Role = Role.MEMBER, days: float = 90) -> str:
    return users.add(core, name, role, days=days).text


def more(core: Core, name: str, scope: Scope = Scope.ALL, days: float = 90, by: Identity | None = None) -> TokenRow:
    with core.write() as session:
        user = users.existing(session, name)
        return tokens.issue(core, session, user, name="more", scope=scope, days=days, by=by).row


def entries(core: Core, **wanted: str) -> list[tuple[str, str, str]]:
    with core.database.read() as session:
        found = audit_log.page(session, Filter(**wanted), limit=1000)
        return [(row.actor, row.action, row.object) for row in reversed(found)]


class TestTokens:
    def test_a_token_says_whose_it_is(self, core: Core) -> None:
        found = tokens.authenticate(core, add(core))
        assert found is not None
        assert (found.name, found.role, found.scope) == ("ada", Role.MEMBER, Scope.ALL)

    def test_the_secret_is_nowhere_in_the_database(self, core: Core) -> None:
        token = add(core)
        public, secret = token.rsplit("_", 1)
        with core.database.engine.connect() as connection:
            rows = [row for table in Base.metadata.sorted_tables for row in connection.execute(select(table))]
        stored = json.dumps([list(map(str, row)) for row in rows])
        assert public.removeprefix("fctl_") in stored
        assert secret not in stored
        assert token not in stored

    def test_what_is_not_exactly_the_token_is_nobodys(self, core: Core) -> None:
        token = add(core)
        other = add(core, "bob")
        public, secret = token.rsplit("_", 1)
        for offered in (
            "",
            "fctl_",
            token[:-1],
            token + "a",
            token + "\n",
            token.upper(),
            f" {token}",
            f"{public}_{other.rsplit('_', 1)[1]}",
            f"{public}_{'a' * 52}",
            f"fctl_aaaaaaaaaa_{secret}",
            tokens.digest(token),
            "fctl_\udcff",
            "x" * 100_000,
        ):
            assert tokens.authenticate(core, offered) is None, offered[:80]
        assert tokens.authenticate(core, token) is not None

    def test_it_ends_at_its_time_and_by_revoking_and_with_its_user(self, core: Core, clock: HandClock) -> None:
        add(core, "root", Role.ADMIN)
        token = add(core, days=1)
        clock.pass_(tokens.DAY - 1)
        assert tokens.authenticate(core, token) is not None
        clock.pass_(1)
        assert tokens.authenticate(core, token) is None

        second = add(core, "bob")
        users.change(core, "bob", disabled=True)
        assert tokens.authenticate(core, second) is None
        with pytest.raises(ConflictError, match="disabled"):
            more(core, "bob")
        users.change(core, "bob", disabled=False)
        identity = tokens.authenticate(core, second)
        assert identity is not None
        assert identity.token_id is not None
        for _twice in range(2):
            with core.write() as session:
                tokens.revoke(core, session, identity.token_id)
        assert tokens.authenticate(core, second) is None
        assert not tokens.still_good(core, identity.token_id)
        assert [each for each in entries(core) if each[1] == "token.revoke"] == [
            ("system", "token.revoke", identity.token_id)
        ]

    def test_anothers_token_is_not_found(self, core: Core) -> None:
        identity = tokens.authenticate(core, add(core))
        assert identity is not None
        for token_id in (str(identity.token_id), "nobodys"):
            with pytest.raises(NotFoundError, match="of yours"), core.write() as session:
                tokens.revoke(core, session, token_id, of="bob")

    def test_a_token_does_not_outlive_the_one_that_it_was_made_with(self, core: Core) -> None:
        by = tokens.authenticate(core, add(core, days=7))
        assert by is not None
        made = more(core, "ada", days=90, by=by)
        assert made.expires_at == by.token_expires_at
        assert made.made_with == by.token_id
        shorter = more(core, "ada", days=1, by=by)
        assert shorter.expires_at < made.expires_at

    def test_an_admin_renews_their_own(self, core: Core) -> None:
        by = tokens.authenticate(core, add(core, "root", Role.ADMIN, days=7))
        assert by is not None
        made = more(core, "root", days=90, by=by)
        assert made.expires_at > (by.token_expires_at or 0.0)
        assert made.made_with == by.token_id

    @pytest.mark.parametrize("days", [0, -1, 367, float("inf"), float("nan")])
    def test_no_token_is_good_for_ever(self, core: Core, days: float) -> None:
        add(core)
        with pytest.raises(UsageError, match="at most 366 days"):
            more(core, "ada", days=days)

    def test_the_last_use_is_written_once_a_minute(self, core: Core, clock: HandClock) -> None:
        token = add(core)

        def used() -> Any:
            tokens.authenticate(core, token)
            with core.database.read() as session:
                return session.scalars(select(TokenRow.last_used_at)).one()

        first = used()
        assert first == clock.wall
        clock.pass_(59)
        assert used() == first
        clock.pass_(1)
        assert used() == clock.wall

    def test_what_has_been_over_for_long_is_forgotten_and_the_audit_log_is_not(
        self, core: Core, clock: HandClock
    ) -> None:
        add(core, days=366)
        expired, revoked, good = more(core, "ada", days=1).id, more(core, "ada").id, more(core, "ada", days=200).id
        with core.write() as session:
            tokens.revoke(core, session, revoked)
        clock.pass_(80 * 86400)
        for days, left in ((80, {expired, revoked, good}), (79.5, {expired, good}), (70, {good})):
            with core.write() as session:
                known_users.forget_tokens(session, clock.wall - days * 86400 - 3600)
                names = {row.id for row, _user in known_users.tokens(session) if row.name == "more"}
            assert names == left
        assert [each for _who, action, each in entries(core) if action == "token.revoke"] == [revoked]

    def test_a_role_that_we_do_not_know_opens_nothing(self, core: Core) -> None:
        token = add(core)
        with core.write() as session:
            users.existing(session, "ada").role = "emperor"
        assert tokens.authenticate(core, token) is None


class TestUsers:
    def test_a_name_is_given_once(self, core: Core) -> None:
        add(core)
        with pytest.raises(ConflictError) as caught:
            add(core)
        assert caught.value.code == "user_exists"

    def test_another_role_holds_at_once(self, core: Core) -> None:
        add(core, "root", Role.ADMIN)
        token = add(core)
        users.change(core, "ada", role=Role.VIEWER)
        found = tokens.authenticate(core, token)
        assert found is not None
        assert found.role is Role.VIEWER

    @pytest.mark.parametrize("change", [{"disabled": True}, {"role": Role.MEMBER}])
    def test_the_last_admin_stays_one(self, core: Core, change: dict[str, Any]) -> None:
        add(core, "root", Role.ADMIN)
        add(core, "second", Role.ADMIN)
        users.change(core, "root", **change)
        with pytest.raises(ConflictError, match="second is the last admin"):
            users.change(core, "second", **change)

    def test_two_admins_who_disable_each_other_at_once(self, core: Core) -> None:
        names = ["root", "second"]
        for name in names:
            add(core, name, Role.ADMIN)

        def disable(name: str) -> bool:
            try:
                users.change(core, name, disabled=True)
            except ConflictError:
                return False
            return True

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(disable, names)) == [False, True]

    def test_what_changed_is_in_the_audit_log_and_a_change_that_is_none_is_not(self, core: Core) -> None:
        add(core, "root", Role.ADMIN)
        add(core)
        users.change(core, "ada", role=Role.VIEWER)
        users.change(core, "ada", role=Role.VIEWER, disabled=False)
        with core.database.read() as session:
            rows = audit_log.page(session, Filter(action="user.change"))
        assert [(row.before, row.after) for row in rows] == [
            ({"role": "member", "disabled": False}, {"role": "viewer", "disabled": False})
        ]


class TestFirstRun:
    def test_an_empty_database_gets_an_admin_whose_token_is_in_a_private_file(self, core: Core) -> None:
        file = paths.server_token_file()
        assert users.let_somebody_in(core, file) is True
        assert file.stat().st_mode & 0o777 == 0o600
        found = tokens.authenticate(core, file.read_text().strip())
        assert found is not None
        assert (found.name, found.role, found.scope) == ("admin", Role.ADMIN, Scope.ALL)
        before = file.read_bytes()
        assert users.let_somebody_in(core, file) is False
        assert file.read_bytes() == before

    def test_whoever_let_every_token_expire_comes_in_again(self, core: Core, clock: HandClock) -> None:
        file = paths.server_token_file()
        users.let_somebody_in(core, file)
        first = file.read_text().strip()
        add(core, "ada", days=366)
        clock.pass_(31 * tokens.DAY)
        assert tokens.authenticate(core, first) is None
        assert users.let_somebody_in(core, file) is True
        assert tokens.authenticate(core, file.read_text().strip()) is not None
        assert tokens.authenticate(core, first) is None

    def test_an_admins_token_for_reading_is_none_who_could_let_others_in(self, core: Core) -> None:
        identity = tokens.authenticate(core, add(core, "root", Role.ADMIN))
        assert identity is not None
        more(core, "root", Scope.READ)
        with core.write() as session:
            tokens.revoke(core, session, str(identity.token_id))
        assert users.let_somebody_in(core, paths.server_token_file()) is True

    def test_a_file_that_cannot_be_written_leaves_no_token(self, core: Core) -> None:
        file = paths.state_folder() / "server.token"
        file.mkdir(parents=True)
        with pytest.raises(FuelError):
            users.let_somebody_in(core, file)
        with core.database.read() as session:
            assert session.scalars(select(TokenRow)).all() == []

    def test_of_two_servers_on_one_empty_database_one_makes_it(self, core: Core) -> None:
        files = [paths.state_folder() / name for name in ("one", "two")]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            made = list(pool.map(lambda file: users.let_somebody_in(core, file), files))
        assert sorted(made) == [False, True]
        assert [file.exists() for file in files] == made


class TestLimit:
    def test_one_owner_has_so_many_live_environments(self, core: Core) -> None:
        first = registry.create(core, wanted(), most_live=2)
        registry.create(core, wanted(), most_live=2)
        with pytest.raises(BudgetError, match="me has 2 of at most 2 live environments") as caught:
            registry.create(core, wanted(), most_live=2)
        assert caught.value.code == "too_many_environments"
        assert "\n" not in caught.value.message
        registry.create(core, wanted(owner="ada"), most_live=2)
        with core.write() as session:
            environments.change(session, first.id, status="terminated", ended_at=1.0)
        registry.create(core, wanted(), most_live=2)

    def test_requests_at_once_do_not_share_the_last_place(self, core: Core) -> None:
        def make(_number: int) -> bool:
            try:
                registry.create(core, wanted(), most_live=3)
            except BudgetError:
                return False
            return True

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(make, range(8))) == 3

    def test_a_repeat_of_what_was_granted_is_granted(self, core: Core) -> None:
        made = registry.create(core, wanted(), "key", most_live=1)
        assert registry.create(core, wanted(), "key", most_live=1).id == made.id


@pytest.mark.parametrize(
    "path",
    [
        "/api/users/%00",
        "/api/users/%F0%9F%98%80",
        "/api/tokens/%00",
        "/api/tokens/%ED%A0%80",
        "/api/tokens?user=%00",
        "/api/audit-log?actor=%00",
        "/api/audit-log?object=%ED%A0%80",
        "/api/remote/%00",
        "/api/remote/%00/terminate",
        "/api/remote?owner=%00",
        "/%00",
    ],
)
def test_hostile_addresses_break_nothing(core: Core, started: Started, path: str) -> None:
    team = make_team(core, started)
    bodies = {"GET": None, "POST": {}, "PATCH": {"disabled": True}, "DELETE": None}
    for who in ("root", "ada", "nobody"):
        for method, body in bodies.items():
            assert team.ask(who, method, path, json=body).status_code < 500
    assert team.ask("root", "GET", "/api/whoami").status_code == 200


class TestAuditLog:
    @pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"])
    def test_the_database_refuses_to_change_it(self, core: Core, statement: str) -> None:
        add(core)
        before = entries(core)
        with pytest.raises(DBAPIError, match="append-only"), core.database.engine.begin() as connection:
            connection.execute(text(statement))
        assert before
        assert entries(core) == before

    def test_it_is_in_the_transaction_of_the_change(self, core: Core) -> None:
        def fail() -> None:
            with core.write() as session:
                core.audit(session, "environment.create", "x")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert entries(core) == []

    def test_what_happens_to_an_environment_is_in_it(self, core: Core) -> None:
        row = registry.create(core, wanted(name="api", secrets={"KEY": "canary-value"}))
        registry.begin_provisioning(core, row.id)
        registry.begin_termination(core, row.id, discard=False, by="user")
        assert entries(core, object=row.id) == [
            ("system", "environment.create", row.id),
            ("system", "environment.provision", row.id),
            ("system", "environment.terminate", row.id),
        ]
        with core.database.read() as session:
            told = [[item.before, item.after] for item in audit_log.page(session, Filter())]
        assert "canary-value" not in json.dumps(told)

    def test_changes_at_once_never_wait_for_each_other_for_ever(self, core: Core) -> None:
        made = registry.create(core, wanted())

        def by_a_person(number: int) -> None:
            registry.extend_lease(core, made.id, 4000 + number, lambda _row, _expires_at: None)

        def by_a_workflow(number: int) -> None:
            with core.write() as session:
                environments.change(session, made.id, retries=number)
                events.append(session, made.id, [core.event("remote.update", {"n": number})])

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            work = [pool.submit(kind, number) for number in range(30) for kind in (by_a_person, by_a_workflow)]
            for each in work:
                each.result(60)
        assert len(entries(core, action="environment.extend")) == 30

    def test_hostile_text_is_one_short_line(self, core: Core) -> None:
        actor = Actor(name="a\x00b" * 200, user_agent="evil\r\nline\x1b[31m" * 100, address="x" * 100)
        with core.write() as session:
            audit_log.append(session, Entry(actor, "access.forbidden", "GET /" + "y" * 5000), 1.0)
        with core.database.read() as session:
            [row] = audit_log.page(session, Filter())
        assert all(text.isprintable() for text in (row.actor, row.user_agent, row.address, row.object))
        assert (len(row.actor), len(row.user_agent), len(row.address), len(row.object)) == (200, 200, 64, 200)

    def test_pages(self, core: Core) -> None:
        with core.write() as session:
            for number in range(7):
                core.audit(session, "x.y", str(number))

        def objects(**cursor: int) -> list[str]:
            with core.database.read() as session:
                return [row.object for row in audit_log.page(session, Filter(), limit=3, **cursor)]

        with core.database.read() as session:
            newest = audit_log.page(session, Filter(), limit=3)
        assert [row.object for row in newest] == ["6", "5", "4"]
        assert objects(before=newest[-1].seq) == ["3", "2", "1"]
        assert objects(after=0) == ["0", "1", "2"]
        assert objects(after=newest[0].seq) == []
