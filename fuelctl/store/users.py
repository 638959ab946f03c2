# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries on users and their tokens."""

from __future__ import annotations

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from fuelctl.store.models import TokenRow, UserRow

#: Seconds: a token's last use is written down no more often.
USE_EVERY = 60.0


def by_name(session: Session, name: str) -> UserRow | None:
    """The user of this name."""
    return session.scalar(select(UserRow).where(UserRow.name == name))


def all_users(session: Session) -> list[UserRow]:
    """Everybody, by name."""
    return list(session.scalars(select(UserRow).order_by(UserRow.name)))


def lock_admins(session: Session, role: str) -> list[UserRow]:
    """Who has this role and is not disabled; nobody else changes them until the transaction ends."""
    query = select(UserRow).where(UserRow.role == role, UserRow.disabled_at.is_(None)).order_by(UserRow.id)
    return list(session.scalars(query.with_for_update()))


def token(session: Session, token_id: str) -> tuple[TokenRow, UserRow] | None:
    """The token of this public part, with whose it is."""
    query = select(TokenRow, UserRow).join(UserRow, UserRow.id == TokenRow.user_id).where(TokenRow.id == token_id)
    found = session.execute(query).one_or_none()
    return None if found is None else (found[0], found[1])


def tokens(session: Session, user_id: str | None = None) -> list[tuple[TokenRow, UserRow]]:
    """One user's tokens, or everybody's; the newest first."""
    query = select(TokenRow, UserRow).join(UserRow, UserRow.id == TokenRow.user_id)
    if user_id is not None:
        query = query.where(TokenRow.user_id == user_id)
    found = session.execute(query.order_by(TokenRow.created_at.desc(), TokenRow.id))
    return [(row[0], row[1]) for row in found]


def forget_tokens(session: Session, before: float) -> int:
    """Remove tokens that expired or were revoked before `before` (epoch seconds); how many there were."""
    over = or_(TokenRow.expires_at < before, TokenRow.revoked_at < before)
    return len(session.execute(delete(TokenRow).where(over).returning(TokenRow.id)).all())


def used(session: Session, token_id: str, now: float) -> None:
    """It was used; of several processes that say so at once, one writes."""
    stale = or_(TokenRow.last_used_at.is_(None), TokenRow.last_used_at <= now - USE_EVERY)
    session.execute(update(TokenRow).where(TokenRow.id == token_id, stale).values(last_used_at=now))
