# SPDX-License-Identifier: GPL-3.0-or-later
"""Dockerfiles of `fuelctl fly init` on a real engine: they build, run as a user, and answer their health check."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.fly_lab import Bases, Image, docker

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bases]:
    made = Bases(tmp_path_factory.mktemp("bases"))
    yield made
    made.remove()


@pytest.fixture
def image(tmp_path: Path, bases: Bases) -> Iterator[Image]:
    made = Image(f"fuel-test-fly-{secrets.token_hex(5)}", tmp_path / "app", bases)
    yield made
    made.remove()


def test_express(image: Image) -> None:
    image.project("express")
    image.init(NODE_IMAGE="node")
    image.build()
    image.run()
    image.healthy()
    assert image.user() == "10001"
    assert docker("exec", image.tag, "ls", "-A", "/app").split() == ["node_modules", "package.json", "server.js"]
    assert image.ends_when_told()
    # A change of the program leaves the dependencies' layer alone.
    image.files({"server.js": (image.folder / "server.js").read_text() + "// changed\n"})
    steps = image.build().split("\nStep ")
    install = next(step for step in steps if "npm install" in step.split("\n")[0])
    assert "Using cache" in install


def test_flask_with_its_database_on_a_volume(image: Image) -> None:
    image.project("flask-sqlite")
    image.init(PYTHON_IMAGE="python")
    image.build()
    # As on Fly.io: what is mounted belongs to root, whatever the image had there.
    docker("run", "--rm", "--volume", f"{image.tag}:/data", "--entrypoint", "chown", image.tag, "root:root", "/data")
    image.run("--volume", f"{image.tag}:/data", "--env", "DATABASE_PATH=/data/app.db")
    image.healthy()
    assert image.user() == "10001"
    assert "app.db" in docker("exec", image.tag, "ls", "/data")
    assert image.ends_when_told()


def test_fastapi(image: Image) -> None:
    image.project("fastapi")
    image.init(PYTHON_IMAGE="python")
    image.build()
    image.run()
    image.healthy()
    assert image.user() == "10001"
    assert ".env" not in docker("exec", image.tag, "ls", "-A", "/app").split()
    assert image.ends_when_told()


def test_django(image: Image) -> None:
    """One that redirects to https and answers only for its own name, as a careful one does."""
    image.project("django")
    image.init(PYTHON_IMAGE="python")
    image.build()
    image.run("--env", "DJANGO_SECRET_KEY=at-run-time")
    image.healthy()
    assert image.user() == "10001"
    assert image.ends_when_told()


def test_static(image: Image) -> None:
    image.files({"index.html": "<h1>Hello</h1>", "about.html": "<h1>About</h1>"})
    image.init(WEB_IMAGE="nginx")
    image.build()
    image.run()
    image.healthy()
    assert image.user() == "101"

    def get(path: str) -> str:
        return docker(
            "exec", image.tag, "wget", "--quiet", "--output-document=-", f"http://127.0.0.1:8080{path}", check=False
        )

    assert get("/") == "<h1>Hello</h1>"
    assert get("/about") == "<h1>About</h1>"
    for hidden in ("/.env", "/.fly/nginx.conf", "/.git/HEAD", "/Dockerfile", "/fly.toml"):
        assert get(hidden) == ""
    assert image.ends_when_told()


@dataclass(frozen=True)
class Kind:
    """A project, what makes its lockfile, the bases it is built on, and how it is known to work."""

    project: str
    bases: dict[str, str]
    lock: tuple[str, str] = ("", "")
    environment: tuple[str, ...] = ()
    user: str = "10001"
    #: Port and path where the image has nothing to check itself with; a worker says what it does.
    answers: tuple[int, str] = (0, "")
    says: str = ""
    #: What the Dockerfile must hold: the path that this kind is here for.
    holds: str = ""
    name: str = field(default="")


_NODE, _YARN, _PYTHON = {"NODE_IMAGE": "node"}, {"NODE_IMAGE": "node-yarn"}, {"PYTHON_IMAGE": "python"}
_NPM = "npm install --package-lock-only --ignore-scripts --no-audit --no-fund"
_PNPM = "npx --yes pnpm@{version} install --lockfile-only --ignore-scripts"
_CLASSIC = "npx --yes yarn@1.22.22 install --ignore-scripts --no-progress"
_BERRY = "npx --yes --package @yarnpkg/cli-dist@4.9.2 yarn install --mode=update-lockfile"


def _tool(name: str, command: str) -> tuple[str, str]:
    return "python", f"python -m venv /tmp/tool && /tmp/tool/bin/pip install --quiet {name} && /tmp/tool/bin/{command}"


KINDS = [
    Kind("express", _NODE, ("node", _NPM), holds="npm ci --omit=dev", name="express-npm"),
    Kind(
        "express", _NODE, ("node", _PNPM.format(version=9)), holds="pnpm install --frozen-lockfile", name="express-pnpm"
    ),
    Kind("express", _YARN, ("node", _CLASSIC), holds="yarn install --frozen-lockfile", name="express-yarn-1"),
    Kind("express", _YARN, ("node", f"touch yarn.lock && {_BERRY}"), holds="corepack enable", name="express-yarn-4"),
    Kind("workspace", _NODE, ("node", _NPM), holds="npm prune --omit=dev", name="workspace-npm"),
    Kind("nextjs", _NODE, ("node", _NPM), holds=".next/standalone"),
    Kind("nextjs-whole", _NODE, ("node", _PNPM.format(version="10.20.0")), holds="pnpm prune"),
    Kind("nestjs", _NODE, ("node", _NPM), holds="npm prune"),
    Kind("nestjs", _YARN, ("node", _CLASSIC), holds="--production --ignore-scripts", name="nestjs-yarn-1"),
    Kind("nestjs", _YARN, ("node", f"touch yarn.lock && {_BERRY}"), holds="corepack enable", name="nestjs-yarn-4"),
    Kind("node-worker", _NODE, ("node", _NPM), says="working every 1m"),
    Kind("vite", {**_NODE, "WEB_IMAGE": "nginx"}, ("node", _NPM), user="101"),
    Kind("hugo", {"BUILD_IMAGE": "debian", "WEB_IMAGE": "nginx"}, user="101"),
    Kind(
        "django-poetry",
        _PYTHON,
        _tool("poetry==2.1.4", "poetry lock"),
        ("DJANGO_SECRET_KEY=x",),
        holds="poetry install",
    ),
    Kind(
        "django-poetry", _PYTHON, environment=("DJANGO_SECRET_KEY=x",), holds="poetry install", name="poetry-unlocked"
    ),
    Kind("fastapi-uv", _PYTHON, _tool("uv==0.8.22", "uv lock"), holds="uv sync --locked"),
    Kind("fastapi-uv", _PYTHON, holds="pip install", name="pyproject-src"),
    Kind("flask-pdm", _PYTHON, _tool("pdm==2.25.9 'hishel<1' 'unearth<0.18'", "pdm lock"), holds="pdm export"),
    Kind("flask-pdm", _PYTHON, holds="pdm ", name="pdm-unlocked"),
    Kind("flask-pipenv", _PYTHON, _tool("pipenv==2025.0.4", "pipenv lock"), holds="pipenv requirements"),
    Kind("flask-pipenv", _PYTHON, holds="pipenv", name="pipenv-unlocked"),
    Kind("python-worker", _PYTHON, says="working"),
    Kind("go", {"GO_IMAGE": "go", "RUN_IMAGE": "distroless"}, user="65532", answers=(8080, "/healthz")),
    Kind("rails", {"RUBY_IMAGE": "ruby"}, ("ruby", "bundle lock --local"), ("SECRET_KEY_BASE=x",)),
    Kind("phoenix", {"ELIXIR_IMAGE": "elixir", "RUN_IMAGE": "debian"}, answers=(4000, "/healthz")),
    Kind("bun", {"BUN_IMAGE": "bun"}, ("bun", "bun install --lockfile-only"), holds="bun install --frozen-lockfile"),
    Kind("express", _NODE, ("bun", "bun install --lockfile-only"), holds="bun install", name="express-bun"),
    Kind("deno", {"DENO_IMAGE": "deno"}, ("deno", "deno install"), holds="deno install --frozen"),
]


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name or kind.project)
def test_every_kind(kind: Kind, image: Image) -> None:
    image.project(kind.project)
    base, command = kind.lock
    if command:
        image.lock(base, command)
    image.init(**kind.bases)
    assert kind.holds in (image.folder / "Dockerfile").read_text()
    image.build()
    image.run(*(word for pair in kind.environment for word in ("--env", pair)))
    if kind.says:
        image.says(kind.says)
    elif kind.answers[1]:
        assert image.answers(*kind.answers)
    else:
        image.healthy()
    assert image.user() == kind.user
    assert image.ends_when_told()
