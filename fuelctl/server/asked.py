# SPDX-License-Identifier: GPL-3.0-or-later
"""What queries and headers are models of: one whose schema is made once."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel


class Asked(BaseModel):
    """The library asks a query's model for its JSON schema with every request, which takes longer than most answers."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The schema; asked for without arguments, always the same object."""
        if args or kwargs:
            # For the document, which takes pieces out of it.
            return super().model_json_schema(*args, **kwargs)
        return _once(cls)


@cache
def _once(model: type[Asked]) -> dict[str, Any]:
    return super(Asked, model).model_json_schema()
