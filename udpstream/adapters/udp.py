"""UDP sockets that move many datagrams a system call, where the kernel can.

Linux takes up to 64 equal datagrams in one `send` (UDP_SEGMENT) and hands over as many
in one `recvmsg` (UDP_GRO): 10 GB/s of 1,400-byte datagrams in Python against 0.4 GB/s
one by one. Elsewhere, and where the probe fails, the same calls go one by one.
"""

from __future__ import annotations

import contextlib
import errno
import math
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.address import Endpoint, resolve
from udpstream.adapters.batches import LARGEST_READ_BYTES, Batch, BatchReader, Read
from udpstream.adapters.udp_numbers import (
    DONTWAIT,
    EARLIER,
    NO_SEGMENTS,
    PASSING,
    SIOCGSTAMPNS,
    SO_RCVBUFFORCE,
    SO_RXQ_OVFL,
    SOL_UDP,
    TOLD,
    UDP_GRO,
    UDP_SEGMENT,
)
from udpstream.core.streams import Address
from udpstream.errors import AddressError

Offload: TypeAlias = Literal["auto", "on", "off"]

if sys.platform == "linux":
    import fcntl

_MAX_SEGMENTS = 64  # UDP_MAX_SEGMENTS before Linux 6.9, which took 128
_MAX_SEND_BYTES = 65_000  # below 65,535 less IP, IPv6 and UDP headers
_SELECT_FILES = 1 << 10  # FD_SETSIZE
_TIMESPEC = struct.Struct("@ll")

DEFAULT_RECEIVE_BUFFER_BYTES = 64 << 20  # holds a raw 4K frame that is sent at once
_SEND_BUFFER_BYTES = 1 << 20  # small, so that what waits in it adds little latency


class UdpSender:
    """A socket that sends to one place, and hears what comes back from there."""

    def __init__(self, host: str, port: int, *, offload: Offload = "auto") -> None:
        """Resolve and connect.

        Args:
            host: name or address; multicast groups too.
            port: UDP port.
            offload: use UDP_SEGMENT: where it works, always, or never.

        Raises:
            AddressError: the host is unknown or there is no way to it, or offload is "on"
                and this system has none.
        """
        _check_offload(offload)
        self.endpoint = resolve(host, port)
        self._socket = socket.socket(self.endpoint.family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if self.endpoint.is_multicast:
            self._keep_to_this_network()
        try:
            self._socket.connect(self.endpoint.sockaddr)
        except OSError as error:
            self._socket.close()
            raise AddressError(f"no way to {self.endpoint}: {_reason(error)}") from error
        self._poll = _poller(self._socket.fileno())
        self._segment_bytes = 0
        self._may_segment = offload != "off" and _takes(self._socket, UDP_SEGMENT, 0)
        if offload == "on" and not self._may_segment:
            self._socket.close()
            raise AddressError(
                "segmentation offload (UDP_SEGMENT) is not to be had on this system: "
                "use --offload auto"
            )

    @property
    def segments(self) -> bool:
        """Whether UDP_SEGMENT is in use."""
        return self._may_segment

    def most_together(self, datagram_bytes: int) -> int:
        """How many datagrams of that size leave in one system call; at least 1."""
        return max(1, min(_MAX_SEGMENTS, _MAX_SEND_BYTES // datagram_bytes))

    def send_all(self, datagrams: NDArray[np.uint8]) -> None:
        """Send `(n, D)` uint8, C-contiguous: each row a datagram, in order.

        A receiver that is not there is not an error: datagrams get lost.

        Raises:
            AddressError: they are too large for the way there, or the way is gone.
        """
        count, size = datagrams.shape
        a_call = self.most_together(size)
        if count > a_call:
            for start in range(0, count, a_call):
                self.send_all(datagrams[start : start + a_call])
        elif count < 2 or not self._send_segments(datagrams):
            for row in datagrams:
                self.send(row.data)

    def send(self, datagram: bytes | memoryview) -> None:
        """Send one datagram.

        Raises:
            AddressError: as `send_all`.
        """
        if self._segment_bytes:
            self._set_segment(0)
        self._send(datagram)

    def wait(self, timeout_s: float) -> None:
        """Wait until a datagram comes back, or so many seconds have passed."""
        self._poll(timeout_s)

    def receive(self) -> bytes | None:
        """A datagram that came back, or None if none waits."""
        while True:
            if not DONTWAIT and not self._poll(0.0):
                return None
            try:
                return self._socket.recv(LARGEST_READ_BYTES, DONTWAIT)
            except BlockingIOError:
                return None
            except OSError as error:
                # Nobody listens there (yet), or a firewall or router refuses: ICMP told so.
                if error.errno not in TOLD:
                    raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send_segments(self, datagrams: NDArray[np.uint8]) -> bool:
        """Send up to a system call's worth, or lose it; False where they have to go one by one."""
        size = datagrams.shape[1]
        if size != self._segment_bytes and not (self._may_segment and self._set_segment(size)):
            return False
        return self._send(datagrams.data)

    def _send(self, data: bytes | memoryview, tries: int = 0) -> bool:
        """Send, or lose, once; False where segmentation was refused and nothing left."""
        try:
            self._socket.send(data)
        except OSError as error:
            if error.errno in EARLIER and tries < 2:
                return self._send(data, tries + 1)  # that told of one before; this has not left
            if self._segment_bytes and error.errno in NO_SEGMENTS:
                # The route's MTU is below the datagram, or its device cannot.
                self._may_segment = False
                self._set_segment(0)
                return False
            if error.errno == errno.EMSGSIZE and not tries:
                return self._send(data, 1)  # a router told of its MTU; now the kernel can cut
            # A full queue, or a link that is down: what is lost there is counted there.
            if error.errno not in PASSING:
                raise AddressError(self._send_problem(error, memoryview(data).nbytes)) from error
        return True

    def _send_problem(self, error: OSError, size: int) -> str:
        if error.errno == errno.EMSGSIZE:
            return f"a datagram of {size} bytes is too large for the way to {self.endpoint}"
        return f"cannot send to {self.endpoint}: {error.strerror}"

    def _set_segment(self, size: int) -> bool:
        if size != self._segment_bytes:
            try:
                self._socket.setsockopt(SOL_UDP, UDP_SEGMENT, size)
            except OSError:
                self._may_segment = False
                return False
            self._segment_bytes = size
        return True

    def _keep_to_this_network(self) -> None:
        """Let no router pass a group's datagrams on."""
        if self.endpoint.family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)


class UdpReceiver:
    """A bound socket that hands over all that waits in it.

    Attributes:
        endpoint: where it is bound, with the port that the kernel chose for port 0.
        receive_buffer_bytes: what the kernel granted, in its own accounting.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        receive_buffer_bytes: int = DEFAULT_RECEIVE_BUFFER_BYTES,
        offload: Offload = "auto",
    ) -> None:
        """Bind, join the group where `host` is one, and size the receive buffer.

        Args:
            host: address to bind, or a multicast group to join.
            port: UDP port, 0 for any free one.
            receive_buffer_bytes: what to ask for, in the kernel's accounting.
            offload: use UDP_GRO: where it works, always, or never.

        Raises:
            AddressError: the address cannot be bound, or offload is "on" and this system
                has none.
        """
        _check_offload(offload)
        if not 0 < receive_buffer_bytes < 1 << 31:
            raise AddressError(
                f"a receive buffer of {receive_buffer_bytes} bytes: give 1 to 2,147,483,647"
            )
        wanted = resolve(host, port, passive=True)
        self._socket = socket.socket(wanted.family, socket.SOCK_DGRAM)
        try:
            self._bind(wanted)
            self.receive_buffer_bytes = self._ask_for_buffer(receive_buffer_bytes)
            self.coalesces = offload != "off" and _takes(self._socket, UDP_GRO, 1)
            if offload == "on" and not self.coalesces:
                raise AddressError(
                    "receive offload (UDP_GRO) is not to be had on this system: use --offload auto"
                )
        except BaseException:
            self._socket.close()
            raise
        if sys.platform == "linux":
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            self.arrived_at()  # who asks for the first time gets nothing, but for the next
        self._socket.setblocking(False)
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._only_socket = [self._socket.fileno()]
        self._poll = _poller(self._socket.fileno(), self._woken.fileno())
        self.endpoint = Endpoint(wanted.family, self._socket.getsockname())
        self._reader = BatchReader(getattr(self._socket, "recvmsg_into", self._receive_plain))

    @property
    def kernel_dropped(self) -> int:
        """Datagrams that found no room in the receive buffer, so far."""
        return self._reader.kernel_dropped

    @property
    def truncated(self) -> int:
        """Datagrams that were empty, or larger than any of ours can be, so far."""
        return self._reader.truncated

    def wait(self, timeout_s: float) -> bool:
        """Wait until something can be read; False if nothing came in time, or `wake` did."""
        ready = self._poll(timeout_s)
        if ready == self._only_socket:
            return True
        if self._woken.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                while self._woken.recv(64):
                    pass
        return self._socket.fileno() in ready

    def wake(self) -> None:
        """End a `wait` in another thread; one that is not waiting ends its next at once."""
        with contextlib.suppress(OSError):  # full: it is awake; closed: nobody waits
            self._waker.send(b"!")

    def read(self) -> Iterator[Batch]:
        """What waits in the socket, as `BatchReader.read` tells."""
        return self._reader.read()

    def arrived_at(self) -> float | None:
        """When the kernel got the datagram that was read last, in Unix time; None if unknown.

        Linux only. It costs a microsecond, and nothing with each read, as an ancillary time
        stamp would.
        """
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # there was none yet
                seconds, nanoseconds = _TIMESPEC.unpack(
                    fcntl.ioctl(self._socket.fileno(), SIOCGSTAMPNS, bytes(_TIMESPEC.size))
                )
                return float(seconds + nanoseconds * 1e-9)
        return None

    def send(self, datagram: bytes, to: Address) -> None:
        """Send one datagram back; if it cannot leave, it is lost like any other."""
        with contextlib.suppress(OSError):
            self._socket.sendto(datagram, to)

    def close(self) -> None:
        """Close the socket."""
        for each in (self._socket, self._woken, self._waker):
            each.close()

    def _receive_plain(self, rooms: tuple[memoryview], _ancillary_bytes: int) -> Read:
        """What `recvmsg_into` does, where there is none."""
        nbytes, sender = self._socket.recvfrom_into(rooms[0])
        return nbytes, [], 0, sender

    def _bind(self, wanted: Endpoint) -> None:
        try:
            if wanted.is_multicast:
                # Several receivers on one machine may listen to one group.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._join(wanted)
            elif wanted.family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._socket.bind(wanted.sockaddr)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressError(
                    f"port {wanted.sockaddr[1]} is in use by another program, perhaps another "
                    "receiver: stop it, or choose another port with HOST:PORT"
                ) from error
            raise AddressError(
                f"cannot listen on {wanted}: {error.strerror}. Give an address of this machine, "
                "or 0.0.0.0 for all of them."
            ) from error

    def _join(self, group: Endpoint) -> None:
        packed = socket.inet_pton(group.family, group.sockaddr[0].partition("%")[0])
        if group.family == socket.AF_INET6:
            scope = group.sockaddr[3] if len(group.sockaddr) == 4 else 0
            request = packed + struct.pack("@I", scope)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            request = packed + bytes(4)  # on whatever interface the routes say
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

    def _ask_for_buffer(self, wanted_bytes: int) -> int:
        # Linux doubles what is set, to leave room for its own records, and tells the double:
        # that is what it holds datagrams against, so that is what we count in.
        asked = wanted_bytes // 2 if sys.platform == "linux" else wanted_bytes
        if sys.platform == "linux":
            try:  # past net.core.rmem_max, where we may
                self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, asked)
                asked = 0
            except OSError:
                pass
        while asked:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, asked)
                break
            except OSError:  # macOS refuses what Linux would cut down
                asked //= 2
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def _takes(udp: socket.socket, option: int, value: int) -> bool:
    """Set an option of Linux's UDP; False where it cannot be set."""
    if sys.platform != "linux":
        return False
    try:
        udp.setsockopt(SOL_UDP, option, value)
    except OSError:
        return False
    return True


def _reason(error: OSError) -> str:
    """Why a socket cannot be connected, and what to do."""
    if error.errno == errno.EACCES:  # nothing leaves yet that a rule could refuse
        return (
            "a broadcast address is for none in particular. Name one machine, or a multicast "
            "group such as 239.255.0.1."
        )
    return f"{error.strerror}. Check the network of this machine."


def _check_offload(offload: str) -> None:
    if offload not in {"auto", "on", "off"}:
        raise AddressError(f"'{offload}' is no offload: give auto, on or off")


def _poller(*files: int) -> Callable[[float], list[int]]:
    """A function that waits so many seconds for input, and returns which files have some.

    `select` waits to the microsecond, `poll` to the millisecond; but on Unix `select` takes no
    file number above 1,023.
    """
    if not hasattr(select, "poll") or max(files) < _SELECT_FILES:
        return lambda timeout_s: select.select(files, (), (), timeout_s)[0]
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return lambda timeout_s: [file for file, _ in poll.poll(math.ceil(timeout_s * 1e3))]
