# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/developer/openapi.json from the server's own types: `python -m tests.fuelctl.write_openapi`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database
from fuelctl.store.secrets import Safe


def main() -> None:
    """See above."""
    with tempfile.TemporaryDirectory() as folder:
        core = Core(Database(f"sqlite:///{folder}/x.sqlite"), Safe(Path(folder) / "key"))
        document = create_app(Parts(core, lambda *_: None, Settings())).test_client().get("/api/openapi.json").json
    file = Path(__file__).parents[2] / "docs" / "developer" / "openapi.json"
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
