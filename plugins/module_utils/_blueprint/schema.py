# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The blueprint: what an environment is made of. The one place where its fields are named.

Frozen dataclasses; a field's type carries the rule for its values (`rules.py`), so that our validator, pydantic's
TypeAdapter and the JSON Schema for editors are three readings of the same lines.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from .data_validation import (
    DENIED_ENV,
    DENIED_ENV_PREFIXES,
    FLY_SIZES,
    INSTANCE_FAMILIES,
    INSTANCE_SIZES,
    REGIONS,
    RUNTIMES,
)
from .durations import parse_duration
from .rules import Number, Text, bounded

if sys.version_info >= (3, 9):
    from typing import Annotated
else:

    class _Marked:
        """Stands for Annotated[type, rule] where typing has none; callable, because typing asks that of a type."""

        def __init__(self, parameters: Tuple[Any, ...]) -> None:
            self.__origin__ = parameters[0]
            self.__metadata__ = parameters[1:]

        def __call__(self) -> None:
            raise TypeError("a marker is not a type to make values of")

    class Annotated:
        def __class_getitem__(cls, parameters: Tuple[Any, ...]) -> _Marked:
            return _Marked(parameters)


#: The image where nothing says otherwise.
DEFAULT_IMAGE = "ubuntu:24.04"


def _one_line(value: str) -> Optional[str]:
    for character, name in (("\0", "a NUL byte"), ("\n", "a newline"), ("\r", "a carriage return")):
        if character in value:
            return f"it holds {name}"
    return None


def _env_value(value: str) -> Optional[str]:
    if len(value.encode("utf-8", "surrogatepass")) > 65536:
        return "it is longer than 64 KB"
    return _one_line(value)


def _env_name(value: str) -> Optional[str]:
    upper = value.upper()
    if upper in DENIED_ENV or any(upper.startswith(prefix) for prefix in DENIED_ENV_PREFIXES):
        return f"{value} is not a blueprint's to set: it changes how programs are found, loaded or logged in"
    return None


def _any_case(word: str) -> str:
    return "".join(f"[{letter}{letter.lower()}]" if letter.isalpha() else letter for letter in word)


_DENIED_PATTERN = "^(?:(?:{})$|(?:{}))".format(
    "|".join(map(_any_case, DENIED_ENV)), "|".join(map(_any_case, DENIED_ENV_PREFIXES))
)
_INSTANCE_PATTERN = "^(?:(?:{})\\.(?:{})|{})?$".format(
    "|".join(INSTANCE_FAMILIES), "|".join(INSTANCE_SIZES), "|".join(FLY_SIZES)
)
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_HOST = "[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?/"
_IMAGE_PATH = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE_TAG = "(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[a-f0-9]{64})?"
_IMAGE_PATTERN = f"^(?:{_HOST})?{_IMAGE_PATH}(?:/{_IMAGE_PATH})*{_IMAGE_TAG}$"

Name = Annotated[str, Text("a name", pattern=f"^(?:{_LABEL})?$", hint="1 to 40 of a-z, 0-9 and inner hyphens")]
Label = Annotated[str, Text("a name", pattern=f"^{_LABEL}$", hint="1 to 40 of a-z, 0-9 and inner hyphens")]
Host = Annotated[
    str,
    Text(
        "a service name",
        pattern="^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$",
        hint="letters, digits and inner . _ -, at most 63: it becomes a host name",
    ),
]
Image = Annotated[
    str,
    Text(
        "an image reference",
        pattern=_IMAGE_PATTERN,
        max_length=512,
        hint="like node:22-bookworm or ghcr.io/team/app:1.2",
    ),
]
RuntimeName = Annotated[str, Text("a known runtime", enum=RUNTIMES, hint="one of " + ", ".join(RUNTIMES))]
Version = Annotated[
    str,
    Text("a version", pattern="^(?:[0-9A-Za-z][0-9A-Za-z.+_~-]*)?$", max_length=64, hint="like 22, 3.12.1 or latest"),
]
Manager = Annotated[
    str, Text("a package manager", pattern="^(?:[a-z0-9][a-z0-9.+-]*)?$", max_length=40, hint="like npm, uv or cargo")
]
Package = Annotated[
    str,
    Text(
        "a Debian package name",
        pattern="^[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9][A-Za-z0-9.+:~-]*)?$",
        max_length=128,
        hint="like libpq-dev, or libpq-dev=15.8-0+deb12u1",
    ),
]
Command = Annotated[
    str,
    Text(
        "a command",
        pattern="[^ \\t\\r\\n]",
        min_length=1,
        max_length=65536,
        check=lambda value: "it holds a NUL byte" if "\0" in value else None,
        forbidden={"pattern": "\\u0000"},
        hint="a shell command line, run in the workspace",
    ),
]
Argument = Annotated[
    str,
    Text(
        "an argument",
        check=lambda value: "it holds a NUL byte" if "\0" in value else None,
        forbidden={"pattern": "\\u0000"},
    ),
]
EnvName = Annotated[
    str,
    Text(
        "an environment variable's name",
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=128,
        check=_env_name,
        forbidden={"pattern": _DENIED_PATTERN},
        hint="letters, digits and _, and none of PATH, HOME, LD_PRELOAD and the like",
    ),
]
EnvValue = Annotated[
    str,
    Text(
        "a value",
        max_length=65536,
        check=_env_value,
        forbidden={"pattern": "[\\u0000\\r\\n]"},
        hint="one line of at most 64 KB; put longer ones in a file of the repository",
    ),
]
Port = Annotated[int, Number("a port", 1, 65535)]
SchemaVersion = Annotated[int, Number("a known blueprint version", 1, 1)]
Cpus = Annotated[float, Number("a number of CPUs", 0.1, 256)]
Memory = Annotated[float, Number("an amount of memory in GiB", 0.25, 4096)]
Disk = Annotated[int, Number("a disk size in GB", 8, 1000)]
InstanceType = Annotated[
    str,
    Text(
        "a known instance type",
        pattern=_INSTANCE_PATTERN,
        max_length=40,
        hint="like t3.medium, m7i.large or shared-cpu-2x",
    ),
]
Region = Annotated[
    str, Text("a known region", enum=("", *REGIONS), hint="like eu-central-1 or us-east-1, or fra on Fly.io")
]
WhenIdle = Annotated[str, Text("what can be done", enum=("stop", "end"), hint="stop or end")]
Ttl = Annotated[
    str,
    Text(
        "a duration",
        pattern="^(?:[0-9]{1,4}d)?(?:[0-9]{1,5}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,8}s)?$",
        min_length=2,
        max_length=40,
        check=bounded("a time", parse_duration, "1m", "30d"),
        # What is plainly outside; sums such as 9999h only the check sees.
        forbidden={"pattern": "^(?:[0-5]?[0-9]s|(?:3[1-9]|[4-9][0-9]|[0-9]{3,4})d.*)$"},
        hint="like 8h, 30m or 2d; 1m to 30d",
    ),
]
User = Annotated[
    str,
    Text(
        "a user name",
        pattern="^(?:[a-z_][a-z0-9_-]{0,31})?$",
        check=lambda value: "root cannot be the user: the agent refuses some work as root" if value == "root" else None,
        forbidden={"enum": ["root"]},
        hint="like dev; not root",
    ),
]
AgentVersion = Annotated[
    str,
    Text(
        "an agent version",
        pattern="^(?:latest|[0-9]+\\.[0-9]+\\.[0-9]+(?:-[0-9A-Za-z.-]+)?)$",
        max_length=64,
        hint="latest or x.y.z",
    ),
]
SkillName = Annotated[
    str,
    Text(
        "a skill's name",
        pattern="^[a-z0-9]+(?:-[a-z0-9]+)*$",
        max_length=64,
        hint="auto, or names like flyio; an empty list for none",
    ),
]

_CLOSED = {"extra": "forbid"}


def _about(text: str, **more: Any) -> Any:
    """A field with its one-line description, which documentation and the JSON Schema repeat."""
    # pylint: disable-next=invalid-field-call  # It is the default of a dataclass's field, said in fewer words.
    return field(metadata={"description": text}, **more)  # pylint: disable=invalid-field-call


@dataclass(frozen=True)
class Runtime:
    """One language runtime of the project."""

    __pydantic_config__ = _CLOSED

    name: RuntimeName = _about("Runtime, in lowercase.")
    version: Version = _about("Version or version prefix; empty: the image's own.", default="")
    package_manager: Manager = _about("Package manager of this runtime; empty: none.", default="")


@dataclass(frozen=True)
class Service:
    """A container beside the environment, reached under its name."""

    __pydantic_config__ = _CLOSED

    name: Host = _about("Name, also its host name inside the environment.")
    image: Image = _about("Image reference.")
    env: Dict[EnvName, EnvValue] = _about("Environment variables.", default_factory=dict)
    ports: Tuple[Port, ...] = _about("Ports that it listens on.", default=())
    command: Tuple[Argument, ...] = _about("Arguments instead of the image's command; empty: the image's.", default=())


@dataclass(frozen=True)
class Resources:
    """What the machine should offer at most; a smaller machine gives what it has."""

    __pydantic_config__ = _CLOSED

    cpus: Cpus = _about("Number of CPUs.", default=2)
    memory_gb: Memory = _about("Memory in GiB.", default=4)
    disk_gb: Disk = _about("Disk in GB, 8 to 1000.", default=20)
    instance_type: InstanceType = _about(
        "Machine type of the provider; empty: chosen from cpus and memory.", default=""
    )


@dataclass(frozen=True)
class Provider:
    """Where the machine comes from."""

    __pydantic_config__ = _CLOSED

    name: Label = _about("Provider; `local` is this machine's Docker engine.", default="local")
    region: Region = _about("Region of the provider; empty: its default.", default="")
    options: Dict[str, Any] = _about("What only this provider knows.", default_factory=dict)


@dataclass(frozen=True)
class Agent:
    """The coding agent."""

    __pydantic_config__ = _CLOSED

    name: Label = _about("Agent.", default="claude-code")
    version: AgentVersion = _about("`latest` or an exact version.", default="latest")
    settings: Dict[str, Any] = _about("The agent's settings, as its own settings file has them.", default_factory=dict)
    hooks: Dict[str, Any] = _about("The agent's hooks, by event.", default_factory=dict)
    mcp_servers: Dict[str, Any] = _about(
        "MCP servers, by name, as the agent's own file has them; of a secret its name, as `${NAME}`.",
        default_factory=dict,
    )
    skills: Tuple[SkillName, ...] = _about(
        "Skills to install, by name; `auto`: those of the platforms that are detected.", default=("auto",)
    )


@dataclass(frozen=True)
class Blueprint:
    """What an environment is made of (`.fuel-code/env.yaml`)."""

    __pydantic_config__ = _CLOSED

    version: SchemaVersion = _about("Version of this format.", default=1)
    name: Name = _about("Name of environments made from it; empty: the repository's.", default="")
    image: Image = _about("Base image; Debian or Ubuntu based.", default=DEFAULT_IMAGE)
    runtimes: Tuple[Runtime, ...] = _about("Language runtimes, the primary first.", default=())
    system_packages: Tuple[Package, ...] = _about("Debian packages to install.", default=())
    setup: Tuple[Command, ...] = _about("Shell commands, run one by one in the workspace.", default=())
    ports: Tuple[Port, ...] = _about("Ports of the application, published on loopback.", default=())
    env: Dict[EnvName, EnvValue] = _about("Environment variables of every login.", default_factory=dict)
    secrets: Tuple[EnvName, ...] = _about("Names of secrets that the caller must give; never their values.", default=())
    services: Tuple[Service, ...] = _about("Databases and the like, each its own container.", default=())
    resources: Resources = _about("Size of the machine.", default_factory=Resources)
    provider: Provider = _about("Where the machine comes from.", default_factory=Provider)
    ttl: Ttl = _about("Time to live: the environment ends after it.", default="8h")
    idle: Ttl = _about("Ends, or stops, when nothing happened for this long.", default="30m")
    when_idle: WhenIdle = _about(
        "What happens then: `stop` its machine, where its provider can, and keep what is in it; or `end` it.",
        default="stop",
    )
    rescue: bool = _about("Save work that is only in it before it ends by itself.", default=True)
    agent: Agent = _about("The coding agent.", default_factory=Agent)
    user: User = _about("Login; empty: the image's user with uid 1000, else dev.", default="")

    @property
    def ttl_seconds(self) -> int:
        """TTL in seconds."""
        return parse_duration(self.ttl)

    @property
    def idle_seconds(self) -> int:
        """Idle limit in seconds."""
        return parse_duration(self.idle)


#: Every class of the format, the root last.
CLASSES: List[type] = [Runtime, Service, Resources, Provider, Agent, Blueprint]
