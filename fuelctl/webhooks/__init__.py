# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks: what happens here, told to receivers elsewhere, at least once and signed."""
