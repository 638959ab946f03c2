# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API. It is handed a `start` callable and knows no workflow."""
