# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Node.js: how dependencies are installed from each lockfile, how it is built, what starts it."""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, List, Tuple

from ..._blueprint.parsers import table, word
from ..._errors import UsageError
from ..needs import developed, runtime_packages
from ..repository import Decision, Repository

#: Manager -> its lockfiles.
LOCKS = {
    "npm": ("package-lock.json", "npm-shrinkwrap.json"),
    "pnpm": ("pnpm-lock.yaml",),
    "yarn": ("yarn.lock",),
    "bun": ("bun.lock", "bun.lockb"),
}
#: Files that an install reads beside the manifest and the lockfile.
_BESIDE = (".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", "bunfig.toml")
_FOLDERS = (".yarn", "patches", "prisma")
_PLAIN = re.compile(r"(?:NODE_ENV=production\s+)?node\s+(?:--[\w=./-]+\s+)*[\w./-]+\s*$")
_MAIN = ("server.js", "index.js", "app.js", "main.js", "src/index.js", "src/server.js", "src/app.js", "src/main.js")


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `node`, `start` and `packages`."""
    manager = repository.manager or "npm"
    if manager == "bun":
        raise UsageError(
            "no template installs with Bun yet", hint="keep a package-lock.json, or write the Dockerfile by hand"
        )
    node = install(repository, manager)
    build, build_source = repository.script("build")
    run = "npm run" if manager == "npm" else f"{manager} run"
    generate = repository.has("prisma/schema.prisma") and not re.search(r"prisma generate", build)
    steps = [] if not generate or not repository.script("build")[0] else ["npx prisma generate"]
    node["build"] = " && ".join([*steps, f"{run} build"]) if build else ""
    if repository.has("prisma/schema.prisma") and not build:
        node["install_production"] += " && npx prisma generate"
    if build:
        context["decisions"].append(Decision("Dockerfile build", node["build"], build_source, "script build"))
    context["node"] = node
    if developed(repository, context["release"] or "") or "prisma" in table(repository.package, "devDependencies"):
        node["prune"] = ""
        node["install_production"] = node["install"].replace("npm ci", "npm ci --include=dev")
        context["notes"].append(
            "migrations run a tool of devDependencies, which therefore stay in the image: make it a dependency"
        )
    node["public"] = repository.tree.is_folder("public")
    node["standalone"] = bool(
        repository.grep(r"output\s*:\s*[\"']standalone[\"']", "next.config.js", "next.config.mjs", "next.config.ts")
    )
    if context["framework"]["name"] == "nextjs" and not node["standalone"]:
        context["notes"].append('next.config: output: "standalone" makes the image several times smaller')
    packages = list(repository.detection.blueprint.get("system_packages") or [])
    build_packages = sorted({*packages, *(["openssl"] if repository.has("prisma/schema.prisma") else [])})
    running = runtime_packages(build_packages)
    context["packages"] = {"build": [name for name in build_packages if name not in running], "run": running}
    context["start"], start_source = _start(repository, meta, node, manager)
    context["decisions"].append(Decision("Dockerfile CMD", " ".join(context["start"]), start_source))


def install(repository: Repository, manager: str) -> Dict[str, Any]:
    """What the templates need to install: `manifests`, `prepare`, `install`, `install_production`, `prune`."""
    lock = next((name for name in LOCKS[manager] if repository.root.has(name)), "")
    versions = repository.detection.fields.get("runtimes[0].package_manager_version")
    version = str(versions[0].value) if versions and repository.runtime == "node" else ""
    files = ["package.json", *([lock] if lock else []), *(name for name in _BESIDE if repository.root.has(name))]
    manifests: List[Tuple[str, str]] = [(" ".join(files), "./")]
    manifests += [(name, f"./{name}") for name in _FOLDERS if repository.tree.is_folder(name)]
    if repository.finding and repository.finding.members:
        # The lockfile of a workspace is about the manifests of all its members.
        manifests = [(".", ".")]
    prepare = prune = ""
    if manager == "npm":
        every, production = ("npm ci --include=dev", "npm ci") if lock else ("npm install --include=dev", "npm install")
        production = f"{production} --omit=dev && npm cache clean --force"
        prune = "npm prune --omit=dev"
    elif manager == "pnpm":
        prepare = f"npm install --global pnpm@{version or '9'} && npm cache clean --force"
        frozen = " --frozen-lockfile" if lock else ""
        every, production = f"pnpm install{frozen} --prod=false", f"pnpm install{frozen} --prod"
        prune = "pnpm prune --prod --ignore-scripts"
    elif version[:1] in ("2", "3", "4", "5") or repository.root.has(".yarnrc.yml"):
        prepare = "corepack enable"
        every = "yarn install" + (" --immutable" if lock else "")
        production = "yarn workspaces focus --all --production"
    else:
        frozen = " --frozen-lockfile" if lock else ""
        every, production = f"yarn install{frozen} --production=false", f"yarn install{frozen} --production"
        prune = f"yarn install{frozen} --production --ignore-scripts --prefer-offline"
    return {
        "manifests": manifests,
        "prepare": prepare,
        "install": every,
        "install_production": production,
        "prune": prune,
        "lock": lock,
    }


def _start(repository: Repository, meta: Dict[str, Any], node: Dict[str, Any], manager: str) -> Tuple[List[str], str]:
    """(argument vector, source) of what the image starts."""
    if node["standalone"]:
        return ["node", "server.js"], "next.config: standalone"
    for name in ("start:prod", "start"):
        command, source = repository.script(name)
        if command and _PLAIN.match(command):
            # Without npm between them, signals reach the program.
            return shlex.split(command.replace("NODE_ENV=production", "").strip()), source
    if "start" in meta:
        return list(meta["start"]), "default"
    command, source = repository.script("start")
    if command and re.fullmatch(r"next start\b.*", command):
        return ["node_modules/.bin/next", "start"], source
    if command:
        return (["npm", "start"] if manager == "npm" else [manager, "start"]), source
    main = word(repository.package.get("main"))
    entry = main if main and repository.root.has(main) else repository.root.first(*_MAIN)
    if not entry:
        raise UsageError(
            "nothing says how it is started", where="package.json", hint='add a script "start"', code="no_start"
        )
    return ["node", entry], f"{entry}:1"
