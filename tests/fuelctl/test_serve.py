# SPDX-License-Identifier: GPL-3.0-or-later
"""The server as a process: started once, stopped politely, killed at every stage; work goes on and nothing is left."""

from __future__ import annotations

import concurrent.futures
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request, TextMessage

from fuelctl import _supervise, paths, serve_start
from fuelctl._shared._errors import FuelError
from fuelctl.client import Client, ServerUnreachableError
from fuelctl.serve_start import ensure_running, stop_running
from tests.fuelctl.test_cli_start import run as run_cli
from tests.fuelctl.test_supervise import alive, wait_until

ROOT = Path(__file__).parents[2]


def health(client: Client) -> dict[str, Any]:
    """What it says of itself, however long it takes for it on a busy machine."""
    found: dict[str, Any] = {}

    def answers() -> bool:
        with suppress(ServerUnreachableError):
            found.update(client.health())
        return bool(found)

    wait_until(answers)
    return found


class Server:
    """The server of this test's home, with playbooks that make files."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.client = Client(socket_path=str(paths.server_socket()))

    def start(self, **environment: str) -> None:
        paths.private_folder(paths.state_folder())
        with (paths.state_folder() / "lab.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuelctl.lab_server"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "FUELCTL_REAPER_SECONDS": "1", **environment},
            )
        wait_until(self.answers)

    def answers(self) -> bool:
        try:
            return bool(self.client.health())
        except FuelError:
            return False

    def worker(self) -> int:
        return int(health(self.client)["pid"])

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(240)

    def up(self, **pretend: Any) -> str:
        blueprint = {"image": "debian:bookworm", "env": {"PRETEND": json.dumps(pretend)}}
        body = {
            "provider": {"name": "local"},
            "blueprint": blueprint,
            "repository": {"name": "app"},
            "ttl_seconds": 3600,
        }
        key = f"key-{time.monotonic_ns()}"
        made: str = self.patiently(lambda: self.client.create(body, key=key))["id"]
        return made

    def patiently(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A client that outlives the server's restarts."""
        end = time.monotonic() + 240
        while True:
            try:
                return call()
            except ServerUnreachableError:
                assert time.monotonic() < end, self.log()
                time.sleep(0.1)

    def wait(self, ref: str, *statuses: str, seconds: float = 240) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            item = self.patiently(lambda: self.client.environment(ref))
            if item["status"] in statuses and item["operation"] is None:
                return item
            time.sleep(0.1)
        raise AssertionError(json.dumps(item, indent=1) + self.log())

    def go(self) -> None:
        """What waits goes on, and nothing waits from here on."""
        (paths.state_folder() / "world" / "go").touch()

    def log(self) -> str:
        return (paths.state_folder() / "lab.log").read_text()[-4000:]

    def containers(self) -> list[str]:
        world = paths.state_folder() / "world"
        return sorted(item.name for item in world.glob("fuel-code-*")) if world.exists() else []


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def embedded() -> Iterator[None]:
    yield
    stop_running(0)


def _ensure(home: str) -> tuple[int, float]:
    os.environ["FUELCTL_HOME"] = home
    begun = time.monotonic()
    client = Client(socket_path=str(ensure_running()))
    return health(client)["pid"], time.monotonic() - begun


def _seconds_to_find_it() -> float:
    begun = time.monotonic()
    ensure_running()
    return time.monotonic() - begun


@pytest.mark.usefixtures("embedded")
def test_ten_commands_at_once_start_one_server(home: Path) -> None:
    with concurrent.futures.ProcessPoolExecutor(10) as pool:
        found = list(pool.map(_ensure, [str(home)] * 10))
    assert len({pid for pid, _name in found}) == 1
    assert paths.server_socket().stat().st_mode & 0o777 == 0o600
    assert paths.state_folder().stat().st_mode & 0o777 == 0o700
    assert min(_seconds_to_find_it() for _try in range(20)) < 0.2
    assert stop_running(200) is True
    assert stop_running(200) is False


@pytest.mark.usefixtures("embedded")
def test_another_version_is_replaced_and_a_dead_servers_leavings_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLY_API_TOKEN", "FlyV1 one")
    client = Client(socket_path=str(ensure_running()))
    first = health(client)
    document = json.loads(paths.server_file().read_text())
    paths.server_file().write_text(json.dumps({**document, "version": "0.0.1"}))
    monkeypatch.delenv("FLY_API_TOKEN")
    monkeypatch.setenv("AWS_PROFILE", "work")
    ensure_running()
    second = health(client)
    assert second["instance"] != first["instance"]
    # What runs in a cloud of which this shell knows nothing has to be ended in time all the same.
    assert json.loads(paths.server_file().read_text())["clouds"].keys() == {"ec2", "fly"}
    for provider in ("fly", "ec2"):
        serve_start.take_up_credentials(provider)
    assert health(client)["instance"] == second["instance"], "it works as whom this shell names already"
    for pid in (json.loads(paths.server_file().read_text())["pid"], second["pid"]):
        # The second one may have gone with the first.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not serve_start._held(paths.server_instance_lock()))
    assert paths.server_socket().exists()
    ensure_running()
    assert health(client)["instance"] != second["instance"]


@pytest.mark.usefixtures("embedded")
def test_a_second_server_in_the_foreground_is_refused_at_once() -> None:
    ensure_running()
    first = json.loads(paths.server_file().read_text())["pid"]
    for bind in ([], ["--bind", "127.0.0.1:0"]):
        took = []
        while not took or (min(took) >= 28 and len(took) < 3):
            begun = time.monotonic()
            done = run_cli("server", "run", *bind)
            took.append(time.monotonic() - begun)
        # Nearly all of it is Python's loading of the server; waiting for the lock would take 30 s each time.
        assert min(took) < 28
        assert done.returncode == 1
        error, hint = done.stderr.splitlines()
        assert error.startswith(f"error: another server of this user is running (process {first}, at ")
        assert hint == "  hint: fuelctl server stop"
    # What is no address is none, whoever runs.
    done = run_cli("server", "run", "--bind", "nowhere")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: --bind: 'nowhere' is no address")
    assert health(Client(socket_path=str(paths.server_socket())))["status"] == "ok"


@pytest.mark.usefixtures("embedded")
def test_a_start_waits_for_one_that_is_just_ending() -> None:
    paths.private_folder(paths.state_folder())
    with paths.server_instance_lock().open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        released = threading.Event()

        def release() -> None:
            released.set()
            fcntl.flock(held, fcntl.LOCK_UN)

        timer = threading.Timer(8, release)
        timer.start()
        ensure_running()
        assert released.is_set()
        timer.join()


def test_why_it_did_not_start_is_said_in_one_line(home: Path) -> None:
    paths.private_folder(paths.config_folder())
    paths.config_file().write_text("[control_plane]\nreaper_seconds = 'often'\n")
    with pytest.raises(FuelError) as caught:
        ensure_running()
    assert "reaper_seconds" in caught.value.message
    paths.config_file().unlink()
    paths.database_file().mkdir()
    with pytest.raises(FuelError) as caught:
        ensure_running()
    assert "fuelctl.sqlite: Is a directory" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.usefixtures("embedded")
def test_a_home_that_is_relative_is_the_same_to_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUELCTL_HOME", "here")
    assert health(Client(socket_path=str(ensure_running())))["status"] == "ok"
    assert (tmp_path / "here" / "state" / "server.json").exists()
    assert not Path("/here").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fuelctl.sqlite", "it is not a database"),
        ("dbos.sqlite", "it is not a database"),
        ("secret.key", "it is not a key"),
        ("server.sock", "it is not a socket"),
    ],
)
def test_something_else_where_our_files_belong_is_one_line_with_its_name(name: str, told: str) -> None:
    (paths.private_folder(paths.state_folder()) / name).write_text("garbage, and more of it\n")
    with pytest.raises(FuelError) as caught:
        ensure_running()
    assert caught.value.message.startswith(told)
    assert caught.value.where == str(paths.state_folder() / name)
    assert "move it away" in str(caught.value.hint)


def test_a_state_folder_that_cannot_be_written_is_one_line(home: Path) -> None:
    home.mkdir()
    (home / "state").write_text("a file")
    with pytest.raises(FuelError) as caught:
        ensure_running()
    assert caught.value.code in ("state_unusable", "state_unwritable")
    assert caught.value.hint


@pytest.mark.usefixtures("embedded")
def test_a_home_with_a_long_path_gets_a_short_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / ("x" * 100)))
    file = ensure_running()
    assert len(str(file)) < 100
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert health(Client(socket_path=str(file)))["status"] == "ok"


def test_who_follows_leaves_a_server_stopped_that_a_person_stopped(server: Server) -> None:
    server.start()
    made = server.up()
    server.wait(made, "ready")
    command = [sys.executable, "-m", "fuelctl", "logs", "-f", made]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        while "can be entered" not in follower.stdout.readline():
            assert follower.poll() is None
        stopped = run_cli("server", "stop", "--wait", "0")
        assert stopped.returncode == 0, stopped.stderr
        _out, told = follower.communicate(timeout=240)
    assert told.splitlines() == [
        "error: The server was stopped by `fuelctl server stop`",
        "  hint: what was under way goes on when it starts again: fuelctl server start",
    ]
    assert follower.returncode == 1
    assert not serve_start._held(paths.server_instance_lock()), "it was started again"
    assert paths.server_stopped_file().exists()
    # Whoever asks for something new starts it, and from then on it is an ordinary server again.
    server.stop()
    server.start()
    assert not paths.server_stopped_file().exists()


def test_who_follows_starts_a_server_again_that_nobody_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(serve_start, "ensure_running", lambda: begun.append("it"))
    serve_start.keep_running()
    assert begun == ["it"]
    assert paths.private_file(paths.server_stopped_file(), b"")
    with pytest.raises(FuelError, match="was stopped"):
        serve_start.keep_running()
    assert begun == ["it"]


def test_websocket_replays_from_a_cursor_and_follows(server: Server) -> None:
    server.start()
    made = server.up()
    server.wait(made, "ready")
    stored = server.client.events(made, after=0)["events"]
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(240)
        raw.connect(str(paths.server_socket()))
        peer = WSConnection(ConnectionType.CLIENT)
        target = f"/api/ws?environment={made}&after={stored[0]['seq']}"
        raw.sendall(peer.send(Request(host="localhost", target=target)))
        told = _messages(raw, peer)
        assert [next(told) for _turn in stored[1:]] == stored[1:]
        server.client.terminate(made, discard=True)
        live = next(told)
        assert (live["type"], live["seq"] > stored[-1]["seq"]) == ("remote.terminate.start", True)


def _messages(raw: socket.socket, peer: WSConnection) -> Iterator[dict[str, Any]]:
    text = ""
    while content := raw.recv(65536):
        peer.receive_data(content)
        for event in peer.events():
            if isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    yield json.loads(text)
                    text = ""


def test_a_worker_killed_while_a_playbook_runs_leaves_nothing_and_its_work_goes_on(server: Server) -> None:
    server.start()
    made = server.up(waits=True)
    mark = made.lower()
    wait_until(lambda: bool(server.containers()))
    (supervisor,) = [pid for pid in alive(str(paths.environment_lock(made))) if _is(pid, "fuelctl._supervise")]
    tree = [supervisor, *_supervise._descendants(supervisor)]
    assert any(_is(pid, "ansible-playbook") for pid in tree)
    os.kill(server.worker(), signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: not any(_is(pid, "") for pid in tree))
    print(f"\nnothing is left after {time.monotonic() - killed:.1f} s")
    wait_until(lambda: len(_made(made)) >= 2)
    server.go()
    print(f"taken up again after {time.monotonic() - killed:.1f} s")
    assert server.wait(made, "ready")["status"] == "ready"
    assert server.containers() == [f"fuel-code-{mark}-1"]


def _is(pid: int, word: str) -> bool:
    """Whether this process lives and has the word in its command line."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" and word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _made(environment_id: str) -> list[str]:
    file = paths.state_folder() / "world" / "made.log"
    return [line for line in file.read_text().splitlines() if environment_id in line] if file.exists() else []


def test_stopping_parks_work_and_the_next_start_takes_it_up(server: Server) -> None:
    server.start()
    made = server.up(waits=True)
    wait_until(lambda: bool(server.containers()))
    server.stop()
    server.go()
    server.start()
    assert server.wait(made, "ready")["status"] == "ready"
    assert len(_made(made)) == 2


def test_a_stop_that_may_wait_lets_work_end(server: Server) -> None:
    server.start()
    made = server.up(waits=True)
    wait_until(lambda: bool(server.containers()))
    timer = threading.Timer(1, server.go)
    timer.start()
    assert stop_running(400) is True
    timer.join()
    assert server.process is not None
    assert server.process.wait(240) == 0
    server.start()
    assert server.client.environment(made)["status"] == "ready"
    assert len(_made(made)) == 1
