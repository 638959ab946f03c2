# SPDX-License-Identifier: GPL-3.0-or-later
"""The price book of this user: what comes with the collection, under what `fuelctl prices refresh` brought from AWS."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from fuelctl import __version__, paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._prices import _aws_list, _book, _fly, _offer

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT = 60.0
#: The lists themselves have some 300 MB; one that is far larger is none.
_MOST_BYTES = 4 * 1024**3
_MOST_INDEX_BYTES = 4 * 1024**2
#: What the caller owns: its machine costs nothing here.
_OWNED = frozenset({"local", "ssh"})
#: Providers whose prices the book has.
_BILLED = frozenset({"ec2"})
_FLY = "fly"


@dataclass(frozen=True)
class Prices:
    """The book, and what is wrong with the refreshed file, which is passed over then."""

    book: _book.Book
    trouble: FuelError | None = None


def file() -> Path:
    """What the last refresh brought."""
    return paths.cache_folder() / "prices.json"


def load() -> Prices:
    """The refreshed tables over those that come with the collection; read anew only when the file has changed."""
    try:
        found = file().stat()
    except OSError:
        return _read(None)
    return _read((str(file()), found.st_ino, found.st_mtime_ns, found.st_size))


@functools.lru_cache(maxsize=2)
def _read(seen: tuple[str, int, int, int] | None) -> Prices:
    book = _book.builtin()
    if seen is None:
        return Prices(book)
    try:
        content = file().read_bytes()
    except OSError as error:
        reason = f"the price file cannot be read: {error.strerror or error}"
        return Prices(book, FuelError(reason, where=str(file()), hint="fuelctl prices reset", code="bad_prices"))
    try:
        return Prices(book.with_regions(_book.parse(_decoded(content), str(file()))))
    except FuelError as error:
        return Prices(book, error)


def reset() -> bool:
    """Forget what was refreshed; whether there was something."""
    try:
        file().unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise paths.storage_error(error, file()) from error
    return True


def refresh(
    regions: Iterable[str], base: str, told: Callable[[str], object] = lambda _region: None
) -> dict[str, _book.Region]:
    """Read AWS's lists of these regions (all that there are when none is named) and keep them; the new tables.

    :param base: address under which the lists are, AWS's own or a copy.
    :param told: called with each region's name when it begins.
    """
    base = base.rstrip("/")
    with _opened(base + _aws_list.REGIONS_PATH) as stream:
        index = _decoded(stream.read(_MOST_INDEX_BYTES))
    known = _aws_list.addresses(index, base)
    wanted = list(dict.fromkeys(regions)) or sorted(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(
            f"AWS's price list has no region {unknown[0][:40]!r}",
            hint=f"it has {', '.join(sorted(known))}",
            where="--region",
        )
    found = {}
    for name in wanted:
        told(name)
        with _opened(known[name]) as stream:
            found[name] = _aws_list.region(_lines(stream, known[name]), name, known[name])
        # One by one: what was fetched is kept when the next one fails.
        _keep(found)
    return found


def wish(blueprint: dict[str, Any]) -> _offer.Wish:
    """The machine that this blueprint, with its provider's options, asks of a provider that bills: as its role does."""
    from fuelctl._shared._ec2 import _image

    resources, place = blueprint.get("resources") or {}, blueprint.get("provider") or {}
    options = place.get("options") or {}
    environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    types = options.get("instance_types") or [resources.get("instance_type")]
    named = [str(each) for each in types if each] if isinstance(types, list) else []
    if not named:
        cpus, memory_gb = (_number(options.get(name) or resources.get(name)) for name in ("cpus", "memory_gb"))
        named = [_image.type_for(cpus, memory_gb)]
    return _offer.Wish(
        region=str(options.get("region") or place.get("region") or environment),
        types=_offer.types_for(named),
        spot=options.get("spot") is True,
        disk_gb=disk_gb(blueprint),
        # Where nobody says it, the subnet does: most give one.
        public_ipv4=options.get("public_address") is not False,
    )


def fly_machine(blueprint: dict[str, Any]) -> _fly.Machine:
    """The machine that this blueprint asks of Fly.io: as its role does."""
    resources, place = blueprint.get("resources") or {}, blueprint.get("provider") or {}
    options = place.get("options") or {}
    usual = _fly.Machine("")
    return _fly.Machine(
        region=str(options.get("region") or place.get("region") or ""),
        cpu_kind=str(options.get("cpu_kind") or usual.cpu_kind),
        cpus=_number(resources.get("cpus")) or usual.cpus,
        memory_gb=_number(resources.get("memory_gb")) or usual.memory_gb,
        disk_gb=_number(resources.get("disk_gb")) or usual.disk_gb,
        dedicated_ipv4=options.get("address", "v4") == "v4",
    )


def disk_gb(blueprint: dict[str, Any]) -> float:
    """The disk of that machine, in GB."""
    options = (blueprint.get("provider") or {}).get("options") or {}
    return _number(options.get("disk_gb") or (blueprint.get("resources") or {}).get("disk_gb"))


def offer(book: _book.Book, provider: str, blueprint: dict[str, Any]) -> _offer.Offer:
    """What an environment's machine would cost."""
    if provider in _OWNED:
        return _offer.FREE
    if provider == _FLY:
        return _fly.offer(fly_machine(blueprint))
    if provider not in _BILLED:
        return _offer.Offer(None, None, estimate=True, reason=f"no prices of provider {provider}")
    return _offer.offer(book, wish(blueprint))


def _number(value: Any) -> float:
    """Options are whatever a caller wrote; what is no figure is left to the provider to refuse."""
    try:
        found = float(value or 0)
    except (TypeError, ValueError):
        return 0.0
    return found if 0 <= found <= 1e6 else 0.0


def _keep(found: dict[str, _book.Region]) -> None:
    """Add the tables to the file, all or nothing."""
    try:
        earlier = _book.parse(_decoded(file().read_bytes()), str(file()))
    except (OSError, FuelError):
        earlier = {}
    document = json.dumps(_book.dump({**earlier, **found}), separators=(",", ":"))
    paths.private_file(file(), document.encode("utf-8"))


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


@contextmanager
def _opened(address: str) -> Iterator[IO[bytes]]:
    """The body at an address, unpacked; FuelError `prices_unreachable` for whatever goes wrong while it is read."""
    import gzip
    import http.client
    import urllib.error
    import urllib.request
    import zlib

    if not address.startswith(("https://", "http://")):
        raise UsageError(f"{address[:80]!r} is no http(s) address", where="--from")
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        address, headers={"User-Agent": f"fuelctl/{__version__}", "Accept-Encoding": "gzip"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - the same
            packed = answer.headers.get("Content-Encoding") == "gzip"
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=answer) if packed else answer)
            if answer.length:
                # A read that comes to an end early raises nothing.
                raise http.client.IncompleteRead(b"", answer.length)
    except urllib.error.HTTPError as error:
        error.close()
        raise _unreachable(address, f"it answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, EOFError, zlib.error) as error:
        raise _unreachable(address, str(getattr(error, "reason", None) or error) or type(error).__name__) from error


def _lines(stream: IO[bytes], where: str) -> Iterator[str]:
    """The text's lines; a list without end is broken off."""
    left = _MOST_BYTES
    for line in iter(lambda: stream.readline(1 << 20), b""):
        left -= len(line)
        if left < 0:
            raise FuelError(f"the price list is larger than {_MOST_BYTES >> 30} GB", where=where, code="bad_prices")
        yield line.decode("utf-8", "replace")


def _unreachable(address: str, why: str) -> FuelError:
    return FuelError(
        f"AWS's price list cannot be fetched: {why}",
        where=address,
        hint="look at this machine's network and proxy (HTTPS_PROXY), or give a copy with --from; "
        "the prices at hand stay as they are",
        code="prices_unreachable",
    )
