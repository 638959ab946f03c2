# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Prices: what machines cost (`_book`), would cost (`_offer`), have cost (`_count`); AWS's own list (`_aws_list`)."""
