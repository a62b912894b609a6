"""A look at the way to a receiver: name, route, size of packets, firewall, clock."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from udpstream import __version__
from udpstream.adapters.address import Endpoint, resolve
from udpstream.adapters.path import Silence
from udpstream.bench.finding import Finding, receive_buffer
from udpstream.bench.reach import Reach, open_firewall
from udpstream.core.probing import version_numbers
from udpstream.errors import AddressError
from udpstream.protocol import HEADER_BYTES

_ASKS = 8  # of which the quickest tells the clocks' offset
_SLOW_MS = 10.0  # round trip on a local network
# UDP payloads of the packet sizes that are met: Ethernet, PPPoE, tunnels, IPv6's least.
_SIZES = (1472, 1464, 1432, 1372, 1332, 1232, 508)
_ANY_RECEIVER = "linux"  # what its machine is, it does not say


def look_at_way(host: str, port: int, datagram_bytes: int) -> Iterator[Finding]:
    """Yield what is found between here and a receiver, one by one."""
    try:
        endpoint = resolve(host, port)
    except AddressError as error:
        yield Finding("problem", "name", str(error))
        return
    yield Finding("ok", "name", f"{host} is {endpoint}")
    if endpoint.is_multicast:
        yield Finding(
            "warning", "receiver", "a group is not asked: who would answer?",
            ("udpstream doctor RECEIVER, with the own address of one of them",),
        )  # fmt: skip
        return
    try:
        reach = Reach(endpoint)
    except AddressError as error:
        yield Finding("problem", "route", str(error))
        return
    with reach:
        yield Finding("ok", "route", f"from {reach.path.local}")
        silence = reach.ask()
        if silence is not None:
            yield _unanswered(endpoint, silence)
            return
        for _ in range(_ASKS - 1):
            reach.ask()
        yield Finding("ok", "port", f"a receiver answers at {endpoint}")
        yield from _receiver(reach, datagram_bytes)
        yield _packets(reach, endpoint, datagram_bytes)


def _unanswered(endpoint: Endpoint, silence: Silence) -> Finding:
    port = endpoint.sockaddr[1]
    anywhere = "[::]" if endpoint.family == socket.AF_INET6 else "0.0.0.0"
    match silence:
        case Silence.REFUSED:
            return Finding(
                "problem", "port", f"refused: the machine is there, and no receiver on {port}",
                (f"on that machine: udpstream receive {anywhere}:{port}",),
            )  # fmt: skip
        case Silence.BLOCKED:
            return Finding(
                "problem", "port", f"this machine's firewall lets no UDP out to port {port}",
                (f"sudo ufw allow out {port}/udp",),
            )  # fmt: skip
        case Silence.NO_WAY | Silence.TOO_LARGE:
            return Finding(
                "problem", "route", f"there is no way to {endpoint.sockaddr[0]}",
                ("check the cable or Wi-Fi, and the address",),
            )  # fmt: skip
        case Silence.NOTHING:
            return Finding(
                "problem", "port",
                f"silence from {endpoint}: a firewall, no such machine, or a receiver with "
                "--wire classic",
                tuple(f"on that machine: {command}" for command in open_firewall(port)),
            )  # fmt: skip


def _receiver(reach: Reach, datagram_bytes: int) -> Iterator[Finding]:
    tally, clock = reach.tally, reach.clock
    assert tally is not None
    if clock is not None:
        round_trip_ms = 2 * clock.error_us / 1e3
        slow = round_trip_ms > _SLOW_MS
        yield Finding(
            "warning" if slow else "ok", "round trip", f"{round_trip_ms:.2f} ms at best",
            ("nearer to the access point, or by cable",) if slow else (),
        )  # fmt: skip
        ahead_ms = clock.offset_us / 1e3
        yield Finding(
            "ok", "clocks",
            f"the receiver's is {abs(ahead_ms):,.2f} ms {'ahead' if ahead_ms > 0 else 'behind'}, "
            f"within {clock.error_us / 1e3:.2f}; latencies take that into account",
        )  # fmt: skip
    found = receive_buffer(tally.receive_buffer_bytes, datagram_bytes, _ANY_RECEIVER)
    fixes = tuple(f"on that machine: {fix}" for fix in found.fixes)
    yield Finding(found.level, "its buffer", found.text, fixes)
    theirs, ours = tally.version, version_numbers(__version__)
    version = ".".join(map(str, theirs))
    if theirs == ours:
        yield Finding("ok", "its version", f"{version}, as here")
    else:
        yield Finding(
            "warning", "its version", f"{version}; here it is {__version__}",
            ("install the same udpstream on both machines",),
        )  # fmt: skip


def _packets(reach: Reach, endpoint: Endpoint, datagram_bytes: int) -> Finding:
    """Whether datagrams of that size arrive in one piece."""
    silence = reach.ask(datagram_bytes)
    mtu = reach.path.mtu_bytes
    known = "" if mtu is None else f"; the path's MTU is {mtu:,}"
    size = f"datagrams of {datagram_bytes:,} bytes"
    if silence is None:
        pieces = "in one piece" if reach.path.forbids_fragments else "(in how many pieces?)"
        return Finding("ok", "packets", f"{size} arrive {pieces}{known}")
    if silence is Silence.TOO_LARGE and mtu is not None:
        most = mtu - (48 if endpoint.family == socket.AF_INET6 else 28)
        return Finding(
            "warning", "packets", f"{size} are cut up{known}: one lost piece loses all",
            (f"udpstream send --datagram {most}",),
        )  # fmt: skip
    for smaller in _SIZES:
        if HEADER_BYTES < smaller < datagram_bytes and reach.ask(smaller) is None:
            return Finding(
                "problem", "packets", f"{size} do not arrive, and those of {smaller:,} do{known}",
                (f"udpstream send --datagram {smaller}",),
            )  # fmt: skip
    return Finding(
        "problem", "packets", f"{size} do not arrive, and small ones do{known}",
        ("udpstream send --datagram 508",),
    )  # fmt: skip
