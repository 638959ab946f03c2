# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a machine comes from, and of what kind: options, then the blueprint, the settings, and the environment.

What a provider takes is what its role says (`provider_<name>_<option>` of its argument specs): nothing here knows one.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError

#: What names or opens a machine, gives it rights, or says where it gets its images: a repository may not ask for these.
_OWNERS = frozenset(
    {"account", "address_services", "allow_from", "instance_profile", "kms_key", "registry_mirrors"}
    | {"keys_bucket", "keys_prefix", "keys_region"}
    | {"org"}
    | {"host", "fingerprint", "known_hosts", "identity_file", "python", "sudo"}
)
_ELSEWHERE = frozenset({"cpus", "disk_gb", "memory_gb", "region"})
_TABLE = "providers"


@dataclass(frozen=True)
class Asked:
    """What was given on the command line; nothing stands for not given."""

    name: str | None = None
    region: str | None = None
    types: Sequence[str] = ()
    disk_gb: int | None = None
    spot: bool | None = None
    options: Sequence[str] = ()


def settle(blueprint: dict[str, Any], asked: Asked, *, foreign: bool) -> None:
    """Write into the blueprint what its machine is going to be.

    :param foreign: the blueprint came with the repository, so from whoever wrote that.
    """
    place, resources = blueprint["provider"], blueprint["resources"]
    if asked.name is not None and asked.name != place["name"]:
        # What was said of one provider means nothing to another.
        place |= {"name": asked.name, "region": "", "options": {}}
    known = _known(place["name"])
    if foreign and (refused := sorted(_OWNERS & set(place["options"]))):
        raise UsageError(
            f"The repository's blueprint asks for provider.options.{refused[0]}, which is not a repository's to decide",
            hint=f"take it out of the file; if you want it, give it yourself: --option {refused[0]}=...",
            code="option_refused",
        )
    for name in place["options"]:
        _checked(name, known, place["name"], where="provider.options")
    settings = _settings(place["name"])
    usual = str(settings.pop("region", ""))
    given = dict(_pair(each, known, place["name"]) for each in asked.options)
    if asked.spot is not None:
        given["spot"] = _checked("spot", known, place["name"]) and asked.spot
    if asked.types:
        resources["instance_type"] = asked.types[0]
        given["instance_types"] = _checked("instance_types", known, place["name"]) and list(asked.types)
    if asked.disk_gb is not None:
        resources["disk_gb"] = asked.disk_gb
    place["region"] = asked.region or place["region"] or usual or _region(place["name"], known)
    place["options"] = {**settings, **place["options"], **given}
    for option, spec in known.items():
        if spec.get("required") and not place["options"].get(option):
            raise UsageError(
                f"The provider {place['name']} has to be told its {option}",
                hint=f"give --option {option}=..., or set it in [{_TABLE}.{place['name']}] of config.toml",
                where="--host" if option == "host" else f"--option {option}",
            )
        _one_of(option, spec, place["options"].get(option))


def usual(name: str, region: str | None = None) -> dict[str, Any]:
    """What this provider is asked with when nothing is launched: the settings, and a region where one is said."""
    settings = _settings(name)
    said = region or settings.get("region") or _REGIONS.get(name, lambda: "")()
    return {**settings, **({"region": str(said)} if said else {})}


def check(name: str) -> None:
    """FuelError when this machine lacks what the embedded server needs for that provider."""
    for library in _LIBRARIES.get(name, ()):
        if importlib.util.find_spec(library) is None:
            raise FuelError(
                f"The provider {name} needs {library}, which is not installed",
                hint=f"pip install 'fuelctl[{name}]'",
                code="missing_library",
            )


def check_nobody(name: str) -> None:
    """UsageError for a provider that is never asked without a credential that neither shell nor server has."""
    if name in _TOKENS:
        variable, source = _TOKENS[name]
        raise UsageError(
            f"The provider {name} needs {variable}, which is not set",
            hint=f'export {variable}="$({source})"',
            code="credentials",
        )


def image(blueprint: Mapping[str, Any]) -> str:
    """What the environment is made from: where it is the machine itself, the machine's own image."""
    place = blueprint.get("provider") or {}
    its = (place.get("options") or {}).get("image") if place.get("name") in _MACHINES else None
    return str(its or blueprint.get("image") or "")


def _known(name: str) -> dict[str, dict[str, Any]]:
    """The options that this provider takes, with their types; empty for one that takes none."""
    import yaml

    from fuelctl import _shared

    specs = Path(next(iter(_shared.__path__))).parent.parent / "roles" / f"provider_{name}" / "meta/argument_specs.yml"
    try:
        document = yaml.safe_load(specs.read_text(encoding="utf-8"))
    except OSError:
        return {}
    prefix = f"provider_{name}_"
    return {
        option.removeprefix(prefix): spec
        for entry in document["argument_specs"].values()
        for option, spec in (entry.get("options") or {}).items()
        if option.startswith(prefix)
    }


def _checked(option: str, known: Mapping[str, Any], name: str, where: str = "--option") -> bool:
    # What the blueprint has a field for is said there, or by an option of its own.
    free = sorted(known.keys() - _ELSEWHERE)
    if option not in free:
        hint = f"it has {', '.join(free)}" if free else "it has none"
        raise UsageError(f"The provider {name} has no option {option[:40]!r}", hint=hint, where=where)
    return True


def _one_of(option: str, spec: Mapping[str, Any], value: Any) -> None:
    choices = spec.get("choices")
    if choices and value is not None and value not in choices:
        raise UsageError(f"{str(value)[:60]!r} is none of {', '.join(choices)}", where=f"--option {option}")


def _pair(text: str, known: Mapping[str, dict[str, Any]], name: str) -> tuple[str, Any]:
    option, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text[:60]!r} is no option", hint="like --option zones=eu-central-1a", where="--option")
    _checked(option, known, name)
    kind = known[option].get("type")
    try:
        return option, _KINDS.get(str(kind), str)(value)
    except ValueError as error:
        raise UsageError(f"{value[:60]!r} is no {kind}", where=f"--option {option}") from error


def _truth(value: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in words:
        raise ValueError(value)
    return words[value.lower()]


_KINDS: dict[str, Callable[[str], Any]] = {
    "bool": _truth,
    "int": int,
    "float": float,
    "list": lambda value: [each.strip() for each in value.split(",") if each.strip()],
    "dict": json.loads,
}


def _settings(name: str) -> dict[str, Any]:
    """`[providers.<name>]` of config.toml."""
    import tomllib

    file = paths.config_file()
    if not file.exists():
        return {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get(_TABLE, {}).get(name, {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        raise UsageError(f"Cannot read the settings: {error}", where=str(file), hint="correct that line") from error
    if not isinstance(table, dict):
        raise UsageError(f"{_TABLE}.{name} must be a table", where=str(file), hint=f"write [{_TABLE}.{name}]")
    known = {"region", *_known(name).keys() - _ELSEWHERE}
    for option in table:
        if option not in known:
            raise UsageError(
                f"{_TABLE}.{name}.{option} is not a setting", where=str(file), hint=f"known: {', '.join(sorted(known))}"
            )
    return dict(table)


def _region(name: str, known: Mapping[str, Any]) -> str:
    """What the environment says, where the provider has regions at all."""
    if "region" not in known:
        return ""
    found = _REGIONS.get(name, lambda: "")()
    if not found:
        raise UsageError(
            f"No region is named for the provider {name}",
            hint=_REGION_HINTS.get(name, "give --region"),
            where="--region",
            code="no_region",
        )
    return found


def _aws_region() -> str:
    """As AWS's own tools find it: variables, then the profile."""
    said = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if said:
        return said
    profile = os.environ.get("AWS_PROFILE") or "default"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return ""
    section = profile if profile == "default" else f"profile {profile}"
    return parser.get(section, "region", fallback="").strip()


def _fly_region() -> str:
    return os.environ.get("FLY_REGION", "")


_REGIONS: dict[str, Callable[[], str]] = {"ec2": _aws_region, "fly": _fly_region}
_REGION_HINTS = {
    "ec2": "give --region, for example eu-central-1, or set AWS_REGION",
    "fly": "give --region, for example fra, or set FLY_REGION",
}
#: Those whose machine is the environment.
_MACHINES = frozenset({"fly"})
_TOKENS = {"fly": ("FLY_API_TOKEN", "fly tokens create org")}
_LIBRARIES = {"ec2": ("boto3", "botocore")}
