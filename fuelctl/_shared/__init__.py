# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's `module_utils`, importable without Ansible.

`__path__` points at the one copy of the domain that Ansible modules and fuelctl share: in a checkout and in an
editable install it is `plugins/module_utils`, in a wheel the copy inside the packaged collection.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_CANDIDATES = (
    _PACKAGE / "_collection" / "ansible_collections" / "fuel_code" / "remote" / "plugins" / "module_utils",
    _PACKAGE.parent / "plugins" / "module_utils",
)
__path__ = [str(path) for path in _CANDIDATES if path.is_dir()][:1]
