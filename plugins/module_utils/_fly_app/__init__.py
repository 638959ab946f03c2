# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Fly.io: deployment files made from what a repository shows (templates), and fly.toml and Dockerfiles checked.

Pure: plain data and text in and out, no Ansible, no network, no child process. Needs Python 3.11 (TOML), PyYAML, Jinja.
Importing this package is cheap; import what is needed from its modules.
"""
