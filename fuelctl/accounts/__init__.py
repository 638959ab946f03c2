# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may what: users, their roles, their tokens."""
