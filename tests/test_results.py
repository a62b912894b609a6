"""Results on real sockets: a receiver that judges each frame, and a sender that is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.judge_tools import Judge, number_as_score
from tests.test_receiver import picture, until
from tests.test_sender import Ear
from udpstream import Receiver, Sender, Stream
from udpstream.errors import DatagramError
from udpstream.protocol import Hello, Result, Welcome, pack_control

SMALL = picture(0)[:40, :40]


@pytest.fixture
def judge(judge: Judge) -> Judge:
    judge.says = number_as_score
    return judge


def stream_of(judge: Judge, sender: Sender) -> Stream:
    """Send until the sender is known to hear; return its stream."""

    def heard() -> bool:
        sender.send(SMALL)
        return bool(judge.sent)

    assert until(heard)
    return judge.streams[-1]


def score(sender: Sender) -> float | None:
    result = sender.result
    return None if result is None else result.score


def test_each_frame_is_answered_in_order(judge: Judge) -> None:
    with Sender("127.0.0.1", judge.port, codec="raw") as sender:
        assert sender.result is None
        stream_of(judge, sender)
        shown = []
        for _ in range(30):
            time.sleep(0.034)
            sender.send(SMALL)
            latest = sender.stats.frames - 1
            assert until(lambda latest=latest: score(sender) == latest)
            shown.append(score(sender))
    assert shown == sorted(shown, key=lambda each: each or 0.0)
    assert judge.sent[-30:] == list(range(judge.sent[-1] - 29, judge.sent[-1] + 1))


def test_results_are_forgotten_when_the_receiver_goes(judge: Judge) -> None:
    with Sender("127.0.0.1", judge.port, codec="raw") as sender:
        stream_of(judge, sender)
        assert until(lambda: sender.result is not None)
        assert judge.receiver is not None
        judge.receiver.close()
        assert until(lambda: sender.result is None, within_s=1.5)  # told, not waited for


def test_results_are_forgotten_when_no_more_come(judge: Judge) -> None:
    with Sender("127.0.0.1", judge.port, codec="raw") as sender:
        stream_of(judge, sender)
        assert until(lambda: sender.result is not None)
        assert until(lambda: sender.result is None)
        assert sender.receiver_is_there


def test_a_stream_that_is_over_is_told_nothing(judge: Judge) -> None:
    receiver = judge.receiver
    assert receiver is not None
    with Sender("127.0.0.1", receiver.port, codec="raw") as sender:
        stream = stream_of(judge, sender)
    result = Result(stream.epoch, 0, score=1.0)
    assert until(lambda: not receiver.live_reports())
    assert not receiver.send_result(stream, result)
    receiver.close()
    assert not receiver.send_result(stream, result)


def test_a_classic_sender_is_told_nothing() -> None:
    judge = Judge()
    judge.says = number_as_score
    with Receiver(
        "127.0.0.1", 0, wire="classic", classic_size_wh=(320, 240), sinks=[judge], queue_frames=0
    ) as receiver:
        judge.receiver = receiver
        with Sender("127.0.0.1", receiver.port, wire="classic", codec="raw") as sender:
            for number in range(3):
                sender.send(picture(number))
            assert until(lambda: len(judge.streams) == 3)
            assert sender.result is None
    assert judge.sent == []


def test_many_threads_may_tell_results_while_frames_come(judge: Judge) -> None:
    receiver = judge.receiver
    assert receiver is not None
    with Sender("127.0.0.1", receiver.port, codec="raw") as sender:
        stream = stream_of(judge, sender)
        stop = threading.Event()
        counts: list[int] = []

        def tell() -> None:
            told = 0
            while not stop.is_set():
                told += receiver.send_result(stream, Result(stream.epoch, 0, score=1.0))
            counts.append(told)

        begun_s = time.monotonic()
        threads = [threading.Thread(target=tell) for _ in range(3)]
        for thread in threads:
            thread.start()
        frames = sender.stats.frames
        for _ in range(50):
            sender.send(SMALL)
            time.sleep(0.005)
        stop.set()
        for thread in threads:
            thread.join()
        took_s = time.monotonic() - begun_s
        assert until(lambda: len(judge.streams) >= frames + 50)
        assert receiver.error is None
    assert 0 < sum(counts) <= 30 * took_s + 6  # the bound is on the stream, not the thread


def test_what_does_not_fit_the_wire_is_refused(judge: Judge) -> None:
    with Sender("127.0.0.1", judge.port, codec="raw") as sender:
        stream = stream_of(judge, sender)
        time.sleep(0.2)  # so that it is admitted
        assert judge.receiver is not None
        with pytest.raises(DatagramError, match="out of range"):
            judge.receiver.send_result(stream, Result(stream.epoch, 0, score=101.0))


# -- what comes over the network -----------------------------------------------------------


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.socket.close()


def welcomed(ear: Ear, sender: Sender) -> int:
    """Welcome a sender that has sent ten frames; return its epoch."""
    hello = ear.hear()
    assert isinstance(hello, Hello)
    for _ in range(10):
        sender.send(np.zeros((4, 4, 3), np.uint8))
    ear.say(Welcome(hello.epoch, hello.clock_us, hello.clock_us, hello.clock_us, 1 << 20))
    assert until(lambda: sender.receiver_is_there)
    return hello.epoch


def test_older_results_are_dropped(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw") as sender:
        epoch = welcomed(ear, sender)
        for frame in (3, 7, 5, 6, 2000):
            ear.say(Result(epoch, frame, score=float(frame % 100)))
        ear.say(Result(epoch, 8, reason="the last"))
        assert until(lambda: (sender.result or Result(0, 0)).reason == "the last")
        ear.say(Result(epoch, 4, score=4.0))
        ear.say(Result(epoch, 9, score=9.0))
        seen = set()

        def settled() -> bool:
            seen.add(score(sender))
            return score(sender) == 9.0

        assert until(settled)
        assert seen <= {None, 9.0}


def forged(epoch: int, text: bytes) -> bytes:
    datagram = pack_control(Result(epoch, 9, reason="-" * len(text)))
    return datagram[: -len(text)] + text


@pytest.mark.parametrize(
    "send",
    [
        lambda epoch: forged(epoch, b"\x1b[2J\x1b]0;mine\x07\r\n"),
        lambda epoch: forged(epoch, b"\xff\xfe\x80"),
        lambda epoch: forged(epoch, "\N{RIGHT-TO-LEFT OVERRIDE}kcart".encode()),
    ],
)
def test_a_hostile_text_is_harmless(ear: Ear, send: Callable[[int], bytes]) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw") as sender:
        epoch = welcomed(ear, sender)
        ear.socket.sendto(send(epoch), ear.sender)
        assert until(lambda: sender.result is not None)
        result = sender.result
        assert result is not None
        assert result.reason.isprintable()


def test_garbage_in_place_of_results_changes_nothing(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw") as sender:
        epoch = welcomed(ear, sender)
        ear.say(Result(epoch, 5, score=55.0))
        assert until(lambda: score(sender) == 55.0)
        good = pack_control(Result(epoch, 9, score=99.0, limb="left shin", degrees=20.0))
        for end in range(len(good)):
            ear.socket.sendto(good[:end], ear.sender)
        rng = np.random.default_rng(7)
        for _ in range(200):
            ear.socket.sendto(good[:3] + rng.bytes(int(rng.integers(60))), ear.sender)
        ear.say(Result(epoch, 6, score=66.0))
        assert until(lambda: score(sender) == 66.0)


def test_results_from_elsewhere_are_not_heard(ear: Ear) -> None:
    with (
        Sender("127.0.0.1", ear.port, codec="raw") as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        epoch = welcomed(ear, sender)
        for frame in range(6, 10):
            stranger.sendto(pack_control(Result(epoch, frame, score=1.0)), ear.sender)
        ear.say(Result(epoch, 5, score=55.0))
        assert until(lambda: score(sender) is not None)
        assert score(sender) == 55.0
