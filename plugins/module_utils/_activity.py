# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Signs of work in a container, read by plain sh in the same call that reads the spool: counters, never contents.

They are counters and times of the machine's own clock. Whoever compares two samples needs no clock that agrees with it.

- processor: what the container's cgroup has used; processes that have ended are in it.
- terminals: when a program last read from one. Input moves that, output and an open connection do not; a terminal that
  nothing was typed into yet bears its time of birth, and is left out. The kernel writes it every 8 seconds at most.
- agents: how many are alive, by the names of their processes; whether one of them is in a turn, its hooks tell.
- connections: how often each sshd has been woken. Editors and forwarded ports have no terminal, and the bytes of an
  sshd cannot be read without a privilege that nobody in a container has; every packet wakes it, silence does not.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from ._errors import FuelError
from ._inside import Inside
from ._spool import CURSOR, READ, SpoolBatch, ask, parse_spool

#: Terminals and connections that are told of.
_MOST = 64
#: Characters of what is written on terminals.
_LONGEST_NOTICE = 200

#: stdin: one line for the terminals, or an empty one. stdout: what `parse_sample` understands.
SAMPLE = r"""
IFS= read -r notice
for used in /sys/fs/cgroup/cpuacct/cpuacct.usage /sys/fs/cgroup/cpu,cpuacct/cpuacct.usage; do
  if read -r count 2>/dev/null <"$used"; then echo "cpu ns $count"; break; fi
done
if read -r _ count 2>/dev/null </sys/fs/cgroup/cpu.stat; then echo "cpu us $count"; fi
set --
for terminal in /dev/pts/[0-9]*; do [ ! -c "$terminal" ] || set -- "$@" "$terminal"; done
[ "$#" = 0 ] || stat -c 'tty %n %X %Z' -- "$@" 2>/dev/null
for process in /proc/[0-9]*; do
  read -r name 2>/dev/null <"$process/comm" || continue
  case $name in sshd | sshd-session) ;; claude) echo agent && continue ;; *) continue ;; esac
  while read -r key value; do
    case $key in voluntary_ctxt_switches:) echo "ssh ${process#/proc/} $value" ;; esac
  done 2>/dev/null <"$process/status"
done
read -r up _ </proc/uptime
read -r boot </proc/sys/kernel/random/boot_id
echo "clock $(date +%s) $up $boot"
[ -n "$notice" ] || exit 0
# Never waits for a terminal that nobody reads.
for terminal; do
  printf '\r\n%s\r\n' "$notice" | timeout 2 dd of="$terminal" oflag=nonblock conv=notrunc status=none 2>/dev/null
done
exit 0
"""


def look(environment: Inside, cursor: str = "", notice: str = "") -> Tuple[SpoolBatch, Optional[Dict[str, Any]]]:
    """What hooks told since `cursor`, and a sample (see `parse_sample`), in one call; FuelError when nobody answers.

    `notice` is a line that is written on every terminal in it.
    """
    if not CURSOR.fullmatch(cursor):
        raise FuelError("that is no cursor of a spool", code="bad_cursor")
    given = f"{cursor}\n{_printable(notice)}\n".encode("ascii")
    text = ask(environment, f"({READ})\n{SAMPLE}", given)
    return parse_spool(text), parse_sample(text)


def parse_sample(text: str) -> Optional[Dict[str, Any]]:
    """{clock, uptime, boot, cpu, terminals, connections, agents}; None when it is not whole: half proves nothing.

    `clock`: the machine's epoch seconds. `uptime`: seconds since its boot `boot`. `cpu`: seconds that the container
    has used. `terminals`: name -> epoch seconds of its last input, of those that had any. `connections`: process id ->
    how often it was woken. `agents`: how many are alive.
    """
    found: Dict[str, Any] = {"terminals": {}, "connections": {}, "agents": 0}
    for line in text.splitlines():
        words = line.split(" ")
        if words[0] == "cpu" and len(words) == 3 and words[1] in ("ns", "us"):
            count = _number(words[2])
            found["cpu"] = None if count is None else count / (1e9 if words[1] == "ns" else 1e6)
        elif words[0] == "tty" and len(words) == 4:
            _terminal(found["terminals"], words)
        elif words[0] == "ssh" and len(words) == 3 and len(found["connections"]) < _MOST:
            process, count = _number(words[1]), _number(words[2])
            if process is not None and count is not None:
                found["connections"][str(process)] = count
        elif words == ["agent"]:
            found["agents"] += 1
        elif words[0] == "clock" and len(words) == 4 and re.fullmatch(r"\d{1,12}(\.\d{1,6})?", words[2]):
            found.update(clock=_number(words[1]), uptime=float(words[2]), boot=words[3][:64])
    whole = all(found.get(key) is not None for key in ("clock", "uptime", "boot", "cpu"))
    return found if whole else None


def _terminal(terminals: Dict[str, int], words: List[str]) -> None:
    read_at, made_at = _number(words[2]), _number(words[3])
    if read_at is None or made_at is None or read_at <= made_at or len(terminals) >= _MOST:
        return
    terminals[words[1].rpartition("/")[2][:8]] = read_at


def _number(text: str) -> Optional[int]:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


def _printable(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:_LONGEST_NOTICE]
