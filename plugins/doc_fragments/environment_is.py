# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What modules that work inside an environment have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  environment_is:
    description:
      - What the environment is. With V(container), a container on the Docker engine of the machine that the module runs
        on.
      - With V(machine), that machine itself, made from the image in C(images/dev). The module is run as root then, and
        there is no Docker.
    type: str
    choices: [container, machine]
    default: container
"""
