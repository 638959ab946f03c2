# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of an `up`: named by the person, never by the repository.

A blueprint may ask for secrets, but only an option hands one over: otherwise a hostile env.yaml could name the
variables of the caller's own shell and have them sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fuelctl._shared._blueprint.data_validation import DENIED_ENV, DENIED_ENV_PREFIXES
from fuelctl._shared._errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST = 64 * 1024


def gather(
    names: Iterable[str], files: Iterable[str], wanted: Iterable[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Values of `--secret NAME` (from `environ`) and `--secret-file NAME=PATH`; the blueprint asks for `wanted`."""
    found: dict[str, str] = {}
    for name in names:
        _check_name(name, "--secret")
        if name not in environ:
            raise UsageError(
                f"--secret {name}: this shell has no variable {name}",
                hint=f"export it first, or give --secret-file {name}=PATH",
            )
        found[name] = _checked(name, environ[name])
    for given in files:
        name, equals, path = given.partition("=")
        if not equals or not path:
            raise UsageError(
                f"--secret-file {given[:80]!r} is not NAME=PATH", hint="for example --secret-file TOKEN=token.txt"
            )
        _check_name(name, "--secret-file")
        found[name] = _checked(name, _read(name, Path(path).expanduser()))
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UsageError(
            f"The blueprint asks for {', '.join(missing)}",
            hint="give " + " ".join(f"--secret {name}" for name in missing) + " (from this shell), or --secret-file",
            code="secret_missing",
        )
    return found


def _check_name(name: str, option: str) -> None:
    if "=" in name:
        # Not repeated in the message: what follows the sign may be the secret itself.
        raise UsageError(
            f"{option} takes a name, never a value: a command line is seen by everybody on this machine",
            hint=f"export {name.partition('=')[0][:40]}=..., then {option} {name.partition('=')[0][:40]}",
        )
    if not _NAME.fullmatch(name) or len(name) > 128:
        raise UsageError(f"{option} {name[:80]!r} is no name of a variable", hint="letters, digits and _")
    if name.upper() in DENIED_ENV or name.upper().startswith(tuple(DENIED_ENV_PREFIXES)):
        raise UsageError(f"{option} {name} would change how programs are found or loaded", hint="choose another name")


def _read(name: str, path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise UsageError(
                f"{path} is larger than 64 KB, too much for the secret {name}", hint="is it the right file?"
            )
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text (UTF-8)", hint=f"the secret {name} must be one line of text") from error
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}", hint=f"--secret-file {name}=PATH") from error


def _checked(name: str, value: str) -> str:
    if not value:
        raise UsageError(f"The secret {name} is empty", hint="is the variable set in this shell, the file written?")
    if "\n" in value or "\r" in value or "\0" in value:
        raise UsageError(f"The secret {name} has more than one line", hint="a secret is one line, at most 64 KB")
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"The secret {name} is no text (UTF-8)", hint="a secret is one line of text") from error
    if len(encoded) > _LARGEST:
        raise UsageError(f"The secret {name} is longer than 64 KB", hint="a secret is one line, at most 64 KB")
    return value
