# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Dockerfiles, instruction by instruction with the line of every word, and ignore files of their context."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

_HEREDOC = re.compile(r"<<-?[\"']?([A-Za-z_]\w{0,60})[\"']?")
_DIRECTIVE = re.compile(r"#[ \t]*escape[ \t]*=[ \t]*([\\`])", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-+]([^}]*))?\}|\$(\w+)")
_PAIR = re.compile(r"([A-Za-z_]\w*)=(\"(?:[^\"\\]|\\.)*\"|'[^']*'|(?:[^\s\\]|\\.)*)")


class Instruction(NamedTuple):
    """One instruction: its keyword in capitals, its line, and its text with the line of each part of it."""

    keyword: str
    line: int
    text: str
    #: (begin in `text`, line) of every physical line that it is made of.
    starts: Tuple[Tuple[int, int], ...]

    def line_of(self, position: int) -> int:
        """Line of a position in `text`."""
        return max((start for start in self.starts if start[0] <= position), default=(0, self.line))[1]


class Stage(NamedTuple):
    """One stage: its base as written and with its variables filled in, its name, and its instructions."""

    image: str
    written: str
    name: str
    line: int
    instructions: List[Instruction]


class Dockerfile(NamedTuple):
    """A whole file; what stands before the first FROM is `head`."""

    head: List[Instruction]
    stages: List[Stage]
    #: ARG and ENV of the whole file that have a value.
    variables: Dict[str, str]

    @property
    def final(self) -> Optional[Stage]:
        """The stage that becomes the image."""
        return self.stages[-1] if self.stages else None

    def chain(self, stage: Stage) -> List[Stage]:
        """A stage and those that it is made from, the last first."""
        found = [stage]
        while True:
            before = self.stages[: self.stages.index(found[-1])]
            base = next((item for item in reversed(before) if item.name and item.name == found[-1].image.lower()), None)
            if base is None:
                return found
            found.append(base)


def instructions(text: str) -> List[Instruction]:
    """Every instruction, continued lines joined, comments left out; what a heredoc holds belongs to nobody."""
    text = text.replace("\r\n", "\n")
    escape = "\\"
    for line in text.split("\n"):
        if not line.startswith("#"):
            break
        directive = _DIRECTIVE.match(line)
        escape = directive.group(1) if directive else escape
    found: List[Instruction] = []
    ends: List[str] = []
    joined, starts, begun = "", [], 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if ends:
            ends = ends[1:] if line == ends[0] else ends
            continue
        if line.startswith("#") or (not line and not joined):
            continue
        begun = begun or number
        starts.append((len(joined), number))
        if line.endswith(escape):
            joined += line[:-1].rstrip() + " "
            continue
        joined += line
        instruction = _instruction(joined, begun, starts)
        if instruction.keyword in ("RUN", "COPY", "ADD"):
            ends = _HEREDOC.findall(instruction.text)
        found.append(instruction)
        joined, starts, begun = "", [], 0
    if joined.strip():
        found.append(_instruction(joined, begun, starts))
    return found


def _instruction(joined: str, line: int, starts: List[Tuple[int, int]]) -> Instruction:
    keyword, _space, rest = joined.partition(" ")
    cut = len(joined) - len(rest.lstrip())
    return Instruction(
        keyword.upper(), line, rest.strip(), tuple((max(0, begin - cut), number) for begin, number in starts)
    )


def parse(text: str) -> Dockerfile:
    """The stages of a Dockerfile."""
    head: List[Instruction] = []
    stages: List[Stage] = []
    variables: Dict[str, str] = {}
    for instruction in instructions(text):
        if instruction.keyword == "FROM":
            words = [word for word in instruction.text.split() if not word.startswith("--")]
            written = words[0] if words else ""
            name = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else ""
            stages.append(Stage(resolve(written, variables), written, name, instruction.line, []))
            continue
        if instruction.keyword in ("ARG", "ENV"):
            for key, value, _line in pairs(instruction):
                if value:
                    variables[key] = resolve(value, variables)
        (stages[-1].instructions if stages else head).append(instruction)
    return Dockerfile(head, stages, variables)


def pairs(instruction: Instruction) -> List[Tuple[str, str, int]]:
    """(name, value, line) of ENV and ARG; of `ENV name value` and `ARG name` too."""
    found = [
        (match.group(1), _unquoted(match.group(2)), instruction.line_of(match.start()))
        for match in _PAIR.finditer(instruction.text)
    ]
    if found and not (instruction.keyword == "ENV" and "=" not in instruction.text.split(None, 1)[0]):
        named = {name for name, _value, _line in found}
        return found + [
            (word, "", instruction.line)
            for word in (instruction.text.split() if instruction.keyword == "ARG" else ())
            if re.fullmatch(r"\w+", word) and word not in named
        ]
    name, _space, value = instruction.text.partition(" ")
    return [(name, _unquoted(value.strip()), instruction.line)] if re.fullmatch(r"\w+", name) else []


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def resolve(text: str, variables: Dict[str, str]) -> str:
    """`text` with its variables filled in, as far as they are known."""
    return _VARIABLE.sub(
        lambda match: variables.get(match.group(1) or match.group(3), match.group(2) or match.group(0)), text
    )


def command(instruction: Instruction) -> List[str]:
    """The words of CMD or ENTRYPOINT; of the shell form the words of its text."""
    import json
    import shlex

    if instruction.text.startswith("["):
        try:
            words = json.loads(instruction.text)
        except ValueError:
            return instruction.text.split()
        return [str(word) for word in words] if isinstance(words, list) else []
    try:
        return shlex.split(instruction.text)
    except ValueError:
        return instruction.text.split()


def ignored(patterns: List[str], path: str) -> bool:
    """Whether .dockerignore leaves a path out of the context: the last pattern that fits decides."""
    result = False
    parts = path.split("/")
    for pattern in patterns:
        whole = re.compile(_regular(pattern.lstrip("!").strip("/")))
        if any(whole.fullmatch("/".join(parts[: length + 1])) for length in range(len(parts))):
            result = not pattern.startswith("!")
    return result


def _regular(pattern: str) -> str:
    """A pattern of .dockerignore as a regular expression: `*` stays in its folder, `**` does not."""
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))


def ignore_patterns(text: str) -> List[str]:
    """The patterns of an ignore file."""
    return [line.strip() for line in text.split("\n") if line.strip() and not line.startswith("#")]
