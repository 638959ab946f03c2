# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The one error that shared code raises; only an edge (module, CLI, server) turns it into its own kind of failure."""

from __future__ import annotations

from typing import Any, Dict, Optional


class FuelError(Exception):
    """A failure that a person can act on.

    :param message: what is wrong, one line, imperative or plain, no trailing stop.
    :param hint: what to do about it, one line.
    :param where: `file:line`, resource name or stage that it is about.
    :param code: short stable word for machines, for example `docker_unavailable`.
    :param details: JSON-serialisable facts, never a secret.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: Optional[str] = None,
        where: Optional[str] = None,
        code: str = "failed",
        details: Optional[Dict[str, Any]] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.code = code
        self.details = details or {}

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}. {self.hint}" if self.hint else head

    def as_dict(self) -> Dict[str, Any]:
        """The same facts as plain data: message, hint, where, code, details."""
        return {
            "message": self.message,
            "hint": self.hint,
            "where": self.where,
            "code": self.code,
            "details": self.details,
        }

    def as_result(self, **more: Any) -> Dict[str, Any]:
        """A failed module's result; `more` goes along."""
        return {"failed": True, "msg": str(self), "error": self.as_dict(), **more}


class UsageError(FuelError):
    """The caller's input is wrong: the CLI exits with 2, the API answers 400 or 422."""
