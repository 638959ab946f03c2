# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Templates and their variables become files: a small engine around Jinja."""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Dict, List

from .planning import Plan, machines
from .resources import TEMPLATES

#: CI -> (template, where it is written).
_CI = {
    "github": ("_shared/github.yml.j2", ".github/workflows/fly.yml"),
    "gitlab": ("_shared/gitlab.yml.j2", ".gitlab-ci.yml"),
    "circleci": ("_shared/circleci.yml.j2", ".circleci/config.yml"),
}
_BLANKS = re.compile(r"\n{3,}")


def render(plan: Plan) -> Dict[str, str]:
    """Path relative to the repository -> content, without the mark by which it is known again."""
    engine = _engine()
    common = {
        **plan.context,
        "environments": plan.environments,
        "health": _asked(plan.context["health"], plan.context["app"]),
    }
    files: Dict[str, str] = {}
    for environment in plan.environments:
        files[environment["file"]] = _text(engine, "_shared/fly.toml.j2", _layer(plan, environment))
    for template, target in plan.framework.files:
        files[target] = _text(engine, template, common)
    files[".dockerignore"] = _text(engine, "_shared/dockerignore.j2", common)
    if plan.ci in _CI:
        template, target = _CI[plan.ci]
        files[target] = _text(engine, template, common)
    return files


def _layer(plan: Plan, environment: Dict[str, Any]) -> Dict[str, Any]:
    """The variables of one environment's fly.toml."""
    total, config = machines(plan.context, environment)
    sources: Dict[str, str] = {}
    for decision in plan.decisions:
        sources[decision.field] = decision.source

    def source(field: str) -> str:
        found = sources.get(field, "")
        return f"  # {comment(found)}" if found and found != "default" else ""

    app = plan.context["app"] + environment["suffix"]
    return {
        **plan.context,
        "environment": environment,
        "health": _asked(plan.context["health"], app),
        "env": {name: value.replace("{app}", app) for name, value in plan.context["env"].items()},
        "machines": {"total": total},
        "config_option": f" --config {config}" if config else "",
        "source": source,
    }


def _asked(health: Dict[str, Any], app: str) -> Dict[str, Any]:
    """The health check as one app is asked."""
    return {**health, "headers": {name: value.replace("{app}", app) for name, value in health["headers"].items()}}


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = json.dumps(str(value), ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")


def comment(text: Any) -> str:
    """Text that stays in its comment: names of files may hold line breaks."""
    return "".join(character if character.isprintable() else "?" for character in str(text))


@functools.lru_cache(maxsize=1)
def _engine() -> Any:
    """Jinja, which compiles each template once."""
    import jinja2

    engine = jinja2.Environment(  # noqa: S701 - Dockerfiles and TOML, no HTML; every value is quoted where it stands
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    engine.filters["toml"] = toml
    engine.filters["comment"] = comment
    # Jinja's own escapes < > & ' for HTML.
    engine.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return engine


def _text(engine: Any, template: str, variables: Dict[str, Any]) -> str:
    lines: List[str] = [line.rstrip() for line in engine.get_template(template).render(variables).split("\n")]
    return _BLANKS.sub("\n\n", "\n".join(lines)).strip("\n") + "\n"
