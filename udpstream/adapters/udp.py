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
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.address import Endpoint, resolve
from udpstream.core.streams import Address
from udpstream.errors import AddressError

Offload: TypeAlias = Literal["auto", "on", "off"]
_Ancillary: TypeAlias = list[tuple[int, int, bytes]]
_Read: TypeAlias = tuple[int, _Ancillary, int, Address]  # as `recvmsg_into` returns it

if sys.platform == "linux":
    import fcntl

# linux/udp.h, asm-generic/socket.h and sockios.h; Python's socket module does not name them.
_SOL_UDP = 17
_UDP_SEGMENT = 103
_UDP_GRO = 104
_SO_RXQ_OVFL = 40
_SO_RCVBUFFORCE = 33
_SIOCGSTAMPNS = 0x8907
_MAX_SEGMENTS = 64  # UDP_MAX_SEGMENTS before Linux 6.9, which took 128
_MAX_SEND_BYTES = 65_000  # below 65,535 less IP, IPv6 and UDP headers
_LARGEST_READ_BYTES = 1 << 16  # a GRO read needs this much room, or it truncates

# A few reads are taken together, so that numpy's cost a call is shared; more would fall
# out of the L2 cache between the kernel's copy and ours.
_ROOM_BYTES = 4 * _LARGEST_READ_BYTES
_SELECT_FILES = 1 << 10  # FD_SETSIZE
_MOST_READS = 256  # at a time: a flood of tiny datagrams must not keep the reader from its timers

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
            raise AddressError(
                f"no way to {self.endpoint}: {error.strerror}. Check the network of this machine."
            ) from error
        self._poll = _poller(self._socket.fileno())
        self._segment_bytes = 0
        self._may_segment = offload != "off" and _takes(self._socket, _UDP_SEGMENT, 0)
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
            if not _DONTWAIT and not self._poll(0.0):
                return None
            try:
                return self._socket.recv(_LARGEST_READ_BYTES, _DONTWAIT)
            except BlockingIOError:
                return None
            except OSError as error:
                # Nobody listens there (yet), or a firewall or router refuses: ICMP told so.
                if error.errno not in _TOLD:
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
            if error.errno in _EARLIER and tries < 2:
                return self._send(data, tries + 1)  # that told of one before; this has not left
            if self._segment_bytes and error.errno in _NO_SEGMENTS:
                # The route's MTU is below the datagram, or its device cannot.
                self._may_segment = False
                self._set_segment(0)
                return False
            if error.errno == errno.EMSGSIZE and not tries:
                return self._send(data, 1)  # a router told of its MTU; now the kernel can cut
            # A full queue, or a link that is down: what is lost there is counted there.
            if error.errno not in _PASSING:
                raise AddressError(self._send_problem(error, memoryview(data).nbytes)) from error
        return True

    def _send_problem(self, error: OSError, size: int) -> str:
        if error.errno == errno.EMSGSIZE:
            return f"a datagram of {size} bytes is too large for the way to {self.endpoint}"
        return f"cannot send to {self.endpoint}: {error.strerror}"

    def _set_segment(self, size: int) -> bool:
        if size != self._segment_bytes:
            try:
                self._socket.setsockopt(_SOL_UDP, _UDP_SEGMENT, size)
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


class Batch(NamedTuple):
    """Datagrams of one size from one source, in the order in which they came.

    Attributes:
        source: their address.
        datagrams: `(n, D)` uint8, a view that the next read overwrites.
        kernel_dropped: datagrams of whatever source that had found no room before the
            first of these came; between them, none was dropped.
    """

    source: Address
    datagrams: NDArray[np.uint8]
    kernel_dropped: int


class UdpReceiver:
    """A bound socket that hands over all that waits in it.

    Attributes:
        endpoint: where it is bound, with the port that the kernel chose for port 0.
        receive_buffer_bytes: what the kernel granted, in its own accounting.
        kernel_dropped: datagrams that found no room in that buffer, so far.
        truncated: datagrams that were empty, or larger than any of ours can be.
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
        self.kernel_dropped = 0
        self.truncated = 0
        wanted = resolve(host, port, passive=True)
        self._socket = socket.socket(wanted.family, socket.SOCK_DGRAM)
        try:
            self._bind(wanted)
            self.receive_buffer_bytes = self._ask_for_buffer(receive_buffer_bytes)
            self.coalesces = offload != "off" and _takes(self._socket, _UDP_GRO, 1)
            if offload == "on" and not self.coalesces:
                raise AddressError(
                    "receive offload (UDP_GRO) is not to be had on this system: use --offload auto"
                )
        except BaseException:
            self._socket.close()
            raise
        if sys.platform == "linux":
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            self.arrived_at()  # who asks for the first time gets nothing, but for the next
        self._socket.setblocking(False)
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._only_socket = [self._socket.fileno()]
        self._poll = _poller(self._socket.fileno(), self._woken.fileno())
        self.endpoint = Endpoint(wanted.family, self._socket.getsockname())
        self._room = np.empty(_ROOM_BYTES, np.uint8)
        self._room_view = self._room.data
        self._receive: Callable[[tuple[memoryview], int], _Read] = getattr(
            self._socket, "recvmsg_into", self._receive_plain
        )
        self._ancillary: _Ancillary = []  # of the latest read, and what it said:
        self._segment_bytes = 0

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
        """What waits in the socket, as far as the room goes.

        Datagrams of one size from one source that follow each other, with no drop between,
        come as one batch, however many reads it took. Take each batch before asking for the
        next.
        """
        source: Address | None = None  # of the batch that is being gathered
        size = start = end = 0
        dropped = self.kernel_dropped
        before: _Read | None = None
        for _ in range(_MOST_READS):
            got = self._read_into(self._room_view[end : end + _LARGEST_READ_BYTES])
            if got is None:
                break
            if got == before and end > start:  # nearly always: a full read like the one before
                end += got[0]
                continue
            nbytes, ancillary, flags, sender = got
            if not nbytes or flags & _TRUNCATED:
                self.truncated += 1
                continue
            before = got
            if ancillary != self._ancillary:
                self._note(ancillary)
            sent_size = self._segment_bytes or nbytes
            if sent_size != size or sender != source or self.kernel_dropped != dropped:
                if end > start:
                    yield from self._batches(source, start, end, size, dropped)
                source, size, start, dropped = sender, sent_size, end, self.kernel_dropped
            end += nbytes
            # A shorter datagram can only be the last of a coalesced read, and a coalesced read
            # with room for more was a burst's last: use it before looking for the next.
            burst_ends = self._segment_bytes > 0 and nbytes < _LARGEST_READ_BYTES - 2 * size
            if nbytes % size or burst_ends:
                yield from self._batches(source, start, end, size, dropped)
                start = end
        if end > start:
            yield from self._batches(source, start, end, size, dropped)

    def arrived_at(self) -> float | None:
        """When the kernel got the datagram that was read last, in Unix time; None if unknown.

        Linux only. It costs a microsecond, and nothing with each read, as an ancillary time
        stamp would.
        """
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # there was none yet
                seconds, nanoseconds = _TIMESPEC.unpack(
                    fcntl.ioctl(self._socket.fileno(), _SIOCGSTAMPNS, bytes(_TIMESPEC.size))
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

    def _batches(
        self, source: Address | None, start: int, end: int, size: int, dropped: int
    ) -> Iterator[Batch]:
        """What was gathered: datagrams of one size, and a shorter one if there is a rest."""
        assert source is not None
        rest = (end - start) % size
        if end - rest > start:
            yield Batch(source, self._room[start : end - rest].reshape(-1, size), dropped)
        if rest:
            yield Batch(source, self._room[end - rest : end].reshape(1, rest), dropped)

    def _read_into(self, room: memoryview) -> _Read | None:
        """One system call that reads something; None if nothing waits, or the room is too small."""
        if len(room) < _LARGEST_READ_BYTES:
            return None
        for _ in range(_MOST_READS):
            try:
                return self._receive((room,), _ANCILLARY_BYTES)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in _TOLD:  # an answer of ours found nobody
                    raise
        return None

    def _receive_plain(self, rooms: tuple[memoryview], _ancillary_bytes: int) -> _Read:
        """What `recvmsg_into` does, where there is none."""
        nbytes, sender = self._socket.recvfrom_into(rooms[0])
        return nbytes, [], 0, sender

    def _note(self, ancillary: _Ancillary) -> None:
        """Take what the kernel adds to a read: the size of a datagram, and its drops so far."""
        self._ancillary = ancillary
        self._segment_bytes = 0
        for _, kind, value in ancillary:
            if kind == _UDP_GRO:
                self._segment_bytes = int.from_bytes(value[:4], sys.byteorder)
            elif kind == _SO_RXQ_OVFL:  # 32 bits
                dropped = int.from_bytes(value[:4], sys.byteorder)
                self.kernel_dropped += (dropped - self.kernel_dropped) % (1 << 32)

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
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, asked)
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
        udp.setsockopt(_SOL_UDP, option, value)
    except OSError:
        return False
    return True


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


_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = 64  # room for the two that we asked for
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
_TRUNCATED = int(getattr(socket, "MSG_TRUNC", 0))  # as an IntFlag, each `&` takes 1.5 us
_NOBODY_THERE = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
# What may be told of a datagram that left before: by ICMP, or by this machine's own rules.
_EARLIER = _NOBODY_THERE | {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN,
                            errno.ENETDOWN, errno.ENETRESET, errno.ENOPROTOOPT, errno.EPROTO,
                            errno.EACCES, errno.EPERM}  # fmt: skip
_TOLD = _EARLIER | {errno.EMSGSIZE}
_NO_SEGMENTS = frozenset({errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP})
_PASSING = _NOBODY_THERE | {errno.ENOBUFS, errno.EAGAIN, errno.ENETUNREACH, errno.EHOSTUNREACH,
                            errno.ENETDOWN, errno.EHOSTDOWN, errno.EPERM}  # fmt: skip
