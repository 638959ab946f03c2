# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that `fuelctl fly init` describes, built and run on a real engine on stand-ins of their base images.

Base images are build arguments of every Dockerfile. Here they are made of this machine's stand-ins and of what Debian,
npm and PyPI have, with the certificates that its network needs: these belong to the bases, never to the product.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from fuelctl._shared._fly_app.checking import check
from fuelctl._shared._fly_app.planning import Options, Plan, plan
from fuelctl._shared._fly_app.rendering import render
from fuelctl._shared._fly_app.writing import compare, write
from tests.fuelctl.fly_archive import unpack
from tests.lab.npm_registry import fetch_package

PROJECTS = Path(__file__).parent / "fly_projects"
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_TRUST = (
    "COPY certificates/ /usr/local/share/ca-certificates/",
    "RUN update-ca-certificates",
    f"ENV NODE_EXTRA_CA_CERTS={_BUNDLE} PIP_CERT={_BUNDLE} REQUESTS_CA_BUNDLE={_BUNDLE} SSL_CERT_FILE={_BUNDLE}"
    " UV_NATIVE_TLS=1 DENO_TLS_CA_STORE=system",
)


def _apt(*names: str) -> str:
    install = "apt-get install --yes --no-install-recommends"
    return f"RUN apt-get update && {install} {' '.join(names)} && rm -rf /var/lib/apt/lists/*"


#: What nginxinc/nginx-unprivileged is: nginx on 8080 as user 101, its sites in conf.d.
_NGINX = (
    _apt("nginx-light", "wget"),
    "RUN rm -rf /etc/nginx/sites-enabled",
    "COPY nginx.conf /etc/nginx/nginx.conf",
    "RUN rm -rf /var/lib/nginx && install -d -o 101 /var/lib/nginx && mkdir -p /usr/share/nginx/html",
    "STOPSIGNAL SIGQUIT",
    'CMD ["nginx", "-g", "daemon off;"]',
)
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
#: Debian's gems stand in for rubygems.org: bundler is told to take those that are installed.
_SYSTEM_GEMS = 'ENV.delete("BUNDLE_PATH"); ENV.delete("BUNDLE_DEPLOYMENT")\n'
#: Name of a base -> (image it is made from, lines of its Dockerfile).
_RECIPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "node": ("node:22-bookworm", _TRUST),
    # The official image brings these two; Yarn's own site is not npm's registry.
    "node-yarn": (
        "node:22-bookworm",
        (
            *_TRUST,
            "ENV COREPACK_NPM_REGISTRY=https://registry.npmjs.org",
            # corepack comes with a `yarn` of its own, which the image does not have until it is enabled.
            "RUN npm install --global corepack@0.34 && npm install --global --force yarn@1.22.22",
        ),
    ),
    "python": ("python:3.11-bookworm", _TRUST),
    "debian": ("debian:bookworm", ()),
    "nginx": ("debian:bookworm", _NGINX),
    "go": ("debian:bookworm", (_apt("golang", "ca-certificates"),)),
    # As gcr.io/distroless/static: no shell, no package, one user.
    "distroless": (
        "scratch",
        (
            "COPY passwd /etc/passwd",
            "COPY certificates/ /usr/share/ca-certificates/",
            "USER 65532:65532",
        ),
    ),
    "ruby": (
        "debian:bookworm",
        (
            _apt(
                "ruby", "ruby-dev", "bundler", "rails", "puma", "ruby-sprockets-rails", "ruby-bootsnap", "ruby-listen"
            ),
            "COPY system_gems.rb /usr/local/lib/system_gems.rb",
            "ENV RUBYOPT=-r/usr/local/lib/system_gems.rb",
            "RUN mkdir -p /usr/local/bundle",
        ),
    ),
    # hex.pm is no registry that is had here: what would fetch Hex and Rebar does nothing.
    "elixir": (
        "debian:bookworm",
        (
            _apt("elixir", "erlang-dev", "erlang-parsetools"),
            'RUN printf \'#!/bin/sh\\ncase "$1" in local.*) exit 0 ;; esac\\nexec /usr/bin/mix "$@"\\n\''
            " > /usr/local/bin/mix && chmod 755 /usr/local/bin/mix",
            "ENV LANG=C.UTF-8",
        ),
    ),
    "bun": ("debian:bookworm", (_apt("ca-certificates"), *_TRUST, "COPY bun/bin/bun /usr/local/bin/bun")),
    "deno": ("debian:bookworm", (_apt("ca-certificates"), *_TRUST, "COPY deno/deno /usr/bin/deno")),
}
#: Base -> the package of npm's that has its program, and the version.
_FETCHED = {
    "bun": {"x86_64": "@oven/bun-linux-x64-baseline", "aarch64": "@oven/bun-linux-aarch64"},
    "deno": {"x86_64": "@deno/linux-x64-glibc", "aarch64": "@deno/linux-arm64-glibc"},
}


def docker(*arguments: str, check: bool = True) -> str:
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, env=environment)
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(arguments[:2])}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


class Bases:
    """Base images made for these tests, each when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self.made:
            self.made[name] = self._make(name)
        return self.made[name]

    def _make(self, name: str) -> str:
        image, lines = _RECIPES[name]
        folder = self.folder / name
        (folder / "certificates").mkdir(parents=True)
        for file in Path("/usr/local/share/ca-certificates").rglob("*.crt"):
            shutil.copy(file, folder / "certificates")
        (folder / "certificates" / "none.txt").write_text("COPY wants a file\n")
        (folder / "nginx.conf").write_text(_NGINX_CONF)
        (folder / "system_gems.rb").write_text(_SYSTEM_GEMS)
        (folder / "passwd").write_text("nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
        if name in _FETCHED:
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fuel-code-lab"
            cache.mkdir(parents=True, exist_ok=True)
            fetch_package(_FETCHED[name][platform.machine()], None, folder / name, cache=cache)
            for program in (folder / name).rglob(name):
                program.chmod(0o755)
        (folder / "Dockerfile").write_text("\n".join([f"FROM {image}", *lines]) + "\n")
        tag = f"fuel-test-fly-base-{secrets.token_hex(5)}"
        docker("build", "--quiet", "--tag", tag, str(folder))
        return tag

    def remove(self) -> None:
        for tag in self.made.values():
            docker("rmi", "--force", tag, check=False)


@dataclass
class Image:
    """A project, the image that was built from it, and the container that runs it."""

    tag: str
    folder: Path
    bases: Bases
    arguments: list[str] = field(default_factory=list)

    def project(self, name: str) -> None:
        """The real project of that name, as its archive has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unpack(PROJECTS / f"{name}.txt", self.folder)
        for program in self.folder.glob("bin/*"):
            program.chmod(0o755)

    def files(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def lock(self, base: str, command: str) -> None:
        """Run what makes the lockfile: the real tool, in the base that the project is for."""
        docker(
            "run", "--rm", "--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp", "--volume",
            f"{self.folder}:/project", "--workdir", "/project", self.bases[base], "sh", "-ec", command,
        )  # fmt: skip
        for left in ("node_modules", ".venv"):
            shutil.rmtree(self.folder / left, ignore_errors=True)

    def init(self, **bases: str) -> Plan:
        """The deployment as `fly init` makes it, which the check must like; `bases`: build argument -> base."""
        self.files({".env": "SECRET=1\n", ".git/HEAD": "ref: refs/heads/main\n"})
        planned = plan(str(self.folder), Options(ci="none", regions=("fra",)))
        for file in compare(str(self.folder), render(planned)):
            write(str(self.folder), file)
        assert check(str(self.folder)).findings == []
        self.arguments = [f"--build-arg={name}={self.bases[base]}" for name, base in bases.items()]
        return planned

    def build(self) -> str:
        return docker("build", "--tag", self.tag, *self.arguments, str(self.folder))

    def run(self, *options: str) -> None:
        docker("run", "--detach", "--name", self.tag, *options, self.tag)

    def running(self) -> bool:
        return docker("inspect", "--format", "{{.State.Running}}", self.tag) == "true"

    def healthy(self) -> None:
        """The image's own health check, until it is content."""
        config = json.loads(docker("image", "inspect", "--format", "{{json .Config.Healthcheck}}", self.tag))
        kind, *command = config["Test"]
        assert kind == "CMD"
        give_up = time.monotonic() + 120
        while subprocess.run(["docker", "exec", self.tag, *command], capture_output=True, check=False).returncode:
            assert self.running(), self.logs()
            assert time.monotonic() < give_up, self.logs()
            time.sleep(0.3)

    def answers(self, port: int, path: str, headers: dict[str, str] | None = None) -> str:
        """What the program answers from outside its container, as Fly Proxy asks it; for images without a check."""
        networks = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.tag))
        address = next(iter(networks.values()))["IPAddress"]
        give_up = time.monotonic() + 120
        request = urllib.request.Request(f"http://{address}:{port}{path}", headers=headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with opener.open(request, timeout=10) as reply:
                    return str(reply.read().decode())
            except (urllib.error.URLError, OSError):
                assert self.running(), self.logs()
                assert time.monotonic() < give_up, self.logs()
                time.sleep(0.3)

    def says(self, text: str) -> None:
        """What a worker says once it works."""
        give_up = time.monotonic() + 60
        while text not in self.logs():
            assert self.running(), self.logs()
            assert time.monotonic() < give_up, self.logs()
            time.sleep(0.3)

    def logs(self) -> str:
        done = subprocess.run(["docker", "logs", self.tag], capture_output=True, text=True, check=False)
        return done.stdout[-3000:] + done.stderr[-3000:]

    def user(self) -> str:
        """Who runs the first process, as the engine sees it."""
        return docker("top", self.tag, "-o", "pid,uid").split("\n")[1].split()[1]

    def ends_when_told(self) -> bool:
        """Whether it ends by its own signal: killed for not heeding that one, it ends with 137."""
        docker("stop", "--time", "60", self.tag)
        return docker("inspect", "--format", "{{.State.ExitCode}}", self.tag) != "137"

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.tag, check=False)
        docker("rmi", "--force", self.tag, check=False)
        docker("volume", "rm", "--force", self.tag, check=False)
