# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of `fuelctl doctor`: each asks one thing of this machine and says how to mend it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fuelctl import __version__, paths, ssh_include
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.cli._context import connect
from fuelctl.cli._environment import moment, now
from fuelctl.cli._output import duration, size

_CA_FOLDER = Path("/usr/local/share/ca-certificates")
_LOW_DISK = 5_000_000_000


@dataclass(frozen=True)
class Check:
    """One answer. `required`: without it, nothing works; `fix`: what to do about a cross."""

    name: str
    good: bool
    found: str
    fix: str = ""
    required: bool = True


def checks() -> Iterator[Check]:
    """Every check, in the order in which one rests on another."""
    yield _python()
    yield _ansible()
    yield from _docker()
    yield _tool("git", ["git", "--version"], "apt-get install git")
    yield _tool("ssh", ["ssh", "-V"], "apt-get install openssh-client")
    folders: tuple[tuple[str, Callable[[], Path]], ...] = (
        ("state folder", paths.state_folder),
        ("data folder", paths.data_folder),
        ("cache folder", paths.cache_folder),
    )
    for name, folder in folders:
        yield _folder(name, folder())
    yield _server()
    yield _include()
    yield _authorities()


def _run(arguments: list[str]) -> tuple[int, str]:
    """(exit code, output) of a short command; 127 when it is not there, 124 when it hangs."""
    try:
        done = subprocess.run(
            arguments,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=15,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return 127, ""
    except subprocess.TimeoutExpired:
        return 124, "no answer within 15 s"
    except OSError as error:
        return 126, error.strerror or str(error)
    return done.returncode, (done.stdout + done.stderr).strip()


def _last_line(text: str) -> str:
    return text.splitlines()[-1].strip() if text.strip() else "no message"


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), f"{found} ({sys.executable})", "install Python 3.11 or newer")


def _ansible() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    fix = f"reinstall fuelctl: {sys.executable} -m pip install --force-reinstall fuelctl"
    try:
        found = version("ansible-core")
    except PackageNotFoundError:
        return Check("ansible", False, "ansible-core is not in this Python", fix)
    beside = Path(sys.executable).parent / "ansible-playbook"
    binary = str(beside) if beside.exists() else shutil.which("ansible-playbook")
    if binary is None:
        return Check("ansible", False, f"ansible-core {found}, but no ansible-playbook", fix)
    return Check("ansible", True, f"ansible-core {found} ({binary})")


def _docker() -> Iterator[Check]:
    client = shutil.which("docker")
    if client is None:
        fix = "install it: apt-get install docker.io, or https://docs.docker.com/engine/install/"
        yield Check("docker client", False, "no docker on the PATH", fix)
        return
    yield Check("docker client", True, client)
    code, output = _run(["docker", "version", "--format", "{{.Server.Version}}"])
    if code:
        if "permission denied" in output.lower():
            fix = "sudo usermod -aG docker $USER, then log in again"
            yield Check("docker engine", False, "this user may not use it", fix)
        else:
            fix = "start it: sudo systemctl start docker (or dockerd); see DOCKER_HOST when it is elsewhere"
            yield Check("docker engine", False, _last_line(output), fix)
        return
    yield Check("docker engine", True, _last_line(output))
    code, root = _run(["docker", "info", "--format", "{{.DockerRootDir}}"])
    if code == 0 and Path(root).exists():
        yield _disk("docker disk", Path(root), "free some: docker system df shows what takes it")


def _disk(name: str, path: Path, fix: str) -> Check:
    free = shutil.disk_usage(path).free
    enough = free >= _LOW_DISK
    return Check(name, enough, f"{size(free)} free in {path}", "" if enough else fix, required=False)


def _tool(name: str, arguments: list[str], install: str) -> Check:
    code, output = _run(arguments)
    if code == 127:
        return Check(name, False, f"no {name} on the PATH", f"install it: {install}")
    return Check(name, code == 0, _last_line(output), f"reinstall it: {install}")


def _folder(name: str, path: Path) -> Check:
    """Whether files can be made there: by making one, for rights, quotas and mounts all have a say."""
    try:
        probe = paths.private_file(path / ".doctor", b"fuelctl\n")
        probe.unlink()
    except FuelError as error:
        return Check(name, False, error.message, error.hint or "set FUELCTL_HOME")
    except OSError as error:
        return Check(name, False, str(error), "set FUELCTL_HOME")
    return Check(name, True, str(path))


def _server() -> Check:
    try:
        client = connect(start=False)
        if client.embedded and not paths.server_socket().exists():
            return Check("server", True, "not running; the next command that needs it starts it", required=False)
        found = client.environments()
    except FuelError as error:
        fix = "fuelctl server stop, then fuelctl server start; its log: " + str(paths.server_log())
        if isinstance(error, UsageError):
            return Check("server", False, error.message, str(error.hint or f"correct {error.where}"))
        # A team's server is not ours to restart.
        theirs = "server.url" in str(error.hint or "") or error.code == "unauthorized"
        return Check("server", False, error.message, str(error.hint) if theirs else fix)
    last = moment((found.get("reaper") or {}).get("last_cycle_at"))
    age = (now() - last).total_seconds() if last else None
    if age is not None and age > 180:
        fix = "fuelctl server stop, then fuelctl server start"
        return Check("server", False, f"runs, but its reaper last ran {duration(age)} ago", fix)
    reaper = f"reaper {duration(age)} ago" if age is not None else "its reaper has not run yet"
    return Check("server", True, f"{client.endpoint}, {reaper} (fuelctl {__version__})")


def _include() -> Check:
    config = ssh_include.user_config()
    if config is None:
        return Check("ssh config", True, "left alone, as FUELCTL_SSH_CONFIG=none says", required=False)
    if ssh_include.present(config):
        return Check("ssh config", True, f"{config} includes {paths.ssh_config_file()}", required=False)
    if not paths.ssh_config_file().exists():
        return Check("ssh config", True, "the first `fuelctl up` adds one Include line", required=False)
    fix = f"put this line at the top of {config}: {ssh_include.line()}"
    return Check("ssh config", False, "plain `ssh fuel-NAME` will not work", fix, required=False)


def _authorities() -> Check:
    """Additional CAs of this machine: they are installed in every environment, so a dead one is worth a word."""
    found = sorted(_CA_FOLDER.glob("**/*.crt"))
    if not found:
        return Check("CA", True, "no additional certificate authorities", required=False)
    for path in found:
        problem = _certificate_problem(path)
        if problem:
            return Check(
                "CA", False, f"{path} {problem}", "replace it, then run update-ca-certificates", required=False
            )
    return Check("CA", True, f"{len(found)} additional, taken into environments", required=False)


def _certificate_problem(path: Path) -> str | None:
    from cryptography import x509

    try:
        content = path.read_bytes()
        if not re.search(rb"-----BEGIN CERTIFICATE-----", content):
            return "is no PEM certificate"
        certificates = x509.load_pem_x509_certificates(content)
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    if any(certificate.not_valid_after_utc < now() for certificate in certificates):
        return "has expired"
    return None if os.access(path, os.R_OK) else "cannot be read"
