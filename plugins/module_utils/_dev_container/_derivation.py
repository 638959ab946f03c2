# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A container of a base image in which the recipe runs, and which is then committed.

Not `docker build`: that needs a container to look into the base first, then one for each line of a Dockerfile, and
whoever is killed in between leaves the last of them behind. This one is a single container that goes with its maker.
"""

from __future__ import annotations

import secrets
import subprocess
from typing import IO, Any, Callable, Iterator, List, Optional, Type, cast

from .._docker import Completed, Docker, docker_error, missing_command
from .._errors import FuelError
from ._recipe import CONVERSATION

#: Lines that are remembered for an error.
_KEPT = 200
#: Code of the failure of an image that has nothing which could run the recipe.
NO_SHELL = "no_shell"


class Derivation:
    """`with Derivation(docker, base_id, user) as one: one.probe(); one.follow(recipe, on_line)`, and commit it.

    :ivar container: its name, for `docker commit` before the block ends.
    """

    def __init__(self, docker: Docker, base_id: str, user: str) -> None:
        mark = secrets.token_hex(8)
        self.container = f"fuel-code-derive-{mark}"
        self._docker = docker
        self._mark = f"fuel-code {mark}"
        run = ["docker", "run", "--rm", "--interactive", "--name", self.container, "--user", "0", "--workdir", "/"]
        run += ["--label", "fuel-code:cache=derive", "--no-healthcheck", "--entrypoint", "", base_id]
        # An entry point of its own would be in what is committed, and `commit` cannot take it out.
        self._argv = [*run, "/bin/sh", "-c", CONVERSATION, "derive", user, self._mark]
        self._last: List[str] = []

    def __enter__(self) -> Derivation:
        try:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except FileNotFoundError as error:
            raise missing_command() from error
        self._input: IO[bytes] = cast("IO[bytes]", self._process.stdin)
        self._output: IO[bytes] = cast("IO[bytes]", self._process.stdout)
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Any) -> None:
        if error is not None and self._process.poll() is None:
            self._docker.call(["rm", "--force", "--volumes", self.container], check=False, timeout=60)
        self._hang_up()
        self._process.wait()
        self._output.close()

    def probe(self) -> str:
        """What the base says of itself. FuelError with code NO_SHELL when it cannot say anything."""
        try:
            return "\n".join(self._answer())
        except FuelError as error:
            if self._process.returncode in (126, 127):
                error.code = NO_SHELL
            raise

    def follow(self, recipe: bytes, on_line: Callable[[str], None]) -> None:
        """Run the recipe, each line of its output handed on. FuelError when it fails."""
        try:
            self._input.write(recipe)
            self._input.flush()
        except BrokenPipeError:
            # It has ended; its exit code says why.
            pass
        for line in self._answer():
            on_line(line)

    def _answer(self) -> Iterator[str]:
        # A line without an end comes in pieces.
        for raw in iter(lambda: self._output.readline(1 << 16), b""):
            line = raw.decode("utf-8", "replace").rstrip()
            if line == self._mark:
                return
            self._last = [*self._last[-_KEPT:], line]
            yield line
        self._hang_up()
        said = "\n".join(self._last).encode()
        raise docker_error(Completed(self._argv[:2], self._process.wait(), said, said))

    def _hang_up(self) -> None:
        try:
            self._input.close()
        except BrokenPipeError:
            pass
