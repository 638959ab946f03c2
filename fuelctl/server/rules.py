# SPDX-License-Identifier: GPL-3.0-or-later
"""What each route asks for. A route that is not in this table is refused to everybody."""

from __future__ import annotations

from enum import StrEnum

from fuelctl.accounts.roles import Action


class Open(StrEnum):
    """Routes for which nobody has to say who they are."""

    #: Health, and the contract: they say nothing about anybody.
    ANYBODY = "anybody"
    #: It brings its environment's own token, which the view checks.
    CALLBACK = "callback"


RULES: dict[str, Action | Open] = {
    "control.healthz": Open.ANYBODY,
    "control.readyz": Open.ANYBODY,
    "control.document": Open.ANYBODY,
    "callbacks.report": Open.CALLBACK,
    "callbacks.heartbeat": Open.CALLBACK,
    "callbacks.ready": Open.CALLBACK,
    "callbacks.error": Open.CALLBACK,
    "remote.listing": Action.READ,
    "remote.show": Action.READ,
    "events.follow": Action.READ,
    "plain": Action.READ,
    "stream.follow": Action.READ,
    "source.state": Action.READ,
    "reaper.forecast": Action.READ,
    "reaper.why": Action.READ,
    "whoami.whoami": Action.READ,
    "remote.create": Action.MAKE,
    "source.upload": Action.CHANGE,
    "remote.terminate": Action.CHANGE,
    "remote.extend": Action.CHANGE,
    "remote.authorize_ip": Action.CHANGE,
    "keys.take": Action.CHANGE,
    "keys.received": Action.CHANGE,
    "tokens.listing": Action.TOKENS,
    "tokens.create": Action.TOKENS,
    "tokens.revoke": Action.TOKENS,
    "users.listing": Action.ADMINISTER,
    "users.add": Action.ADMINISTER,
    "users.change": Action.ADMINISTER,
    "audit_log.listing": Action.ADMINISTER,
    "audit.audit": Action.ADMINISTER,
    "audit.take_back": Action.ADMINISTER,
    "reaper.cycle": Action.ADMINISTER,
    "webhooks.listing": Action.ADMINISTER,
    "webhooks.test": Action.ADMINISTER,
    "control.stop": Action.ADMINISTER,
}
