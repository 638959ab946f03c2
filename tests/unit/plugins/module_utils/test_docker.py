# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's and the CLI's words become one line with hint and code."""

from __future__ import annotations

import json

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import (
    Completed,
    Docker,
    docker_error,
    follow_command,
    run_command,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

WORDS = [
    (
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "docker_unavailable",
    ),
    ("error during connect: Get http://nowhere: dial tcp: lookup nowhere: no such host", "docker_unavailable"),
    (
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
        "docker_denied",
    ),
    ("Error response from daemon: mkdir /var/lib/docker/x: no space left on device", "disk_full"),
    (
        "Error response from daemon: could not find an available, non-overlapping IPv4 address pool",
        "no_address_pool",
    ),
    ("Bind for 127.0.0.1:3000 failed: port is already allocated", "port_taken"),
    ("pull access denied for nosuch, repository does not exist or may require 'docker login'", "image_not_found"),
    ("manifest for debian:nosuch not found: manifest unknown", "image_not_found"),
    ("toomanyrequests: You have reached your pull rate limit.", "registry_limit"),
    ('Get "https://registry-1.docker.io/v2/": dial tcp: i/o timeout', "registry_unreachable"),
    ('Get "https://registry-1.docker.io/v2/": x509: certificate signed by unknown authority', "registry_unreachable"),
    ("invalid reference format: repository name must be lowercase", "image_invalid"),
    ("Error response from daemon: Container abc is not running", "container_gone"),
    ("something that nobody has seen before", "docker_failed"),
]


@pytest.mark.parametrize(("words", "code"), WORDS)
def test_error_has_code_hint_and_one_line(words, code):
    error = docker_error(Completed(["docker", "pull", "x"], 1, b"", words.encode()))
    assert error.code == code
    assert error.hint
    assert "\n" not in str(error)
    assert error.details["tail"] == [words]


def test_unknown_failure_quotes_the_engine_and_not_the_usage_line():
    done = Completed(["docker", "run", "x"], 125, b"", b"docker: Error: the cause\n\nRun 'docker run --help' for more")
    assert "the cause" in docker_error(done).message


def test_missing_cli_is_said_so():
    def run(_args, _stdin, _timeout):
        raise FileNotFoundError

    with pytest.raises(FuelError) as caught:
        Docker(run).call(["ps"])
    assert caught.value.code == "docker_missing"


def test_dead_engine_raises_even_without_check():
    def run(args, _stdin, _timeout):
        return Completed(args, 1, b"", b"Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is it running?")

    with pytest.raises(FuelError, match="does not answer"):
        Docker(run).call(["volume", "rm", "x"], check=False)


def test_exec_builds_an_argument_list_and_streams_stdin():
    seen = []

    def run(args, stdin, _timeout):
        seen.append((args, stdin))
        return Completed(args, 0, b"", b"")

    Docker(run).exec("c", ["sh", "-c", "true"], user="dev", stdin=b"data", env={"A": "1"}, workdir="/w")
    assert seen == [
        (
            [
                "docker",
                "exec",
                "--interactive",
                "--user",
                "dev",
                "--workdir",
                "/w",
                "--env",
                "A=1",
                "c",
                "sh",
                "-c",
                "true",
            ],
            b"data",
        )
    ]


def test_inspect_returns_what_exists():
    def run(args, _stdin, _timeout):
        return Completed(args, 1, json.dumps([{"Id": "1"}]).encode(), b"Error: No such object: b")

    assert Docker(run).inspect(["a", "b"]) == [{"Id": "1"}]
    assert Docker(run).inspect([]) == []


def test_inspect_does_not_take_a_failure_for_absence():
    def run(args, _stdin, _timeout):
        return Completed(args, 1, b"[]", b"context deadline exceeded")

    with pytest.raises(FuelError):
        Docker(run).inspect(["a"])


def test_real_runner_gives_both_streams_and_the_code():
    done = run_command(["sh", "-c", "cat; echo oops >&2; exit 3"], b"in", 10)
    assert (done.returncode, done.text, done.error_text) == (3, "in", "oops")


def test_real_runner_gives_up_in_time():
    with pytest.raises(FuelError, match="no answer within"):
        run_command(["sleep", "5"], None, 0.1)


def test_follower_hands_on_lines_and_takes_large_input():
    lines = []
    done = follow_command(["sh", "-c", "echo first; wc -c; echo last >&2"], b"x" * 300_000, lines.append)
    assert [line.strip() for line in lines] == ["first", "300000", "last"]
    assert done.returncode == 0


def test_who_does_not_stop_answering_is_stopped():
    with pytest.raises(FuelError) as caught:
        run_command(["yes"], None, 60)
    assert caught.value.code == "output_limit"
    assert caught.value.hint


def test_who_does_not_answer_is_stopped_and_what_he_does_not_read_is_no_error():
    with pytest.raises(FuelError) as caught:
        run_command(["sleep", "60"], b"x" * (1 << 20), 0.2)
    assert caught.value.code == "timeout"
    done = run_command(["sh", "-c", "echo out; echo err >&2; exit 3"], b"x" * (1 << 20), 60)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_input_goes_in_and_a_line_without_end_comes_in_pieces():
    assert run_command(["cat"], b"y" * (1 << 20), 60).stdout == b"y" * (1 << 20)
    lines = []
    follow_command(["head", "-c", "200000", "/dev/zero"], b"", lines.append)
    assert len(lines) == 4
