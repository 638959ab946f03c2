# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What modules that call AWS have in common, besides amazon.aws's own fragments."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - python >= 3.8
  - boto3 >= 1.34.0
  - botocore >= 1.34.0
  - The collection amazon.aws
options:
  account:
    description: The AWS account that is meant. Credentials of another one are refused.
    type: str
    default: ''
"""

    PATIENCE = r"""
options:
  patience:
    description: Seconds for which a call that AWS throttles or does not answer is repeated.
    type: float
    default: 60
"""
