# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One project checked: every rule on every app, what comments excuse left out."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from .checks import deployment, image, ports, secrets, services
from .project import App, Project, read
from .report import Finding, finding, kept
from .schema_walk import mismatches

#: From (path, text) of a Dockerfile to what another linter finds in it.
Linter = Callable[[str, str], Iterable[Finding]]
#: Rules of hadolint that ours say as well: (hadolint's, ours).
SAME = {"DL3002": "root-user", "DL3066": "root-user", "DL3006": "latest-tag", "DL3007": "latest-tag"}

_SUBJECTS = (services.check, deployment.check, secrets.check, ports.check, image.check)


class Report(NamedTuple):
    """What was checked, and what was found."""

    files: List[str]
    findings: List[Finding]


def check(path: str, linters: Sequence[Linter] = ()) -> Report:
    """Everything that is wrong with the fly.toml files and Dockerfiles in `path`; UsageError when there are none."""
    project = read(path)
    found = list(_all(project))
    for app in project.apps:
        if app.image:
            ours = {(item.line, item.rule) for item in found if item.file == app.image.file}
            for linter in linters:
                found += [
                    item
                    for item in linter(app.image.file, app.image.text)
                    if (item.line, SAME.get(item.rule, "")) not in ours
                ]
    return Report(sorted({*project.texts, *(item.file for item in project.troubles)}), kept(found, project.texts))


def _all(project: Project) -> Iterator[Finding]:
    for trouble in project.troubles:
        yield finding(trouble.rule, trouble.file, trouble.line, trouble.message, trouble.fix)
    for app in project.apps:
        if app.file:
            yield from _schema(app)
        for subject in _SUBJECTS:
            yield from subject(app)


def _schema(app: App) -> Iterator[Finding]:
    for mismatch in mismatches(app.document):
        yield finding(mismatch.rule, app.file, app.line(*mismatch.path), mismatch.message, mismatch.fix)


def counts(findings: Iterable[Finding]) -> List[Tuple[str, int]]:
    """(severity, how many) of each severity that there is, the worst first."""
    from .report import SEVERITIES

    every = list(findings)
    found = [(severity, sum(item.severity == severity for item in every)) for severity in SEVERITIES]
    return [(severity, count) for severity, count in found if count]
