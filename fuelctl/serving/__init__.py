# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a control plane: one that does everything, or on Postgres several with one job each."""
