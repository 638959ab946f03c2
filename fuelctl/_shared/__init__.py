# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's `module_utils`, importable without Ansible.

`__path__` points at the one copy of the domain that Ansible modules and fuelctl share: in a checkout and in an
editable install it is `plugins/module_utils`, in a wheel the copy inside the packaged collection.
"""

from __future__ import annotations

from os.path import dirname, isdir, join, realpath

_PACKAGE = dirname(dirname(realpath(__file__)))
_CANDIDATES = (
    join(_PACKAGE, "_collection", "ansible_collections", "fuel_code", "remote", "plugins", "module_utils"),
    join(dirname(_PACKAGE), "plugins", "module_utils"),
)
__path__ = [path for path in _CANDIDATES if isdir(path)][:1]
