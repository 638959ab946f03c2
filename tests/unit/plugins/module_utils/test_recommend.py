# SPDX-License-Identifier: GPL-3.0-or-later
"""Recommendations: the same input gives the same table, more of something never counts against what it is for."""

from __future__ import annotations

import itertools
import json

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.data_platforms import PLATFORMS as DETECTED
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._recommend import Facts, read, recommend
from ansible_collections.fuel_code.remote.plugins.module_utils._recommend._engine import holds
from ansible_collections.fuel_code.remote.plugins.module_utils._recommend.data_rules import (
    FACTS,
    NEVER,
    OPTIONS,
    PARTS,
    PLACES,
    PLATFORMS,
    QUESTIONS,
    RULES,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ANSWERS = st.fixed_dictionaries({name: st.sampled_from(question.answers) for name, question in QUESTIONS.items()})
SEEN = st.sets(st.sampled_from(sorted(FACTS))).map(lambda names: Facts(dict.fromkeys(sorted(names), "there")))
WORDS = {*FACTS, *(f"{name}:{answer}" for name, question in QUESTIONS.items() for answer in question.answers)}


def scores(facts, answers):
    return {each.key: (each.score, each.possible) for each in recommend(facts, answers).options}


@settings(max_examples=150, deadline=None)
@given(SEEN, ANSWERS)
def test_the_same_again_in_bounds_best_first_and_explained(facts, answers):
    made = recommend(facts, answers)
    assert made.as_dict() == recommend(facts, dict(reversed(answers.items()))).as_dict()
    assert json.loads(json.dumps(made.as_dict())) == made.as_dict()
    assert sorted(each.key for each in made.options) == sorted(OPTIONS)
    points = [each.score for each in made.options]
    assert points == sorted(points, reverse=True)
    assert all(0 <= score <= 100 for score in points)
    assert made.options[0].possible
    for each in made.options:
        total = 50 + sum(reason[0] for reason in each.reasons)
        assert each.score == (max(0, min(100, total)) if each.possible else 0)


#: Question -> (options that never lose, options that never win) as its answer goes up.
MONOTONE = {
    "scale": (("kubernetes", "aws"), ("fly",)),
    "team": (("kubernetes", "aws"), ("fly",)),
    "budget": (("kubernetes", "aws"), ("fly", "static")),
    "state": (("aws",), ("static", "kubernetes")),
    "latency": (("fly", "static"), ("kubernetes", "aws")),
    "compliance": (("aws", "kubernetes"), ("fly", "static")),
}


@settings(max_examples=150, deadline=None)
@given(SEEN, ANSWERS, st.sampled_from(sorted(MONOTONE)))
def test_more_of_it_never_counts_against_what_it_is_for(facts, answers, question):
    rising, falling = MONOTONE[question]
    steps = [scores(facts, {**answers, question: answer}) for answer in QUESTIONS[question].answers]
    for before, after in itertools.pairwise(steps):
        for option in rising:
            assert after[option] >= before[option], option
        for option in falling:
            assert after[option] <= before[option], option


@settings(max_examples=100, deadline=None)
@given(SEEN, ANSWERS, st.sampled_from(["fly", "kubernetes", "aws"]))
def test_being_set_up_for_it_never_lowers_it(facts, answers, name):
    without = Facts({fact: "there" for fact in facts.seen if fact != name})
    assert scores(Facts({**without.seen, name: "there"}), answers)[name] >= scores(without, answers)[name]


def words_of(rule):
    return [word for term in rule.when.split() for word in term.lstrip("!").split("|")]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_can_be_reached_and_changes_something(rule):
    assert set(words_of(rule)) <= WORDS
    assert set(rule.points) <= set(OPTIONS)
    assert rule.points
    assert all(rule.points.values())
    seen, answers = {}, {}
    for term in rule.when.split():
        word = term.split("|")[0]
        if term.startswith("!"):
            continue
        if ":" in word:
            name, answer = word.split(":")
            answers[name] = answer
        else:
            seen[word] = "there"
    reasons = {reason[1] for each in recommend(Facts(seen), answers).options for reason in each.reasons}
    assert rule.name in reasons


def test_the_data_fit_each_other():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert set(PLATFORMS) == set(DETECTED)
    assert set(PLATFORMS.values()) <= set(FACTS)
    assert {place.part for place in PLACES} == set(PARTS)
    for place in PLACES:
        assert set(words_of(place)) <= WORDS
    for question in QUESTIONS.values():
        assert question.default in question.answers
    used = {word for rule in RULES for word in words_of(rule)}
    assert {word for word in WORDS if ":" not in word} <= used | {"postgres"}


def test_every_place_is_the_first_to_hold_somewhere():
    """Of all facts with two platforms or less, and the answers that places ask for."""
    found = set()
    names = sorted(FACTS)
    for number in range(1 << len(names)):
        seen = Facts({name: "there" for bit, name in enumerate(names) if number >> bit & 1})
        for answers in (
            {"state": "files"},
            {"state": "files", "latency": "global"},
            {"state": "files", "team": "solo"},
        ):
            if number % 3 == len(answers) % 3 or number.bit_count() > 6:
                found |= {(part, reason) for part, _where, reason in recommend(seen, answers).placement}
    assert found == {(PARTS[place.part], place.reason) for place in PLACES}


@pytest.mark.parametrize(
    ("seen", "answers", "best"),
    [
        ("site", {}, "static"),
        ("site fly", {}, "static"),
        ("server", {}, "fly"),
        ("server fly postgres", {"team": "solo", "budget": "low"}, "fly"),
        ("server kubernetes many", {"team": "platform", "scale": "large"}, "kubernetes"),
        ("server many image", {"team": "platform", "scale": "large"}, "kubernetes"),
        ("server aws postgres", {"scale": "medium"}, "aws"),
        ("server postgres", {"compliance": "strict", "scale": "medium"}, "aws"),
        ("server gpu", {"scale": "medium"}, "aws"),
        ("server worker", {"latency": "global"}, "fly"),
    ],
)
def test_golden(seen, answers, best):
    made = recommend(Facts(dict.fromkeys(seen.split(), "there")), answers)
    assert made.options[0].key == best, [(each.key, each.score) for each in made.options]


def test_a_server_is_never_static_and_says_why():
    made = recommend(Facts({"server": "x", "site": "y"}), {})
    static = next(each for each in made.options if each.key == "static")
    assert not static.possible
    assert static.reasons[0][0] == NEVER
    assert ("Web site (files)", "Static hosting") in [place[:2] for place in made.placement]


def test_mixed_platforms_are_told_what_goes_where():
    made = recommend(
        Facts(dict.fromkeys(("server", "worker", "postgres", "cache", "fly", "kubernetes", "aws"), "x")), {}
    )
    where = {part: place for part, place, _why in made.placement}
    assert where["Background work"] == "Kubernetes"
    assert where["Database"] == "AWS EC2/ECS"
    assert set(where) == {"Web processes", "Background work", "Database", "Cache"}
    assert recommend(Facts(dict.fromkeys(("server", "fly"), "x")), {}).placement == ()


def test_wrong_answers_are_refused():
    with pytest.raises(UsageError, match="hobby, small, medium, large"):
        recommend(Facts(), {"scale": "huge"})
    with pytest.raises(UsageError):
        recommend(Facts(), {"mood": "good"})


def test_holds():
    words = frozenset(["server", "team:solo"])
    assert holds("server team:solo|team:small !site", words)
    assert not holds("server !team:solo", words)
    assert holds("", words)


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"package.json": '{"devDependencies": {"vite": "5"}}'}, {"site"}),
        ({"index.html": "<p>", "style.css": ""}, {"site"}),
        (
            {"package.json": '{"dependencies": {"express": "4", "pg": "8", "bullmq": "5"}}'},
            {"server", "postgres", "worker"},
        ),
        (
            {"requirements.txt": "torch==2.4\nfastapi\nredis\n", "Dockerfile": "FROM x"},
            {"gpu", "server", "cache", "image"},
        ),
        ({"Gemfile": "gem 'rails'\ngem 'sidekiq'\n"}, {"server", "worker"}),
        ({"Procfile": "web: x\nclock: y\n"}, {"server", "worker"}),
        (
            {"fly.toml": 'app = "x"\n[http_service]\ninternal_port = 80\n[processes]\nworker = "x"\n'},
            {"server", "worker", "fly"},
        ),
        ({"chart/Chart.yaml": "apiVersion: v2\nname: x\n"}, {"kubernetes"}),
        ({f"services/{name}/Dockerfile": "FROM x" for name in "abcd"}, {"image", "many"}),
    ],
)
def test_what_a_repository_shows(tmp_path, files, expected):
    facts = read(write(tmp_path, files))
    assert set(facts.seen) == expected
    assert all(facts.seen.values())


def test_state_has_the_default_that_the_repository_shows(tmp_path):
    folder = write(tmp_path, {"package.json": '{"dependencies": {"express": "4", "pg": "8"}}'})
    assert recommend(read(folder), {}).answers["state"] == "database"
    assert recommend(read(folder), {"state": "none"}).answers["state"] == "none"
    assert recommend(Facts(), {}).answers["state"] == "none"
