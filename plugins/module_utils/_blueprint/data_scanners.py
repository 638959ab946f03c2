# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Which file makes which scanner look, and which runtime stands before which. Only data."""

from __future__ import annotations

from typing import Dict

#: File name -> scanner module.
TRIGGERS: Dict[str, str] = {
    name: scanner
    for scanner, names in {
        "node": (
            "package.json package.json5 package.yaml rush.json index.js server.js app.js main.js index.mjs server.mjs"
        ),
        "deno": "deno.json deno.jsonc deno.lock deps.ts mod.ts",
        "python": (
            "pyproject.toml requirements.txt requirements.in Pipfile Pipfile.lock setup.py setup.cfg environment.yml "
            "environment.yaml conda.yaml conda.yml "
            "pixi.toml manage.py uv.lock poetry.lock pdm.lock requirements-dev.txt requirements_dev.txt "
            "dev-requirements.txt"
        ),
        "go": "go.mod go.work Gopkg.toml glide.yaml",
        "rust": "Cargo.toml",
        "ruby": "Gemfile gems.rb Rakefile config.ru .ruby-version _config.yml",
        "php": "composer.json composer.lock artisan index.php wp-config.php wp-config-sample.php",
        "java": "pom.xml build.gradle build.gradle.kts settings.gradle settings.gradle.kts mvnw gradlew build.xml",
        "dotnet": "global.json Directory.Build.props Directory.Packages.props",
        "elixir": "mix.exs rebar.config",
        "gleam": "gleam.toml",
        "cpp": (
            "CMakeLists.txt meson.build configure.ac configure conanfile.txt conanfile.py vcpkg.json xmake.lua "
            "MODULE.bazel WORKSPACE WORKSPACE.bazel premake5.lua SConstruct Makefile makefile GNUmakefile"
        ),
        "zig": "build.zig build.zig.zon",
        "swift": "Package.swift",
        "dart": "pubspec.yaml",
        "scala": "build.sbt build.sc build.mill",
        "clojure": "deps.edn project.clj shadow-cljs.edn bb.edn",
        "crystal": "shard.yml",
        "haskell": "stack.yaml cabal.project package.yaml",
        "static": "index.html hugo.toml hugo.yaml config.toml mkdocs.yml book.toml",
    }.items()
    for name in names.split()
}
#: package.yaml is hpack's as often as pnpm's: the Node.js scanner looks first and hands over.
TRIGGERS["package.yaml"] = "node"

#: Ending of a name -> scanner module.
SUFFIXES: Dict[str, str] = {
    ending: scanner
    for scanner, endings in {
        "python": ".py .ipynb",
        "go": ".go",
        "rust": ".rs",
        "ruby": ".rb .gemspec .ru",
        "php": ".php",
        "java": ".java .kt",
        "dotnet": ".csproj .fsproj .vbproj .sln .slnx",
        "elixir": ".exs",
        "cpp": ".c .cpp .cc .cxx .vcxproj",
        "zig": ".zig",
        "swift": ".swift .xcodeproj",
        "dart": ".dart",
        "scala": ".scala",
        "clojure": ".clj .cljs",
        "crystal": ".cr",
        "haskell": ".cabal .hs",
        "static": ".html",
    }.items()
    for ending in endings.split()
}

#: Between equal evidence the first stands before the others.
PLACE: Dict[str, int] = {
    name: place
    for place, name in enumerate(
        (
            "php ruby elixir go java scala clojure dotnet gleam crystal haskell dart swift zig python rust deno "
            "bun node cpp static"
        ).split()
    )
}

#: Names that are looked for one by one in a folder of too many entries.
WELL_KNOWN = (
    *TRIGGERS,
    *(
        ".nvmrc .node-version .bun-version .python-version .ruby-version .php-version .java-version .sdkmanrc "
        ".go-version "
        ".tool-versions mise.toml .mise.toml rust-toolchain rust-toolchain.toml runtime.txt system.properties "
        "fly.toml Procfile "
        "Dockerfile Containerfile compose.yaml compose.yml docker-compose.yaml docker-compose.yml package-lock.json "
        "npm-shrinkwrap.json pnpm-lock.yaml pnpm-workspace.yaml yarn.lock .yarnrc.yml bun.lock bun.lockb go.sum "
        "Cargo.lock "
        "Gemfile.lock mix.lock main.py app.py main.go server.js index.js src cmd bin config apps packages services "
        ".devcontainer .devcontainer.json .github .env.example"
    ).split(),
)
