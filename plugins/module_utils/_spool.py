# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What hooks tell: a bounded spool in the container, written by plain sh, read from outside without loss.

An event is one line: {"id": ULID, "at": epoch seconds, "type": "session.*" or "tool.*", "data": {...}}. It tells that
something happened, never what was typed, read or written. The files `events.<number>.jsonl` follow one another, and the
oldest are dropped.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

from ._errors import FuelError
from ._inside import Inside, last_lines

#: In the container.
SPOOL = "/var/lib/fuel-code/spool"
HOOK = "/usr/local/lib/fuel-code/hook"
PUSH = "/usr/local/lib/fuel-code/push"
CALLBACK = "/var/lib/fuel-code/callback"

#: An agent's hook -> the event that it becomes.
EVENTS: Dict[str, str] = {
    "SessionStart": "session.start",
    "UserPromptSubmit": "session.prompt",
    "PreToolUse": "tool.start",
    "PostToolUse": "tool.end",
    "PostToolUseFailure": "tool.failed",
    "SubagentStop": "session.subagent",
    "Notification": "session.notification",
    "Stop": "session.stop",
    "SessionEnd": "session.end",
}

_LINE_LIMIT = 4096
_BATCH_LIMIT = 1000
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TYPE = re.compile(r"(?:session|tool|agent)\.[a-z0-9_.-]{1,56}")
CURSOR = re.compile(r"(?:\d{1,10}:\d{1,12}(?:,\d{1,10}:\d{1,12}){0,7})?")

HOOK_SCRIPT = r"""#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The coding agent calls `hook TYPE` with its event as JSON on stdin. It never fails and never holds the agent up.
# Of the event it takes a few identifiers from the beginning; prompts, commands and contents are not looked at.
umask 077
spool=${FUEL_CODE_SPOOL:-/var/lib/fuel-code/spool}
limit=${FUEL_CODE_SPOOL_LIMIT:-524288}
type=$1
input=$(head -c 4096 | tr -d '\n' | sed 's/": "/":"/g')
cat >/dev/null

# The first occurrence is the agent's own: it writes these before anything of a tool or a person.
value() {
  case $input in *"\"$1\":\""*) ;; *) return ;; esac
  found=${input#*"\"$1\":\""}
  found=${found%%\"*}
  case $found in '' | *[!A-Za-z0-9_.:/-]*) return ;; esac
  [ "${#found}" -le 100 ] && printf ',"%s":"%s"' "$2" "$found"
}

data=$(value session_id session; case $type in
  tool.*) value tool_name tool ;;
  session.start) value source source ;;
  session.end) value reason reason ;;
  session.notification) value notification_type kind ;;
esac)
data=${data#,}

now=$(date +%s%3N)
# Ten characters of time, sixteen of chance: a ULID.
digits='' rest=$now
for _ in 1 2 3 4 5 6 7 8 9 10; do digits="$((rest % 32)) $digits" rest=$((rest / 32)); done
for byte in $(od -An -N16 -tu1 /dev/urandom); do digits="$digits $((byte % 32))"; done
set -- 0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K M N P Q R S T V W X Y Z
id=''
for digit in $digits; do eval "id=\$id\${$((digit + 1))}"; done

cd "$spool" 2>/dev/null || exit 0
last=$(ls 2>/dev/null | sed -n 's/^events\.\([0-9]\{10\}\)\.jsonl$/\1/p' | tail -n 1)
last=${last:-0000000001}
size=$(wc -c 2>/dev/null < "events.$last.jsonl" || echo 0)
if [ "$size" -ge "$limit" ]; then
  # Who makes the next file first wins; everybody then writes there.
  number=$(printf %s "$last" | sed 's/^0*//')
  next=$(printf %010d $((number + 1)))
  ( set -C; : > "events.$next.jsonl" ) 2>/dev/null
  # All of them: whoever was held up for long has written to one that had been removed.
  for old in $(ls | sed -n 's/^events\.0*\([1-9][0-9]*\)\.jsonl$/\1/p'); do
    [ "$old" -gt $((number - 2)) ] || rm -f "events.$(printf %010d "$old").jsonl"
  done
  last=$next
fi
# One short write to a file opened for appending: lines of two writers never mix.
seconds=${now%???}
printf '{"id":"%s","at":%s.%s,"type":"%s","data":{%s}}\n' "$id" "$seconds" "${now#"$seconds"}" "$type" "$data" \
  2>/dev/null >> "events.$last.jsonl"
if [ -s /var/lib/fuel-code/callback/url ]; then
  setsid /usr/local/lib/fuel-code/push </dev/null >/dev/null 2>&1 &
fi
exit 0
"""

PUSH_SCRIPT = r"""#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Sends what is new in the spool to the callback, in batches; one at a time, whoever comes meanwhile goes away.
# Sending twice is harmless: events are known by their id. Without curl or connection the spool is fetched.
umask 077
spool=${FUEL_CODE_SPOOL:-/var/lib/fuel-code/spool}
callback=${FUEL_CODE_CALLBACK:-/var/lib/fuel-code/callback}
command -v curl >/dev/null || exit 0
cd "$spool" || exit 0
exec 9>.push.lock
flock -n 9 || exit 0
url=$(cat "$callback/url") || exit 0
rounds=0
while [ "$rounds" -lt 50 ]; do
  rounds=$((rounds + 1))
  file='' offset=0
  for candidate in events.*.jsonl; do
    [ -f "$candidate" ] || continue
    sent=$(cat ".sent.$candidate" 2>/dev/null || echo 0)
    [ "$(wc -c < "$candidate")" -gt "$sent" ] || continue
    file=$candidate offset=$sent
    break
  done
  [ -n "$file" ] || break
  # Whole lines only: the last one may still be on its way.
  tail -c +$((offset + 1)) "$file" | head -n 200 > .raw
  [ -z "$(tail -c 1 .raw)" ] || sed -i '$d' .raw
  [ -s .raw ] || break
  grep '^{.*}$' .raw > .batch
  # The token is read from its file (0600) by curl itself: no command line shows it.
  { printf '{"events":['; paste -sd, .batch; printf ']}'; } |
    curl -sS --fail --connect-timeout 3 --max-time 15 --proto '=http,https' --max-redirs 0 -o /dev/null \
      -H 'Content-Type: application/json' -H "@$callback/header" --data-binary @- -- "$url" || break
  echo $((offset + $(wc -c < .raw))) > ".sent.$file"
done
for mark in .sent.events.*; do [ -f "${mark#.sent.}" ] || rm -f "$mark"; done
rm -f .batch .raw
"""

#: stdin: one line `number:offset,...`. stdout: for each file `number offset base64`.
READ = r"""
IFS= read -r cursor
cd /var/lib/fuel-code/spool 2>/dev/null || exit 0
for file in events.*.jsonl; do
  [ -f "$file" ] || continue
  number=${file#events.}
  number=$(printf %s "${number%.jsonl}" | sed 's/^0*//')
  offset=0
  case ,$cursor, in *",$number:"*) offset=${cursor#*"$number:"} offset=${offset%%,*} ;; esac
  printf '%s %s ' "$number" "$offset"
  tail -c +$((offset + 1)) "$file" | head -c 262144 | base64 -w0
  echo
done
"""


@dataclass(frozen=True)
class SpoolBatch:
    """Events since a cursor, oldest first, and the cursor to read on from.

    Reading the same cursor again gives the same events (as long as the spool holds them): take them in by their id.
    """

    events: List[Dict[str, Any]] = field(default_factory=list)
    cursor: str = ""


def read_spool(environment: Inside, cursor: str = "") -> SpoolBatch:
    """Read what hooks told since `cursor` (empty: everything there is); FuelError when nobody answers."""
    if not CURSOR.fullmatch(cursor):
        raise FuelError("that is no cursor of a spool", code="bad_cursor")
    return parse_spool(ask(environment, READ, cursor.encode("ascii") + b"\n"))


def ask(environment: Inside, script: str, given: bytes) -> str:
    """What one of the readers prints, run as root; FuelError when nobody answers."""
    answer = environment.script(script, given, user="0", timeout=30)
    if answer.returncode:
        said = (last_lines(answer.stderr) or [f"exit code {answer.returncode}"])[-1]
        raise FuelError(f"the environment did not answer: {said[:300]}", where=environment.name, code="silent")
    return answer.stdout.decode("ascii", "replace")


def parse_spool(text: str) -> SpoolBatch:
    """Understand the reader's answer; what is no event of ours is passed over, for the container is not trusted."""
    events: List[Dict[str, Any]] = []
    offsets: List[str] = []
    for entry in text.splitlines()[:16]:
        parts = entry.split(" ")
        if len(parts) != 3 or not parts[0].isdigit() or not parts[1].isdigit():
            continue
        try:
            data = base64.b64decode(parts[2])
        except ValueError:
            continue
        whole = data[: data.rfind(b"\n") + 1]
        offsets.append(f"{int(parts[0])}:{int(parts[1]) + len(whole)}")
        events += [event for event in map(_event, whole.splitlines()) if event is not None]
    return SpoolBatch(events, ",".join(offsets[-8:]))


def _event(raw: bytes) -> Optional[Dict[str, Any]]:
    if len(raw) > _LINE_LIMIT:
        return None
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("at"), (int, float)) or isinstance(event["at"], bool):
        return None
    # Neither NaN nor infinity nor a number that no float holds: it is compared, stored and shown as a time.
    if not 0 <= event["at"] < 1e11:
        return None
    if not _ULID.fullmatch(str(event.get("id"))) or not _TYPE.fullmatch(str(event.get("type"))):
        return None
    data: Mapping[str, Any] = event["data"] if isinstance(event.get("data"), dict) else {}
    flat = {str(key)[:40]: str(value)[:200] for key, value in list(data.items())[:16]}
    return {"id": event["id"], "at": float(event["at"]), "type": event["type"], "data": flat}
