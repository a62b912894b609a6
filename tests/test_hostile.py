"""Peers that say well-formed nonsense, in any order: nothing may be raised, and books balance.

`test_receiving` and `test_sending` throw bytes; here the headers are sound, and lie.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.link_tools import balanced, make_receiver
from udpstream.core.adaptation import Adaptation
from udpstream.core.fec import Fec
from udpstream.core.packetize import Packetizer
from udpstream.core.receiving import ReceiverCore
from udpstream.core.sending import SenderCore
from udpstream.protocol import (
    MAX_PROBES,
    NO_ESTIMATE_US,
    Ask,
    Bye,
    Codec,
    Control,
    Hello,
    Nack,
    Probe,
    ProbeForm,
    Report,
    Welcome,
    pack_control,
    pack_frame_header,
)

SOURCES = [("192.0.2.1", 4000), ("192.0.2.2", 4000)]
EDGES = [0, 1, 2, 3, 7, 255, 256, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]


class Liar:
    """Sends a receiver what no honest sender does."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.base = self.random.choice([0, 5, 2**32 - 3])
        self.packetizers = [Packetizer(7, 60), Packetizer(7, 1400), Packetizer(8, 40)]

    def datagrams(self) -> NDArray[np.uint8]:
        kind = self.random.random()
        if kind < 0.7:
            return self._frame()
        return np.frombuffer(pack_control(self._control(kind)), np.uint8)[None, :]

    def _frame(self) -> NDArray[np.uint8]:
        pick = self.random
        number = self.base + pick.randint(0, 12) if pick.random() < 0.9 else pick.choice(EDGES)
        parity = pick.choice([None, lambda _: 2, lambda data: data])
        payload = np.full(pick.choice([1, 5, 100, 900, 3000, 30_000]), number % 256, np.uint8)
        frame = pick.choice(self.packetizers).packetize(
            payload, Codec.JPEG, (pick.choice([1, 640]), 4), number, pick.choice(EDGES), parity
        )
        rows = frame.whole().copy()
        order = [at for at in range(len(rows)) if pick.random() < 0.8]
        if pick.random() < 0.3:
            pick.shuffle(order)
        if pick.random() < 0.2 and order:
            for _ in range(3):  # a field of the header: index, block, chunks, parity
                rows[pick.choice(order), pick.choice([0, 3, 4, 5])] = pick.choice([0, 1, 254, 255])
        return rows[order]

    def _control(self, kind: float) -> Control:
        pick = self.random
        if kind < 0.88:
            return Hello(
                epoch=pick.choice([7, 8]),
                session=pick.choice([1, 1, 1, 2]),
                clock_us=pick.choice(EDGES),
                next_frame=pick.choice([self.base + pick.randint(0, 20), pick.choice(EDGES)]),
                interval_us=pick.choice([0, 33_333, 2**32 - 1]),
                offset_us=pick.choice([0, -(2**63), 2**63 - 1, 250]),
                offset_error_us=pick.choice([10, NO_ESTIMATE_US, NO_ESTIMATE_US - 1]),
            )
        if kind < 0.96:
            return Probe(
                pick.choice([7, 8]), pick.choice([1, 2, 2**32 - 1]), pick.randrange(MAX_PROBES),
                pick.choice([1, 10, 65_535]), pick.choice(list(ProbeForm)), pick.choice(EDGES),
            )  # fmt: skip
        return Bye(pick.choice([7, 8]), pick.choice(EDGES))


def check_books(core: ReceiverCore) -> None:
    for report in core.reports():
        assert balanced(report.ledger)
        link = report.ledger.link
        assert min(link.expected, link.received, link.runs, link.reordered, link.duplicates) >= 0


@pytest.mark.parametrize("seed", range(25))
def test_no_sender_makes_a_receiver_raise_or_unbalances_its_books(seed: int) -> None:
    liar, core, now = Liar(seed), make_receiver(), 100.0
    for _ in range(60):
        datagrams = liar.datagrams()
        if len(datagrams):
            core.feed(liar.random.choice(SOURCES), datagrams, 0, now)
        now += liar.random.choice([0.0, 0.0, 0.001, 0.03, 0.2])
        if liar.random.random() < 0.5:
            core.handle_timer(now)
            core.next_timer()
            core.expected()
        core.events()
        core.datagrams_to_send()
        check_books(core)
    core.close(now)


def test_a_stale_datagram_with_another_layout_counts_for_nothing() -> None:
    """Four of them used to end a receiver: what was reordered fell below zero."""
    core = make_receiver()
    lies = [(0, 0, 1, 10), (0, 254, 255, 2550), (1, 0, 1, 10), (0, 0, 1, 10)]
    for frame, index, data, length in lies:
        header = pack_frame_header(index, 0, data, 0, 7, frame, length, 0, 64, 48, Codec.JPEG)
        core.feed(SOURCES[0], np.frombuffer(header + bytes(10), np.uint8)[None, :], 0, 1.0)
    check_books(core)
    core.handle_timer(1.5)
    (report,) = core.reports()
    assert (report.ledger.link.expected, report.ledger.link.received) == (2, 2)


def test_a_count_of_frames_that_cannot_be_is_not_believed() -> None:
    core = make_receiver()
    packetizer = Packetizer(7, 1400)

    def feed(datagrams: NDArray[np.uint8], now: float) -> None:
        core.feed(SOURCES[0], datagrams, 0, now)

    def hello(next_frame: int) -> NDArray[np.uint8]:
        said = Hello(7, 1, 1, next_frame, 33_333, 0, 0)
        return np.frombuffer(pack_control(said), np.uint8)[None, :]

    payload = np.zeros(100, np.uint8)
    feed(packetizer.packetize(payload, Codec.JPEG, (64, 48), 0, 0).whole(), 1.0)
    for next_frame in (2**64 - 1, 1 + 2**31 + 1):
        feed(hello(next_frame), 1.1)
        core.handle_timer(2.0)
        assert core.reports()[0].ledger.sent == 1
    feed(hello(1 + 2**31), 2.1)
    core.handle_timer(3.0)
    (report,) = core.reports()
    assert (report.ledger.sent, report.ledger.total_lost) == (1 + 2**31, 2**31)


class LyingReceiver:
    """Sends a sender what no honest receiver does."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number, self.clock_us = 0, 10**6
        self.counts = dict.fromkeys(
            ("expected", "received", "runs", "reordered", "kernel_dropped", "wire_bytes",
             "delivered", "lost"), 10,
        )  # fmt: skip

    def says(self, frames: int) -> Control:
        pick, kind = self.random, self.random.random()
        if kind < 0.75:
            return self._report(frames)
        if kind < 0.85:
            return Nack(7, (Ask(frames % 2**32, pick.choice([0, 1]), 0, pick.choice([0, 200])),))
        if kind < 0.97:
            echo_us, received_us, sent_us = (pick.choice(EDGES) for _ in range(3))
            buffer_bytes = pick.choice([0, 1, 212_992, 2**32 - 1])
            return Welcome(7, echo_us, received_us, sent_us, buffer_bytes)
        return Bye(7, 0)

    def _report(self, frames: int) -> Report:
        pick = self.random
        self.number += pick.choice([1, 1, 1, 0, 2])
        self.clock_us += pick.choice([200_000, 200_000, 1, 60_000_000])
        for name in self.counts:
            if pick.random() < 0.5:
                more = pick.choice([0, 1, 50, 1000, 10**6])
                self.counts[name] = min(self.counts[name] + more, 2**64 - 1)
        if pick.random() < 0.8:
            self.counts["received"] = min(self.counts["received"], self.counts["expected"])
        arrived_us = pick.choice([self.clock_us, self.clock_us - 1000, 0, 2**64 - 1])
        return Report(
            epoch=7, number=self.number, clock_us=self.clock_us,
            frame=pick.choice([max(frames - 1, 0), 0, 99]), arrived_us=arrived_us, duplicates=0,
            jitter_us=pick.choice([0, 2**32 - 1]), receive_buffer_bytes=1, waiting=0, partial=0,
            **self.counts,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_no_receiver_makes_a_sender_raise_or_hang(seed: int) -> None:
    liar = LyingReceiver(seed)
    pick = liar.random
    fec = pick.choice([Fec(), Fec(), Fec(30), Fec(max_percent=0), Fec(max_percent=10)])
    core = SenderCore(
        epoch=7, session=1, datagram_bytes=1400, interval_s=pick.choice([None, 1 / 30]),
        wall_offset_s=1e9, adaptation=Adaptation(quality=80, fec=fec),
    )  # fmt: skip
    now = 1.0
    for _ in range(120):
        if core.adaptation.admit(now):
            payload = np.zeros(pick.choice([1, 1377, 5000, 100_000]), np.uint8)
            frame, pace = core.packetize(payload, Codec.JPEG, (64, 48), now, now)
            frame.whole()
            if pace is not None:
                assert pace.burst >= 1
                assert 0 <= pace.takes_s(len(frame)) < 2.5
            core.frame_sent(now)
            core.adaptation.frame_encoded(len(payload), core.adaptation.quality, 1.0)
        else:
            core.adaptation.frame_left_out()
        for _ in range(pick.randint(0, 3)):
            core.receive(pack_control(liar.says(core.frames_sent)), now)
        assert all(len(repair) for repair in core.repairs())
        assert isinstance(core.adaptation.describe(), str)
        core.hello_due(now)
        now += pick.choice([0.001, 0.03, 0.2, 1.0])
