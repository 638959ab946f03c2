# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Version words of every ecosystem: pins, ranges and aliases, resolved against the release lines that exist."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import List, NamedTuple, Optional, Tuple

from .data_images import RUNTIME_DATA
from .findings import ALIAS, PIN, RANGE, Candidate

Numbers = Tuple[int, ...]
#: Half-open intervals; a version satisfies when it lies in one of them.
Bounds = Tuple[Tuple[Numbers, Numbers], ...]

END: Numbers = (10**9,)
_PIN = re.compile(r"=?v?(\d{1,9}(?:\.\d{1,9}){0,3})((?:[-+]|rc|a|b|\.dev)[0-9A-Za-z.+-]*)?", re.ASCII)
_TERM = re.compile(
    r"(\^|~>|~=|~|>=|=>|<=|===|==|!=|>|<|=)?\s*v?(\d{1,9}(?:\.\d{1,9}){0,3}|[xX*](?![A-Za-z]))((?:\.[xX*])*)((?:-|rc|a\d|b\d)[0-9A-Za-z.-]*)?",
    re.ASCII,
)
_HYPHEN = re.compile(r"v?(\d+(?:\.\d+)*)\s+-\s+v?(\d+(?:\.\d+)*)", re.ASCII)


class Word(NamedTuple):
    """What a version word means: value for the blueprint, pin | range | alias, and what it allows."""

    value: str
    kind: str
    bounds: Bounds


def numbers(text: str) -> Numbers:
    """`3.12.1` as (3, 12, 1)."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _full(version: Numbers) -> Numbers:
    """Four numbers, so that 20 and 20.0.0 compare as equal."""
    return version + (0,) * (4 - len(version))


def _bump(version: Numbers, index: int) -> Numbers:
    head = version[: index + 1]
    return (*head[:-1], head[-1] + 1) if head else END


def _prefix(version: Numbers) -> Tuple[Numbers, Numbers]:
    return version, _bump(version, len(version) - 1)


def _term(operator: str, version: Numbers, flavour: str) -> Tuple[Numbers, Numbers]:
    """The interval of one term. Flavours differ in `~` and in what a bare number means."""
    last = len(version) - 1
    if operator in (">=", "=>"):
        return version, END
    if operator == ">":
        return ((*version, 1) if flavour == "pep440" else _bump(version, last)), END
    if operator == "<":
        return (0,), version
    if operator == "<=":
        return (0,), _bump(version, last)
    if operator == "^":
        # Below 1.0 the first number that is not zero may not change.
        index = next((place for place, number in enumerate(version) if number), last)
        return version, _bump(version, index)
    if operator in ("~>", "~="):
        return (version, _bump(version, last - 1)) if last else (version, END)
    if operator == "~":
        wide = flavour == "composer" and last == 1
        return version, _bump(version, 0 if wide or not last else 1)
    return _prefix(version)


def parse_range(text: str, flavour: str = "npm") -> Bounds:
    """What `text` allows. Flavours: npm (also poetry, pub, cargo, shards), pep440, gem (also mix), composer."""
    intervals: List[Tuple[Numbers, Numbers]] = []
    for alternative in re.split(r"\s*\|\|?\s*|\s+or\s+", text[:400]):
        low: Numbers = (0,)
        high: Numbers = END
        found = False
        holes: List[Tuple[Numbers, Numbers]] = []
        hyphen = _HYPHEN.search(alternative)
        if hyphen:
            low, high = numbers(hyphen.group(1)), _prefix(numbers(hyphen.group(2)))[1]
            found = True
        else:
            for operator, version, wild, _tail in _TERM.findall(alternative):
                found = True
                if operator == "!=":
                    # Without `.*` one release is left out, never a line.
                    holes += [_prefix(numbers(version))] if wild and version not in "xX*" else []
                    continue
                if version in "xX*":
                    continue
                start, end = _term(operator, numbers(version), flavour)
                low, high = max(low, start), min(high, end)
        for start, end in sorted(holes):
            if found and low < start < high:
                intervals.append((_full(low), _full(start)))
            low = max(low, end) if start < high else low
        if found and low < high:
            intervals.append((_full(low), _full(high)))
    return tuple(intervals)


def overlap(one: Bounds, other: Bounds) -> bool:
    """Whether some version satisfies both; True where either says nothing."""
    if not one or not other:
        return True
    return any(max(_full(a), _full(c)) < min(_full(b), _full(d)) for a, b in one for c, d in other)


def within(pin: Bounds, allowed: Bounds) -> bool:
    """Whether the line or version `pin` can satisfy `allowed`."""
    return bool(pin) and bool(allowed) and overlap(pin, allowed)


@lru_cache(maxsize=None)
def _lines(runtime: str) -> Tuple[Tuple[str, Numbers, Numbers], ...]:
    data = RUNTIME_DATA[runtime]
    lines = ((line, _prefix(numbers(line))) for line in [*data["settled"], *data["other"]])
    return tuple((line, _full(start), _full(end)) for line, (start, end) in lines)


def newest(bounds: Bounds, runtime: str) -> Optional[str]:
    """The newest settled line (or part of one) of `runtime` that satisfies `bounds`; None when none is known."""
    for line, start, end in _lines(runtime):
        for low, high in bounds:
            top = min(end, high)
            if max(start, low) < top:
                return line if high >= end else _below(top, max(start, low))
    return None


def _below(top: Numbers, low: Numbers) -> str:
    """The newest version or line under `top`: below (20, 12) it is 20.11, below (3, 11, 4) it is 3.11.3."""
    for size in range(len(top), 0, -1):
        if top[size - 1] > 0:
            return ".".join(map(str, (*top[: size - 1], top[size - 1] - 1)))
    return ".".join(map(str, low))


@lru_cache(maxsize=4096)
def understand(text: str, runtime: str, flavour: str = "npm", plain_is_range: bool = False) -> Optional[Word]:
    """What a version word of `runtime` means; None when it means nothing.

    :param plain_is_range: a bare `20` is written where ranges are expected (engines, requires-python).
    """
    text = text.strip().strip("\"'").strip()
    if not text or len(text) > 400:
        return None
    aliases = RUNTIME_DATA[runtime]["aliases"]
    alias = aliases.get(text.lower())
    if alias is not None:
        return Word(alias, ALIAS, (_prefix(numbers(alias)),) if alias[:1].isdigit() else ())
    pin = _PIN.fullmatch(text)
    if pin:
        version = numbers(pin.group(1))
        depth = RUNTIME_DATA[runtime]["depth"]
        line_only = plain_is_range and len(version) <= depth
        if plain_is_range and len(version) < depth:
            return _ranged(text, runtime, flavour)
        value = pin.group(1) + (pin.group(2) or "")
        return Word(value, RANGE if line_only and flavour == "npm" and runtime == "node" else PIN, (_prefix(version),))
    return _ranged(text, runtime, flavour)


def _ranged(text: str, runtime: str, flavour: str) -> Optional[Word]:
    if text[0] not in "0123456789^~<>=!*xXv(|":
        return None
    bounds = parse_range(text, flavour)
    if not bounds:
        return None
    value = newest(bounds, runtime)
    if value is None:
        # No line that we know: the lower end is at least what was asked for.
        low = max(interval[0] for interval in bounds)
        while len(low) > RUNTIME_DATA[runtime]["depth"] and not low[-1]:
            low = low[:-1]
        value = ".".join(map(str, low))
    exact = re.fullmatch(r"={1,3}\s*v?(\d+(?:\.\d+)*)", text)
    return Word(exact.group(1), PIN, bounds) if exact else Word(value, RANGE, bounds)


def candidate(
    text: str,
    runtime: str,
    source: str,
    *,
    flavour: str = "npm",
    confidence: float = 0.95,
    plain_is_range: bool = False,
    note: str = "",
) -> List[Candidate]:
    """One candidate in a list, or an empty list when `text` is no version word: for `versions += candidate(...)`."""
    word = understand(text, runtime, flavour, plain_is_range)
    if word is None:
        return []
    return [Candidate(word.value, source, word.kind, confidence, raw=text.strip()[:100], note=note, bounds=word.bounds)]


def image_for(runtime: str, version: str) -> str:
    """The official Debian-based image of `runtime` at `version` (a pin, a line, or empty)."""
    data = RUNTIME_DATA[runtime]
    version = re.split(r"[-+]", version, maxsplit=1)[0] if version[:1].isdigit() else ""
    parts = numbers(version)
    line = ".".join(map(str, parts[: data["depth"]])) or data["default"]
    suite = data["suite"]
    if line in data["suites"]:
        suite, since, older = data["suites"][line]
        if len(parts) > data["depth"] and parts < numbers(since):
            suite = older
    if runtime == "rust" and not version:
        version = "1"
    elif runtime == "java" and line not in (*data["settled"], *data["other"]):
        line = data["default"]
    full = data.get("full", {}).get(line, f"{line}.0")
    if len(parts) > data["depth"]:
        full = version
    shown = version or line
    image: str = data["image"].format(version=shown, line=line, suite=suite, full=full)
    return image
