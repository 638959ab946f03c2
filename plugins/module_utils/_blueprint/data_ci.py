# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Inputs of CI set-up actions that name a version -> runtime. Only data."""

from __future__ import annotations

from typing import Dict

SETUP_KEYS: Dict[str, str] = {
    "node-version": "node",
    "node_version": "node",
    "python-version": "python",
    "python_version": "python",
    "go-version": "go",
    "ruby-version": "ruby",
    "php-version": "php",
    "java-version": "java",
    "dotnet-version": "dotnet",
    "elixir-version": "elixir",
    "bun-version": "bun",
    "deno-version": "deno",
    "ghc-version": "haskell",
    "gleam-version": "gleam",
    "swift-version": "swift",
    "toolchain": "rust",
}
