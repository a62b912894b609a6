"""Is a receiver there? Asked by a trial of no datagrams, which leaves no trace at it."""

from __future__ import annotations

import os
import time
from typing import Self

from udpstream.adapters.address import Endpoint
from udpstream.adapters.path import PathSocket, Silence
from udpstream.core.clock import ClockEstimate, ClockFilter
from udpstream.errors import AddressError, DatagramError
from udpstream.protocol import (
    Control,
    Probe,
    ProbeForm,
    Tally,
    pack_control,
    parse_control,
)

_TRIES = 4
_TIMEOUT_S = 0.4  # each: longer than any local network takes
_GAP_S = 0.02


class WallClock:
    """Unix time that does not jump when somebody sets the clock."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def us(self) -> int:
        """The time in microseconds."""
        return round((time.monotonic() + self._offset_s) * 1e6)


class Reach:
    """Asks one place whether a receiver is there.

    Attributes:
        tally: the latest answer, or None.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect to it.

        Raises:
            AddressError: there is no way there.
        """
        self.tally: Tally | None = None
        self.path = PathSocket(endpoint)
        self._epoch = int.from_bytes(os.urandom(2))
        self._wall = WallClock()
        self._clock = ClockFilter()

    @property
    def clock(self) -> ClockEstimate | None:
        """The receiver's clock less ours; the error is half the least round trip."""
        return self._clock.best

    def ask(self, datagram_bytes: int = 0) -> Silence | None:
        """Ask until an answer comes, a few times; return why none came.

        Args:
            datagram_bytes: how long to ask; the least that can be asked with, if 0.
        """
        silence = Silence.NOTHING
        for _ in range(_TRIES):
            sent_us = self._wall.us()
            asked = Probe(self._epoch, 0, 0, 1, ProbeForm.CLOSING, sent_us)
            answer = self.path.exchange(
                pack_control(asked).ljust(datagram_bytes, b"\0"), _TIMEOUT_S
            )
            if isinstance(answer, Silence):
                silence = answer
                # One refusal may be of a receiver that is just about to start; and the first
                # router to say what is too large tells the size that is not.
                time.sleep(_GAP_S)
                continue
            heard_us = self._wall.us()
            message = parsed(answer)
            if isinstance(message, Tally) and message.epoch == self._epoch:
                self._clock.add(message.echo_us, message.received_us, message.sent_us, heard_us)
                self.tally = message
                return None
        return silence

    def close(self) -> None:
        """Close the socket."""
        self.path.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_firewall(port: int) -> list[str]:
    """Commands that let datagrams in, for the receiver's machine."""
    rule = "name=udpstream dir=in action=allow protocol=UDP"
    return [
        f"sudo ufw allow {port}/udp",
        f"sudo firewall-cmd --add-port={port}/udp",
        f"netsh advfirewall firewall add rule {rule} localport={port}",
    ]


def unreached(endpoint: Endpoint, silence: Silence) -> AddressError:
    """The error that says why a receiver that is needed cannot be had."""
    port = endpoint.sockaddr[1]
    match silence:
        case Silence.REFUSED:
            why = "nothing listens there. Start one on that machine: udpstream receive"
        case Silence.BLOCKED:
            why = f"this machine's own firewall forbids UDP to port {port}. Allow it"
        case Silence.NO_WAY | Silence.TOO_LARGE:
            why = "there is no way to it. Check the network of this machine"
        case Silence.NOTHING:
            why = (
                "silence. Is one running there (not with --wire classic), and may UDP pass its "
                f"firewall? To find out: udpstream doctor {endpoint}"
            )
    return AddressError(f"no receiver answers at {endpoint}: {why}")


def parsed(datagram: bytes) -> Control | None:
    """A control message, or None for any other bytes."""
    try:
        return parse_control(datagram)
    except DatagramError:
        return None
