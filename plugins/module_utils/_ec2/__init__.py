# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Machines on EC2: one launch per (environment, attempt), and an end that AWS itself confirms.

Nothing here imports boto3: the client, the clock and the waiting are given, and errors are read by their shape.
"""
