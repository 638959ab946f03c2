# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Elixir: the release's name, its own start and migration scripts, assets."""

from __future__ import annotations

from typing import Any, Dict

from ..repository import Decision, Repository


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `elixir`, `start` and `packages`; a release module without its script gives the release command."""
    named = repository.grep(r"\bapp:\s*:(\w+)", "mix.exs")
    app = named[0].group(1) if named else "app"
    config = [f"config/{name}.exs" for name in ("config", "prod") if repository.root.has(f"config/{name}.exs")]
    context["elixir"] = {
        "app": app,
        "lock": repository.root.has("mix.lock"),
        "compile_config": config,
        "assets": bool(repository.grep(r"\"?assets\.deploy\"?:?", "mix.exs")),
    }
    context["packages"] = {"build": list(meta["packages"]["build"]), "run": list(meta["packages"]["run"])}
    context["images"]["run"] = meta["images"]["run"]
    script = repository.tree.is_file("rel/overlays/bin/server")
    context["start"] = ["/app/bin/server"] if script else [f"/app/bin/{app}", "start"]
    context["decisions"].append(
        Decision(
            "Dockerfile CMD",
            " ".join(context["start"]),
            "rel/overlays/bin/server:1" if script else named[1] if named else "default",
        )
    )
    if context["release"]:
        return
    module = repository.grep(r"^defmodule\s+([\w.]+\.Release)\b", "lib/*release.ex")
    if module:
        context["release"] = f"/app/bin/{app} eval {module[0].group(1)}.migrate"
        context["decisions"].append(Decision("release_command", context["release"], module[1], "release module"))
    elif repository.dependency("ecto_sql", "phoenix_ecto"):
        context["notes"].append("mix phx.gen.release makes the scripts with which a release migrates its database")
