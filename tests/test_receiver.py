"""A receiver on real sockets, with our sender and with the plain scripts."""

from __future__ import annotations

import hashlib
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.classic_send import picture as classic_picture
from tests.classic_send import send_frame as classic_send_frame
from tests.link_tools import balanced, datagrams_of
from udpstream import AddressError, Codec, DatagramError, Frame, Receiver, Sender, Stream
from udpstream.adapters.batches import Batch
from udpstream.adapters.udp import UdpSender
from udpstream.core.ledger import Loss, StreamReport
from udpstream.core.receiving import Expected
from udpstream.errors import UdpStreamError
from udpstream.protocol import Report, parse_control

SIZE_WH = (320, 240)


def picture(number: int) -> NDArray[np.uint8]:
    """A picture that no other number has."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8)


def until(true: object, within_s: float = 5.0) -> bool:
    """Wait until a condition holds; False if it does not in time."""
    end_s = time.monotonic() + within_s
    while not true():  # type: ignore[operator]
        if time.monotonic() > end_s:
            return False
        time.sleep(0.002)
    return True


class Gathering:
    """A sink that keeps all that it is told."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.reports: list[StreamReport] = []
        self.updates: list[StreamReport] = []
        self.threads: set[str] = set()

    def deliver(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.threads.add(threading.current_thread().name)

    def ended(self, stream: Stream, report: StreamReport) -> None:
        assert report.stream == stream
        self.reports.append(report)

    def update(self, report: StreamReport) -> None:
        self.updates.append(report)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver("127.0.0.1", 0, say=lambda _: None) as receiver:
        yield receiver


# -- frames -------------------------------------------------------------------


@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("offload", ["auto", "off"])
def test_raw_frames_come_whole_and_equal(sinks: bool, offload: str) -> None:
    sink = Gathering()
    with (
        Receiver("127.0.0.1", 0, sinks=(sink,) if sinks else ()) as receiver,
        Sender("127.0.0.1", receiver.port, codec="raw", offload=offload) as sender,  # type: ignore[arg-type]
    ):
        for number in range(200):
            sender.send(picture(number))
            frame = receiver.read(5.0)
            assert frame is not None
            assert frame.number == number
            assert np.array_equal(frame.image, picture(number))
            assert (frame.codec, frame.size_wh) == (Codec.RAW, SIZE_WH)
            assert frame.payload.readonly
        (report,) = receiver.reports()
        assert (report.ledger.sent, report.ledger.delivered) == (200, 200)
        assert not +receiver.dropped
        assert receiver.skipped == 0
    assert sink.threads == ({"udpstream-receiver"} if sinks else set())


def test_jpeg_frames_come_as_they_were_sent(receiver: Receiver) -> None:
    with Sender("127.0.0.1", receiver.port, codec="jpeg", quality=70) as sender:
        for number in range(200):
            payload = np.random.default_rng(number).integers(0, 256, 3000 + number, np.uint8)
            sender.send_encoded(payload, Codec.JPEG, SIZE_WH, time.monotonic())
            frame = receiver.read(5.0)
            assert frame is not None
            assert bytes(frame.payload) == payload.tobytes()
        sender.send(np.zeros((240, 320, 3), np.uint8))
        frame = receiver.read(5.0)
        assert frame is not None
        assert frame.image.shape == (240, 320, 3)
        assert frame.image.max() < 5


def test_frames_tell_when_they_were_captured(receiver: Receiver) -> None:
    with Sender("127.0.0.1", receiver.port) as sender:
        assert until(lambda: sender.receiver_is_there)
        frame = None
        while frame is None or frame.latency_s is None:
            captured_s = time.monotonic() - 0.5
            captured_at = time.time() - 0.5
            sender.send(picture(0), captured_s)
            frame = receiver.read(5.0)
            assert frame is not None
        assert frame.captured_at == pytest.approx(captured_at, abs=0.1)
        assert frame.received_at == pytest.approx(time.time(), abs=1.0)
        assert frame.latency_s == pytest.approx(0.5, abs=0.2)


def test_two_senders_at_once_lose_nothing(receiver: Receiver) -> None:
    """What was read of one must not get lost when the other's frame is handed out."""
    got: dict[int, list[int]] = {}
    with (
        Sender("127.0.0.1", receiver.port, codec="raw") as first,
        Sender("127.0.0.1", receiver.port, codec="raw") as second,
    ):
        small = picture(0)[:40]
        for _ in range(150):
            first.send(small)
            second.send(small[:, :-1])
            for _ in range(2):
                frame = receiver.read(5.0)
                assert frame is not None
                got.setdefault(frame.stream.id, []).append(frame.number)
        cameras = {report.stream.camera for report in receiver.reports()}
    assert got == {1: list(range(150)), 2: list(range(150))}
    assert cameras == {"127.0.0.1", "127.0.0.1-2"}


def test_what_was_read_behind_a_readers_frame_is_not_lost() -> None:
    """Two senders' frames wait in the socket, each as large as a read; one reader takes them."""
    with Receiver("127.0.0.1", 0, queue_frames=200) as receiver:
        receiver._pump_lock.acquire()  # nobody reads the socket
        senders = [UdpSender("127.0.0.1", receiver.port) for _ in range(2)]

        def send_then_let_go() -> None:
            for number in range(8):
                for epoch, sender in enumerate(senders):
                    frame = datagrams_of(number, 46 * 1376, epoch=epoch, datagram_bytes=1400)
                    sender.send_all(frame)
            until(lambda: receiver._intake.reader_waits)
            receiver._pump_lock.release()

        thread = threading.Thread(target=send_then_let_go)
        thread.start()
        frames = [receiver.read(1.0) for _ in range(16)]
        thread.join()
        for sender in senders:
            sender.close()
        assert all(frames)
        for report in receiver.reports():
            assert (report.ledger.delivered, report.ledger.total_lost) == (8, 0)


# -- starts and stops ---------------------------------------------------------


def test_either_end_may_stop_and_start_in_any_order() -> None:
    port = None
    with Sender("127.0.0.1", free_port()) as sender:
        port = int(sender.address.rpartition(":")[2])
        sender.send(picture(0))  # nobody is there yet
        for life in range(3):
            with Receiver("127.0.0.1", port) as receiver:
                assert until(lambda: sender.receiver_is_there)
                sender.send(picture(life))
                assert receiver.read(5.0) is not None
            assert until(lambda: not sender.receiver_is_there)
            sender.send(picture(life))
    with Receiver("127.0.0.1", port) as receiver:
        for life in range(3):
            with Sender("127.0.0.1", port) as sender:
                sender.send(picture(life))
                frame = receiver.read(5.0)
                assert frame is not None
                assert (frame.number, frame.stream.id) == (0, life + 1)
                assert frame.stream.camera == "127.0.0.1"
            assert until(lambda: not receiver.live_reports())
        assert [report.ledger.sent for report in receiver.reports()] == [1, 1, 1]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_closing_wakes_who_reads_and_may_be_repeated(receiver: Receiver) -> None:
    got: list[object] = ["nothing yet"]

    def read() -> None:
        got[0] = receiver.read()

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.05)
    receiver.close()
    reader.join(5.0)
    assert not reader.is_alive()
    assert got == [None]
    receiver.close()
    assert receiver.read() is None
    assert list(receiver) == []
    assert receiver.error is None


def test_closing_while_readers_read_never_ends_in_an_error() -> None:
    for _ in range(30):
        receiver = Receiver("127.0.0.1", 0)
        errors: list[BaseException] = []

        def read(receiver: Receiver = receiver, errors: list[BaseException] = errors) -> None:
            try:
                while receiver.read(0.01) is not None or not receiver._closing.is_set():
                    pass
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        with Sender("127.0.0.1", receiver.port, codec="raw") as sender:
            for number in range(3):
                sender.send(picture(number))
            receiver.close()
        for reader in readers:
            reader.join(5.0)
        assert errors == []
        assert receiver.error is None


def test_reading_ends_in_time(receiver: Receiver) -> None:
    begun_s = time.monotonic()
    assert receiver.read(0.0) is None
    assert receiver.read(0.05) is None
    assert 0.05 <= time.monotonic() - begun_s < 2.0


def test_frames_that_are_there_can_still_be_read_after_closing() -> None:
    receiver = Receiver("127.0.0.1", 0)
    with Sender("127.0.0.1", receiver.port) as sender:
        for number in range(3):
            sender.send(picture(number))
        assert until(lambda: len(receiver._intake.queue) == 3)
        receiver.close()
    assert [frame.number for frame in receiver] == [0, 1, 2]


# -- a slow reader ------------------------------------------------------------


def test_a_slow_reader_skips_and_gets_the_latest() -> None:
    with (
        Receiver("127.0.0.1", 0, queue_frames=2) as receiver,
        Sender("127.0.0.1", receiver.port, codec="raw") as sender,
    ):
        for number in range(50):
            sender.send(picture(number))
        assert until(lambda: receiver.reports() and receiver.reports()[0].ledger.delivered == 50)
        numbers = []
        while (frame := receiver.read(0.0)) is not None:
            numbers.append(frame.number)
        assert numbers == [48, 49]
        assert receiver.skipped == 48


def test_a_receiver_for_sinks_alone_keeps_no_queue() -> None:
    sink = Gathering()
    with (
        Receiver("127.0.0.1", 0, queue_frames=0, sinks=(sink,)) as receiver,
        Sender("127.0.0.1", receiver.port) as sender,
    ):
        sender.send(picture(0))
        assert until(lambda: len(sink.frames) == 1)
        assert receiver.read(0.0) is None
        assert receiver.skipped == 0


# -- sinks --------------------------------------------------------------------


def test_sinks_get_frames_updates_and_the_last_report() -> None:
    sinks = Gathering(), Gathering()
    with Receiver("127.0.0.1", 0, sinks=sinks) as receiver:
        receiver._report_s = 0.0
        with Sender("127.0.0.1", receiver.port) as sender:
            for number in range(5):
                sender.send(picture(number))
            assert until(lambda: len(sinks[1].frames) == 5)
            receiver._report_s = 0.0
            assert until(lambda: sinks[1].updates)
        assert until(lambda: sinks[1].reports)
    for sink in sinks:
        assert [frame.number for frame in sink.frames] == list(range(5))
        assert [report.ledger.sent for report in sink.reports] == [5]
        assert all(balanced(report.ledger) for report in [*sink.updates, *sink.reports])


def test_closing_ends_the_streams_for_the_sinks() -> None:
    sink = Gathering()
    receiver = Receiver("127.0.0.1", 0, sinks=(sink,))
    with Sender("127.0.0.1", receiver.port) as sender:
        sender.send(picture(0))
        assert until(lambda: sink.frames)
        receiver.close()
        assert until(lambda: not sender.receiver_is_there)
    assert len(sink.reports) == 1


def test_what_a_sink_raises_ends_the_receiver_and_is_raised_by_read() -> None:
    class Full(Gathering):
        def deliver(self, frame: Frame) -> None:
            raise OSError("disk full")

    sink = Full()
    with Receiver("127.0.0.1", 0, sinks=(sink,)) as receiver:
        with Sender("127.0.0.1", receiver.port) as sender:
            sender.send(picture(0))
            with pytest.raises(OSError, match="disk full"):
                receiver.read(5.0)
        with pytest.raises(OSError, match="disk full"):
            receiver.read(5.0)
        assert isinstance(receiver.error, OSError)
    assert len(sink.reports) == 1  # the sinks are told of the end all the same


def test_a_line_for_a_person_is_said_once() -> None:
    said: list[str] = []
    with (
        Receiver("127.0.0.1", 0, max_frame_bytes=1000, say=said.append) as receiver,
        Sender("127.0.0.1", receiver.port, codec="raw") as sender,
    ):
        for number in range(3):
            sender.send(picture(number))
        small = picture(9)[:5, :60]
        sender.send(small)
        frame = receiver.read(5.0)
        assert frame is not None
        assert frame.number == 3
        assert receiver.reports()[0].ledger.lost == {Loss.OVERSIZED: 3}
    assert len(said) == 1
    assert "230,400 bytes from 127.0.0.1 are refused" in said[0]


# -- what does not belong -----------------------------------------------------


def test_random_bytes_at_a_high_rate_cost_the_good_stream_nothing(receiver: Receiver) -> None:
    """A batch of them with each frame: as many as the socket holds, on a busy machine too."""
    rng = np.random.default_rng(1)
    noise = [rng.bytes(int(size)) for size in rng.integers(1, 1500, 30)]
    noise += [bytes(rng.permutation(np.frombuffer(bytes(row), np.uint8)))
              for row in datagrams_of(0)][:10]  # fmt: skip
    frames, go, over = 100, threading.Semaphore(0), threading.Event()

    def disturb() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hostile:
            while go.acquire() and not over.is_set():
                for datagram in noise:
                    hostile.sendto(datagram, ("127.0.0.1", receiver.port))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        with Sender("127.0.0.1", receiver.port, codec="raw", fps=100, adapt=False) as sender:
            for number in range(frames):
                go.release()
                sender.send(picture(number))
                frame = receiver.read(5.0)
                assert frame is not None
                assert frame.number == number
                assert np.array_equal(frame.image, picture(number))
    finally:
        over.set()
        go.release()
        thread.join()
    (report,) = receiver.reports()
    assert (report.ledger.sent, report.ledger.delivered) == (frames, frames)
    assert 0 < sum(receiver.dropped.values()) <= frames * len(noise)


# -- where it listens ---------------------------------------------------------


def test_where_it_listens(receiver: Receiver) -> None:
    assert receiver.address == f"127.0.0.1:{receiver.port}"
    assert receiver.receive_buffer_bytes > 0
    with pytest.raises(AddressError, match="in use by another program"):
        Receiver("127.0.0.1", receiver.port)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"wire": "x"}, "'x' is no wire"),
        ({"offload": "x"}, "'x' is no offload"),
        ({"receive_buffer_bytes": 2**40}, "a receive buffer of 1099511627776 bytes"),
        ({"receive_buffer_bytes": 0}, "a receive buffer of 0 bytes"),
        ({"queue_frames": -1}, "a queue of -1 frames"),
        ({"latency_budget_s": float("nan")}, "a latency budget of nan s"),
        ({"max_frame_bytes": 0}, "frames of at most 0 bytes"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UdpStreamError, match=said):
        Receiver("127.0.0.1", 0, **settings)


def test_a_classic_size_that_cannot_be() -> None:
    with pytest.raises(DatagramError, match="one byte counts only 256"):
        Receiver("127.0.0.1", 0, classic_size_wh=(4000, 4000))


# -- the plain script ---------------------------------------------------------


def run_plain_sender(port: int, frames: int, fps: float) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("classic_send.py")
    return subprocess.Popen(
        [sys.executable, str(script), "127.0.0.1", str(port), str(frames), str(fps)]
    )


def check_classic(frames: list[Frame]) -> list[int]:
    """Assert that each is one of the plain script's pictures, whole; return which."""
    pictures = {hashlib.sha256(classic_picture(number).tobytes()).hexdigest(): number
                for number in range(256)}  # fmt: skip
    return [pictures[hashlib.sha256(frame.payload).hexdigest()] for frame in frames]


@pytest.mark.parametrize(("fps", "buffer_bytes"), [(60.0, 8 << 20), (0.0, 8 << 20), (0.0, 400_000)])
def test_the_plain_classic_sender(fps: float, buffer_bytes: int) -> None:
    """With a small buffer and no pace the kernel drops: frames are torn, and none is shown."""
    sink = Gathering()
    with Receiver(
        "127.0.0.1", 0, receive_buffer_bytes=buffer_bytes, queue_frames=0, sinks=(sink,)
    ) as receiver:
        with run_plain_sender(receiver.port, 50, fps) as process:
            assert process.wait(20.0) == 0
        assert until(lambda: len(sink.frames) == 50, 5.0 if fps else 0.5) or not fps
        dropped = receiver.dropped
    numbers = check_classic(sink.frames)
    assert numbers == sorted(set(numbers))
    assert all(frame.stream.wire == "classic" for frame in sink.frames)
    assert not any(count for name, count in dropped.items() if name != "kernel")
    if not dropped["kernel"]:  # but maybe at the end: that is told with the next datagram
        assert numbers == list(range(len(numbers)))
    for report in sink.reports:
        assert report.ledger.delivered == len(numbers)
        assert balanced(report.ledger)


def test_classic_frames_with_kernel_drops_between_are_never_mixed() -> None:
    """The receiver sleeps while chunks overflow its buffer: whole frames' worth is dropped."""
    sink = Gathering()
    with (
        Receiver("127.0.0.1", 0, receive_buffer_bytes=500_000, queue_frames=0, sinks=(sink,)
                 ) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain,
    ):  # fmt: skip
        for number in range(120):
            with receiver._intake.lock if number % 3 else threading.Lock():
                classic_send_frame(plain, ("127.0.0.1", receiver.port), classic_picture(number))
            if number % 5 == 0:
                time.sleep(0.002)
        time.sleep(0.05)
        assert receiver.dropped["kernel"] > 0
    numbers = check_classic(sink.frames)
    assert numbers == sorted(set(numbers))


class Closing(Gathering):
    """A sink that closes its receiver at the first frame."""

    receiver: Receiver

    def deliver(self, frame: Frame) -> None:
        super().deliver(frame)
        self.receiver.close()


def test_a_sink_may_close_its_receiver() -> None:
    sink = Closing()
    sink.receiver = Receiver("127.0.0.1", 0, sinks=[sink])
    with Sender("127.0.0.1", sink.receiver.port, codec="raw") as sender:
        sender.send(picture(0))
        assert until(lambda: sink.reports)
    sink.receiver.close()
    assert sink.receiver.error is None
    assert len(sink.frames) == 1


def test_a_sink_may_close_its_receiver_again_when_a_stream_ends() -> None:
    class Late(Gathering):
        receiver: Receiver

        def ended(self, stream: Stream, report: StreamReport) -> None:
            super().ended(stream, report)
            self.receiver.close()

    sink = Late()
    sink.receiver = Receiver("127.0.0.1", 0, sinks=iter([sink]))  # type: ignore[arg-type]
    with Sender("127.0.0.1", sink.receiver.port, codec="raw") as sender:
        sender.send(picture(0))
        assert until(lambda: sink.frames)
        sink.receiver.close()
    assert sink.receiver.error is None
    assert len(sink.reports) == 1


def test_what_interrupts_a_reader_before_it_waits_closes_the_receiver(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert until(lambda: receiver._thread_pumps)
    with monkeypatch.context() as patched:
        patched.setattr(receiver._socket, "wake", interrupted)
        with pytest.raises(KeyboardInterrupt):
            receiver.read(timeout=5.0)
    receiver.close()
    assert not receiver._thread.is_alive()


def test_what_interrupts_a_reader_may_close_the_receiver() -> None:
    closed: list[Receiver] = []

    def say(text: str) -> None:  # called in the reader's thread, as a signal handler is
        closed[0].close()

    with Receiver("127.0.0.1", 0, max_frame_bytes=1000, say=say) as receiver:
        closed.append(receiver)
        with Sender("127.0.0.1", receiver.port, codec="raw") as sender:
            threading.Timer(0.1, sender.send, (picture(0),)).start()
            assert receiver.read(timeout=5.0) is None
    assert receiver.error is None


def test_reading_without_waiting_still_receives(receiver: Receiver) -> None:
    with Sender("127.0.0.1", receiver.port, codec="raw") as sender:
        sender.send(picture(0))
        assert until(lambda: receiver.read(timeout=0) is not None)


@pytest.mark.parametrize("due_s", [0.001, 0.01])
def test_frames_that_are_watched_for_are_the_same(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, due_s: float
) -> None:
    def always() -> Expected:
        return Expected(time.monotonic() + due_s, time.monotonic() + 0.1, 5_000)

    monkeypatch.setattr(receiver._intake.core, "expected", always)
    dry_runs: list[int] = []
    dry_run = receiver._dry_run

    def run(payload_bytes: int) -> Frame | None:
        dry_runs.append(payload_bytes)
        return dry_run(payload_bytes)

    monkeypatch.setattr(receiver, "_dry_run", run)
    with Sender("127.0.0.1", receiver.port, codec="raw") as sender:
        for number in range(20):
            threading.Timer(0.03 * (number % 2), sender.send, (picture(number),)).start()
            frame = receiver.read(timeout=5.0)
            assert frame is not None
            assert frame.number == number
            assert np.array_equal(frame.image, picture(number))
    assert receiver.read(timeout=0.01) is None
    assert set(dry_runs) == {5_000}


class Watched:
    """A receiver whose clock, socket and rehearsals are made up, while it watches."""

    def __init__(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.slept_until_s: list[float] = []
        self.rehearsed_s: list[float] = []
        self.looks_s: list[float] = []
        self.came_s: list[float] = []  # when something is to come
        self._receiver = receiver
        clock = SimpleNamespace(monotonic=lambda: self.now_s, time=time.time)
        monkeypatch.setattr("udpstream.receiver.time", clock)
        monkeypatch.setattr(receiver._intake, "take_in", self._take_in)
        monkeypatch.setattr(receiver, "_sleep_and_take_in", self._sleep)
        monkeypatch.setattr(receiver, "_dry_run", self._rehearse)

    def watch(self, from_s: float, to_s: float, until_s: float = math.inf) -> bool:
        return self._receiver._watch_and_take_in(Expected(from_s, to_s, 5_000), until_s)

    def _take_in(self) -> bool:
        self.now_s += 2e-5
        self.looks_s.append(self.now_s)
        came = bool(self.came_s) and self.now_s >= self.came_s[0]
        if came:
            self.came_s.pop(0)
            self._receiver._intake.fed_s = self.now_s
        return came

    def _sleep(self, until_s: float) -> bool:
        self.slept_until_s.append(until_s)
        self.now_s = until_s
        return False

    def _rehearse(self, payload_bytes: int) -> None:
        self.rehearsed_s.append(self.now_s)
        self.now_s += 1e-4


@pytest.fixture
def watched(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    receiver._intake.reader_waits = True  # so that the receive thread stays away
    with receiver._pump_lock, monkeypatch.context() as patched:
        receiver._intake.fed_s = 99.99
        yield Watched(receiver, patched)


def test_a_frame_is_watched_for_from_when_to_when_it_is_expected(watched: Watched) -> None:
    assert not watched.watch(100.02, 100.022)
    assert watched.slept_until_s == [pytest.approx(100.02 - 0.6e-3)]
    assert watched.looks_s[0] == pytest.approx(100.02 - 0.6e-3, abs=1e-4)
    assert watched.looks_s[-1] == pytest.approx(100.022, abs=2e-4)
    assert not watched.watch(100.02, 100.022)  # it is over
    assert not watched.watch(100.06, 100.062, until_s=100.05)  # a timer comes first
    assert len(watched.slept_until_s) == 1
    assert not watched.watch(100.06, 100.07, until_s=100.061)
    assert watched.now_s == pytest.approx(100.061, abs=2e-4)


def test_what_it_takes_is_rehearsed_at_once_and_again(watched: Watched) -> None:
    watched.watch(100.02, 100.022)
    apart_s = np.diff(watched.rehearsed_s)
    assert watched.rehearsed_s[0] == pytest.approx(100.02 - 0.6e-3, abs=1e-4)
    assert len(watched.rehearsed_s) == 7  # in 2.6 ms
    assert apart_s.min() >= 0.4e-3 - 1e-9  # of which a rehearsal takes 0.1 here
    assert apart_s.max() < 0.5e-3


def test_nothing_is_rehearsed_in_the_midst_of_a_frame(watched: Watched) -> None:
    watched.came_s = [100.0204 + 1e-4 * number for number in range(8)]
    while watched.watch(100.02, 100.022):
        pass
    assert not watched.came_s
    during = [s for s in watched.rehearsed_s if 100.0204 <= s < 100.0211 + 0.3e-3]
    assert not during
    assert max(watched.rehearsed_s) >= 100.0214


def test_the_receive_thread_does_not_watch(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(receiver._intake.core, "expected", lambda: asked.append(True))
    receiver._intake.reader_waits = True  # so that the receive thread stays away
    with receiver._pump_lock:
        for thread_pumps in (True, False):
            receiver._thread_pumps = thread_pumps
            receiver._wait_and_take_in(0.0)
            assert len(asked) == (not thread_pumps)


def test_timers_wait_for_a_readers_frame_but_not_for_ever(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver._intake.reader_waits = True  # so that the receive thread stays away
    looks: list[float] = []
    monkeypatch.setattr(receiver, "_look_at_the_clock", looks.append)
    monkeypatch.setattr(receiver._intake, "take_in", lambda: True)
    monkeypatch.setattr("udpstream.receiver._LATE_S", 100.0)
    monkeypatch.setattr("udpstream.receiver._LATE_FOR_READER_S", 200.0)
    for queued, late_s, looked in ((0, 150.0, 1), (1, 150.0, 0), (1, 250.0, 1)):
        receiver._intake.queue.extend([None] * queued)  # type: ignore[list-item]
        with receiver._pump_lock:
            receiver._intake.fed_s = time.monotonic()
            receiver._tick_s = receiver._busy_s = receiver._intake.fed_s - late_s
            looks.clear()
            receiver._pump(0.0)
        assert len(looks) == looked
        receiver._intake.queue.clear()


def test_timers_wait_until_all_that_came_while_we_could_not_run_is_read(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver._intake.reader_waits = True  # so that the receive thread stays away
    looks: list[float] = []
    with receiver._pump_lock:
        monkeypatch.setattr(receiver, "_look_at_the_clock", looks.append)
        monkeypatch.setattr(receiver, "_wait_and_take_in", lambda _: None)
        receiver._tick_s = receiver._busy_s = receiver._intake.fed_s = 5.0
        for fed_s in (900.0, 900.01, None, 900.015):
            monkeypatch.setattr(receiver._intake, "take_in", lambda fed_s=fed_s: fed_s is not None)
            receiver._intake.fed_s = fed_s or receiver._intake.fed_s
            if fed_s == 900.0:
                receiver._busy_s = fed_s  # what ended the wait
            receiver._pump(0.0)
    assert len(looks) == 1  # when it was empty


def test_a_frame_whose_rest_waits_in_the_socket_is_not_given_up(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is stopped just when it has found the socket empty, and goes on late."""
    datagrams = datagrams_of(0, 10_000)
    read = receiver._socket.read
    rest = list(datagrams[10:])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.connect(("127.0.0.1", receiver.port))

        def stopped_once() -> Iterator[Batch]:
            is_empty = True
            for batch in read():
                is_empty = False
                yield batch
            if is_empty and rest:
                while rest:
                    there.send(rest.pop(0))
                time.sleep(0.3)  # three times as long as a frame is waited for

        for row in datagrams[:10]:
            there.send(row)
        assert until(lambda: receiver._intake.core.next_timer() is not None)
        monkeypatch.setattr(receiver._socket, "read", stopped_once)
        frame = receiver.read(timeout=5.0)
    assert frame is not None
    assert frame.number == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a datagram came")
def test_senders_are_told_when_datagrams_came_and_not_when_they_were_read() -> None:
    busy, free = threading.Event(), threading.Event()

    class Busy(Gathering):
        def deliver(self, frame: Frame) -> None:
            super().deliver(frame)
            busy.set()
            free.wait(10.0)  # on the receive thread

    with (
        Receiver("127.0.0.1", 0, sinks=(Busy(),)) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        there.connect(("127.0.0.1", receiver.port))
        there.settimeout(5.0)
        there.send(datagrams_of(0, 50)[0])
        assert busy.wait(5.0)
        sent_at = time.time()
        there.send(datagrams_of(1, 50)[0])
        came_at = time.time()
        time.sleep(0.1)
        free.set()
        report = None
        while report is None or report.frame != 1:
            message = parse_control(there.recv(2000))
            report = message if isinstance(message, Report) else report
    assert sent_at - 0.01 < report.arrived_us / 1e6 < came_at + 0.01
    assert report.clock_us / 1e6 > came_at + 0.09


def test_closing_ends_watching(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    core = receiver._intake.core
    monkeypatch.setattr(core, "expected", lambda: Expected(0.0, float("inf"), 5_000))
    monkeypatch.setattr(core, "next_timer", lambda: None)
    reader = threading.Thread(target=receiver.read)
    reader.start()
    time.sleep(0.02)
    receiver.close()
    reader.join(5.0)
    assert not reader.is_alive()


def test_a_second_reader_comes_back_in_time(receiver: Receiver) -> None:
    first = threading.Thread(target=receiver.read, args=(2.0,))
    first.start()
    begun_s = time.monotonic()
    assert receiver.read(timeout=0.2) is None
    assert time.monotonic() - begun_s < 1.9
    receiver.close()
    first.join()
