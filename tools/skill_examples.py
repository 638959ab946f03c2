# SPDX-License-Identifier: GPL-3.0-or-later
"""The skill flyio's `examples/`: what `fuelctl fly init` would write for small repositories of every kind.

They are rendered from the templates of `_fly_app` by `make docs`, and a gate fails when they are not what the templates
give: rendering them on the way into an environment would cost seconds of every `up`.
"""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = "skills/flyio/examples"
#: What goes into the skill: CI files are one line each, and in the reference.
_KEPT = (".toml", "Dockerfile", ".dockerignore", ".conf")

#: Kind -> (what it shows, regions, the files that a repository of that kind is recognised by).
SAMPLES: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "express-worker": (
        "Express with a queue's worker: two process groups, Postgres and Redis",
        ("fra",),
        {
            "package.json": '{"name": "shop", "scripts": {"start": "node server.js", "worker": "node worker.js"},'
            ' "dependencies": {"bullmq": "5", "express": "5", "ioredis": "5", "pg": "8"}}',
            "package-lock.json": "{}",
            "server.js": "app.get('/healthz', ok)\napp.listen(process.env.PORT || 8080)\n",
            "worker.js": "new Worker('mail', send)\n",
            "Procfile": "web: node server.js\nworker: node worker.js\n",
        },
    ),
    "nextjs": (
        "Next.js in two regions",
        ("fra", "iad"),
        {
            "package.json": '{"name": "shop", "scripts": {"build": "next build", "start": "next start"},'
            ' "dependencies": {"next": "15", "react": "19"}}',
            "package-lock.json": "{}",
            "next.config.js": "module.exports = { output: 'standalone' }\n",
            "app/api/health/route.ts": "export const GET = () => new Response('ok')\n",
        },
    ),
    "django": (
        "Django with Postgres and migrations",
        ("fra",),
        {
            "manage.py": "",
            "requirements.txt": "django==5.2\ngunicorn==23.0\npsycopg[binary]==3.2\n",
            "shop/__init__.py": "",
            "shop/wsgi.py": "",
            "shop/settings.py": "import os\nSECRET_KEY = os.environ['SECRET_KEY']\n",
            "shop/urls.py": "urlpatterns = [path('healthz', ok)]\n",
        },
    ),
    "fastapi": (
        "FastAPI",
        ("fra",),
        {
            "requirements.txt": "fastapi==0.115\nuvicorn[standard]==0.32\n",
            "main.py": "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/healthz')\ndef ok(): ...\n",
        },
    ),
    "rails": (
        "Rails with Postgres and migrations",
        ("fra",),
        {
            "Gemfile": "source 'https://rubygems.org'\ngem 'rails', '~> 8.0'\ngem 'pg'\ngem 'puma'\n",
            "Gemfile.lock": "GEM\n  specs:\n    rails (8.0.1)\n    pg (1.5.9)\n    puma (6.5.0)\n",
            ".ruby-version": "3.4.1\n",
            "bin/rails": "#!/usr/bin/env ruby\n",
            "config.ru": "run Rails.application\n",
            "config/application.rb": "module Shop\n  class Application < Rails::Application; end\nend\n",
            "config/routes.rb": 'get "up" => "rails/health#show"\n',
            "config/database.yml": "production:\n  url: <%= ENV['DATABASE_URL'] %>\n",
            "db/migrate/20250101000000_create_items.rb": "",
        },
    ),
    "phoenix": (
        "Phoenix with Postgres and migrations",
        ("fra",),
        {
            "mix.exs": 'defmodule Shop.MixProject do\n  def project, do: [app: :shop, elixir: "~> 1.18"]\n'
            '  def application, do: [mod: {Shop.Application, []}]\n  defp deps, do: [{:phoenix, "~> 1.7"}, {:ecto_sql,'
            ' "~> 3.12"}, {:postgrex, ">= 0.0.0"}]\nend\n',
            "mix.lock": "%{}\n",
            "config/runtime.exs": 'System.fetch_env!("SECRET_KEY_BASE")\n',
            "lib/shop_web/router.ex": 'get "/healthz", HealthController, :ok\n',
            "priv/repo/migrations/20250101000000_items.exs": "",
        },
    ),
    "go": (
        "Go, a single binary",
        ("fra",),
        {
            "go.mod": "module example.org/shop\n\ngo 1.25\n",
            "main.go": 'package main\n\nfunc main() {\n\thttp.HandleFunc("/healthz", ok)\n'
            '\thttp.ListenAndServe(":8080", nil)\n}\n',
        },
    ),
    "static": ("A web site without a server", ("fra",), {"index.html": "<!doctype html>\n", "style.css": ""}),
    "sqlite": (
        "SQLite on a volume: one Machine, migrations at its start",
        ("fra",),
        {
            "package.json": '{"name": "shop", "scripts": {"start": "node server.js"},'
            ' "dependencies": {"better-sqlite3": "11", "express": "5"}}',
            "package-lock.json": "{}",
            "server.js": "const db = open(process.env.DATABASE_PATH)\napp.get('/healthz', ok)\n"
            "app.listen(process.env.PORT || 8080)\n",
        },
    ),
    "worker": (
        "A worker that answers no requests",
        ("fra",),
        {
            "package.json": '{"name": "mailer", "scripts": {"start": "node worker.js"},'
            ' "dependencies": {"bullmq": "5", "ioredis": "5"}}',
            "package-lock.json": "{}",
            "worker.js": "new Worker('mail', send)\n",
        },
    ),
}


def skill_examples() -> dict[str, str]:
    """Path in the checkout -> content, of every file below `skills/flyio/examples`."""
    # By name: mypy does not follow the `__path__` of fuelctl._shared.
    planning: Any = import_module("fuelctl._shared._fly_app.planning")
    rendering: Any = import_module("fuelctl._shared._fly_app.rendering")
    pages: dict[str, str] = {}
    rows = []
    for kind, (shows, regions, files) in SAMPLES.items():
        with tempfile.TemporaryDirectory(prefix="fuel-skill-") as scratch:
            folder = Path(scratch, "shop")
            for name, text in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
            options = planning.Options(environments=("production",), regions=regions, ci="none")
            made: dict[str, str] = rendering.render(planning.plan(str(folder), options))
        kept = {name: text for name, text in sorted(made.items()) if name.endswith(_KEPT)}
        pages |= {f"{FOLDER}/{kind}/{name}": text for name, text in kept.items()}
        rows.append(f"| {shows} | {', '.join(f'[{name}]({kind}/{name})' for name in kept)} |")
    pages[f"{FOLDER}/README.md"] = (
        "# Examples\n\nWhat `fuelctl fly init` writes for repositories of these kinds; `make docs` makes them from the"
        " same templates.\n\n| what it shows | files |\n|---|---|\n" + "\n".join(rows) + "\n"
    )
    return pages
