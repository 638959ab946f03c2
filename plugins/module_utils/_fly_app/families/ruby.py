# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Ruby on Rails: packages of its gems, assets, bootsnap, what its own Dockerfile would do."""

from __future__ import annotations

from typing import Any, Dict, List

from ..needs import runtime_packages
from ..repository import Decision, Repository
from . import node as nodejs


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `ruby`, `start` and `packages`, and `node` where JavaScript is bundled."""
    bundled = repository.root.has("package.json") and bool(
        repository.dependency("jsbundling-rails", "cssbundling-rails", "shakapacker", "vite_rails", "webpacker")
    )
    context["ruby"] = {
        "node": bundled,
        "steps": _steps(repository, bundled),
        "version_file": ".ruby-version" if repository.root.has(".ruby-version") else "",
    }
    if bundled:
        manager = "yarn" if repository.root.has("yarn.lock") else "npm"
        context["node"] = nodejs.install(repository, manager)
        context["images"]["node"] = meta["images"]["node"]
    packages = [
        name for name in repository.detection.blueprint.get("system_packages") or [] if name != "build-essential"
    ]
    context["packages"] = {
        "build": sorted({*meta["packages"]["build"], *packages}),
        "run": sorted({*meta["packages"]["run"], *runtime_packages(packages)}),
    }
    context["start"] = [word.format(port=context["port"]) for word in meta["start"]]
    context["decisions"].append(Decision("Dockerfile CMD", " ".join(context["start"]), "bin/rails:1"))
    sealed = next(
        iter(repository.files("config/credentials.yml.enc") or repository.files("config/credentials/*.yml.enc")), ""
    )
    context["key_name"] = ("RAILS_MASTER_KEY", f"{sealed}:1") if sealed else ("SECRET_KEY_BASE", "default")


def _steps(repository: Repository, bundled: bool) -> List[str]:
    """What is made ready once the sources are there."""
    steps: List[str] = []
    if repository.dependency("bootsnap"):
        steps.append("bundle exec bootsnap precompile --gemfile app/ lib/")
    if repository.dependency("sprockets-rails", "propshaft", "vite_rails", "shakapacker", "webpacker", "sassc-rails"):
        steps.append("SECRET_KEY_BASE_DUMMY=1 ./bin/rails assets:precompile")
        steps += ["rm -rf node_modules"] if bundled else []
    return steps
