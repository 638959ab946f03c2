#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_entry
short_description: Enter a machine, and say what it needs before a module can run on it
version_added: 0.1.0
description:
  - Logs in once, without Python and without C(sudo), and sees whether there is a Python that Ansible can use, and
    whether root can be reached.
  - Fails in one line that says what is missing and how to get it, also where the machine cannot be entered.
  - It is an action plugin. Nothing is copied to the machine.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  name:
    description: What the machine is called in messages.
    type: str
    required: true
  python:
    description: The Python that modules are going to run with.
    type: str
    default: /usr/bin/python3
  sudo:
    description: Whether C(sudo) without a password has to work. It has to for everybody but C(root), without.
    type: bool
extends_documentation_fragment:
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Enter it
  fuel_code.remote.machine_entry:
    name: build
  register: entry
"""

RETURN = r"""
uid:
  description: Who one is there.
  returned: success
  type: int
  sample: 1000
become:
  description: Whether root is reached by C(sudo) only.
  returned: success
  type: bool
  sample: true
python:
  description: Version of the Python.
  returned: success
  type: str
  sample: "3.11"
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample:
    message: it has no Python at /usr/bin/python3
    hint: "install one there: apt-get update && apt-get install python3; or name another by `python`"
    where: build
    code: no_python
    details: {}
"""
