# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Adds the rules' points up. Pure: the same answers and facts give the same table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Tuple

from .._errors import UsageError
from ._facts import Facts
from .data_rules import FACTS, NEVER, OPTIONS, PARTS, PLACES, QUESTIONS, RULES

#: Points that every option begins with.
BASE = 50


@dataclass(frozen=True)
class Scored:
    """An option with its points, and the reasons for them, weightiest first."""

    key: str
    score: int
    possible: bool
    reasons: Tuple[Tuple[int, str, str], ...]

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain data."""
        option = OPTIONS[self.key]
        return {
            "option": self.key,
            "name": option.name,
            "score": self.score,
            "possible": self.possible,
            "reasons": [
                {"points": None if points == NEVER else points, "rule": rule, "reason": reason}
                for points, rule, reason in self.reasons
            ],
            "gains": option.gains,
            "costs": option.costs,
            "first": option.first,
        }


@dataclass(frozen=True)
class Recommendation:
    """The whole table, best first."""

    answers: Dict[str, str]
    facts: Facts
    options: Tuple[Scored, ...]
    #: (part, where, why); empty where one platform serves all.
    placement: Tuple[Tuple[str, str, str], ...]

    def as_dict(self) -> Dict[str, Any]:
        """The object that `recommend --json` prints."""
        best = self.options[0]
        return {
            "recommended": best.key,
            "close": [each.key for each in self.options[1:] if each.possible and best.score - each.score <= CLOSE],
            "answers": self.answers,
            "facts": [
                {"fact": name, "meaning": FACTS[name], "source": self.facts.seen[name]}
                for name in FACTS
                if name in self.facts.seen
            ],
            "platforms": [{"name": each["name"], "confidence": each["confidence"]} for each in self.facts.platforms],
            "options": [each.as_dict() for each in self.options],
            "placement": [{"part": part, "where": where, "reason": reason} for part, where, reason in self.placement],
        }


#: So near to the best, an option is as good: taste and habit may decide.
CLOSE = 5


def recommend(facts: Facts, answers: Mapping[str, str]) -> Recommendation:
    """The table for a repository's facts and these answers; what is not answered takes its default.

    :raises UsageError: a question or an answer that there is not.
    """
    known = defaults(facts)
    for name, answer in answers.items():
        if name not in QUESTIONS or answer not in QUESTIONS[name].answers:
            raise UsageError(
                f"there is no answer {answer[:40]!r}",
                where=f"--{name}",
                hint="one of " + ", ".join(QUESTIONS[name].answers) if name in QUESTIONS else None,
            )
        known[name] = answer
    words = frozenset([*facts.seen, *(f"{name}:{answer}" for name, answer in known.items())])
    options = tuple(
        sorted((_score(key, words) for key in OPTIONS), key=lambda each: (-each.score, list(OPTIONS).index(each.key)))
    )
    return Recommendation(known, facts, options, _placement(words, OPTIONS[options[0].key].name))


def defaults(facts: Facts) -> Dict[str, str]:
    """Answers where nobody gives one."""
    known = {name: question.default for name, question in QUESTIONS.items()}
    if "postgres" in facts.seen:
        known["state"] = "database"
    return known


def holds(when: str, words: FrozenSet[str]) -> bool:
    """Whether every term of a condition holds: `word`, `!word`, `one|other`."""
    return all(
        term[1:] not in words if term.startswith("!") else any(word in words for word in term.split("|"))
        for term in when.split()
    )


def _score(key: str, words: FrozenSet[str]) -> Scored:
    given = [
        (rule.points[key], rule.name, rule.reason) for rule in RULES if key in rule.points and holds(rule.when, words)
    ]
    total = BASE + sum(points for points, _rule, _reason in given)
    possible = all(points != NEVER for points, _rule, _reason in given)
    ordered = tuple(sorted(given, key=lambda each: (-abs(each[0]), each[1])))
    return Scored(key, max(0, min(100, total)) if possible else 0, possible, ordered)


def _placement(words: FrozenSet[str], best: str) -> Tuple[Tuple[str, str, str], ...]:
    """What goes where, when more than one platform is there or files and processes are both built."""
    families = sum(name in words for name in ("fly", "kubernetes", "aws"))
    if families < 2 and not ("site" in words and "server" in words):
        return ()
    found: List[Tuple[str, str, str]] = []
    for place in PLACES:
        if holds(place.when, words) and not any(part == PARTS[place.part] for part, _where, _why in found):
            found.append((PARTS[place.part], place.where.replace("{best}", best), place.reason))
    return tuple(found)
