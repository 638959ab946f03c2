# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What modules that call Fly.io have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - python >= 3.8
options:
  api_token:
    description:
      - Token for the Machines API, as C(fly tokens create org) prints it.
      - Defaults to the environment variable E(FLY_API_TOKEN).
    type: str
  api_url:
    description:
      - Address of the Machines API. Without TLS only on loopback, or inside Fly.io's own network.
      - Defaults to the environment variable E(FLY_API_HOSTNAME), else to V(https://api.machines.dev).
    type: str
  patience:
    description:
      - Seconds for which a call that Fly.io refuses for its rate, does not answer or fails is repeated.
      - C(Retry-After) is respected within them.
    type: float
    default: 60
"""

    APP = r"""
options:
  app:
    description: Name of the app.
    type: str
    required: true
"""
