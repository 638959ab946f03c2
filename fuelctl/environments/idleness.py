# SPDX-License-Identifier: GPL-3.0-or-later
"""Quiet: for how long an environment was seen to do nothing. Pure functions of what observations saw.

Only time that somebody watched counts. What a machine's clock says is compared with that same clock alone, and turned
into ours by difference, so it does not matter whether the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fuelctl.environments.clock import Now, rfc3339

#: So many rounds of the observer make a gap: what it saw before is not fresh any more.
_ROUNDS = 3
_SHORTEST_FRESH = 30.0
#: Share of one processor above which somebody is at work. Claude Code that waits for its model takes 4.4 %, one that
#: waits for a person 0.35 %; a loop that prints the date every second 0.4 %. A login costs 45 ms, an observation 15 ms.
BUSY_SHARE = 0.02
#: Wake-ups of an sshd per second above which an editor is at work. An open connection has one a minute, an editor's
#: keep-alives every 5 s on two channels 0.65 a second, one line of output per second 1; typing slowly 3.6.
BUSY_WAKES = 1.5
#: Seconds over which both are taken: less would count a login, more would hide an hour's work in a day's silence.
_SHORTEST_SPAN = 20.0
_LONGEST_SPAN = 120.0
#: What opens an agent's turn or is part of it, and what says that it waits for a person. A tool that waits, for a
#: build elsewhere or a timer, uses nothing that could be measured; the turn that it belongs to is open.
_IN_TURN = frozenset({"session.prompt", "session.subagent", "tool.start", "tool.end", "tool.failed"})
_OUT_OF_TURN = frozenset({"session.start", "session.stop", "session.end"})
#: Notifications that say nothing of the sort, and seconds by which the time of a terminal's input may be behind.
_NO_QUESTION = frozenset({"auth_success"})
_TERMINAL_LAG = 8.0
#: For so long after its last event a turn is believed to be open: one that a person breaks off does not say so.
OPEN_TURN = 2 * 3600.0
#: Sessions of agents that are kept apart; the longest silent ones are forgotten.
_SESSIONS = 32
#: An environment in which nothing happened for so long is shown as idle.
SHOWN_IDLE_AFTER = 300.0

Sample = Mapping[str, Any]


@dataclass(frozen=True)
class Activity:
    """What is known of the work in an environment; stored as plain data.

    `quiet`: seconds of silence that were watched, as of `observed`. `last`: kind of work -> epoch seconds, for people.
    `sample`: the counters that the next ones are compared with. `kept`: why it was not ended when it had been idle for
    long enough, `{at, reason}`, where `at` is a moment on both clocks. `told`: which warnings were given inside.
    `turns`: an agent's session -> when an event was last in a turn of it, when one was last out of it, and when the
    agent last asked a person something in its turn; epoch seconds of the machine. `wanted`: when somebody last asked
    for something here, `asked`: when its machine was last asked, `beat`: when it last told by itself; on both clocks.
    """

    quiet: float = 0.0
    observed: dict[str, Any] | None = None
    last: dict[str, float] = field(default_factory=dict)
    sample: dict[str, Any] | None = None
    kept: dict[str, Any] | None = None
    told: dict[str, float] = field(default_factory=dict)
    turns: dict[str, list[float]] = field(default_factory=dict)
    wanted: dict[str, Any] | None = None
    asked: dict[str, Any] | None = None
    beat: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the row."""
        # Not `asdict`: nobody changes what is in it, and copying every value cost more than all else about a heartbeat.
        return {**vars(self)}


def read(stored: Mapping[str, Any] | None) -> Activity:
    """What the row holds; nothing was seen yet where it holds nothing."""
    return Activity(**stored) if stored else Activity()


def fresh_for(period: float) -> float:
    """For how many seconds an observation is believed, when there is one every `period`."""
    return max(_ROUNDS * period, _SHORTEST_FRESH)


def _moment(now: Now) -> dict[str, Any]:
    """As it is stored."""
    return {**vars(now)}


def since(moment: Mapping[str, Any] | None, now: Now) -> float | None:
    """Seconds that passed since a stored moment; by the wall's clock, which may have been set, only after a reboot."""
    if moment is None:
        return None
    if moment["boot_id"] == now.boot_id:
        return max(0.0, now.boottime - float(moment["boottime"]))
    return max(0.0, now.wall - float(moment["wall"]))


def touched(known: Activity, kind: str, now: Now) -> Activity:
    """Somebody is at work this very moment: an agent told so, or a person asked for something."""
    return replace(known, quiet=0.0, last={**known.last, kind: now.wall}, kept=None, wanted=_moment(now))


def heard(known: Activity, told: Iterable[tuple[str, Mapping[str, Any], float]]) -> Activity:
    """After events (type, data, epoch seconds of the machine); the same ones again, in any order, change nothing."""
    turns = {session: list(moments) for session, moments in known.turns.items()}
    for type_, data, at in told:
        which = _which(type_, data)
        if which is not None:
            moments = turns.setdefault(str(data.get("session", ""))[:100], [0.0, 0.0, 0.0])
            moments[which] = max(moments[which], at)
    latest = sorted(turns.items(), key=lambda item: max(item[1]))[-_SESSIONS:]
    return replace(known, turns=dict(latest)) if turns != known.turns else known


def _which(type_: str, data: Mapping[str, Any]) -> int | None:
    if type_ == "session.notification":
        kind = data.get("kind")
        return 1 if kind == "idle_prompt" else None if kind in _NO_QUESTION else 2
    return 0 if type_ in _IN_TURN else 1 if type_ in _OUT_OF_TURN else None


def kept(known: Activity, reason: str, now: Now) -> Activity:
    """It was to end, and does not. What looking through it took of the processor is nobody's work."""
    sample = {**known.sample, "cpu": None} if known.sample else None
    return replace(known, kept={"at": _moment(now), "reason": reason}, sample=sample)


def is_news(before: Sample | None, sample: Sample, *, asked: bool) -> bool:
    """Whether a sample was taken later than the last one that is known.

    `asked`: it is the answer to a question of just now; otherwise it may be on its way for long, or be told again.
    """
    if before is None:
        return True
    if before["boot"] == sample["boot"]:
        return float(sample["uptime"]) > float(before.get("taken", before["uptime"]))
    # Another boot: an answer is of the present one. What was not asked for may be of one long ago.
    return asked or float(sample["clock"]) > float(before["clock"])


def observed(
    known: Activity, sample: Sample, told_at: float | None, now: Now, period: float, *, asked: bool = True
) -> Activity:
    """After an observation that is news. `told_at`: the latest event that was new, by the machine's clock.

    The time between two observations that are far apart does not count as quiet: nobody watched. What was told without
    being asked for is as old as the machine's uptime says.
    """
    mark = {"asked" if asked else "beat": _moment(now)}
    now = now if asked else _taken_at(known, sample, now)
    passed = since(known.observed, now)
    watched = passed if passed is not None and passed <= fresh_for(period) else 0.0
    wanted_ago = since(known.wanted, now)
    if wanted_ago is not None:
        watched = min(watched, wanted_ago)
    found = _found(known.sample, sample, told_at)
    if _is_in_turn(known, sample):
        found["agent"] = 0.0
    ago = {kind: min(max(0.0, float(seconds)), passed or 0.0) for kind, seconds in found.items()}
    last = {**known.last, **{kind: max(known.last.get(kind, 0.0), now.wall - each) for kind, each in ago.items()}}
    return replace(
        known,
        quiet=min([known.quiet + watched, *ago.values()]),
        observed=_moment(now),
        last=last,
        sample=_next_sample(known.sample, sample, found),
        kept=None if ago else known.kept,
        **mark,
    )


def _taken_at(known: Activity, sample: Sample, now: Now) -> Now:
    """When a sample was taken, at the latest now: so long after the last one as the machine's uptime says.

    However long messages are on their way: nothing is believed to be fresher than the one that was the fastest.
    """
    before, moment = known.sample, known.observed
    if before is None or moment is None or before["boot"] != sample["boot"] or moment["boot_id"] != now.boot_id:
        return now
    passed = float(sample["uptime"]) - float(before.get("taken", before["uptime"]))
    late = max(0.0, now.boottime - (float(moment["boottime"]) + passed))
    return Now(now.wall - late, now.boot_id, now.boottime - late)


def _found(before: Sample | None, sample: Sample, told_at: float | None) -> dict[str, float]:
    """Kind of work -> how many seconds ago, by the machine's clock."""
    clock = float(sample["clock"])
    found: dict[str, float] = {}
    if told_at is not None:
        found["agent"] = clock - told_at
    known = before["terminals"] if before else {}
    inputs = [at for name, at in sample["terminals"].items() if known.get(name) != at]
    if inputs:
        found["terminal"] = clock - max(inputs)
    if before is None or before["cpu"] is None:
        return found
    if not _continues(before, sample):
        # Whatever its counters say now, somebody started it.
        return {**found, "start": 0.0}
    span = min(max(float(sample["uptime"]) - float(before["uptime"]), _SHORTEST_SPAN), _LONGEST_SPAN)
    if float(sample["cpu"]) - float(before["cpu"]) >= BUSY_SHARE * span:
        found["processor"] = 0.0
    if _wakes(before, sample) >= BUSY_WAKES * span:
        found["connection"] = 0.0
    return found


def _is_in_turn(known: Activity, sample: Sample) -> bool:
    """Whether an agent that is still there has begun a turn, and not ended it."""
    typed = float(max(sample["terminals"].values(), default=0))

    def is_open(begun: float, ended: float, asked: float = 0.0) -> bool:
        if asked > begun:
            # What goes on after a question was answered is told by no hook until it ends.
            if typed + _TERMINAL_LAG < asked:
                return False
            return asked > ended and abs(float(sample["clock"]) - typed) <= OPEN_TURN
        return begun > ended and abs(float(sample["clock"]) - begun) <= OPEN_TURN

    return int(sample.get("agents") or 0) > 0 and any(is_open(*moments) for moments in known.turns.values())


def _next_sample(before: Sample | None, sample: Sample, found: Mapping[str, float]) -> dict[str, Any]:
    """What to compare with next time: a short span that showed no work goes on, so that work in it adds up."""
    new = {**sample, "taken": sample["uptime"]}
    if before is None or before["cpu"] is None or not _continues(before, sample):
        return new
    if {"processor", "connection"} & found.keys():
        return new
    if float(sample["uptime"]) - float(before["uptime"]) < _SHORTEST_SPAN:
        new |= {key: before[key] for key in ("uptime", "cpu", "connections")}
    return new


def _continues(before: Sample, sample: Sample) -> bool:
    """Whether the counters are those of the same life of the container."""
    same = before["boot"] == sample["boot"] and float(sample["uptime"]) >= float(before["uptime"])
    return same and float(sample["cpu"]) >= float(before["cpu"])


def _wakes(before: Sample, sample: Sample) -> int:
    """How often connections were woken that were open both times: opening one is not work."""
    both = before["connections"].keys() & sample["connections"].keys()
    return sum(max(0, int(sample["connections"][key]) - int(before["connections"][key])) for key in both)


def shown(
    known: Activity, limit: int | None, expires_at: float, enterable: bool, *, stops: bool = False
) -> dict[str, Any]:
    """For people, at any time: what was last seen and when, and what ends the environment if nothing happens any more.

    Shape: `{last_at, last: {kind: time}, observed_at, quiet_seconds, kept, ends_at, ends_by, stops_at}`; times are
    RFC 3339. `stops`: silence stops its machine, and does not end it. `enterable`: and running.
    """
    observed_at = float(known.observed["wall"]) if known.observed else None
    idle_ends = None
    if limit is not None and observed_at is not None and (known.kept is None or stops) and enterable:
        idle_ends = observed_at - known.quiet + limit
    first = idle_ends is not None and idle_ends < expires_at
    by = "idle" if first and not stops else "ttl"
    return {
        "last_at": rfc3339(max(known.last.values(), default=None)),
        "last": {kind: rfc3339(at) for kind, at in sorted(known.last.items())},
        "observed_at": rfc3339(observed_at),
        "quiet_seconds": round(known.quiet, 3) if observed_at is not None else None,
        "kept": known.kept["reason"] if known.kept else None,
        "ends_at": rfc3339(idle_ends if by == "idle" else expires_at),
        "ends_by": by,
        "stops_at": rfc3339(idle_ends) if first and stops else None,
    }
