# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What an environment's container is to be: the module's parameters, checked, as one immutable value."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .._errors import UsageError
from .._identity import ContainerNames, check_environment_id, check_environment_name, container_names, labels

#: Label with the digest of everything that can only be changed by making the container anew.
LABEL_SPEC = "fuel-code:spec"
#: Label that tells the containers of one environment apart: `environment`, `service` or `watchdog`.
LABEL_ROLE = "fuel-code:role"
#: Labels of the environment's container that say how to enter it; the first two come from its image.
LABEL_USER = "fuel-code:user"
LABEL_HOME = "fuel-code:home"
LABEL_WORKSPACE = "fuel-code:workspace"

#: Where repositories are, on the environment's own volume.
WORKSPACES = "/workspaces"
AGENTS_VOLUME = "fuel-code-agents"
AGENTS_PATH = "/opt/fuel-code/agents"

#: Package managers that verify what they take out of their download cache, and where that cache is below the home.
CACHES: Dict[str, str] = {
    "npm": ".npm/_cacache",
    "yarn": ".yarn/berry/cache",
    "pnpm": ".local/share/pnpm/store",
    "pip": ".cache/pip",
    "uv": ".cache/uv",
    "go": "go/pkg/mod/cache/download",
    "cargo": ".cargo/registry/cache",
}

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,300}")
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_SERVICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_PUBLIC_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f]*)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)

#: Names that decide how programs are found, loaded or logged in: an environment may not set them. An image may set
#: the first kind; the second belongs to the login alone.
_DENIED_NAMES = frozenset(
    "PATH CDPATH IFS ENV BASH_ENV SHELLOPTS BASHOPTS PS4 PROMPT_COMMAND GLOBIGNORE PYTHONSTARTUP PYTHONHOME PERL5OPT "
    "RUBYOPT NODE_REPL_EXTERNAL_MODULE GIT_SSH GIT_SSH_COMMAND GIT_ASKPASS GIT_PROXY_COMMAND GIT_EXEC_PATH "
    "GIT_EXTERNAL_DIFF GIT_TEMPLATE_DIR".split()
)
_DENIED_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_", "GIT_CONFIG")
_LOGIN_NAMES = frozenset("HOME USER LOGNAME SHELL HOSTNAME PWD OLDPWD SHLVL TERM MAIL _".split())
_LOGIN_PREFIXES = ("SSH_", "SUDO_", "FUEL_CODE_")

#: sshd's reader of ~/.ssh/environment stops at so many lines.
_ENV_LINES = 900
_ENV_VALUE = 64 * 1024


@dataclass(frozen=True)
class Service:
    """A further container on the environment's network, reachable under its name."""

    name: str
    image: str
    env: Mapping[str, str]
    command: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """Everything `present` needs; made by `Spec.build`, which is the only way that checks it."""

    environment_id: str
    owner: str
    name: str
    attempt: int
    image: str
    workspace: str
    expires_at: Optional[float]
    authorized_keys: Tuple[str, ...]
    system_packages: Tuple[str, ...]
    ca_certificates: Tuple[str, ...]
    env: Mapping[str, str]
    secrets: Optional[Mapping[str, str]]
    ports: Tuple[int, ...]
    services: Tuple[Service, ...]
    memory: Optional[int]
    cpus: Optional[float]
    caches: Tuple[str, ...]
    user: str

    @classmethod
    def build(
        cls,
        *,
        environment_id: str,
        owner: str,
        name: str,
        image: str,
        workspace: str,
        authorized_keys: Sequence[str],
        expires_at: Optional[float] = None,
        attempt: int = 1,
        system_packages: Sequence[str] = (),
        ca_certificates: Sequence[str] = (),
        env: Optional[Mapping[str, Any]] = None,
        secrets_json: Optional[str] = None,
        ports: Sequence[int] = (),
        services: Sequence[Mapping[str, Any]] = (),
        memory: Optional[str] = None,
        cpus: Optional[float] = None,
        caches: Sequence[str] = (),
        user: Optional[str] = None,
    ) -> "Spec":
        """The checked value; UsageError names the field in `where`."""
        return cls(
            environment_id=check_environment_id(environment_id),
            owner=_owner(owner),
            name=check_environment_name(name),
            attempt=attempt,
            image=_image(image, "image"),
            workspace=f"{WORKSPACES}/{folder_name(workspace)}",
            expires_at=None if expires_at is None else float(expires_at),
            authorized_keys=tuple(_public_key(key) for key in authorized_keys),
            system_packages=tuple(sorted({_package(item) for item in system_packages})),
            ca_certificates=tuple(sorted({_certificate(item) for item in ca_certificates})),
            env=_variables(env or {}, "env"),
            secrets=None if secrets_json is None else _secrets(secrets_json),
            ports=tuple(sorted({_port(port) for port in ports})),
            services=_services(services),
            memory=_memory(memory),
            cpus=_cpus(cpus),
            caches=_caches(caches),
            user=_user(user or ""),
        )

    @property
    def names(self) -> ContainerNames:
        """Names of what the environment owns on the engine."""
        return container_names(self.environment_id, self.attempt)

    @property
    def labels(self) -> Dict[str, str]:
        """What everything of the environment carries."""
        return labels(self.environment_id, self.owner)

    def fingerprint(self) -> str:
        """Digest of what only a new container can change; neither the base's digest, the recipe nor authorities count.

        A running environment is not replaced because somebody pulled a newer base image or the machine trusts one more.
        """
        return _digest(
            {
                "attempt": self.attempt,
                "image": self.image,
                "name": self.name,
                "workspace": self.workspace,
                "packages": self.system_packages,
                "ports": self.ports,
                "memory": self.memory,
                "cpus": self.cpus,
                "caches": self.caches,
                "user": self.user,
            }
        )

    def service_fingerprint(self, service: Service) -> str:
        """The same for one service."""
        return _digest(
            {"image": service.image, "env": dict(sorted(service.env.items())), "command": service.command},
        )

    def cache_volume(self, manager: str) -> str:
        """Volume of a package manager's downloads, one per owner: what one person's code wrote, no other's reads."""
        return f"fuel-code-cache-{manager}-{hashlib.sha256(self.owner.encode('utf-8')).hexdigest()[:8]}"


def folder_name(text: str) -> str:
    """A repository's name as a folder's: what is not plain becomes a hyphen; never empty, hidden or an option."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text.strip().rstrip("/").rsplit("/", 1)[-1])[:100]
    return plain.lstrip(".-").rstrip("-") or "workspace"


def login_name_allowed(name: str, *, from_image: bool) -> bool:
    """Whether a variable of this name may reach a login."""
    upper = name.upper()
    if not _ENV_NAME.fullmatch(name) or upper in _LOGIN_NAMES or upper.startswith(_LOGIN_PREFIXES):
        return False
    return from_image or not (upper in _DENIED_NAMES or upper.startswith(_DENIED_PREFIXES))


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()[:32]


def _shown(value: object) -> str:
    return repr(str(value)[:60])


def _owner(value: str) -> str:
    if not value or len(value) > 128 or re.search(r"[\x00-\x1f\x7f]", value):
        raise UsageError(f"{_shown(value)} cannot be an owner", where="owner", hint="use 1 to 128 printable characters")
    return value


def _image(value: str, where: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise UsageError(
            f"{_shown(value)} is not an image reference",
            where=where,
            hint="write it as `name:tag`",
            code="image_invalid",
        )
    return value


def _package(value: str) -> str:
    if not _PACKAGE.fullmatch(value):
        raise UsageError(
            f"{_shown(value)} is not the name of a Debian package", where="system_packages", hint="use a-z, 0-9, + . -"
        )
    return value


def _certificate(value: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in value or "PRIVATE KEY" in value:
        raise UsageError("This is not a PEM certificate", where="ca_certificates", hint="give the text of .crt files")
    return value.strip() + "\n"


def _public_key(value: str) -> str:
    key = value.strip()
    if not _PUBLIC_KEY.fullmatch(key):
        raise UsageError(
            f"{_shown(key)} is not a public key", where="authorized_keys", hint="give the one line of an id_*.pub file"
        )
    return key


def _variables(values: Mapping[str, Any], where: str) -> Dict[str, str]:
    """Environment variables; values that the file format of sshd cannot carry are refused, never altered."""
    checked: Dict[str, str] = {}
    if len(values) > _ENV_LINES:
        raise UsageError(f"{len(values)} variables are too many", where=where, hint=f"give at most {_ENV_LINES}")
    for name, raw in values.items():
        if not isinstance(name, str) or not login_name_allowed(name, from_image=False):
            raise UsageError(
                f"A variable named {_shown(name)} cannot be set",
                where=where,
                hint="use letters, digits and _; names that steer the loader, the shell or the login are refused",
                code="env_name",
            )
        value = raw if isinstance(raw, str) else json.dumps(raw)
        if re.search(r"[\x00\r\n]", value):
            raise UsageError(
                f"The value of {name} holds a line break or NUL",
                where=where,
                hint="encode it, for example with base64",
                code="env_value",
            )
        if len(value.encode("utf-8", "surrogateescape")) > _ENV_VALUE:
            raise UsageError(
                f"The value of {name} is longer than 64 KiB", where=where, hint="put it into a file", code="env_value"
            )
        checked[name] = value
    return checked


def _secrets(text: str) -> Dict[str, str]:
    try:
        values = json.loads(text)
    except ValueError:
        # Without the cause: the parser's message can quote what it read.
        raise UsageError("The secrets are not JSON", where="secrets", hint="give an object NAME -> value") from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise UsageError("The secrets are no object of texts", where="secrets", hint="give an object NAME -> value")
    return _variables(values, "secrets")


def _user(value: str) -> str:
    if value and (value == "root" or not USER_NAME.fullmatch(value)):
        raise UsageError(
            f"{_shown(value)} cannot be the user",
            where="user",
            hint="use 1 to 32 of a-z, 0-9, _ and hyphens, and not root: coding agents refuse some work as root",
        )
    return value


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise UsageError(f"{value} is not a port", where="ports", hint="use 1 to 65535")
    return value


def _services(values: Sequence[Mapping[str, Any]]) -> Tuple[Service, ...]:
    services: List[Service] = []
    for value in values:
        name = str(value.get("name", ""))
        where = f"services.{name[:30]}"
        if not _SERVICE.fullmatch(name):
            raise UsageError(
                f"{_shown(name)} cannot name a service",
                where="services",
                hint="use letters, digits and inner . _ -, at most 63",
            )
        if any(service.name == name for service in services):
            raise UsageError(f"Two services are named {name}", where="services", hint="rename one")
        command = tuple(str(word) for word in value.get("command") or ())
        env = _variables(value.get("env") or {}, f"{where}.env")
        services.append(Service(name, _image(str(value.get("image", "")), f"{where}.image"), env, command))
    return tuple(services)


def _memory(value: Optional[str]) -> Optional[int]:
    if value is None or value == "":
        return None
    match = _SIZE.fullmatch(str(value).strip())
    size = 0
    if match is not None:
        size = int(float(match.group(1)) * 1024 ** " kmgt".index(match.group(2).lower() or " "))
    if size < 6 * 1024 * 1024:
        raise UsageError(
            f"{_shown(value)} is not a size of memory", where="memory", hint="write 512m or 4g, at least 6m"
        )
    return size


def _cpus(value: Optional[float]) -> Optional[float]:
    if value is None:
        return None
    if not 0.01 <= float(value) <= 4096:
        raise UsageError(f"{_shown(value)} is not a number of CPUs", where="cpus", hint="write 2 or 0.5")
    return float(value)


def _caches(values: Sequence[str]) -> Tuple[str, ...]:
    unknown = sorted(set(values) - set(CACHES))
    if unknown:
        raise UsageError(
            f"{_shown(unknown[0])} has no shared cache", where="caches", hint=f"known: {', '.join(sorted(CACHES))}"
        )
    return tuple(sorted(set(values)))
