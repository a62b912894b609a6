"""Large datagrams on Ethernet: IP cuts them up, and one lost fragment loses them whole."""

from __future__ import annotations

import struct
from collections import OrderedDict

from udpstream.core.simulated import IP_OVERHEAD_BYTES, SimulatedLink

ETHERNET_MTU_BYTES = 1_500
_IP_BYTES = 20
_UDP_BYTES = 8
_FRAGMENT_BYTES = (ETHERNET_MTU_BYTES - _IP_BYTES) // 8 * 8  # of what is cut up, UDP's header too
_MOST_INCOMPLETE = 64  # datagrams: Linux bounds them by memory, 4 MiB

_TAG = struct.Struct(">IH")  # datagram, place in it


def fragments_of(datagram_bytes: int) -> int:
    """How many fragments carry a datagram of so many bytes of UDP payload."""
    return -(-(datagram_bytes + _UDP_BYTES) // _FRAGMENT_BYTES)


class FragmentingLink:
    """A simulated link whose datagrams travel as IP fragments, each lost on its own."""

    def __init__(self, link: SimulatedLink) -> None:
        self._link = link
        self._number = 0
        # Datagrams of which fragments are under way, and the places that have not come: what
        # was cut up lies here, and only tags of the fragments' sizes travel.
        self._incomplete: OrderedDict[int, tuple[bytes, set[int]]] = OrderedDict()

    def send(self, datagram: bytes, now: float) -> None:
        """Put a datagram on the link, in fragments."""
        count = fragments_of(len(datagram))
        self._incomplete[self._number] = datagram, set(range(count))
        if len(self._incomplete) > _MOST_INCOMPLETE:
            self._incomplete.popitem(last=False)
        left = len(datagram) + _UDP_BYTES
        for place in range(count):
            size = min(left, _FRAGMENT_BYTES)
            left -= size
            # The link adds UDP's and IP's headers to each, and fragments have IP's alone.
            padded = max(size + _IP_BYTES - IP_OVERHEAD_BYTES, _TAG.size)
            self._link.send(_TAG.pack(self._number, place).ljust(padded), now)
        self._number += 1

    def deliver(self, now: float) -> list[bytes]:
        """Take off the datagrams of which the last missing fragment has arrived."""
        whole = []
        for fragment in self._link.deliver(now):
            number, place = _TAG.unpack_from(fragment)
            if number not in self._incomplete:  # a copy of what is whole, or given up
                continue
            datagram, missing = self._incomplete[number]
            missing.discard(place)
            if not missing:
                del self._incomplete[number]
                whole.append(datagram)
        return whole

    def next_delivery(self) -> float | None:
        """When the next fragment arrives; None if none is under way."""
        return self._link.next_delivery()
