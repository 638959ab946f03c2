# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Static sites: plain pages, and those that Node.js or Hugo builds."""

from __future__ import annotations

from typing import Any, Dict

from ..needs import run_by
from ..repository import Decision, Repository
from . import node as nodejs

#: Folders that pages lie in when they are not in the root.
_PAGES = ("public", "www", "site", "html")


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `site`, and `node` or `packages` where it is built."""
    framework = repository.framework
    output = meta["outputs"].get(framework, {})
    site: Dict[str, Any] = {"builder": "", "output": ".", "build": "", "single_page": bool(output.get("single_page"))}
    context["images"]["run"] = meta["images"]["run"]
    context["packages"] = {"build": [], "run": []}
    if repository.runtime in ("node", "bun"):
        manager = nodejs.manager_of(repository)
        context["node"] = nodejs.install(repository, manager)
        command, source = repository.script("build")
        run = f"{manager} run build"
        context["node"]["build"] = run if command else run_by(repository.runtime, "npx vite build")
        site.update(builder="node", output=_output(repository, output.get("folder", "dist")))
        context["decisions"].append(Decision("Dockerfile build", context["node"]["build"], source or "default"))
    elif framework == "hugo":
        site.update(builder="hugo", output=output["folder"], build="hugo --minify")
        context["images"]["build"] = meta["images"]["hugo"]
        context["packages"]["build"] = ["hugo"]
        context["decisions"].append(
            Decision("Dockerfile build", "hugo --minify", repository.source("runtimes[0].name"))
        )
    else:
        folder = next((name for name in _PAGES if repository.tree.is_file(f"{name}/index.html")), "")
        site["output"] = folder or "."
        context["decisions"].append(
            Decision(
                "site", site["output"], f"{folder}/index.html:1" if folder else repository.source("runtimes[0].name")
            )
        )
    context["site"] = site
    context["start"] = []


def _output(repository: Repository, usual: str) -> str:
    """Where the build leaves the pages."""
    stated = repository.grep(
        r"outDir\s*:\s*[\"']\.?/?([\w./-]+)[\"']", "vite.config.js", "vite.config.ts", "astro.config.mjs"
    )
    return stated[0].group(1).strip("/") if stated else usual
