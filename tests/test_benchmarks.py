"""The harness with tiny settings: that it measures, not what."""

import json
import multiprocessing as mp
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks import pictures
from benchmarks.link import Measurement, highest_whole, main
from benchmarks.peer import Load, Peer, Received, Run, Sent, run_pair
from benchmarks.peer_bare import Bare
from benchmarks.peer_classic import Classic
from benchmarks.peer_gstreamer import GStreamer
from benchmarks.peer_imagezmq import ImageZmq
from benchmarks.peer_udpstream import UdpStream
from benchmarks.report import Table, Value, machine, markdown, show, write_json
from benchmarks.schedule import WARM_UP_FRAMES, due_numbers
from benchmarks.soak import Books, drift
from tests import classic_receive, classic_send
from udpstream.bench.pictures import moving_pictures

RAW = Load((640, 480), "raw", 30.0, 0.3, seed=1)
JPEG = Load((640, 480), "jpeg", 30.0, 0.3, seed=1)


def run(peer: Peer, load: Load) -> Run:
    if missing := peer.missing():
        pytest.skip(f"{peer.name}: {missing}")
    return peer.run(load)


# -- pictures -----------------------------------------------------------------


def test_pictures_are_seeded_and_as_large_as_photographs() -> None:
    first, again = (moving_pictures((640, 480), seed=3) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert 30_000 < len(pictures.encode_jpeg(first[0], 80)) < 60_000


@pytest.mark.parametrize("number", [0, 1, 12_345, (1 << 24) - 1])
def test_a_strip_survives_jpeg(number: int) -> None:
    picture = moving_pictures((640, 480), seed=1)[0]
    pictures.write_strip(picture, number)
    decoded = pictures.decode_jpeg(pictures.encode_jpeg(picture, 80))
    assert pictures.read_strip(decoded) == number


def test_words_show_a_torn_frame() -> None:
    frame, next_frame = moving_pictures((640, 480), seed=1)[:2]
    pictures.write_words(frame, 70_000)
    pictures.write_words(next_frame, 70_001)
    assert pictures.read_words(frame.tobytes()) == (70_000, True)
    flat = frame.reshape(-1)
    flat[460_800 : 460_800 + 1_376] = next_frame.reshape(-1)[460_800 : 460_800 + 1_376]
    assert pictures.read_words(frame.tobytes()) == (70_000, False)


# -- figures ------------------------------------------------------------------


def test_due_numbers_keep_the_schedule() -> None:
    assert list(due_numbers(100.0, 0.1)) == list(range(WARM_UP_FRAMES + 10))


def test_a_runs_figures() -> None:
    sent = [Sent(n, n * 0.1, 0.002) for n in range(5)]
    received = [Received(n, n * 0.1 + 0.010, 0.003, intact=n != 2) for n in (0, 1, 2, 4)]
    total_ms, net_ms = Run(sent, received).latencies_ms()
    assert total_ms == pytest.approx([10.0] * 4)
    assert net_ms == pytest.approx([5.0] * 4)
    assert Run(sent, received).intact_share == 3 / 5
    assert Run(sent, received).sent_fps == pytest.approx(10.0)
    assert Run(sent, []).received_fps == 0.0


class UpTo:
    """A peer that loses a frame above some rate; flat out is 4,000 a second."""

    name = "up to"

    def __init__(self, most_fps: float) -> None:
        self.most_fps = most_fps

    def missing(self) -> str | None:
        return None

    def run(self, load: Load) -> Run:
        fps = load.fps or 4000.0
        sent = [Sent(n, n / fps, 0.0) for n in range(100)]
        arrived = sent if fps <= self.most_fps else sent[1:]
        return Run(sent, [Received(n, at_s, 0.0, intact=True) for n, at_s, _ in arrived])


@pytest.mark.parametrize(("most_fps", "close_to"), [(9999.0, 4000.0), (700.0, 680.0), (40.0, 39.0)])
def test_the_highest_whole_rate_is_found(most_fps: float, close_to: float) -> None:
    best = highest_whole(UpTo(most_fps), replace(RAW, fps=None))
    assert best is not None
    assert close_to <= best.received_fps <= min(most_fps, 4000.1)


def test_no_whole_rate_is_none() -> None:
    assert highest_whole(UpTo(5.0), replace(RAW, fps=None)) is None


def test_soak_books_match_what_is_told_in_any_order() -> None:
    books = Books()
    first = WARM_UP_FRAMES
    early = Received(first + 1, 2.010, 0.003, intact=True)
    assert books.add([Sent(0, 0.0, 0.0), Sent(first, 1.0, 0.002)], [early]) == []
    assert books.add([Sent(first + 1, 2.0, 0.002)], []) == pytest.approx([5.0])
    assert books.unmatched == 1


def test_drift_is_from_the_first_third_to_the_last() -> None:
    rows: list[dict[str, Value]] = [
        {"sender MB": None, "receiver MB": None, "net p50 ms": 1.0 + n, "net p99 ms": 9.0}
        for n in range(6)
    ]
    p50, p99 = drift(rows, Books()).rows  # and none for memory, which is not known
    assert p50 == {"figure": "net p50 ms", "first third": 1.5, "last third": 5.5, "change": 4.0}
    assert p99["change"] == 0.0


# -- peers --------------------------------------------------------------------


class Wire:
    """A socket to oneself that loses the datagrams it is told to."""

    def __init__(self, lost: set[int]) -> None:
        self.lost = lost
        self.datagrams: list[bytes] = []
        self.sent = 0

    def sendto(self, datagram: bytes, address: tuple[str, int]) -> None:
        if self.sent not in self.lost:
            self.datagrams.append(datagram)
        self.sent += 1

    def recv(self, most: int) -> bytes:
        if not self.datagrams:
            raise TimeoutError
        return self.datagrams.pop(0)[:most]


@pytest.mark.parametrize(("lost", "intact"), [(set(), 3), ({25}, 2), ({39}, 2)])
def test_the_classic_scripts_speak_to_each_other(lost: set[int], intact: int) -> None:
    wire = cast(socket.socket, Wire(lost))
    for number in range(3):
        classic_send.send_frame(wire, ("127.0.0.1", 9505), classic_send.picture(number))
    shown = list(classic_receive.frames(wire))
    assert len(shown) == (2 if 39 in lost else 3)  # without index 19 nothing is shown
    whole = [classic_send.picture(number).tobytes() for number in range(3)]
    assert sum(frame in whole for frame in shown) == intact


def test_bare_moves_bytes() -> None:
    assert run(Bare(), replace(RAW, fps=None)).received_fps > 0


def test_classic_shows_frames_whole_or_torn() -> None:
    shown = run(Classic(), RAW)
    sent = {frame.number for frame in shown.sent}
    assert len(sent) == 9
    assert {frame.number for frame in shown.received if frame.intact} <= sent


def test_the_link_carries_raw_frames() -> None:
    carried = run(UdpStream(), RAW)
    assert carried.received
    assert all(frame.intact for frame in carried.received)


@pytest.mark.parametrize("peer", [UdpStream(), GStreamer(), ImageZmq()], ids=lambda peer: peer.name)
def test_jpeg_peers_give_latencies(peer: Peer) -> None:
    carried = run(peer, JPEG)
    total_ms, net_ms = carried.latencies_ms()
    assert len(total_ms) > 0
    assert np.all(net_ms > 0)
    assert np.all(net_ms < total_ms)


def broken_send(load: Load, port: int) -> Iterator[Sent]:
    yield Sent(0, 0.0, 0.0)
    raise OSError("no such camera")


def idle_receive(load: Load, port: int, ready: Event, stop: Event) -> Iterator[Received]:
    ready.set()
    stop.wait(5)
    yield from ()


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such camera"):
        run_pair(broken_send, idle_receive, RAW)
    assert not mp.active_children()


# -- report -------------------------------------------------------------------


def test_report_in_all_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = [Table("Throughput", "A note.", [{"peer": "udpstream", "GB/s": 4.123, "%": None}])]
    head = machine("python -m benchmarks.link", seed=7)
    assert head["seed"] == "7"
    show(head, tables)
    assert "udpstream" in capsys.readouterr().out
    assert "| udpstream | 4.12 | - |" in markdown(head, tables)
    write_json(tmp_path / "figures.json", head, tables)
    assert json.loads((tmp_path / "figures.json").read_text())["tables"][0]["rows"][0]["%"] is None


def test_the_command_prints_markdown_for_peers_that_are_absent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(GStreamer, "missing", lambda self: "apt install gstreamer")
    monkeypatch.setattr(ImageZmq, "missing", lambda self: "pip install imagezmq")
    monkeypatch.setattr(UdpStream, "run", lambda self, load: UpTo(9999.0).run(load))
    monkeypatch.setattr(sys, "argv", ["link", "--markdown"])
    main(only=[Measurement.LATENCY], repeats=1, seconds=0.1, as_markdown=True)
    out = capsys.readouterr().out
    assert "imagezmq, REQ/REP: not installed (pip install imagezmq) | - | - |" in out
    assert "| 640x480 at 120 fps | udpstream | 0.00 |" in out
