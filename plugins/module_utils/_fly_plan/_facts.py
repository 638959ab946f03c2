# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a project's fly.toml and files say that a plan depends on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Tuple

from .._blueprint.parsers import toml_table
from .._blueprint.tree import Tree
from .._errors import FuelError, UsageError
from .._fly_app.secret_words import found as exposed
from ._names import Name, names
from .data_plan import ENVIRONMENT_FILES, MIGRATIONS

#: What flyctl takes for an app's name; anything else of a fly.toml is not put into a command.
_APP = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_REGION = re.compile(r"[a-z]{3}")
_VOLUME = re.compile(r"[a-z0-9_]{1,30}")
#: Variables that usually name SQLite's file.
_SQLITE = frozenset({"DATABASE_PATH", "SQLITE_PATH", "DB_PATH"})
_PATH = re.compile(r"/[A-Za-z0-9._~/?=&%+-]*")


@dataclass(frozen=True)
class Mount:
    """A volume of the app: its name, where it is mounted, its size in GB (1 where nothing is said)."""

    source: str
    destination: str
    size: int


@dataclass(frozen=True)
class Facts:
    """What the plan is made of. `flags` are the words that the rules of `data_plan` ask for."""

    app: str
    config: str
    environment: str
    region: str
    flags: FrozenSet[str] = frozenset()
    mounts: Tuple[Mount, ...] = ()
    release_command: str = ""
    strategy: str = ""
    health_path: str = ""
    names: Tuple[Name, ...] = ()
    #: Names in [env] whose values look like secrets: everybody who reads the repository has them.
    exposed: Tuple[str, ...] = ()
    migration: str = ""
    notes: Tuple[str, ...] = field(default_factory=tuple)


def read(folder: str, environment: str) -> Facts:
    """The facts of `environment` (dev, staging, production); FuelError when there is no usable fly.toml."""
    tree = Tree(folder)
    path = config_of(tree, environment)
    if not path:
        raise FuelError(
            "there is no fly.toml",
            where=folder,
            hint="make one with fuelctl fly init",
            code="no_fly_toml",
        )
    config = toml_table(tree.folder(""), path)
    if not config:
        trouble = next((each for each in tree.troubles if each.file == path), None)
        raise FuelError(
            trouble.message.replace("skipped: ", "") if trouble else "it is empty",
            where=f"{os.path.join(folder, path)}{f':{trouble.line}' if trouble and trouble.line else ''}",
            hint="fuelctl fly check says what is wrong with it",
            code="bad_fly_toml",
        )
    return facts(tree, config, path, environment)


def config_of(tree: Tree, environment: str) -> str:
    """The environment's configuration file, else the app's one; empty when there is none."""
    return next((name for name in ENVIRONMENT_FILES[environment] if tree.is_file(name)), "")


def environments(folder: str) -> List[str]:
    """Environments that have a file of their own, in the order in which they are deployed; else production."""
    tree = Tree(folder)
    own = [name for name, files in ENVIRONMENT_FILES.items() if any(tree.is_file(file) for file in files[:-1])]
    if tree.is_file("fly.toml") and "production" not in own:
        own.append("production")
    return own or ["production"]


def facts(tree: Tree, config: Dict[str, Any], path: str, environment: str) -> Facts:
    """The same from the parsed file."""
    deploy, services = _table(config.get("deploy")), _services(config)
    mounts = _mounts(config, path)
    own_file = path != "fly.toml" or environment == "production"
    app = _word(config, "app", _APP, path) or "APP"
    found = names(tree, config, path)
    env = {str(name): str(value) for name, value in _table(config.get("env")).items()}
    checks = [each for service in services for each in _checks(service)]
    secrets = {name.name for name in found if name.secret and name.name not in env}
    flags = {environment, "web" if services else "private"}
    flags |= {"volumes"} if mounts else set()
    flags |= {"checks"} if checks or _table(config.get("checks")) else set()
    flags |= {"machine_checks"} if any(service.get("machine_checks") for service in services) else set()
    flags |= {"release_command"} if deploy.get("release_command") else set()
    flags |= {"image"} if _table(config.get("build")).get("image") else {"build"}
    flags |= {"secrets"} if secrets else set()
    flags |= {"sqlite"} if mounts and _sqlite(config, env) else set()
    flags |= {"postgres"} if secrets & {"DATABASE_URL", "POSTGRES_URL"} and "sqlite" not in flags else set()
    flags |= {"redis"} if secrets & {"REDIS_URL", "VALKEY_URL"} else set()
    flags |= {"storage"} if any(name.name == "BUCKET_NAME" for name in found) else set()
    migration = "" if "release_command" in flags else _migration(tree)
    return Facts(
        app=app if own_file else f"{app}-{environment}",
        config=path,
        environment=environment,
        region=_word(config, "primary_region", _REGION, path) or "REGION",
        flags=frozenset(flags | ({"migration"} if migration else set())),
        mounts=mounts,
        release_command=str(deploy.get("release_command") or ""),
        strategy=str(deploy.get("strategy") or ""),
        health_path=next((str(each["path"]) for each in checks if _PATH.fullmatch(str(each.get("path", "")))), "/"),
        names=tuple(name for name in found if name.name not in env),
        exposed=tuple(name for name, value in env.items() if exposed(name, value)),
        migration=migration,
        notes=()
        if own_file
        else (f"{environment} has no file of its own: {path} serves, with the app's name changed.",),
    )


def _table(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> List[Dict[str, Any]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def _services(config: Dict[str, Any]) -> List[Dict[str, Any]]:
    return _tables(config.get("http_service")) + _tables(config.get("services"))


def _checks(service: Dict[str, Any]) -> List[Dict[str, Any]]:
    return [each for key in ("checks", "http_checks", "tcp_checks") for each in _tables(service.get(key))]


def _mounts(config: Dict[str, Any], path: str) -> Tuple[Mount, ...]:
    found = []
    for each in _tables(config.get("mounts")) + _tables(config.get("mount")):
        source = str(each.get("source", ""))
        if not _VOLUME.fullmatch(source):
            raise UsageError(
                f"mounts.source {source[:40]!r} is no volume's name",
                where=path,
                hint="letters, digits and _",
                code="bad_fly_toml",
            )
        size = re.match(r"\d+", str(each.get("initial_size", "")))
        found.append(Mount(source, str(each.get("destination", "")), int(size.group()) if size else 1))
    return tuple(found)


def _word(config: Dict[str, Any], key: str, pattern: "re.Pattern[str]", path: str) -> str:
    value = config.get(key, "")
    if value and not (isinstance(value, str) and pattern.fullmatch(value)):
        raise UsageError(
            f"{key} {str(value)[:40]!r} is not usable in a command",
            where=path,
            hint="see fuelctl fly check",
            code="bad_fly_toml",
        )
    return str(value)


def _sqlite(config: Dict[str, Any], env: Dict[str, str]) -> bool:
    """Whether the volume holds a database that one Machine writes."""
    return bool(_SQLITE.intersection(env)) or "sqlite" in str(config).lower()


def _migration(tree: Tree) -> str:
    """The usual migration command of what lies in the project; empty when there is none."""
    for marker, command in MIGRATIONS:
        if tree.is_file(marker) or tree.is_folder(marker):
            return command
    return ""
