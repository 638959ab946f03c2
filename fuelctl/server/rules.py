# SPDX-License-Identifier: GPL-3.0-or-later
"""What each route asks for. A route that is not in this table is refused to everybody."""

from __future__ import annotations

from enum import StrEnum

from fuelctl.accounts.roles import Action


class Open(StrEnum):
    """Routes for which nobody has to say who they are."""

    #: Health, and the contract: they say nothing about anybody.
    ANYBODY = "anybody"
    #: Monitoring: anybody with setting `metrics_open`, else who may read.
    MONITORING = "monitoring"
    #: It brings its environment's own token, which the view checks.
    CALLBACK = "callback"
    #: A person's token, or an environment's own: the view finds out which, and what it is good for.
    EITHER = "either"


RULES: dict[str, Action | Open] = {
    "control.healthz": Open.ANYBODY,
    "control.readyz": Open.ANYBODY,
    "control.document": Open.ANYBODY,
    "callbacks.report": Open.CALLBACK,
    "callbacks.heartbeat": Open.CALLBACK,
    "callbacks.ready": Open.CALLBACK,
    "callbacks.error": Open.CALLBACK,
    "told.tell": Open.EITHER,
    "metrics.scrape": Open.MONITORING,
    "control.server": Action.READ,
    "remote.listing": Action.READ,
    "remote.show": Action.READ,
    "events.follow": Action.READ,
    "plain": Action.READ,
    "stream.follow": Action.READ,
    "source.state": Action.READ,
    "reaper.forecast": Action.READ,
    "reaper.why": Action.READ,
    "whoami.whoami": Action.READ,
    # Whoever holds a token may give it up.
    "whoami.forget": Action.READ,
    "workspaces.listing": Action.READ,
    "workspaces.create": Action.MAKE,
    "devices.listing": Action.READ,
    # Like tokens, a laptop is its user's own, whatever else their role gives.
    "devices.register_laptop": Action.TOKENS,
    "remote.create": Action.MAKE,
    "source.upload": Action.CHANGE,
    "remote.terminate": Action.CHANGE,
    "remote.extend": Action.CHANGE,
    "remote.authorize_ip": Action.CHANGE,
    "remote.power": Action.CHANGE,
    # Each of them has its provider asked while somebody waits.
    "volumes.show": Action.CHANGE,
    "volumes.extend": Action.CHANGE,
    "volumes.snapshot": Action.CHANGE,
    "rescues.listing": Action.CHANGE,
    "rescues.show": Action.CHANGE,
    "rescues.content_of": Action.CHANGE,
    "rescues.remove": Action.CHANGE,
    "keys.authorize": Action.CHANGE,
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
