# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of the documentation as somebody follows it: its commands, and the shell that they are typed into."""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

#: Typed ahead it would be thrown away by whoever asks for a secret: it is typed when the question is there.
_TERMINAL = """
import os, pty, sys
command, *answers = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp("bash", ["bash", "-c", command])
said = b""
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    os.write(1, more)
    said += more
    if answers and answers[0].encode() in said:
        os.write(terminal, answers[1].encode() + b"\\n")
        answers, said = answers[2:], b""
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(page: Path, heading: str) -> list[list[str]]:
    """What is typed in each block below this heading; what is answered there is left out."""
    text = page.read_text()
    parts = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)
    assert len(parts) == 2, f"{page.name} has no heading {heading!r}"
    section = re.split(r"^## ", parts[1], maxsplit=1, flags=re.MULTILINE)[0]
    found = [_typed(block) for block in _BLOCK.findall(section)]
    assert found, f"{page.name}: nothing is typed below {heading!r}"
    return found


def _typed(block: str) -> list[str]:
    typed: list[str] = []
    open_until = None
    goes_on = False
    for line in block.splitlines():
        if open_until is not None:
            typed[-1] += f"\n{line}"
            open_until = None if line == open_until else open_until
        elif line.startswith("$ ") or goes_on:
            typed = [*typed[:-1], f"{typed[-1]}\n{line}"] if goes_on else [*typed, line[2:]]
            here = re.search(r"<<(\w+)", line)
            open_until = here[1] if here else None
            goes_on = line.endswith(("\\", "|"))
    return typed


class Shell:
    """One shell of one user in a container, for as long as the `with` goes on; what is exported in it stays."""

    def __init__(self, container: str, user: str) -> None:
        self._argv = ["docker", "exec", "--interactive", "--user", user, "--workdir", f"/home/{user}"]
        self._argv += ["--env", f"HOME=/home/{user}", "--env", f"USER={user}", container, "bash"]

    def __enter__(self) -> Shell:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        # In one stream from there on: the engine would hand over two, in whatever order.
        self.type("exec 2>&1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def type(self, command: str, *, ok: bool | None = True, answers: Sequence[tuple[str, str]] = ()) -> str:
        """One command, which is given no stdin of its own; what it says. `ok`: None takes any exit code.

        `answers`: what it asks, and what is typed then. It has a terminal for that.
        """
        if answers:
            words = ["python3", "-c", _TERMINAL, command, *(word for pair in answers for word in pair)]
            command = shlex.join(words)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = f"end-{secrets.token_hex(8)}"
        self._process.stdin.write(f"{{ {command}\n}} </dev/null; code=$?; echo; echo {end} $code\n")
        self._process.stdin.flush()
        said = ""
        for line in self._process.stdout:
            if line.startswith(end):
                code = int(line.split()[1])
                assert ok is None or (code == 0) is ok, f"$ {command}\n[{code}]\n{said}"
                return said.strip()
            said += line
        raise AssertionError(f"the shell ended: $ {command}\n{said}")

    def follow(self, typed: list[str]) -> str:
        """All of a block; what was said."""
        return "\n".join(self.type(command) for command in typed)
