# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook and variables in, typed progress events and results out: the only importer of ansible_runner.

`run_playbook` is called by a workflow. It starts `python -m fuelctl._supervise -- python -m fuelctl.runner FOLDER`;
that child runs Ansible and hands its events on as JSON lines. Secrets and variables travel in files (0600) in memory.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuelctl import _environ, _reserved, _run_files, _supervise
from fuelctl._lifelines import Lifelines
from fuelctl._run_events import Story
from fuelctl._run_files import Record, Scrubber

_TICK = 0.1
_FLUSH = 0.2
_LOCK_BUSY = 75
_STOP_SECONDS = 10.0
_KEPT_OF_STDERR = 4096
#: Which of Ansible's events the parent wants, and which of their fields.
_WANTED = frozenset(
    {
        "playbook_on_task_start",
        "playbook_on_no_hosts_matched",
        "runner_on_ok",
        "runner_on_failed",
        "runner_on_unreachable",
        "error",
        "verbose",
        "warning",
    }
)


class FileOf(str):
    """A variable's value that becomes the path of the private file of this name (see `files`)."""

    __slots__ = ()


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    `status`: `ok`, `failed`, `stopped` (somebody wanted it to) or `busy` (another run holds the environment's lock).
    `results`: module name -> its results in order. `failure`: `{message, hint, where, code, stage, tail}`.
    """

    status: str
    rc: int
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failure: dict[str, Any] | None = None
    #: Results are as the modules gave them: what of them is kept or shown goes through this.
    scrub: Callable[[Any], Any] = field(default=lambda value: value, compare=False, repr=False)

    def of(self, module: str) -> dict[str, Any]:
        """What `fuel_code.remote.<module>` returned, later results over earlier ones; empty when it did not run."""
        merged: dict[str, Any] = {}
        for result in self.results.get(f"fuel_code.remote.{module}", []):
            merged.update(result)
        return merged

    def observed(self) -> dict[str, dict[str, Any]]:
        """Environment id -> what modules of ours saw of it: its machine's word, or its provider's that it is gone."""
        shown = [one for results in self.results.values() for result in results for one in result.get("observed") or []]
        return {str(one["environment_id"]): one for one in shown}

    def machines(self) -> list[dict[str, Any]]:
        """Every `machine` that a module of ours showed: what a provider that bills has running, in order."""
        shown = (result.get("machine") for results in self.results.values() for result in results)
        return [machine for machine in shown if isinstance(machine, dict)]


def run_playbook(
    playbook: str,
    *,
    variables: Mapping[str, Any],
    secrets: Mapping[str, str],
    record: Path,
    locks: Sequence[Path],
    on_events: Callable[[list[dict[str, Any]]], None],
    should_stop: Callable[[], bool] = lambda: False,
    files: Mapping[str, str] | None = None,
    verb: str = "up",
    lifelines: Lifelines | None = None,
) -> RunResult:
    """Run one playbook to its end.

    :param playbook: a path, or the name of a playbook of our collection (`fuel_code.remote.remote_up`).
    :param variables: `remote_*`; every string in them is passed as unsafe data.
    :param secrets: name -> value; written to a file of its own whose path is `remote_secrets_file`.
    :param record: folder in which the scrubbed events are kept.
    :param locks: held for as long as any process of the run lives.
    :param on_events: gets typed events `{type, at, data}`, several at a time, scrubbed. What it raises ends the run.
    :param files: further secrets, name -> content, each in a file (0600) whose path stands where `FileOf(name)` is.
    :param lifelines: whose beat the run lives by; without, it lives as long as this process.
    """
    scrub = Scrubber([*secrets.values(), *(files or {}).values(), *_environ.secrets(os.environ)])
    with _run_files.private_data(record) as folder, Record(record, Path(playbook).stem.split(".")[-1]) as kept:
        _prepare(folder, playbook, variables, secrets, files or {})
        story = Story(verb)
        following = _Following(folder / "progress.jsonl", story, scrub, kept, on_events)
        command = [sys.executable, "-m", "fuelctl._supervise"]
        command += [word for lock in locks for word in ("--lock", str(lock))]
        command += ["--pulse", str(lifelines.seconds)] if lifelines else []
        command += ["--", sys.executable, "-m", "fuelctl.runner", str(folder)]
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**_environment(folder, variables), "PYTHONPATH": str(_root())},
                cwd=folder,
                start_new_session=True,
            )
        stopped = False
        try:
            with lifelines.held(_life_line(process)) if lifelines else nullcontext():
                stopped = following.follow(process, should_stop)
        finally:
            rc = _end(process)
        if stopped or (rc == 128 + 15):
            following.finish(ok=True)
            return RunResult("stopped", rc, story.results, scrub=scrub)
        following.finish(ok=rc == 0)
        if rc == 0:
            return RunResult("ok", 0, story.results, scrub=scrub)
        if rc == _LOCK_BUSY:
            failure = {"message": "another run still works on this environment", "code": "busy", "stage": None}
            return RunResult("busy", rc, story.results, {"hint": None, "where": None, "tail": [], **failure}, scrub)
        said = (folder / "stderr").read_bytes()[-_KEPT_OF_STDERR:].decode("utf-8", "replace")
        for line in said.splitlines():
            story.ansible({"event": "error", "stdout": scrub(line)})
        return RunResult("failed", rc, story.results, scrub(story.explain(rc)), scrub)


class _Following:
    """Reads the child's events and the modules' progress, and passes them on in batches."""

    def __init__(
        self,
        progress: Path,
        story: Story,
        scrub: Scrubber,
        record: Record,
        on_events: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        self._progress = _Tail(progress)
        self._story = story
        self._scrub = scrub
        self._record = record
        self._on_events = on_events
        self._batch: list[dict[str, Any]] = []
        self._flushed = 0.0

    def follow(self, process: subprocess.Popen[bytes], should_stop: Callable[[], bool]) -> bool:
        """Until the child closes its pipe (False) or `should_stop` (True)."""
        if process.stdout is None:
            raise ValueError("the child's output is not piped")
        pipe = process.stdout.fileno()
        buffer = b""
        while True:
            if select.select([pipe], [], [], _TICK)[0]:
                piece = os.read(pipe, 1 << 18)
                if not piece:
                    return False
                *lines, buffer = (buffer + piece).split(b"\n")
            else:
                lines = []
            # Progress first: a module's last steps were written before Ansible told of its end.
            self._read_progress()
            for line in lines:
                self._take(self._story.ansible, line)
            self._flush(now=False)
            if should_stop():
                return True

    def finish(self, *, ok: bool) -> None:
        """Pass on what is left."""
        self._read_progress()
        self._add(self._story.end(time.time(), ok=ok))
        self._flush(now=True)

    def _read_progress(self) -> None:
        for line in self._progress.lines():
            self._take(self._story.progress, line)

    def _take(self, reader: Callable[[dict[str, Any]], list[dict[str, Any]]], line: bytes) -> None:
        with suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict):
                self._record.write(self._scrub(content))
                self._add(reader(content))

    def _add(self, events: list[dict[str, Any]]) -> None:
        self._batch += [self._scrub(event) for event in events]

    def _flush(self, *, now: bool) -> None:
        if self._batch and (now or time.monotonic() - self._flushed >= _FLUSH):
            batch, self._batch = self._batch, []
            self._on_events(batch)
            self._flushed = time.monotonic()


class _Tail:
    """New whole lines of a file that others append to."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0

    def lines(self) -> list[bytes]:
        """Those since the last call."""
        try:
            with self._file.open("rb") as opened:
                opened.seek(self._offset)
                content = opened.read(1 << 22)
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.splitlines()


def _prepare(
    folder: Path, playbook: str, variables: Mapping[str, Any], secrets: Mapping[str, str], files: Mapping[str, str]
) -> None:
    _reserved.check_keys(variables)
    written = {name: str(_private(folder / name, content)) for name, content in files.items()}
    given = {**_with_files(variables, written), "remote_progress_path": str(folder / "progress.jsonl")}
    if secrets:
        given["remote_secrets_file"] = str(_private(folder / "secrets.json", json.dumps(dict(secrets))))
    _private(folder / "variables.json", _run_files.variables_file(given))
    for name in ("project", "inventory", "artifacts"):
        (folder / name).mkdir()
    _private(folder / "inventory" / "hosts", "localhost ansible_connection=local\n")
    _private(folder / "run.json", json.dumps({"playbook": playbook}))


def _environment(folder: Path, variables: Mapping[str, Any]) -> dict[str, str]:
    return _run_files.environment(folder, dict(os.environ), str(variables.get("remote_provider") or ""))


def _with_files(value: Any, written: Mapping[str, str]) -> Any:
    if isinstance(value, FileOf):
        return written[value]
    if isinstance(value, Mapping):
        return {name: _with_files(item, written) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_files(item, written) for item in value]
    return value


def _private(file: Path, content: str) -> Path:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(content)
    return file


def _life_line(process: subprocess.Popen[bytes]) -> int:
    if process.stdin is None:
        raise ValueError("the child has no life line")
    return process.stdin.fileno()


def _end(process: subprocess.Popen[bytes]) -> int:
    """Cut the life line, and wait until nothing of the tree is left."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        return process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _root() -> Path:
    return Path(__file__).resolve().parent.parent


def _child(folder: Path) -> int:
    """The supervised half: run Ansible, and print what is wanted of its events."""
    _supervise.end_tree_without_supervisor()
    os.environ.pop("PYTHONPATH", None)
    import ansible_runner

    out = os.dup(1)
    # Whatever else prints must not get among the events.
    os.dup2(2, 1)

    def on_event(event: dict[str, Any]) -> bool:
        if event.get("event") in _WANTED:
            line = json.dumps(_picked(event), default=str).encode("utf-8") + b"\n"
            while line:
                line = line[os.write(out, line) :]
        if event.get("event") == "playbook_on_stats" and not any(_unwell(event)):
            # Every word is said. What Ansible and its runner would still do is close what is about to be removed, at
            # their leisure; who supervises us ends both.
            os._exit(0)
        return False

    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    result = ansible_runner.run(
        private_data_dir=str(folder),
        playbook=run["playbook"],
        cmdline=f"-e @{folder / 'variables.json'}",
        suppress_env_files=True,
        quiet=True,
        event_handler=on_event,
        settings={"suppress_ansible_output": True, "pexpect_use_poll": True},
    )
    return 0 if result.status == "successful" else (result.rc or 1)


def _unwell(event: dict[str, Any]) -> list[dict[str, int]]:
    """Hosts with failed tasks, and unreachable ones, of a run's statistics."""
    statistics = event.get("event_data") or {}
    return [statistics.get("failures", {"?": 1}), statistics.get("dark", {"?": 1})]


def _picked(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("event_data") or {}
    return {
        "event": event["event"],
        "at": time.time(),
        "host": data.get("host"),
        "task": data.get("task"),
        "role": data.get("resolved_role") or data.get("role"),
        "file": Path(str(data.get("task_path") or "").rpartition(":")[0]).stem,
        "action": data.get("resolved_action") or data.get("task_action"),
        "ignored": data.get("ignore_errors"),
        "res": data.get("res"),
        "stdout": event.get("stdout") if event["event"] in ("error", "verbose", "warning") else None,
    }


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1])))
