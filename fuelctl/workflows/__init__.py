# SPDX-License-Identifier: GPL-3.0-or-later
"""Durable work: provision and terminate, and the reaper that starts what is due."""
