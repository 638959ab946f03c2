# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What may name a repository, a branch, a place to fetch from: nothing that could be an option or a command."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from typing import Callable, Iterable, List, Optional
from urllib.parse import unquote, urlsplit, urlunsplit

from .._errors import UsageError

_URL_LIMIT = 2048
_BRANCH_LIMIT = 250
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: transport::address starts the program git-remote-<transport>.
_HELPER = re.compile(r"[A-Za-z0-9+._-]+::")
#: user@host:path, as ssh users write it.
_SCP = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\s\[\]]+):(?P<path>(?!//).+)")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@~-]*")
#: What clouds answer credentials under; the addresses behind them are refused as well.
_METADATA_HOSTS = {
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
}
_METADATA_ADDRESSES = {
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
}

Resolve = Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class Address:
    """A URL that git may be given."""

    #: As git is given it; may carry the caller's credentials, so never shown or stored.
    url: str
    scheme: str
    host: Optional[str]

    @property
    def shown(self) -> str:
        """The same without credentials."""
        return without_credentials(self.url) or ""


def looks_like_url(text: str) -> bool:
    """Whether this is meant as a URL; everything else is a path. An existing folder is always a path."""
    if _SCHEME.match(text) or _HELPER.match(text):
        return True
    return not os.path.isdir(text) and not text.startswith(("/", ".", "~")) and bool(_SCP.fullmatch(text))


def check_text(text: str) -> str:
    """Refuse what can be neither path nor URL, before anything else looks at it."""
    if not text:
        raise UsageError("no repository was given", hint="give a path or a URL", code="bad_source")
    if len(text) > _URL_LIMIT * 2:
        raise UsageError(
            f"a repository address of {len(text)} characters is refused", hint="4096 at most", code="bad_source"
        )
    if _CONTROL.search(text):
        raise UsageError(f"{_short(text)} holds a line break or control character", hint="remove it", code="bad_source")
    if text.startswith("-"):
        raise UsageError(
            f"{_short(text)} looks like an option, not a repository",
            hint="write ./ before a path that starts so",
            code="bad_source",
        )
    return text


def parse_url(text: str, resolve: Optional[Resolve] = None) -> Address:
    """The address, when git may be given it; UsageError with one line otherwise.

    :param resolve: host to addresses, as text; by default the machine's resolver. What does not resolve is left to git.
    """
    check_text(text)
    if len(text) > _URL_LIMIT:
        raise UsageError(f"a URL of {len(text)} characters is refused", hint=f"{_URL_LIMIT} at most", code="bad_url")
    if _HELPER.match(text):
        raise _bad(text, "uses a git remote helper, which can run commands")
    authority = re.split("://", text, maxsplit=1)[-1].partition("/")[0]
    if re.search(r"%0[0-9a-f]|%1[0-9a-f]|%7f", text, re.IGNORECASE) or "\\" in text or " " in authority:
        raise _bad(text, "holds an encoded control character, a backslash or a space in its host")
    scheme = _SCHEME.match(text)
    if scheme:
        return _parse_full(text, scheme.group(1).lower(), resolve)
    short = _SCP.fullmatch(text)
    if not short:
        raise _bad(text, "is no URL that git knows")
    _check_ssh(text, short.group("user"), short.group("host"), short.group("path"))
    _check_host(text, short.group("host"), resolve)
    return Address(text, "ssh", short.group("host"))


def _parse_full(text: str, scheme: str, resolve: Optional[Resolve]) -> Address:
    if scheme in ("http", "git"):
        raise _bad(text, f"uses {scheme}://, which anybody on the way can change", "use https:// or ssh://")
    if scheme not in ("https", "ssh", "file"):
        raise _bad(text, f"uses {scheme}://")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad(text, f"cannot be read ({error})") from error
    if scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise _bad(text, "names a host in a file:// URL", "write file:///path")
        return Address(text, scheme, None)
    if not host or not parts.path.strip("/"):
        raise _bad(text, "names no host or no repository")
    bracketed = f"[{host}]" if ":" in host else host
    if scheme == "ssh":
        _check_ssh(text, unquote(parts.username) if parts.username is not None else None, bracketed, parts.path)
    _check_host(text, bracketed, resolve)
    return Address(text, scheme, host)


def _check_ssh(text: str, user: Optional[str], host: str, path: str) -> None:
    """Ssh takes a leading hyphen anywhere as an option."""
    if user is not None and not _USER.fullmatch(user):
        raise _bad(text, "has a user name that ssh could take as an option")
    if host.startswith("-") or path.lstrip("/").startswith("-"):
        raise _bad(text, "has a host or path that ssh could take as an option")


def _check_host(text: str, host: str, resolve: Optional[Resolve]) -> None:
    name = host.strip("[]").rstrip(".").lower()
    if host.startswith("-") or not _HOST.fullmatch(host):
        raise _bad(text, "has no valid host name")
    if name in _METADATA_HOSTS:
        raise _bad(text, "points at a cloud's metadata service")
    for address in _addresses(name, resolve or _resolve):
        mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
        if any(
            a.is_link_local or a.is_multicast or a.is_unspecified or a in _METADATA_ADDRESSES for a in (address, mapped)
        ):
            raise _bad(text, "points at a link-local or metadata address")


def _addresses(name: str, resolve: Resolve) -> "List[ipaddress.IPv4Address | ipaddress.IPv6Address]":
    try:
        return [ipaddress.ip_address(name)]
    except ValueError:
        pass
    if re.fullmatch(r"[0-9a-fx.]+", name) and name[0].isdigit():
        try:
            # 0xA9FEA9FE, 2852039166 and 169.254.43518 are addresses to a resolver.
            return [ipaddress.IPv4Address(socket.inet_aton(name))]
        except OSError:
            pass
    return [ipaddress.ip_address(text.split("%", 1)[0]) for text in resolve(name)]


def _resolve(name: str) -> List[str]:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def check_branch(branch: str) -> str:
    """The branch unchanged; UsageError unless git would take it as a branch name."""
    bad = (
        not branch
        or len(branch) > _BRANCH_LIMIT
        or branch.startswith(("-", "/", ".", "refs/"))
        or branch.endswith(("/", ".", ".lock"))
        or branch in ("@", "HEAD")
        or any(part in branch for part in ("..", "//", "@{", "/.", ".lock/"))
        or re.search(r"[\x00-\x20\x7f~^:?*\[\\]", branch)
    )
    if bad:
        raise UsageError(
            f"{_short(branch)} cannot be a branch name",
            hint="give a branch as `git branch` lists it",
            code="bad_branch",
        )
    return branch


def without_credentials(url: str) -> Optional[str]:
    """The URL without user and password of https; None for a local path, which nobody else could reach."""
    if _CONTROL.search(url) or len(url) > _URL_LIMIT:
        return None
    if _SCHEME.match(url):
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.scheme.lower() == "file":
            return None
        netloc = parts.netloc
        if parts.scheme.lower() in ("http", "https"):
            netloc = netloc.rsplit("@", 1)[-1]
        elif "@" in netloc:
            user, host = netloc.rsplit("@", 1)
            netloc = f"{user.split(':', 1)[0]}@{host}"
        # A query could carry a token, and git has no use for a fragment.
        return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
    return url if not _HELPER.match(url) and not url.startswith("-") and _SCP.fullmatch(url) else None


def repository_name(place: str) -> str:
    """A folder name from the last part of a path or URL: letters, digits, dot, hyphen, underscore; at most 64."""
    last = re.split(r"[/:]", place.rstrip("/"))[-1]
    if last.endswith(".git"):
        last = last[:-4]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.")[:64].rstrip("-.")
    return name or "repository"


def _bad(text: str, why: str, hint: str = "use an https:// or ssh:// address of the repository") -> UsageError:
    return UsageError(f"{_short(without_credentials(text) or _redacted(text))} {why}", hint=hint, code="bad_url")


def _redacted(text: str) -> str:
    """Cut what stands before an @: it may be a password."""
    return re.sub(r"//[^/@]*@", "//***@", text)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
