# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Lookup of further certificate authorities on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ca_certificates
short_description: Certificate authorities that this controller trusts beside those of its system
version_added: 0.1.0
description:
  - Reads the files that C(update-ca-certificates) adds to the system's authorities, as PEM text.
  - A folder that is not there, and files in it that are no certificates, give nothing.
options:
  _terms:
    description: Folders, each searched with all folders in it for files that end in C(.crt).
    type: list
    elements: str
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Count them
  ansible.builtin.debug:
    msg: "{{ query('fuel_code.remote.ca_certificates', '/usr/local/share/ca-certificates') | length }}"
"""

RETURN = r"""
_list:
  description: PEM text of each file.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any, List

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Reads PEM files."""

    def run(self, terms: List[str], variables: Any = None, **kwargs: Any) -> List[str]:
        """The text of each certificate file, in the order of their names."""
        del variables, kwargs  # Ansible passes them to every lookup; this one has no options.
        found = []
        for term in terms:
            for path in sorted(Path(term).expanduser().rglob("*.crt")):
                try:
                    text = path.read_text(encoding="ascii")
                except (OSError, UnicodeDecodeError):
                    continue
                if "-----BEGIN CERTIFICATE-----" in text and "PRIVATE KEY" not in text:
                    found.append(text)
        return found
