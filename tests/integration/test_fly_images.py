# SPDX-License-Identifier: GPL-3.0-or-later
"""Dockerfiles of `fuelctl fly init` on a real engine: they build, run as nobody's root, and answer their health check.

Base images are build arguments: here they are this machine's stand-ins, with the certificates that its network needs.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fuelctl._shared._fly_app.planning import Options, plan
from fuelctl._shared._fly_app.rendering import render
from fuelctl._shared._fly_app.writing import compare, write

pytestmark = pytest.mark.docker

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_TRUSTED = f"""
COPY certificates/ /usr/local/share/ca-certificates/
RUN update-ca-certificates
ENV NODE_EXTRA_CA_CERTS={_BUNDLE} PIP_CERT={_BUNDLE}
"""
#: What nginxinc/nginx-unprivileged is: nginx on 8080 as user 101, its sites in conf.d.
_NGINX = """
RUN apt-get update && apt-get install --yes --no-install-recommends nginx-light wget && rm -rf /etc/nginx/sites-enabled
COPY nginx.conf /etc/nginx/nginx.conf
RUN rm -rf /var/lib/nginx && install -d -o 101 /var/lib/nginx && mkdir -p /usr/share/nginx/html
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
"""
_NGINX_CONF = """
pid /tmp/nginx.pid;
error_log /dev/stderr;
events {}
http {
    include /etc/nginx/mime.types;
    access_log /dev/stdout;
    include /etc/nginx/conf.d/*.conf;
}
"""


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(arguments[:2])}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


class Bases:
    """Base images made for these tests, each when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, str] = {}

    def __getitem__(self, reference: str) -> str:
        if reference not in self.made:
            self.made[reference] = self._make(reference)
        return self.made[reference]

    def _make(self, reference: str) -> str:
        folder = self.folder / reference.replace(":", "-")
        (folder / "certificates").mkdir(parents=True)
        for file in Path("/usr/local/share/ca-certificates").rglob("*.crt"):
            shutil.copy(file, folder / "certificates")
        (folder / "certificates" / "none.txt").write_text("COPY wants a file\n")
        (folder / "nginx.conf").write_text(_NGINX_CONF)
        (folder / "Dockerfile").write_text(f"FROM {reference}" + (_NGINX if "debian" in reference else _TRUSTED))
        tag = f"fuel-test-fly-base-{secrets.token_hex(5)}"
        docker("build", "--quiet", "--tag", tag, str(folder))
        return tag


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bases]:
    made = Bases(tmp_path_factory.mktemp("bases"))
    yield made
    for tag in made.made.values():
        docker("rmi", "--force", tag, check=False)


@dataclass
class Image:
    """An image that was built, and the container that runs it."""

    tag: str
    folder: Path
    arguments: list[str]

    def build(self) -> str:
        return docker("build", "--tag", self.tag, *self.arguments, str(self.folder))

    def run(self, *options: str) -> None:
        docker("run", "--detach", "--name", self.tag, *options, self.tag)

    def healthy(self) -> None:
        """The image's own health check, until it is content."""
        config = json.loads(docker("image", "inspect", "--format", "{{json .Config.Healthcheck}}", self.tag))
        kind, *command = config["Test"]
        assert kind == "CMD"
        give_up = time.monotonic() + 60
        while subprocess.run(["docker", "exec", self.tag, *command], capture_output=True, check=False).returncode:
            running = docker("inspect", "--format", "{{.State.Running}}", self.tag)
            assert running == "true" and time.monotonic() < give_up, docker("logs", self.tag)  # noqa: PT018 - one story
            time.sleep(0.3)

    def user(self) -> str:
        """Who runs the first process."""
        return docker("exec", self.tag, "cat", "/proc/1/status").partition("Uid:\t")[2].split("\t")[0]

    def stop(self) -> float:
        began = time.monotonic()
        docker("stop", "--time", "20", self.tag)
        return time.monotonic() - began


@pytest.fixture
def image(tmp_path: Path, bases: Bases) -> Iterator[Image]:
    tag = f"fuel-test-fly-{secrets.token_hex(5)}"
    yield Image(tag, tmp_path / "app", [])
    docker("rm", "--force", "--volumes", tag, check=False)
    docker("rmi", "--force", tag, check=False)
    docker("volume", "rm", "--force", tag, check=False)


def prepare(image: Image, files: dict[str, str]) -> None:
    """A project, its deployment as `fly init` makes it, and what must not get into its image."""
    for name, text in {**files, ".env": "SECRET=1\n", ".git/HEAD": "ref: refs/heads/main\n"}.items():
        (image.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (image.folder / name).write_text(text)
    for file in compare(str(image.folder), render(plan(str(image.folder), Options(ci="none", regions=("fra",))))):
        write(str(image.folder), file)


def test_express(image: Image, bases: Bases) -> None:
    manifest = {"name": "shop", "scripts": {"start": "node server.js"}, "dependencies": {"express": "^4.21.0"}}
    server = (
        "const app = require('express')()\n"
        "app.get('/healthz', (request, response) => response.send('ok'))\n"
        "const server = app.listen(process.env.PORT || 3000)\n"
        "process.on('SIGTERM', () => server.close(() => process.exit(0)))\n"
    )
    prepare(image, {"package.json": json.dumps(manifest), "server.js": server})
    image.arguments = ["--build-arg", f"NODE_IMAGE={bases['node:22-bookworm']}"]
    image.build()
    image.run()
    image.healthy()
    assert image.user() == "10001"
    assert docker("exec", image.tag, "ls", "-A", "/app").split() == ["node_modules", "package.json", "server.js"]
    assert image.stop() < 10
    # A change of the program leaves the dependencies' layer alone.
    (image.folder / "server.js").write_text(server + "// changed\n")
    steps = image.build().split("\nStep ")
    install = next(step for step in steps if "RUN npm install" in step.split("\n")[0])
    assert "Using cache" in install


def test_flask_with_its_database_on_a_volume(image: Image, bases: Bases) -> None:
    program = (
        "import os, sqlite3\n"
        "from flask import Flask\n\n"
        "app = Flask(__name__)\n\n"
        "@app.get('/healthz')\n"
        "def healthz():\n"
        "    with sqlite3.connect(os.environ['DATABASE_PATH']) as database:\n"
        "        database.execute('create table if not exists seen (at)')\n"
        "    return 'ok'\n"
    )
    prepare(image, {"requirements.txt": "Flask==3.1.0\n", "app.py": program})
    image.arguments = ["--build-arg", f"PYTHON_IMAGE={bases['python:3.11-bookworm']}"]
    image.build()
    # As on Fly.io: what is mounted belongs to root, whatever the image had there.
    docker("run", "--rm", "--volume", f"{image.tag}:/data", "--entrypoint", "chown", image.tag, "root:root", "/data")
    image.run("--volume", f"{image.tag}:/data", "--env", "DATABASE_PATH=/data/app.db")
    image.healthy()
    assert image.user() == "10001"
    assert "app.db" in docker("exec", image.tag, "ls", "/data")
    assert image.stop() < 10


def test_fastapi(image: Image, bases: Bases) -> None:
    program = "from fastapi import FastAPI\n\napp = FastAPI()\n\n@app.get('/health')\ndef health():\n    return {}\n"
    prepare(image, {"requirements.txt": "fastapi==0.115.6\nuvicorn==0.34.0\n", "api/main.py": program})
    image.arguments = ["--build-arg", f"PYTHON_IMAGE={bases['python:3.11-bookworm']}"]
    image.build()
    image.run()
    image.healthy()
    assert image.user() == "10001"
    assert ".env" not in docker("exec", image.tag, "ls", "-A", "/app").split()
    assert image.stop() < 10


def test_static(image: Image, bases: Bases) -> None:
    prepare(image, {"index.html": "<h1>Hello</h1>", "about.html": "<h1>About</h1>"})
    image.arguments = ["--build-arg", f"WEB_IMAGE={bases['debian:bookworm']}"]
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
    assert image.stop() < 10
