"""The cores joined on simulated time, beyond what test_link.py asks of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.link_tools import WALL_S, JoinedCores, frames_in, make_receiver, payload_of
from udpstream.bench.rehearsal import ClassicRehearsal, Rehearsal
from udpstream.core.sending import SenderCore
from udpstream.core.simulated import SimulatedLink
from udpstream.protocol import ClassicGeometry, Codec, Nack, parse_control

SMALL = ClassicGeometry((40, 20), 400)  # six chunks


class Tapped(SimulatedLink):
    """A link that keeps what was sent over it, and when."""

    def __init__(self, seed: int, loss: float = 0.0) -> None:
        super().__init__(seed, loss=loss, delay_s=0.001)
        self.taken: list[tuple[float, bytes]] = []

    def send(self, datagram: bytes, now: float) -> None:
        self.taken.append((now, datagram))
        super().send(datagram, now)


def nacks_over(back: Tapped) -> int:
    return sum(isinstance(parse_control(datagram), Nack) for _, datagram in back.taken)


@pytest.mark.parametrize("repair", [True, False])
def test_without_repair_nothing_is_asked_for(repair: bool) -> None:
    there, back = SimulatedLink(1, loss=0.1, delay_s=0.001), Tapped(2)
    sender = SenderCore(
        epoch=1, session=1, datagram_bytes=124, interval_s=0.01, wall_offset_s=WALL_S
    )
    cores = Rehearsal(sender, make_receiver(), there, back, repair=repair)
    cores.run_until(0.3)
    for number in range(50):
        cores.send_frame(payload_of(number), Codec.JPEG, (640, 480))
        cores.run_until(cores.now + 0.01)
    assert (nacks_over(back) > 0) == repair
    assert any(len(datagram) == 116 for _, datagram in back.taken)  # it is reported all the same
    assert 0 < len(frames_in(cores.events)) <= 50
    assert cores.wire_bytes > 50 * 1000


def test_a_frame_leaves_at_the_senders_pace() -> None:
    there = Tapped(3)
    cores = JoinedCores(there, SimulatedLink(4), datagram_bytes=1400)
    payload = payload_of(0, 400_000)  # no receiver has told its buffer: bursts of 46 datagrams
    cores.send_frame(payload, Codec.JPEG, (640, 480))
    times_s = sorted({now for now, datagram in there.taken if len(datagram) > 1000})
    gaps_s = np.diff(times_s)
    assert len(times_s) == 7
    assert gaps_s == pytest.approx(1.5e-3)
    cores.run(0.1)
    (frame,) = frames_in(cores.events)
    assert np.array_equal(frame.whole.payload, payload)
    assert frame.received_at - WALL_S == pytest.approx(6 * 1.5e-3 + 0.001, abs=1e-5)


def test_classic_frames_pass_too() -> None:
    cores = ClassicRehearsal(
        make_receiver(wire="classic", classic=SMALL), SimulatedLink(5, delay_s=0.001)
    )
    for number in range(20):
        cores.send_frame(payload_of(number, SMALL.frame_bytes), SMALL, 1 / 30)
        cores.run_until((number + 1) / 30)
    cores.close()
    frames = frames_in(cores.events)
    assert [frame.whole.number for frame in frames] == list(range(20))
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.whole.payload, payload_of(number, SMALL.frame_bytes))
    assert cores.wire_bytes == 20 * (SMALL.frame_bytes + SMALL.chunks)
