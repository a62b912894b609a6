"""Sender and receiver with real sockets and threads, and a link between them that loses."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import ExitStack
from typing import Self

import pytest

from tests.link_tools import SIZE_WH, balanced, payload_of
from udpstream.core.ledger import StreamReport
from udpstream.protocol import Codec
from udpstream.receiver import Receiver
from udpstream.sender import Parity, Sender

_FRAMES = 90
_LENGTH = 40_000
_STEP_S = 0.05


class LossyRelay:
    """Hands datagrams on between a sender and a receiver, less those that it loses."""

    def __init__(self, receiver_port: int, loss: float, *, one_way: bool) -> None:
        self._receiver = ("127.0.0.1", receiver_port)
        self._loss = loss
        self._one_way = one_way
        self._random = random.Random(7)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(_STEP_S)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        sender = self._receiver  # until it has said something
        while not self._closing.is_set():
            try:
                datagram, source = self._socket.recvfrom(70_000)
            except TimeoutError:
                continue
            back = source == self._receiver
            sender = sender if back else source
            lost = self._random.random() < self._loss
            if not lost and not (back and self._one_way):
                self._socket.sendto(datagram, sender if back else self._receiver)


def stream_over(
    loss: float, *, fec: Parity, adapt: bool = False, one_way: bool = False
) -> tuple[dict[int, bytes], StreamReport]:
    """Send frames over such a link; return those that arrived, by number, and the books."""
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver("127.0.0.1", 0, queue_frames=_FRAMES))
        relay = stack.enter_context(LossyRelay(receiver.port, loss, one_way=one_way))
        sender = stack.enter_context(
            Sender("127.0.0.1", relay.port, fps=60.0, fec=fec, adapt=adapt, offload="off")
        )
        end_s = time.monotonic() + 1.0
        while not sender.receiver_is_there and time.monotonic() < end_s:
            time.sleep(_STEP_S)
        assert sender.receiver_is_there is not one_way
        for number in range(_FRAMES):
            payload = payload_of(number, _LENGTH)
            sender.send_encoded(payload, Codec.JPEG, SIZE_WH, time.monotonic())
            time.sleep(1 / 60)
        frames: dict[int, bytes] = {}
        while (frame := receiver.read(timeout=0.5)) is not None:
            assert not frames or frame.number > max(frames)
            frames[frame.number] = bytes(frame.payload)
        (report,) = receiver.reports()
    assert balanced(report.ledger)
    return frames, report


def check_payloads(frames: dict[int, bytes]) -> None:
    for number, payload in frames.items():
        assert payload == payload_of(number, _LENGTH).tobytes()


def test_what_is_lost_is_asked_for_and_comes() -> None:
    frames, report = stream_over(0.05, fec="off")
    check_payloads(frames)
    # 29 datagrams each: without repair 23 % would be whole.
    assert len(frames) >= 0.9 * _FRAMES
    assert report.ledger.repaired_by_nack > 0.5 * _FRAMES
    assert report.ledger.repaired_by_parity == report.ledger.parity_bytes == 0
    assert report.ledger.repair_bytes > 0
    assert report.ledger.link.lost_share == pytest.approx(0.05, abs=0.03)


def test_parity_follows_the_loss_and_asking_does_the_rest() -> None:
    frames, report = stream_over(0.1, fec="auto", adapt=True)
    check_payloads(frames)
    assert len(frames) >= 0.9 * _FRAMES
    assert report.ledger.repaired_by_parity > 0.3 * _FRAMES
    assert 0 < report.ledger.parity_bytes < report.ledger.payload_bytes


def test_one_way_only_parity_repairs_alone() -> None:
    frames, report = stream_over(0.05, fec=40.0, one_way=True)
    check_payloads(frames)
    assert len(frames) >= 0.9 * _FRAMES
    assert report.ledger.repaired_by_parity > 0.5 * _FRAMES
    assert report.ledger.repaired_by_nack == report.ledger.repair_bytes == 0


def test_a_link_that_loses_nothing_is_left_alone() -> None:
    frames, report = stream_over(0.0, fec="auto", adapt=True)
    check_payloads(frames)
    # A busy machine can hold a datagram up for so long that it is asked for; nothing more.
    assert len(frames) >= 0.95 * _FRAMES
    ledger = report.ledger
    assert ledger.parity_bytes + ledger.repair_bytes < 0.1 * ledger.payload_bytes
