# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The agent's own configuration, merged from the caller's, the blueprint's and ours. Pure: values in, values out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Tuple

from .._spool import EVENTS, HOOK

#: Settings that run something on the caller's machine to get a credential, or are one.
_LOCAL_SETTINGS = (
    "apiKeyHelper",
    "awsAuthRefresh",
    "awsCredentialExport",
    "forceLoginMethod",
    "forceLoginOrgUUID",
    "gcpAuthRefresh",
    "otelHeadersHelper",
    "proxyAuthHelper",
)
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH|COOKIE", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"sk-[A-Za-z0-9_-]{16}|gh[pousr]_[A-Za-z0-9]{20}|github_pat_|glpat-|xox[abposr]-|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@|\bBearer\s+\S{12}|\beyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16}"
)

#: For every container of ours, whatever else is set: nothing updates the agent but us.
_ENV = {"DISABLE_AUTOUPDATER": "1", "DISABLE_INSTALLATION_CHECKS": "1"}


@dataclass
class Wishes:
    """What is to be configured, and for whom."""

    workspace: str
    version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    hooks: Mapping[str, Any] = field(default_factory=dict)
    mcp_servers: Mapping[str, Any] = field(default_factory=dict)
    #: From the caller's own folder, already without secrets.
    home_settings: Mapping[str, Any] = field(default_factory=dict)
    home_mcp_servers: Mapping[str, Any] = field(default_factory=dict)


def looks_secret(name: str, value: str) -> bool:
    """Whether a name or a value looks like a credential."""
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))


def holds_secret(value: Any) -> bool:
    """Whether anything in a JSON value looks like a credential."""
    if isinstance(value, str):
        return bool(_SECRET_VALUE.search(value))
    if isinstance(value, dict):
        return any(holds_secret(key) or holds_secret(inner) for key, inner in value.items())
    return isinstance(value, list) and any(holds_secret(inner) for inner in value)


def without_secrets(settings: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[str]]:
    """The caller's settings without credentials and what fetches them; also the names that were left out."""
    kept: Dict[str, Any] = {}
    dropped: List[str] = []
    for name, value in settings.items():
        if name == "env" and isinstance(value, dict):
            kept["env"] = {key: inner for key, inner in value.items() if not looks_secret(str(key), str(inner))}
            dropped += [f"env.{key}" for key in value if key not in kept["env"]]
        elif name in _LOCAL_SETTINGS or holds_secret(value):
            dropped.append(name)
        else:
            kept[name] = value
    return kept, dropped


def servers_without_secrets(servers: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[str]]:
    """The caller's MCP servers without credentials in env and headers; one with a credential elsewhere is left out."""
    kept: Dict[str, Any] = {}
    dropped: List[str] = []
    for name, server in servers.items():
        if not isinstance(server, dict):
            continue
        clean: Dict[str, Any] = {}
        for key, value in server.items():
            if key in ("env", "headers") and isinstance(value, dict):
                clean[key] = {inner: text for inner, text in value.items() if not looks_secret(str(inner), str(text))}
                dropped += [f"{name}.{key}.{inner}" for inner in value if inner not in clean[key]]
            elif key != "oauth":
                clean[key] = value
        if holds_secret(clean):
            dropped.append(name)
        else:
            kept[name] = clean
    return kept, dropped


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Dict[str, Any]:
    """Dicts are merged, everything else is taken from `over`."""
    merged = dict(base)
    for key, value in over.items():
        mine = merged.get(key)
        merged[key] = merge(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged


def merge_hooks(*sources: Any) -> Dict[str, Any]:
    """Hooks of all sources, by event; the same group twice counts once."""
    merged: Dict[str, Any] = {}
    for source in sources:
        for event, groups in source.items() if isinstance(source, dict) else ():
            known = merged.setdefault(str(event), [])
            known += [group for group in (groups if isinstance(groups, list) else [groups]) if group not in known]
    return merged


def our_hooks() -> Dict[str, Any]:
    """Hooks that tell the spool."""
    hooks: Dict[str, Any] = {}
    for event, kind in EVENTS.items():
        group: Dict[str, Any] = {"hooks": [{"type": "command", "command": f"{HOOK} {kind}", "timeout": 10}]}
        if "Tool" in event:
            group["matcher"] = "*"
        hooks[event] = [group]
    return hooks


def settings_for(wishes: Wishes, existing: Mapping[str, Any]) -> Dict[str, Any]:
    """Content of settings.json. What is in the container wins over all but our own: it was set by who works there."""
    ours = {"skipDangerousModePermissionPrompt": True, "enableAllProjectMcpServers": True, "env": {}}
    merged: Dict[str, Any] = ours
    for source in (wishes.home_settings, wishes.settings, existing):
        merged = merge(merged, source)
    merged["env"] = merge(merged["env"] if isinstance(merged["env"], dict) else {}, _ENV)
    merged["hooks"] = merge_hooks(
        *(source.get("hooks") for source in (wishes.home_settings, wishes.settings)),
        wishes.hooks,
        existing.get("hooks"),
        our_hooks(),
    )
    return merged


def state_for(wishes: Wishes, existing: Mapping[str, Any], key_tail: str) -> Dict[str, Any]:
    """Content of ~/.claude.json: first questions answered, the workspace trusted, the key that was given accepted.

    :param key_tail: the last 20 characters of ANTHROPIC_API_KEY, by which the agent knows an accepted key; or empty.
    """
    state = dict(existing)
    state["hasCompletedOnboarding"] = True
    state.setdefault("lastOnboardingVersion", wishes.version)
    projects = dict(state["projects"]) if isinstance(state.get("projects"), dict) else {}
    project = dict(projects[wishes.workspace]) if isinstance(projects.get(wishes.workspace), dict) else {}
    project["hasTrustDialogAccepted"] = True
    projects[wishes.workspace] = project
    state["projects"] = projects
    servers = merge(merge(wishes.home_mcp_servers, wishes.mcp_servers), _dict(existing.get("mcpServers")))
    if servers:
        state["mcpServers"] = servers
    if key_tail:
        answers = _dict(existing.get("customApiKeyResponses"))
        approved, rejected = _list(answers.get("approved")), _list(answers.get("rejected"))
        if key_tail not in approved and key_tail not in rejected:
            approved = [*approved, key_tail]
        state["customApiKeyResponses"] = {"approved": approved, "rejected": rejected}
    return state


def _dict(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else []
