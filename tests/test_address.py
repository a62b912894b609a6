from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.adapters.address import Endpoint, resolve, split_host_port
from udpstream.errors import AddressError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", ("192.0.2.7", 9505)),
        ("192.0.2.7:1234", ("192.0.2.7", 1234)),
        (" camera.local:65535 ", ("camera.local", 65535)),
        (":1234", ("0.0.0.0", 1234)),
        ("", ("0.0.0.0", 9505)),
        ("host:", ("host", 9505)),
        ("[::1]", ("::1", 9505)),
        ("[fe80::1%eth0]:1234", ("fe80::1%eth0", 1234)),
        ("::1", ("::1", 9505)),
        ("[]:7", ("0.0.0.0", 7)),
    ],
)
def test_what_a_person_may_type(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text, "0.0.0.0") == expected


@pytest.mark.parametrize(
    "text", ["h:0", "h:65536", "h:-1", "h:x", "h:1.5", "h:٣", "h:" + "9" * 5000, "[::1]:x"]
)
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(AddressError, match="is not a port: give a number from 1 to 65535"):
        split_host_port(text, "h")


@pytest.mark.parametrize("text", ["[::1", "[::1]9505", "[::1]]:9"])
def test_brackets_that_do_not_fit(text: str) -> None:
    with pytest.raises(AddressError, match=r"write \[HOST\]:PORT"):
        split_host_port(text, "h")


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    try:
        host, port = split_host_port(text, "default")
    except AddressError:
        return
    assert host == host.strip() or text.strip().startswith("[")
    assert 1 <= port <= 65_535


@pytest.mark.parametrize(
    ("host", "family", "shown"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1:5"),
        ("::1", socket.AF_INET6, "[::1]:5"),
        ("239.1.2.3", socket.AF_INET, "239.1.2.3:5"),
    ],
)
def test_numeric_addresses(host: str, family: int, shown: str) -> None:
    endpoint = resolve(host, 5)
    assert (endpoint.family, str(endpoint)) == (family, shown)


@pytest.mark.parametrize(
    ("host", "multicast"),
    [("239.0.0.1", True), ("ff02::1", True), ("10.0.0.1", False), ("fe80::1%1", False)],
)
def test_groups_are_told_from_machines(host: str, multicast: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    assert Endpoint(family, (host, 5)).is_multicast is multicast


@pytest.mark.parametrize(
    "host",
    ["no.such.host.invalid", "x" * 300, "a\0b", "ü" * 70, "a b"],
    ids=["unknown", "long", "nul", "idna", "blank"],
)
def test_unknown_hosts(host: str) -> None:
    with pytest.raises(AddressError, match=r"unknown host .*: give "):
        resolve(host, 5)


def test_a_bare_port_is_no_host() -> None:
    """The resolver would take it for 0.0.37.33."""
    with pytest.raises(AddressError, match=r"'9505' is not a host: write :9505"):
        resolve(*split_host_port("9505", "127.0.0.1"))


def test_port_0_can_only_be_bound() -> None:
    assert resolve("127.0.0.1", 0, passive=True).sockaddr == ("127.0.0.1", 0)
    with pytest.raises(AddressError, match="0 is not a port"):
        resolve("127.0.0.1", 0)


@pytest.mark.parametrize("port", [-1, 65_536, 1 << 40])
def test_ports_that_the_resolver_would_cut(port: int) -> None:
    with pytest.raises(AddressError, match=f"{port} is not a port"):
        resolve("127.0.0.1", port)


def test_of_a_name_with_both_kinds_the_address_of_ipv4_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("fe80::1", 9505, 0, 2)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("192.0.2.7", 9505)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert str(resolve("camera.local", 9505)) == "192.0.2.7:9505"
    found.pop()
    assert str(resolve("camera.local", 9505)) == "[fe80::1]:9505"
