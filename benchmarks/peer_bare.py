"""The bare loop: what UDP_SEGMENT and UDP_GRO give when nobody looks at the bytes."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

from benchmarks.peer import HOST, Load, Received, Run, Sent, run_pair
from benchmarks.schedule import WARM_UP_FRAMES

_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104  # linux/udp.h
_SEGMENT_BYTES = 1_400
_SEND_BYTES = 46 * _SEGMENT_BYTES  # the most that is below 65,507
_RECEIVE_BUFFER_BYTES = 4 << 20


_TIMEOUT = struct.pack("@ll", 0, 100_000)  # a timeval, 0.1 s


class Bare:
    """Sends as fast as it goes; a "frame" is a frame's worth of bytes received."""

    name = "bare UDP_SEGMENT/UDP_GRO loop"

    def missing(self) -> str | None:
        """Linux only."""
        return None if sys.platform == "linux" else "needs Linux"

    def run(self, load: Load) -> Run:
        """Carry bytes for the load's time."""
        return run_pair(_send, _receive, load)


def _frame_bytes(load: Load) -> int:
    return load.size_wh[0] * load.size_wh[1] * 3


def _send(load: Load, port: int) -> Iterator[Sent]:
    frame_bytes, data = _frame_bytes(load), bytes(_SEND_BYTES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((HOST, port))
        udp.setsockopt(_SOL_UDP, _UDP_SEGMENT, _SEGMENT_BYTES)
        end_s = time.perf_counter() + load.seconds
        number, total = WARM_UP_FRAMES, 0
        while (now_s := time.perf_counter()) < end_s:
            udp.send(data)
            total += _SEND_BYTES
            if total >= frame_bytes:
                total -= frame_bytes
                yield Sent(number, now_s, 0.0)
                number += 1


def _receive(load: Load, port: int, ready: Event, stop: Event) -> Iterator[Received]:
    frame_bytes, room = _frame_bytes(load), bytearray(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        udp.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)  # no poll before reads
        udp.bind((HOST, port))
        ready.set()
        number, total = WARM_UP_FRAMES, 0
        while not stop.is_set():
            try:
                while True:
                    total += udp.recvmsg_into([room], 64)[0]
                    if total >= frame_bytes:
                        total -= frame_bytes
                        yield Received(number, time.perf_counter(), 0.0, intact=True)
                        number += 1
            except BlockingIOError:
                continue
