"""Host and port from what a person typed, and what the resolver makes of them."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from udpstream.core.stream import host_port
from udpstream.errors import AddressError
from udpstream.protocol import DEFAULT_PORT


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A resolved UDP address.

    Attributes:
        family: `socket.AF_INET` or `socket.AF_INET6`.
        sockaddr: what the socket calls take.
    """

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    @property
    def is_multicast(self) -> bool:
        """Whether it names a group rather than a machine."""
        return ipaddress.ip_address(self.sockaddr[0].partition("%")[0]).is_multicast

    def __str__(self) -> str:
        return host_port(*self.sockaddr[:2])


def split_host_port(text: str, default_host: str) -> tuple[str, int]:
    """Read ``HOST``, ``HOST:PORT``, ``:PORT``, ``[V6]``, ``[V6]:PORT`` or a bare ``V6``.

    Raises:
        AddressError: the port is not a number from 1 to 65,535, or a bracket is missing.
    """
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise AddressError(f"'{text}' is not an address: write [HOST]:PORT")
        port = rest[1:]
    elif text.count(":") > 1:  # an IPv6 address without brackets has no port
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if port and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) <= 0xFFFF):
        raise AddressError(f"'{port}' in '{text}' is not a port: give a number from 1 to 65535")
    return host or default_host, int(port or DEFAULT_PORT)


def resolve(host: str, port: int, *, passive: bool = False) -> Endpoint:
    """Look a host up; of several addresses the first of IPv4, or else the first.

    Args:
        host: name or address.
        port: UDP port.
        passive: for binding rather than sending.

    Raises:
        AddressError: the host is not known, or the port is out of range: 0, which is any, can
            only be bound.
    """
    # The resolver would quietly cut it to 16 bits.
    if not (0 if passive else 1) <= port <= 0xFFFF:
        raise AddressError(f"{port} is not a port: give a number from 1 to 65535")
    if host.isdecimal():  # the resolver would take 9505 for 0.0.37.33
        raise AddressError(f"'{host}' is not a host: write :{host} for a port")
    flags = socket.AI_PASSIVE if passive else 0
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        whose = "an address of this machine" if passive else "the receiver's name or IP address"
        raise AddressError(f"unknown host '{host}' ({reason}): give {whose}") from error
    # Of a name with both: a receiver listens on IPv4 unless it is told otherwise.
    family, _, _, _, sockaddr = min(found, key=lambda each: each[0] != socket.AF_INET)
    return Endpoint(family, sockaddr)  # type: ignore[arg-type]  # AF_INET or AF_INET6 only
