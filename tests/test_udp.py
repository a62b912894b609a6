"""Real sockets on loopback; nothing here takes longer than the kernel does."""

from __future__ import annotations

import errno
import itertools
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from udpstream.adapters.udp import Offload, UdpReceiver, UdpSender
from udpstream.adapters.udp_numbers import SOL_UDP, UDP_SEGMENT
from udpstream.core.streams import Address
from udpstream.errors import AddressError

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a matter of Linux's sockets")
HAS_IPV6 = socket.has_ipv6
OFFLOADS: list[Offload] = ["on", "off"] if sys.platform == "linux" else ["off"]


Opened: TypeAlias = Callable[[Any], Any]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Marks sockets that are to be closed, however the test ends."""
    with ExitStack() as stack:
        yield lambda it: stack.enter_context(closing(it))


@pytest.fixture
def receiver(opened: Opened) -> UdpReceiver:
    return cast(UdpReceiver, opened(UdpReceiver("127.0.0.1", 0)))


def port_of(receiver: UdpReceiver) -> int:
    return receiver.endpoint.sockaddr[1]


def sender_to(receiver: UdpReceiver, offload: Offload = "auto") -> UdpSender:
    return UdpSender("127.0.0.1", port_of(receiver), offload=offload)


def read_all(receiver: UdpReceiver, count: int) -> list[tuple[Address, bytes, int]]:
    """So many datagrams, each with its source and the kernel's drops before it."""
    got: list[tuple[Address, bytes, int]] = []
    while len(got) < count and receiver.wait(2.0):
        for batch in receiver.read():
            assert batch.datagrams.ndim == 2
            got += [(batch.source, row.tobytes(), batch.kernel_dropped) for row in batch.datagrams]
    return got


def datagrams_of(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size), dtype=np.uint8)


# -- the same datagrams by whatever way ---------------------------------------


@pytest.mark.parametrize(("send_by", "receive_by"), list(itertools.product(OFFLOADS, OFFLOADS)))
@pytest.mark.parametrize(
    ("count", "size"),
    [(1, 1), (3, 25), (64, 1400), (200, 1400), (65, 1000), (5, 30_000), (2, 65_507)],
)  # fmt: skip
def test_offload_changes_nothing_in_the_datagrams(
    opened: Opened, count: int, size: int, send_by: Offload, receive_by: Offload
) -> None:
    receiver = opened(UdpReceiver("127.0.0.1", 0, offload=receive_by))
    sender = opened(sender_to(receiver, send_by))
    datagrams = datagrams_of(count, size)
    sender.send_all(datagrams)
    got = read_all(receiver, count)
    assert [row for _, row, _ in got] == [row.tobytes() for row in datagrams]
    assert sender.segments == (send_by == "on")


@pytest.mark.parametrize("offload", OFFLOADS)
def test_mixed_sizes_and_odd_tails_keep_their_order(opened: Opened, offload: Offload) -> None:
    receiver = opened(UdpReceiver("127.0.0.1", 0))
    sender = opened(sender_to(receiver, offload))
    expected = []
    for seed, (count, size) in enumerate([(30, 900), (1, 17), (30, 900), (10, 901), (3, 1)]):
        datagrams = datagrams_of(count, size, seed)
        sender.send_all(datagrams)
        sender.send(bytes(datagrams[0, : size // 2 + 1]))
        expected += [row.tobytes() for row in datagrams] + [bytes(datagrams[0, : size // 2 + 1])]
    assert [row for _, row, _ in read_all(receiver, len(expected))] == expected


@linux_only
def test_a_coalesced_read_with_a_shorter_last_datagram(receiver: UdpReceiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setsockopt(SOL_UDP, UDP_SEGMENT, 100)
        payload = datagrams_of(1, 950).tobytes()
        plain.sendto(payload, ("127.0.0.1", port_of(receiver)))
        plain.sendto(payload[:200], ("127.0.0.1", port_of(receiver)))
    got = [row for _, row, _ in read_all(receiver, 12)]
    assert [len(row) for row in got] == [100] * 9 + [50] + [100, 100]
    assert b"".join(got) == payload + payload[:200]


def test_two_senders_at_once_are_told_apart(opened: Opened, receiver: UdpReceiver) -> None:
    senders = [opened(sender_to(receiver)), opened(sender_to(receiver))]
    expected: list[list[bytes]] = [[], []]
    for turn in range(10):
        for number, sender in enumerate(senders):
            datagrams = datagrams_of(7, 500, seed=2 * turn + number)
            sender.send_all(datagrams)
            expected[number] += [row.tobytes() for row in datagrams]
    got = read_all(receiver, 140)
    for number, sender in enumerate(senders):
        source = sender._socket.getsockname()
        assert [row for from_, row, _ in got if from_ == source] == expected[number]


def test_answers_find_their_way_back(opened: Opened, receiver: UdpReceiver) -> None:
    sender = opened(sender_to(receiver))
    assert sender.receive() is None
    sender.send(b"hello")
    ((source, _, _),) = read_all(receiver, 1)
    receiver.send(b"welcome", source)
    assert sender.receive() == b"welcome"
    assert sender.receive() is None


def test_where_reads_cannot_be_told_not_to_wait(
    opened: Opened, receiver: UdpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("udpstream.adapters.udp.DONTWAIT", 0)  # Windows
    test_answers_find_their_way_back(opened, receiver)


@pytest.mark.skipif(not HAS_IPV6, reason="this Python has no IPv6")
def test_ipv6_and_ipv4_on_one_socket(opened: Opened) -> None:
    try:
        receiver = opened(UdpReceiver("::", 0))
    except AddressError as error:
        pytest.skip(f"no IPv6 here: {error}")
    for host in ("::1", "127.0.0.1"):
        sender = opened(UdpSender(host, port_of(receiver)))
        sender.send_all(datagrams_of(70, 1400))
        got = read_all(receiver, 70)
        assert [row for _, row, _ in got] == [row.tobytes() for row in datagrams_of(70, 1400)]
        receiver.send(b"back", got[0][0])
        assert sender.receive() == b"back"


@pytest.mark.parametrize("group", ["239.255.77.7", "ff15::7507"])
def test_multicast(opened: Opened, group: str) -> None:
    try:
        receivers = [opened(UdpReceiver(group, 0))]
        receivers.append(opened(UdpReceiver(group, port_of(receivers[0]))))
        sender = opened(UdpSender(group, port_of(receivers[0])))
    except AddressError as error:
        pytest.skip(f"no route for multicast here: {error}")
    sender.send_all(datagrams_of(5, 100))
    if not receivers[0].wait(0.5):
        pytest.skip("multicast does not come back on this machine")
    for receiver in receivers:
        got = read_all(receiver, 5)
        assert [row for _, row, _ in got] == [row.tobytes() for row in datagrams_of(5, 100)]


# -- waiting ------------------------------------------------------------------


def test_waiting_ends_at_its_time_or_when_woken(receiver: UdpReceiver) -> None:
    assert not receiver.wait(0.0)
    receiver.wake()
    begun_s = time.monotonic()
    assert not receiver.wait(30.0)
    assert time.monotonic() - begun_s < 10
    assert list(receiver.read()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a datagram came")
def test_the_kernel_tells_when_the_datagram_came_that_was_read_last(
    opened: Opened, receiver: UdpReceiver
) -> None:
    assert receiver.arrived_at() is None
    sender = opened(sender_to(receiver))
    for _ in range(2):
        sent_at = time.time()
        sender.send_all(datagrams_of(3, 100))
        came_at = time.time()
        time.sleep(0.05)
        read_all(receiver, 3)
        arrived_at = receiver.arrived_at()
        assert arrived_at is not None
        assert sent_at - 0.01 < arrived_at < came_at + 0.01


def test_empty_datagrams_are_counted_and_harm_nothing(receiver: UdpReceiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        for payload in (b"a", b"", b"b"):
            plain.sendto(payload, ("127.0.0.1", port_of(receiver)))
    assert [row for _, row, _ in read_all(receiver, 2)] == [b"a", b"b"]
    assert receiver.truncated == 1


# -- the kernel's drops -------------------------------------------------------


def test_a_lone_datagram_is_not_cut_to_the_size_of_those_before(
    opened: Opened, receiver: UdpReceiver
) -> None:
    sender = opened(sender_to(receiver))
    sender.send_all(datagrams_of(3, 40))
    sender.send(bytes(72))
    sender.send_all(datagrams_of(0, 40))  # nothing
    assert [len(row) for _, row, _ in read_all(receiver, 4)] == [40, 40, 40, 72]
    assert list(receiver.read()) == []
    assert receiver.truncated == 0


@linux_only
def test_no_batch_reaches_over_a_drop(opened: Opened) -> None:
    receiver = opened(UdpReceiver("127.0.0.1", 0, receive_buffer_bytes=32_768))
    sender = opened(sender_to(receiver, "off"))
    datagrams = datagrams_of(60, 1000)
    sender.send_all(datagrams)  # the first few fit
    taken = [receiver._socket.recv(2000) for _ in range(8)]
    sender.send(bytes(datagrams[0]))  # into the room that these left
    got = read_all(receiver, 1)
    fitted = len(taken) + len(got) - 1
    assert taken == [row.tobytes() for row in datagrams[:8]]
    assert 8 < fitted < 60
    assert [dropped for _, _, dropped in got] == [0] * (len(got) - 1) + [60 - fitted]
    assert receiver.kernel_dropped == 60 - fitted


def test_the_granted_buffer_is_told(opened: Opened) -> None:
    small = opened(UdpReceiver("127.0.0.1", 0, receive_buffer_bytes=100_000))
    assert small.receive_buffer_bytes == pytest.approx(100_000, rel=0.1)


# -- what goes wrong ----------------------------------------------------------


def test_a_port_in_use(receiver: UdpReceiver) -> None:
    with pytest.raises(
        AddressError, match=r"port \d+ is in use by another program.* choose another port"
    ):
        UdpReceiver("127.0.0.1", port_of(receiver))


def test_an_address_of_another_machine() -> None:
    with pytest.raises(AddressError, match=r"cannot listen on 192.0.2.1.*address of this machine"):
        UdpReceiver("192.0.2.1", 0)


def test_nobody_listening_is_no_error(opened: Opened) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sender = opened(UdpSender("127.0.0.1", port))
    for _ in range(5):
        sender.send_all(datagrams_of(10, 100))
        sender.send(b"x")
        assert sender.receive() is None


def test_a_receiver_that_comes_later_gets_all_from_then_on(opened: Opened) -> None:
    first = opened(UdpReceiver("127.0.0.1", 0))
    port = port_of(first)
    sender = opened(sender_to(first))
    first.close()
    sender.send_all(datagrams_of(3, 100))
    time.sleep(0.01)  # until ICMP has told that nobody is there
    second = opened(UdpReceiver("127.0.0.1", port))
    for _ in range(3):
        sender.send_all(datagrams_of(3, 100))
    assert len(read_all(second, 9)) == 9


def test_a_datagram_that_is_too_large_says_so(opened: Opened, receiver: UdpReceiver) -> None:
    sender = opened(sender_to(receiver))
    with pytest.raises(AddressError, match=r"70000 bytes is too large for the way to 127.0.0.1"):
        sender.send(bytes(70_000))


class Faulty:
    """A socket of which `send` and `recv` fail with the errors given, one a call."""

    def __init__(self, real: socket.socket, errors: list[int]) -> None:
        self._real = real
        self._errors = errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _fail(self) -> None:
        if self._errors and (number := self._errors.pop(0)):
            raise OSError(number, "as told")

    def send(self, data: bytes) -> int:
        self._fail()
        return self._real.send(data)

    def recv(self, size: int, flags: int) -> bytes:
        self._fail()
        return self._real.recv(size, flags)


@linux_only
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP])
def test_where_segmentation_is_refused_datagrams_go_one_by_one(
    opened: Opened, receiver: UdpReceiver, number: int
) -> None:
    sender = opened(sender_to(receiver, "on"))
    sender._socket = Faulty(sender._socket, [0, number])
    datagrams = datagrams_of(200, 1400)
    sender.send_all(datagrams)
    got = read_all(receiver, 200)
    assert [row for _, row, _ in got] == [row.tobytes() for row in datagrams]
    assert not sender.segments


@pytest.mark.parametrize(
    ("errors", "arrives"),
    [
        ([errno.ECONNREFUSED, errno.ECONNREFUSED], True),  # told of datagrams before
        ([errno.EMSGSIZE], True),  # likewise, and the kernel has learnt where to cut
        ([errno.ENOBUFS], False),
        ([errno.EHOSTUNREACH], True),
        ([errno.EACCES], True),
        ([errno.ENETUNREACH] * 3, False),  # not told of others, but so now
        ([errno.EHOSTUNREACH] * 3, False),
        ([errno.ECONNREFUSED] * 3, False),
        ([errno.EPERM] * 3, False),
    ],
)
def test_passing_trouble_is_no_error(
    opened: Opened, receiver: UdpReceiver, errors: list[int], arrives: bool
) -> None:
    sender = opened(sender_to(receiver))
    sender._socket = Faulty(sender._socket, errors)
    sender.send(b"first")
    sender.send(b"second")
    expected = [b"first", b"second"] if arrives else [b"second"]
    assert [row for _, row, _ in read_all(receiver, len(expected))] == expected


def test_lasting_trouble_is_an_address_error(opened: Opened, receiver: UdpReceiver) -> None:
    sender = opened(sender_to(receiver))
    sender._socket = Faulty(sender._socket, [errno.EACCES] * 3)
    with pytest.raises(AddressError, match=r"cannot send to 127.0.0.1:.* as told"):
        sender.send(b"x")


@pytest.mark.parametrize(
    "number",
    [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EMSGSIZE, errno.EACCES],
)
def test_what_icmp_tells_ends_no_listening(
    opened: Opened, receiver: UdpReceiver, number: int
) -> None:
    sender = opened(sender_to(receiver))
    sender.send(b"hello")
    ((source, _, _),) = read_all(receiver, 1)
    receiver.send(b"welcome", source)
    sender._socket = Faulty(sender._socket, [number, number])
    assert sender.receive() == b"welcome"


def test_offload_that_is_not_to_be_had(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "other")
    plain = opened(UdpReceiver("127.0.0.1", 0))
    sender = opened(sender_to(plain))
    assert (plain.coalesces, sender.segments) == (False, False)
    with pytest.raises(AddressError, match=r"UDP_GRO.*--offload auto"):
        UdpReceiver("127.0.0.1", 0, offload="on")
    with pytest.raises(AddressError, match=r"UDP_SEGMENT.*--offload auto"):
        sender_to(plain, "on")
    plain._reader.receive = plain._receive_plain
    sender.send_all(datagrams_of(30, 1400))
    assert len(read_all(plain, 30)) == 30
