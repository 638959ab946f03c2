# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes orders off the queue."""
