# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control plane remembers: SQLite for one user, Postgres for a team, one code path."""
