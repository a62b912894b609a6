"""The limits: what UDP_SEGMENT and UDP_GRO give when nobody looks at the bytes."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

import numpy as np

from benchmarks.peer import HOST, Load, Received, Run, Sent, frames_to_send, run_pair
from benchmarks.pictures import decode_jpeg, encode_jpeg, read_strip
from benchmarks.schedule import WARM_UP_FRAMES

_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104  # linux/udp.h
_SEGMENT_BYTES = 1_400
_SEND_BYTES = 46 * _SEGMENT_BYTES  # the most that is below 65,507
_RECEIVE_BUFFER_BYTES = 4 << 20


_TIMEOUT = struct.pack("@ll", 0, 100_000)  # a timeval, 0.1 s
_MOST_JPEG_BYTES = 16 << 20
_LENGTH = struct.Struct("<I")


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
    with _connected(port) as udp:
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
    with _bound(port) as udp:
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


class BareFrames:
    """Each JPEG as it is, its length before it: no headers, no checks, nothing copied.

    It knows no loss, and reads the socket straight to where the frame is decoded from.
    """

    name = "bare UDP_SEGMENT/UDP_GRO frames"

    def missing(self) -> str | None:
        """Linux only."""
        return Bare().missing()

    def run(self, load: Load) -> Run:
        """Carry JPEG frames."""
        return run_pair(_send_frames, _receive_frames, load)


def _send_frames(load: Load, port: int) -> Iterator[Sent]:
    with _connected(port) as udp:
        for number, frame_bgr in frames_to_send(load):
            captured_s = time.perf_counter()
            jpeg = encode_jpeg(frame_bgr, load.quality)
            encode_s = time.perf_counter() - captured_s
            udp.send(_LENGTH.pack(len(jpeg)))
            for start in range(0, len(jpeg), _SEND_BYTES):
                udp.send(jpeg.data[start : start + _SEND_BYTES])
            yield Sent(number, captured_s, encode_s)


def _receive_frames(_load: Load, port: int, ready: Event, stop: Event) -> Iterator[Received]:
    room = np.empty(_MOST_JPEG_BYTES, np.uint8)
    with _bound(port) as udp:
        ready.set()
        while not stop.is_set():
            try:
                udp.recv_into(room.data, _LENGTH.size)
                (length,) = _LENGTH.unpack(room[: _LENGTH.size].data)
                here = 0
                while here < length:
                    here += udp.recv_into(room.data[here:], 1 << 16)
            except BlockingIOError:
                continue
            begun_s = time.perf_counter()
            image = decode_jpeg(room[:length])
            decoded_s = time.perf_counter()
            yield Received(read_strip(image), decoded_s, decoded_s - begun_s, intact=True)


def _connected(port: int) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect((HOST, port))
    udp.setsockopt(_SOL_UDP, _UDP_SEGMENT, _SEGMENT_BYTES)
    return udp


def _bound(port: int) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    udp.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)  # no poll before reads
    udp.bind((HOST, port))
    return udp
