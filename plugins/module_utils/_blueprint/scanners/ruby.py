# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Ruby: Gemfile, Gemfile.lock, .ruby-version, gemspecs."""

from __future__ import annotations

import re
from typing import List, Optional

from ..data_frameworks import RUBY
from ..data_packages import RUBY as RUBY_PACKAGES
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at
from ..ports import valid
from ..tree import Folder
from ..versions import candidate
from .common import clean, shared_versions, version_file

_GEM = re.compile(r"^[ \t]*gem[\s(]+[\"']([\w.-]+)[\"']", re.MULTILINE)
_RUBY = re.compile(r"^[ \t]*ruby[\s(]+([\"'][^#\n]*)", re.MULTILINE)
_RUBY_FILE = re.compile(r"^[ \t]*ruby[\s(]+file:\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_LOCK_RUBY = re.compile(r"^RUBY VERSION\s+ruby (\d+\.\d+\.\d+)", re.MULTILINE)
_LOCK_BUNDLER = re.compile(r"^BUNDLED WITH\s+(\d[\d.]*)", re.MULTILINE)
_REQUIRED = re.compile(r"required_ruby_version\s*=\s*(?:Gem::Requirement\.new\()?\[?\s*([\"'][^)\]\n]*)")
_RACKUP = 9292
_JEKYLL = 4000
#: Gems that projects of other languages use as tools.
_TOOLS = {
    "cocoapods",
    "fastlane",
    "danger",
    "xcode-install",
    "xcpretty",
    "xcodeproj",
    "licensed",
    "activesupport",
    "concurrent-ruby",
    "jazzy",
    "bundler",
    "rake",
    "mdl",
    "benchmark",
    "bigdecimal",
    "mutex_m",
    "logger",
    "slather",
    "nokogiri",
    "drb",
    "ostruct",
}


def scan(folder: Folder) -> Optional[Finding]:
    """The Ruby project in `folder`."""
    manifest = folder.first("Gemfile", "gems.rb")
    gemspecs = folder.ending(".gemspec")
    if manifest is None and not gemspecs:
        if folder.has("_config.yml") and not folder.has("package.json") and _is_jekyll(folder):
            return _jekyll(folder)
        sources = folder.ending(".rb", ".ru")
        if not sources and not folder.has("Rakefile"):
            return None
        name = sources[0] if sources else "Rakefile"
        finding = Finding("ruby", folder.path, 22 if sources else 16, at(folder, name), "loose Ruby sources")
        finding.versions = shared_versions(folder, "ruby", ".ruby-version")
        finding.managers = [Candidate("bundler", "default", DEFAULT, 0.4, note="the usual one")]
        return finding
    text = (folder.text(manifest) or "") if manifest else ""
    gems = set(_GEM.findall(text))
    finding = Finding("ruby", folder.path, 92, at(folder, manifest or gemspecs[0]), manifest or "gemspec")
    finding.versions = _versions(folder, manifest, text, gemspecs)
    lock = "gems.locked" if manifest == "gems.rb" else "Gemfile.lock"
    source = at(folder, lock if folder.has(lock) else manifest or gemspecs[0])
    finding.managers = [Candidate("bundler", source, confidence=0.97)]
    bundled = _LOCK_BUNDLER.search(folder.text(lock) or "") if folder.has(lock) else None
    if bundled:
        finding.manager_versions.append(
            Candidate(bundled.group(1), at(folder, lock, line_at(folder.text(lock) or "", bundled.start(1))))
        )
    rails = folder.has("bin/rails") or folder.has("config/application.rb")
    if gems and not gemspecs and (gems <= _TOOLS or ("cocoapods" in gems and "rails" not in gems)):
        finding.score, finding.reason, finding.tools_only = 14, "Gemfile with tools of another language only", True
    elif rails:
        finding.score, finding.reason = 100, "entry of Rails"
    _framework(folder, finding, gems, text, manifest)
    finding.setup.append(Candidate("bundle install", source, confidence=0.95))
    if folder.has("bin/setup") and rails:
        finding.setup.append(Candidate("bin/setup --skip-server", at(folder, "bin/setup"), confidence=0.6))
    for gem, packages in RUBY_PACKAGES.items():
        if gem in gems:
            match = re.search(rf"[\"']{re.escape(gem)}[\"']", text)
            where = at(folder, manifest or "", line_at(text, match.start() if match else 0))
            finding.packages += [Candidate(package, where, note=f"{gem} needs it") for package in packages]
    return finding


def _is_jekyll(folder: Folder) -> bool:
    return any(folder.has_folder(name) for name in ("_posts", "_layouts", "_includes")) or bool(
        re.search(r"^(?:remote_)?theme:", folder.text("_config.yml") or "", re.MULTILINE)
    )


def _jekyll(folder: Folder) -> Finding:
    """A site that GitHub builds without a Gemfile."""
    source = at(folder, "_config.yml")
    finding = Finding("ruby", folder.path, 29, source, "_config.yml of Jekyll")
    finding.framework = "jekyll"
    finding.versions = shared_versions(folder, "ruby", ".ruby-version")
    finding.managers = [Candidate("bundler", "default", DEFAULT, 0.4, note="the usual one")]
    finding.setup.append(Candidate("gem install jekyll", source, confidence=0.6))
    finding.default_ports.append(Candidate([_JEKYLL], "default", DEFAULT, 0.6, note="port of jekyll"))
    return finding


def _framework(folder: Folder, finding: Finding, gems: "set[str]", text: str, manifest: Optional[str]) -> None:
    for gem, framework in RUBY.items():
        if gem in gems and (gem not in ("rack", "puma") or folder.has("config.ru")):
            finding.framework = framework[0]
            # A modular application (`class App < Sinatra::Base`) does not start by itself: rackup starts it.
            rackup = gem == "sinatra" and folder.has("config.ru") and "Sinatra::Base" in (folder.text("app.rb") or "")
            starter, usual = ("rackup", _RACKUP) if rackup else framework[:2]
            finding.default_ports.append(Candidate([usual], "default", DEFAULT, 0.6, note=f"port of {starter}"))
            if manifest and finding.score == 92:
                finding.reason = f"{manifest} with {framework[0]}"
            break
    else:
        if folder.has("config.ru") and not finding.tools_only:
            finding.default_ports.append(Candidate([_RACKUP], "default", DEFAULT, 0.5, note="port of rackup"))
    del text
    for name, pattern in (
        ("config/puma.rb", r"^[ \t]*port\b[^\n]*?(\d{4,5})"),
        ("app.rb", r"set\s+:port\s*,[^\n]*?(\d{2,5})"),
        ("config.ru", r"-p\s+(\d{4,5})"),
    ):
        if name.split("/", maxsplit=1)[0] in folder.names and folder.has(name):
            body = folder.text(name) or ""
            match = re.search(pattern, body, re.MULTILINE)
            port = valid(match.group(1)) if match else None
            if match and port:
                finding.ports.append(Candidate([port], at(folder, name, line_at(body, match.start())), confidence=0.9))
                return


def _versions(folder: Folder, manifest: Optional[str], text: str, gemspecs: List[str]) -> List[Candidate]:
    found = shared_versions(folder, "ruby", ".ruby-version")
    match = _RUBY.search(text)
    reference = _RUBY_FILE.search(text)
    if (
        reference
        and manifest
        and ".." not in reference.group(1)
        and reference.group(1) not in (".ruby-version", ".tool-versions")
    ):
        found += version_file(folder, reference.group(1), "ruby")
    elif match and manifest:
        words = re.findall(
            r"[\"']([^\"']*\d[^\"']*)[\"']", re.split(r",\s*(?:engine|engine_version|patchlevel)", match.group(1))[0]
        )
        if words:
            source = at(folder, manifest, line_at(text, match.start(1)))
            found += candidate(clean("ruby", ", ".join(words)), "ruby", source, flavour="gem", confidence=0.95)
    for lock in ("Gemfile.lock", "gems.locked"):
        body = folder.text(lock) or "" if folder.has(lock) else ""
        locked = _LOCK_RUBY.search(body)
        if locked:
            found += candidate(
                locked.group(1), "ruby", at(folder, lock, line_at(body, locked.start(1))), confidence=0.9
            )
    for name in gemspecs[:1]:
        body = folder.text(name) or ""
        required = _REQUIRED.search(body)
        if required:
            words = re.findall(r"[\"']([^\"']*\d[^\"']*)[\"']", required.group(1))
            found += candidate(
                ", ".join(words),
                "ruby",
                at(folder, name, line_at(body, required.start())),
                flavour="gem",
                confidence=0.85,
                plain_is_range=True,
            )
    return found
