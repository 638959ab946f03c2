# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment is and how it lives: states, leases, and the decision to keep or to end it."""
