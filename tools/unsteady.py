# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of tests deserve a second run by themselves, after a run of all in which some failed.

Hundreds of tests with processes, machines and clouds that lag share two cores; one in thousands meets a patience that
was too short for that. A file that passes alone is told of as unsteady, and is a defect to be mended, but does not
throw away all else. No second chance has what fails in many files, and what bears `@pytest.mark.once`: of what must not
happen once in a thousand times, as something left behind after a kill, a second run says nothing.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

_AT_MOST = 3
_ONCE = re.compile(r"pytest\.mark\.once\b")


def files_of_failures(last_failed: Path) -> list[str]:
    """Paths of test files with a failure or an error, from the list that pytest's cache keeps.

    :raises LookupError: a file that could not even be collected.
    """
    found = set()
    for test in json.loads(last_failed.read_text(encoding="utf-8")):
        if "::" not in test:
            raise LookupError(test)
        found.add(test.split("::")[0])
    return sorted(found)


def main(last_failed: str) -> int:
    try:
        files = files_of_failures(Path(last_failed))
    except (OSError, ValueError, LookupError):
        return 1
    if not files or len(files) > _AT_MOST or any(_ONCE.search(Path(file).read_text("utf-8")) for file in files):
        return 1
    print("\n".join(files))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
