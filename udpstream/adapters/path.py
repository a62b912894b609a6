"""The way to another machine: what it lets through, and what it says of what it does not."""

from __future__ import annotations

import errno
import select
import socket
import sys
import time
from enum import Enum

from udpstream.adapters.address import Endpoint
from udpstream.core.stream import host_port
from udpstream.errors import AddressError

# linux/in.h and in6.h, netinet/in.h of macOS, ws2ipdef.h; Python's socket module names few.
# Level, option and value that forbid fragments, by system and family.
_NO_FRAGMENTS = {
    ("linux", socket.AF_INET): (socket.IPPROTO_IP, 10, 2),
    ("linux", socket.AF_INET6): (socket.IPPROTO_IPV6, 23, 2),
    ("darwin", socket.AF_INET): (socket.IPPROTO_IP, 28, 1),
    ("darwin", socket.AF_INET6): (socket.IPPROTO_IPV6, 62, 1),
    ("win32", socket.AF_INET): (socket.IPPROTO_IP, 14, 1),
    ("win32", socket.AF_INET6): (socket.IPPROTO_IPV6, 14, 1),
}
_MTU = {  # Linux alone tells the path's
    ("linux", socket.AF_INET): (socket.IPPROTO_IP, 14),
    ("linux", socket.AF_INET6): (socket.IPPROTO_IPV6, 24),
}
_ROOM_BYTES = 1 << 16


class Silence(Enum):
    """Why no answer came."""

    REFUSED = "refused"  # the machine said that nothing listens there
    TOO_LARGE = "too large"  # the datagram does not go there in one piece
    BLOCKED = "blocked"  # this machine's own rules
    NO_WAY = "no way"  # no route, or the link is down
    NOTHING = "nothing"  # in the time given


_SILENCES = {
    errno.ECONNREFUSED: Silence.REFUSED,
    errno.ECONNRESET: Silence.REFUSED,  # Windows
    errno.EMSGSIZE: Silence.TOO_LARGE,
    errno.EACCES: Silence.BLOCKED,
    errno.EPERM: Silence.BLOCKED,
}


class PathSocket:
    """A socket that sends whole packets to one place, and hears what becomes of them."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect.

        Raises:
            AddressError: there is no way there.
        """
        self.endpoint = endpoint
        self._socket = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        self._system = sys.platform, endpoint.family
        self.forbids_fragments = self._forbid_fragments()
        try:
            self._socket.connect(endpoint.sockaddr)
        except OSError as error:
            self._socket.close()
            raise AddressError(
                f"no way to {endpoint}: {error.strerror}. Check the network of this machine."
            ) from error
        self._socket.setblocking(False)

    @property
    def local(self) -> str:
        """The address of this machine from which datagrams go there."""
        address = self._socket.getsockname()
        return host_port(*address[:2]).rpartition(":")[0]

    @property
    def mtu_bytes(self) -> int | None:
        """The largest IP packet that goes there whole, as far as is known by now."""
        option = _MTU.get(self._system)
        if option is None:
            return None
        try:
            return self._socket.getsockopt(*option)
        except OSError:
            return None

    def exchange(self, datagram: bytes, timeout_s: float) -> bytes | Silence:
        """Send a datagram and wait for one that comes back, or for the reason why not."""
        until_s = time.monotonic() + timeout_s
        try:
            while self._receive() is not None:
                pass  # an answer that came too late for the question before
            self._socket.send(datagram)
            while (left_s := until_s - time.monotonic()) > 0:
                select.select([self._socket], [], [], left_s)
                answer = self._receive()
                if answer is not None:
                    return answer
        except OSError as error:
            return _SILENCES.get(error.errno or 0, Silence.NO_WAY)
        return Silence.NOTHING

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _receive(self) -> bytes | None:
        try:
            return self._socket.recv(_ROOM_BYTES)
        except BlockingIOError:
            return None

    def _forbid_fragments(self) -> bool:
        option = _NO_FRAGMENTS.get(self._system)
        if option is None:
            return False
        try:
            self._socket.setsockopt(*option)
        except OSError:
            return False
        return True
