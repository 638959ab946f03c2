# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a URL that somebody gave may lead: looked at when connecting, whatever its name said before."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuelctl._shared._errors import UsageError
from fuelctl.webhooks.guard import RefusedError, check, embedded, networks
from fuelctl.webhooks.send import Sender, split
from tests.fuelctl.receiver import certificate, listening
from tests.ports import free_port

LOOPBACK = networks("127.0.0.0/8")

PRIVATE_4 = [
    *("0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.0.1"),
    *("192.88.99.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "168.63.129.16"),
]
PRIVATE_6 = [
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("100::1", "2001::7f00:1", "64:ff9b:1::7f00:1", "::7f00:1", "5f00::1", "4000::1", "2001:10::1"),
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:1.1.1.1"]


def ways_to(address: str) -> list[str]:
    """How an IPv6 packet is made to end up at an IPv4 address."""
    number = int(IPv4Address(address))
    return [
        str(IPv6Address((0xFFFF << 32) | number)),
        str(IPv6Address((0x0064FF9B << 96) | number)),
        str(IPv6Address((0x2002 << 112) | (number << 80) | 1)),
        str(IPv6Address((0x26064700 << 96) | (0x00005EFE << 32) | number)),
    ]


@pytest.mark.parametrize("address", [*PRIVATE_4, *PRIVATE_6])
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(RefusedError, match="no public address"):
        check("hooks.example.com", address, 443, plain=False, allowed=())


@pytest.mark.parametrize("address", PRIVATE_4)
def test_what_is_not_public_is_refused_however_it_is_written(address: str) -> None:
    for way in ways_to(address):
        assert embedded(IPv6Address(way)) == IPv4Address(address)
        with pytest.raises(RefusedError):
            check("hooks.example.com", way, 443, plain=False, allowed=())


@given(st.integers(0, 2**32 - 1))
def test_no_way_of_writing_an_address_makes_it_public(number: int) -> None:
    address = str(IPv4Address(number))

    def refused(one: str) -> bool:
        try:
            check("x", one, 443, plain=False, allowed=())
        except RefusedError:
            return True
        return False

    assert not refused(address) or all(refused(way) for way in ways_to(address))


@given(st.integers(0, 2**128 - 1))
def test_outside_of_what_is_given_out_nothing_is_public(number: int) -> None:
    address = IPv6Address(number)
    if not str(address).startswith(("2", "3")) and embedded(address) is None:
        with pytest.raises(RefusedError):
            check("x", str(address), 443, plain=False, allowed=())


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_reached_by_tls_at_its_usual_ports_alone(address: str) -> None:
    check("hooks.example.com", address, 443, plain=False, allowed=())
    for port in (22, 25, 80, 6379, 11211):
        with pytest.raises(RefusedError, match=f"at port {port}"):
            check("hooks.example.com", address, port, plain=False, allowed=())
    with pytest.raises(RefusedError, match="without TLS"):
        check("hooks.example.com", address, 443, plain=True, allowed=())


def test_a_network_that_the_operator_allows_is_reached_at_any_port_and_no_other() -> None:
    allowed = networks("10.1.0.0/16, fd00:1::/64")
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::7"):
        check("receiver", address, 9000, plain=True, allowed=allowed)
    for address in ("10.2.0.1", "127.0.0.1", "fd00:2::7", "169.254.169.254"):
        with pytest.raises(RefusedError):
            check("receiver", address, 9000, plain=True, allowed=allowed)


@pytest.mark.parametrize("text", ["10.1.2.3/16", "everywhere", "10.0.0.0/33"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="is no network"):
        networks(text)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "//example.com/",
            "https://",
            "https:///x",
        ),
        *("https://user:word@example.com/", "https://example.com:99999/", "https://ex ample.com/", "https://[::1/"),
        *("https://example.com/\r\nX: y", "https://example.com/\u2028", ""),
    ],
)
def test_what_is_no_url_of_a_receiver_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        split(url)


def test_a_name_that_means_a_private_address_is_not_connected_to() -> None:
    with listening() as receiver:
        for host in ("localhost", "127.0.0.1", "0x7f.1", "2130706433", "127.1", "[::ffff:127.0.0.1]"):
            done = Sender().post(f"https://{host}:{receiver.port}/", b"{}", {})
            assert done.problem, host
            assert "no public address" in done.problem, (host, done.problem)
        assert receiver.got == []


def test_one_private_address_among_public_ones_spoils_them_all() -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["1.1.1.1", "127.0.0.1"]

    done = Sender(resolve=resolve).post("https://hooks.example.com/", b"{}", {})
    assert "127.0.0.1" in str(done.problem)
    assert asked == ["hooks.example.com"]


def test_a_name_that_means_something_else_the_second_time_is_asked_for_once() -> None:
    with listening() as receiver:
        answers = [["127.0.0.1"], ["169.254.169.254"]]

        def rebinding(_host: str, _port: int) -> list[str]:
            return answers.pop(0)

        sender = Sender(LOOPBACK, rebinding)
        assert sender.post(f"http://rebinding.test:{receiver.port}/hook", b"{}", {}).arrived
        assert receiver.got[0][0]["host"] == f"rebinding.test:{receiver.port}", "the name is kept"
        # The next message is another look, and is refused as such.
        done = sender.post(f"http://rebinding.test:{receiver.port}/hook", b"{}", {})
        assert "169.254.169.254" in str(done.problem)
        assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with listening() as receiver, listening() as target:
        receiver.answers, receiver.location = [status], f"http://127.0.0.1:{target.port}/latest/meta-data/"
        done = Sender(LOOPBACK).post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})
        assert (done.status, done.arrived) == (status, False)
        assert "redirects are not followed" in str(done.problem)
        assert target.got == []


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as receiver, listening() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert Sender(LOOPBACK).post(f"http://127.0.0.1:{receiver.port}/", b"{}", {}).arrived
        assert proxy.got == []


def test_tls_is_held_against_the_name_and_not_against_the_address(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "hooks.example.com")
    with listening(server) as receiver:
        sender = Sender(LOOPBACK, lambda _host, _port: ["127.0.0.1"], trusting)
        assert sender.post(f"https://hooks.example.com:{receiver.port}/x?y=1", b"{}", {}).arrived
        done = sender.post(f"https://other.example.com:{receiver.port}/", b"{}", {})
        assert "certificate" in str(done.problem).lower()
        assert (
            "certificate"
            in str(
                Sender(LOOPBACK, sender.resolve).post(f"https://hooks.example.com:{receiver.port}/", b"{}", {}).problem
            ).lower()
        )
        assert len(receiver.got) == 1


def test_a_receiver_that_dribbles_is_cut_off_and_a_dead_one_is_one_line() -> None:
    with listening() as receiver:
        receiver.slow = 0.05
        begun = time.monotonic()
        done = Sender(LOOPBACK, whole=0.6).post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})
        assert done.problem == "it did not answer within 0.6 s"
        assert time.monotonic() - begun < 120, "it has no end"
        receiver.slow, receiver.answers = 0.0, [-1]
        assert Sender(LOOPBACK).post(f"http://127.0.0.1:{receiver.port}/", b"{}", {}).problem
    dead = Sender(LOOPBACK).post(f"http://127.0.0.1:{free_port()}/", b"{}", {})
    assert dead.problem == "Connection refused"
    nobody = Sender(LOOPBACK, lambda _host, _port: []).post("https://nobody.test/", b"{}", {})
    assert nobody.problem == "its name means no address"
