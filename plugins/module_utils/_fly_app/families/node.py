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
from ..needs import developed, run_by, runtime_packages
from ..repository import Decision, Repository

#: Manager -> its lockfiles.
LOCKS = {
    "npm": ("package-lock.json", "npm-shrinkwrap.json"),
    "pnpm": ("pnpm-lock.yaml",),
    "yarn": ("yarn.lock",),
    "bun": ("bun.lock", "bun.lockb"),
}
#: Where the project names no version: one that leaves a lockfile of that version as it is, for a later one rewrites it.
_YARNS = ((4, "2.4.3"), (7, "3.8.7"), (8, "4.9.2"))
YARN, COREPACK = "4", "0.34.0"
_UNPREPARED = {
    "node": "npm pkg delete scripts.prepare",
    "bun": "bun -e \"const p = await Bun.file('package.json').json(); delete p.scripts.prepare;"
    " await Bun.write('package.json', JSON.stringify(p))\"",
}
#: Files that an install reads beside the manifest and the lockfile.
_BESIDE = (".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", "bunfig.toml")
_FOLDERS = (".yarn", "patches", "prisma")
_PLAIN = re.compile(r"(?:NODE_ENV=production\s+)?node\s+(?:--[\w=./-]+\s+)*[\w./-]+\s*$")
#: A program of Bun's that no shell is needed for, and that is not restarted by itself.
_BUN = re.compile(r"bun\s+(?:run\s+)?(?!--(?:watch|hot))[\w./-]+\.[cm]?[jt]sx?\s*$")
_TYPED = ("index.ts", "server.ts", "app.ts", "main.ts", "src/index.ts", "src/server.ts", "src/app.ts", "src/main.ts")
_MAIN = ("server.js", "index.js", "app.js", "main.js", "src/index.js", "src/server.js", "src/app.js", "src/main.js")


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `node`, `start` and `packages`."""
    manager = manager_of(repository)
    node = install(repository, manager)
    build, build_source = repository.script("build")
    run = "npm run" if manager == "npm" else f"{manager} run"
    generate = repository.has("prisma/schema.prisma") and not re.search(r"prisma generate", build)
    prisma = run_by(repository.runtime, "npx prisma generate")
    steps = [] if not generate or not repository.script("build")[0] else [prisma]
    node["build"] = " && ".join([*steps, f"{run} build"]) if build else ""
    if repository.has("prisma/schema.prisma") and not build:
        node["install_production"] += f" && {prisma}"
    if build:
        context["decisions"].append(Decision("Dockerfile build", node["build"], build_source, "script build"))
    context["node"] = node
    if developed(repository, context["release"] or "") or "prisma" in table(repository.package, "devDependencies"):
        node["prune"] = ""
        node["install_production"] = node["install"]
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


def manager_of(repository: Repository) -> str:
    """What installs the packages, where nothing says so what the runtime brings."""
    return repository.manager or ("bun" if repository.runtime == "bun" else "npm")


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
    environment: Dict[str, str] = {}
    berry = manager == "yarn" and _berry(repository, version)
    if manager == "bun":
        prepare = f"npm install --global bun@{version or '1'} && npm cache clean --force"
        every = "bun install" + (" --frozen-lockfile" if lock else "")
        production = f"{every} --production"
        # What Prisma generated lies in node_modules.
        prune = "" if repository.has("prisma/schema.prisma") else f"rm -rf node_modules && {production}"
    elif manager == "npm":
        every, production = ("npm ci --include=dev", "npm ci") if lock else ("npm install --include=dev", "npm install")
        production = f"{production} --omit=dev && npm cache clean --force"
        prune = "npm prune --omit=dev"
    elif manager == "pnpm":
        prepare = f"npm install --global pnpm@{version or '9'} && npm cache clean --force"
        frozen = " --frozen-lockfile" if lock else ""
        every, production = f"pnpm install{frozen} --prod=false", f"pnpm install{frozen} --prod"
        prune = "pnpm prune --prod --ignore-scripts"
    elif berry:
        version = _yarn(repository, version)
        prepare = f"corepack enable && corepack prepare yarn@{version} --activate"
        if repository.version.partition(".")[0] >= "25":
            # From there on Node.js comes without it.
            prepare = f"npm install --global corepack@{COREPACK} && {prepare}"
        every = production = "yarn install" + (" --immutable" if lock else "")
        if version[:1] not in ("2", "3"):
            # Before Yarn 4 it is a plugin.
            production = prune = "yarn workspaces focus --all --production"
        if not repository.grep(r"^nodeLinker:\s*[\"']?(?:node-modules|pnpm)", ".yarnrc.yml"):
            # Plug'n'Play needs a loader wherever Node.js is started.
            environment["YARN_NODE_LINKER"] = "node-modules"
    else:
        frozen = " --frozen-lockfile" if lock else ""
        every, production = f"yarn install{frozen} --production=false", f"yarn install{frozen} --production"
        prune = f"yarn install{frozen} --production --ignore-scripts --prefer-offline"
    on_bun = repository.runtime == "bun"
    if repository.script("prepare")[0] and not berry:
        # It runs at every install, most often a tool of development (husky) that is not there.
        production = f"{_UNPREPARED['bun' if on_bun else 'node']} && {production}"
    return {
        "argument": "BUN_IMAGE" if on_bun else "NODE_IMAGE",
        "program": "bun" if on_bun else "node",
        "manifests": manifests,
        "environment": environment,
        "berry": berry,
        "prepare": "" if on_bun and manager == "bun" else prepare,
        "install": every,
        "install_production": production,
        "prune": prune,
        "lock": lock,
    }


def _yarn(repository: Repository, version: str) -> str:
    """The Yarn from 2 on that a project is for: the one that it names, else one that fits its lockfile."""
    written = repository.grep(r"^__metadata:\n[ ]+version: (\d{1,3})$", "yarn.lock")
    if not written or re.fullmatch(r"\d+\.\d+\.\d+.*", version):
        return version or YARN
    return next((known for until, known in _YARNS if int(written[0].group(1)) <= until), YARN)


def _berry(repository: Repository, version: str) -> bool:
    """Whether it is a Yarn from 2 on, which is another program than Yarn 1."""
    if version:
        return version[:1] in ("2", "3", "4", "5")
    return repository.root.has(".yarnrc.yml") or bool(repository.grep(r"^__metadata:", "yarn.lock"))


def _start(repository: Repository, meta: Dict[str, Any], node: Dict[str, Any], manager: str) -> Tuple[List[str], str]:
    """(argument vector, source) of what the image starts."""
    program: str = node["program"]
    if node["standalone"]:
        return [program, "server.js"], "next.config: standalone"
    for name in ("start:prod", "start"):
        command, source = repository.script(name)
        if command and _PLAIN.match(command):
            # Without npm between them, signals reach the program.
            words = shlex.split(command.replace("NODE_ENV=production", "").strip())
            return [program, *words[1:]], source
        if command and program == "bun" and _BUN.match(command):
            return shlex.split(command), source
    if "start" in meta:
        return [program if word == "node" else word for word in meta["start"]], "default"
    command, source = repository.script("start")
    if command and re.fullmatch(r"next start\b.*", command):
        return (["bun", "run", "start"] if program == "bun" else ["node_modules/.bin/next", "start"]), source
    if command:
        if program == "bun" or manager == "bun":
            return [manager, "run", "start"], source
        # corepack would fetch a Yarn where the program is started.
        return (["npm", "start"] if manager == "npm" or node["berry"] else [manager, "start"]), source
    named = [word(repository.package.get(key)) for key in ("main", *(["module"] if program == "bun" else []))]
    usual = (*_MAIN, *(_TYPED if program == "bun" else ()))
    entry = next((name for name in named if name and repository.root.has(name)), None) or repository.root.first(*usual)
    if not entry:
        raise UsageError(
            "nothing says how it is started", where="package.json", hint='add a script "start"', code="no_start"
        )
    return [program, entry], f"{entry}:1"
