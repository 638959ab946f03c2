# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Puts a plan together from the facts of a project and the rules of `data_plan.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .._errors import UsageError
from ._facts import Facts, environments, read
from .data_plan import ENVIRONMENT_FILES, NOTES, PHASES, STEPS, Step
from .data_secrets import STORAGE_NAMES
from .data_strategies import PREFERENCES, STRATEGIES

ENVIRONMENTS: Tuple[str, ...] = tuple(ENVIRONMENT_FILES)
#: Names of an image's label as registries take it.
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Line:
    """A step of the plan as it is run: an argv, and what must be seen before the next one."""

    phase: str
    text: str
    command: Tuple[str, ...]
    why: str
    expect: str

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain data."""
        return {"text": self.text, "command": list(self.command), "why": self.why, "expect": self.expect}


@dataclass(frozen=True)
class Plan:
    """A deployment of one environment."""

    facts: Facts
    strategy: str
    chosen_because: str
    #: Strategy -> why it is not possible here.
    impossible: Dict[str, str]
    lines: Tuple[Line, ...]
    notes: Tuple[str, ...]

    def as_dict(self) -> Dict[str, Any]:
        """The object that `fly plan-deploy --json` prints."""
        facts, chosen = self.facts, STRATEGIES[self.strategy]
        return {
            "app": facts.app,
            "config": facts.config,
            "environment": facts.environment,
            "region": facts.region,
            "strategy": {
                "name": self.strategy,
                "because": self.chosen_because,
                "what": chosen.what,
                "trade_off": chosen.trade_off,
                "impossible": [{"name": name, "because": reason} for name, reason in self.impossible.items()],
            },
            "secrets": [name.as_dict() for name in facts.names if name.secret],
            "settings": [name.as_dict() for name in facts.names if not name.secret],
            "exposed": list(facts.exposed),
            "phases": [
                {
                    "phase": phase,
                    "title": title,
                    "steps": [line.as_dict() for line in self.lines if line.phase == phase],
                }
                for phase, title in PHASES.items()
                if any(line.phase == phase for line in self.lines)
            ],
            "notes": list(self.notes),
        }


def plan(
    folder: str, *, environment: Optional[str] = None, strategy: Optional[str] = None, label: str = "release"
) -> List[Plan]:
    """Plans for the project in `folder`: of one environment, or of each that has a configuration file of its own.

    :param strategy: one of STRATEGIES; by default what the configuration says, else what fits.
    :param label: of the image, such as a commit's id.
    :raises UsageError: no such strategy or environment, or one that is not possible for this project.
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise UsageError(
            f"there is no strategy {strategy[:40]!r}", where="--strategy", hint="one of " + ", ".join(STRATEGIES)
        )
    if environment is not None and environment not in ENVIRONMENTS:
        raise UsageError(
            f"there is no environment {environment[:40]!r}",
            where="--environment",
            hint="one of " + ", ".join(ENVIRONMENTS),
        )
    if not _LABEL.fullmatch(label):
        raise UsageError(f"{label[:40]!r} is no image label", where="--label", hint="letters, digits, . _ and -")
    wanted = [environment] if environment else environments(folder)
    return [make(read(folder, name), strategy, label) for name in wanted]


def make(facts: Facts, strategy: Optional[str] = None, label: str = "release") -> Plan:
    """The plan from facts alone."""
    impossible = {
        name: need.reason
        for name, known in STRATEGIES.items()
        for need in reversed(known.needs)
        if not holds(need.when, facts.flags)
    }
    name, because = _choose(facts, strategy, impossible)
    flags = facts.flags | {f"strategy:{name}"}
    values = _values(facts, name, label)
    lines = tuple(line for step in STEPS for line in _lines(step, facts, flags, values))
    notes = [*facts.notes, *(_fill(text, values) for when, text in NOTES if holds(when, flags))]
    if facts.exposed:
        notes.append(
            f"[env] of {facts.config} is read by everybody who has the repository: move {', '.join(facts.exposed)}"
            f" to the"
            " secrets, and rotate them, for they are known."
        )
    return Plan(facts, name, because, impossible, lines, tuple(notes))


def holds(when: str, flags: Any) -> bool:
    """Whether every word of a condition does; `!word` when the word does not."""
    return all((word[1:] not in flags) if word.startswith("!") else (word in flags) for word in when.split())


def _choose(facts: Facts, asked: Optional[str], impossible: Dict[str, str]) -> Tuple[str, str]:
    for name, because in ((asked, "it was asked for"), (facts.strategy, f"{facts.config} says so")):
        if not name:
            continue
        if name in impossible:
            raise UsageError(
                f"strategy {name} is not possible for {facts.app}: {impossible[name]}",
                where="--strategy" if name == asked else facts.config,
                hint="use " + " or ".join(other for other in STRATEGIES if other not in impossible),
                code="strategy_impossible",
            )
        if name in STRATEGIES:
            return name, because
    return next(
        (name, because) for when, name, because in PREFERENCES if holds(when, facts.flags) and name not in impossible
    )


def _values(facts: Facts, strategy: str, label: str) -> Dict[str, str]:
    secrets = [name.name for name in facts.names if name.secret]
    given = [name for name in secrets if not _comes_by_itself(name, facts)]
    return {
        "app": facts.app,
        "config": facts.config,
        "region": facts.region,
        "label": label,
        "strategy": strategy,
        "back_strategy": "rolling" if "volumes" in facts.flags else "immediate",
        "release_command": facts.release_command,
        "health_path": facts.health_path,
        "secret_names": ", ".join(given) or "none that somebody has to set",
        "storage_names": ", ".join(STORAGE_NAMES),
        "migration": facts.migration,
    }


def _comes_by_itself(name: str, facts: Facts) -> bool:
    attached = name == "DATABASE_URL" and "postgres" in facts.flags
    return attached or (name in STORAGE_NAMES and "storage" in facts.flags)


def _lines(step: Step, facts: Facts, flags: Any, values: Dict[str, str]) -> Iterator[Line]:
    if not holds(step.when, flags):
        return
    for more in _each(step, facts):
        known = {**values, **more}
        yield Line(
            step.phase,
            _fill(step.text, known),
            tuple(word for part in step.command for word in _words(part, facts, known)),
            _fill(step.why, known),
            _fill(step.expect, known),
        )


def _each(step: Step, facts: Facts) -> List[Dict[str, str]]:
    if step.each == "mounts":
        return [
            {"source": each.source, "destination": each.destination, "size": str(each.size)} for each in facts.mounts
        ]
    return [{}]


def _words(part: str, facts: Facts, values: Dict[str, str]) -> Tuple[str, ...]:
    """A word of a command; two of them stand for several or none."""
    if part == "{strategy_flags}":
        return STRATEGIES[values["strategy"]].flags
    if part == "{image_flag}":
        return () if "image" in facts.flags else ("--image", f"registry.fly.io/{values['app']}:{values['label']}")
    return (_fill(part, values),)


def _fill(text: str, values: Dict[str, str]) -> str:
    """Braces filled in once: what comes from the project may hold braces of its own."""
    return re.sub(r"\{([a-z_]+)\}", lambda match: values.get(match.group(1), match.group(0)), text)
