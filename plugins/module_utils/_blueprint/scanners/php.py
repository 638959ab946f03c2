# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""PHP: composer.json, .php-version, and what stands without Composer (WordPress, plain scripts)."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional

from ..data_frameworks import PHP
from ..data_packages import PHP as PHP_PACKAGES
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, json_line, json_object, table, word
from ..ports import in_command
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions


def scan(folder: Folder) -> Optional[Finding]:
    """The PHP project in `folder`."""
    if folder.has("composer.json"):
        return _composer(folder)
    wordpress = folder.first("wp-config.php", "wp-config-sample.php", "wp-load.php")
    sources = folder.ending(".php")
    if not sources:
        return None
    name = wordpress or ("index.php" if folder.has("index.php") else sources[0])
    finding = Finding(
        "php",
        folder.path,
        92 if wordpress else 35 if name == "index.php" else 21,
        at(folder, name),
        "WordPress" if wordpress else "PHP sources",
    )
    finding.versions = shared_versions(folder, "php", ".php-version")
    if name == "index.php" or wordpress:
        finding.default_ports.append(Candidate([8000], "default", DEFAULT, 0.4, note="port of PHP's own server"))
    return finding


def _composer(folder: Folder) -> Finding:
    data = json_object(folder, "composer.json")
    text = folder.text("composer.json") or ""
    require = table(data, "require")
    real = {name for name in require if name != "php" and not name.startswith("ext-")} or "autoload" in data
    finding = Finding("php", folder.path, 92, at(folder, "composer.json"), "composer.json")
    if folder.has("artisan"):
        finding.score, finding.reason = 100, "artisan of Laravel"
    elif folder.has("bin/console") or folder.has("symfony.lock"):
        finding.score, finding.reason = 100, "bin/console of Symfony"
    elif data and not real and not folder.ending(".php") and not folder.has_folder("src"):
        finding.score, finding.reason, finding.tools_only = 14, "composer.json with development tools only", True
    finding.versions = _versions(folder, data, text)
    locked = folder.has("composer.lock")
    source = at(folder, "composer.lock" if locked else "composer.json")
    finding.managers = [Candidate("composer", source, confidence=0.98)]
    finding.packages += [
        Candidate(package, source, note="Composer, and what it unpacks with") for package in ("composer", "unzip")
    ]
    finding.setup.append(Candidate("composer install", source, confidence=0.95))
    for name, framework in PHP.items():
        if name in require:
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate([framework[1]], "default", DEFAULT, 0.6, note=f"port of {framework[0]}")
            )
            break
    else:
        if folder.first("index.php", "public/index.php", "web/index.php"):
            finding.default_ports.append(Candidate([8000], "default", DEFAULT, 0.4, note="port of PHP's own server"))
    if finding.framework == "laravel" and folder.has(".env.example"):
        finding.setup.append(
            Candidate(
                "cp --no-clobber .env.example .env && php artisan key:generate",
                at(folder, ".env.example"),
                confidence=0.6,
            )
        )
    for script in ("start", "serve", "dev"):
        value = table(data, "scripts").get(script)
        for command in value if isinstance(value, list) else [value]:
            port = in_command(word(command))
            if port:
                finding.ports.append(
                    Candidate([port], at(folder, "composer.json", json_line(text, "scripts", script)), confidence=0.9)
                )
    for extension, packages in PHP_PACKAGES.items():
        if extension in require:
            where = at(folder, "composer.json", json_line(text, "require", extension))
            finding.packages += [Candidate(package, where, note=f"{extension} needs it") for package in packages]
    return finding


def _versions(folder: Folder, data: Dict[str, Any], text: str) -> List[Candidate]:
    found = shared_versions(folder, "php", ".php-version")
    for keys, confidence in (
        (("config", "platform", "php"), 0.95),
        (("require", "php"), 0.9),
        (("require", "php-64bit"), 0.8),
    ):
        wanted = word(table(data, *keys[:-1]).get(keys[-1]))
        if wanted:
            source = at(folder, "composer.json", json_line(text, *keys))
            wanted = re.sub(r"@\w+", "", wanted)
            found += candidate(
                wanted, "php", source, flavour="composer", confidence=confidence, plain_is_range=keys[0] == "require"
            )
    return found
