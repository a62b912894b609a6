"""The classic scripts: 20 datagrams of 46,081 bytes a frame, shown when index 19 comes.

The receiver is written as those scripts write it: the picture grows chunk by chunk with
``+=``. The window is left out, which flatters them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

import numpy as np

from benchmarks.peer import (
    HOST,
    Load,
    Received,
    Run,
    Sent,
    frames_to_send,
    run_pair,
)
from benchmarks.pictures import read_words
from tests.classic_send import CHUNK_BYTES, send_frame
from udpstream.core.pacing import STOCK_RECEIVE_BUFFER_BYTES

CHUNKS = 20


class Classic:
    """Raw 640x480 only. Never asks for a socket buffer, and does not know a torn frame."""

    name = "classic scripts"

    def missing(self) -> str | None:
        """Needs nothing."""
        return None

    def run(self, load: Load) -> Run:
        """Carry raw frames."""
        return run_pair(_send, _receive, load)


def _send(load: Load, port: int) -> Iterator[Sent]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for number, frame_bgr in frames_to_send(load):
            captured_s = time.perf_counter()
            send_frame(udp, (HOST, port), frame_bgr)
            yield Sent(number, captured_s, 0.0)


def _receive(load: Load, port: int, ready: Event, stop: Event) -> Iterator[Received]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        if load.stock_buffer:  # Linux doubles what is set
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STOCK_RECEIVE_BUFFER_BYTES // 2)
        udp.settimeout(0.5)
        udp.bind((HOST, port))
        ready.set()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                yield from _shown(udp)


def _shown(udp: socket.socket) -> Iterator[Received]:
    chunks = [b"\xff" * CHUNK_BYTES for _ in range(CHUNKS)]
    while True:
        datagram = udp.recv(1 + CHUNK_BYTES)
        chunks[datagram[0]] = datagram[1:]
        if datagram[0] == CHUNKS - 1:
            picture = b""
            for chunk in chunks:
                picture += chunk
            frame = np.frombuffer(picture, np.uint8).reshape(480, 640, 3)
            number, intact = read_words(frame.reshape(-1).data)
            yield Received(number, time.perf_counter(), 0.0, intact)
