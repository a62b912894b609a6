"""A sender on real sockets, with our receiver, with none, and with the plain script."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.classic_send import picture as classic_picture
from tests.test_receiver import free_port, picture, until
from udpstream import AddressError, Codec, FrameError, Receiver, Sender
from udpstream.errors import ParityError, UdpStreamError
from udpstream.protocol import (
    Ask,
    Bye,
    Control,
    FrameHeader,
    Hello,
    Nack,
    Welcome,
    is_control,
    pack_control,
    parse_control,
    parse_frame_header,
)
from udpstream.sender import Parity


class Ear:
    """A plain socket that hears what a sender says."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(2.0)
        self.port = int(self.socket.getsockname()[1])
        self.sender: Any = None

    def hear(self) -> FrameHeader | Control:
        datagram, self.sender = self.socket.recvfrom(70_000)
        return parse_control(datagram) if is_control(datagram) else parse_frame_header(datagram)

    def say(self, message: Control) -> None:
        self.socket.sendto(pack_control(message), self.sender)


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.socket.close()


def test_it_says_hello_then_frames_then_bye_three_times(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw", fps=50) as sender:
        hello = ear.hear()
        assert isinstance(hello, Hello)
        assert (hello.interval_us, hello.next_frame) == (20_000, 0)
        for number in range(3):
            sender.send(picture(number))
        assert sender.stats.frames == 3
        assert sender.stats.payload_bytes == 3 * 320 * 240 * 3
    heard = []
    while not isinstance(message := ear.hear(), Bye):
        heard.append(message)
    frames = [message for message in heard if isinstance(message, FrameHeader)]
    assert [header.position for header in frames] == list(range(frames[0].data_chunks)) * 3
    assert {header.frame for header in frames} == {0, 1, 2}
    assert [message, ear.hear(), ear.hear()] == [Bye(hello.epoch, 3)] * 3
    ear.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        ear.hear()


def test_it_says_hello_while_nothing_is_sent(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port):
        begun_s = time.monotonic()
        assert all(isinstance(ear.hear(), Hello) for _ in range(3))
        assert time.monotonic() - begun_s < 2.0  # 0.2 s apart


def test_it_hears_a_receiver_and_its_bye(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port) as sender:
        hello = ear.hear()
        assert isinstance(hello, Hello)
        assert not sender.receiver_is_there
        now_us = hello.clock_us + 50
        ear.say(Welcome(hello.epoch, hello.clock_us, now_us, now_us, 4 << 20))
        assert until(lambda: sender.receiver_is_there)
        answered = ear.hear()
        assert isinstance(answered, Hello)
        assert abs(answered.offset_us) <= answered.offset_error_us + 100
        ear.say(Bye(hello.epoch, 0))
        assert until(lambda: not sender.receiver_is_there)


def test_garbage_and_hostile_answers_are_borne(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw") as sender:
        hello = ear.hear()
        huge = 2**64 - 1
        for message in (
            Welcome(hello.epoch, 0, huge, huge, 0),
            Welcome(hello.epoch, huge, 0, huge, 2**32 - 1),
            Welcome(hello.epoch, 0, 0, 0, 1),
        ):
            ear.say(message)
        for garbage in (b"", b"\xff", b"\xff\xe1\x41", bytes(2000)):
            ear.socket.sendto(garbage, ear.sender)
        assert until(lambda: sender.receiver_is_there)
        sender.send(picture(0)[:20])
        while not isinstance(ear.hear(), FrameHeader):
            pass
        assert sender._listener is not None
        assert sender._listener.is_alive()


def test_sending_to_nobody_is_no_error() -> None:
    with Sender("127.0.0.1", free_port(), codec="raw") as sender:
        for number in range(5):
            sender.send(picture(number))
        assert sender.stats.frames == 5
        assert not sender.receiver_is_there


@pytest.mark.parametrize("size_wh", [(120, 80), (640, 480)], ids=["at once", "spread"])
@pytest.mark.parametrize("fails_at", ["first", "last"])
def test_a_frame_that_cannot_leave_whole_has_used_up_its_number(
    ear: Ear, monkeypatch: pytest.MonkeyPatch, size_wh: tuple[int, int], fails_at: str
) -> None:
    """Else the next one would be mixed with it."""
    width, height = size_wh
    pictures = [np.full((height, width, 3), number, np.uint8) for number in range(2)]
    chunks = -(-pictures[0].size // 1376)
    with Sender("127.0.0.1", ear.port, codec="raw", fps=50) as sender:
        send_all = sender._socket.send_all
        left = 0

        def fail(datagrams: NDArray[np.uint8]) -> None:
            nonlocal left
            left += len(datagrams)
            if fails_at == "first" or left == chunks:
                monkeypatch.undo()
                raise AddressError("the way is gone")
            send_all(datagrams)

        monkeypatch.setattr(sender._socket, "send_all", fail)
        with pytest.raises(AddressError, match="the way is gone"):
            sender.send(pictures[0])
        sender.send(pictures[1])
        assert sender.stats.frames == 1
    of_second = []
    while not isinstance(message := ear.hear(), Bye):
        if isinstance(message, FrameHeader) and message.frame == 1:
            of_second.append(message.position)
    assert of_second == list(range(chunks))
    assert message.frames == 2


def test_what_ends_the_listening_thread_is_raised_by_the_next_send(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sender("127.0.0.1", ear.port) as sender:
        hello = ear.hear()
        assert isinstance(hello, Hello)

        def fail(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(sender._core, "receive", fail)
        ear.say(Welcome(hello.epoch, hello.clock_us, 0, 0, 1 << 20))
        assert until(lambda: sender._error is not None)
        with pytest.raises(RuntimeError, match="a fault of ours"):
            sender.send(picture(0))


def test_what_the_last_frame_lacks_can_be_asked_for_before_the_bye(ear: Ear) -> None:
    sender = Sender("127.0.0.1", ear.port, codec="raw")
    hello = ear.hear()
    assert isinstance(hello, Hello)
    ear.say(Welcome(hello.epoch, hello.clock_us, hello.clock_us, hello.clock_us, 8 << 20))
    assert until(lambda: sender.receiver_is_there)
    sender.send(np.zeros((8, 8, 3), np.uint8))
    ear.say(Nack(hello.epoch, (Ask(0),)))
    sender.close()
    heard = []
    while not isinstance(message := ear.hear(), Bye):
        heard.append(message)
    frames = [message for message in heard if isinstance(message, FrameHeader)]
    assert [header.frame for header in frames] == [0, 0]
    sender.close()
    with pytest.raises(AddressError, match="was closed"):
        sender.send(picture(0))


def test_closing_that_was_interrupted_can_be_done_again(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender("127.0.0.1", ear.port)

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert sender._listener is not None
    monkeypatch.setattr(sender._listener, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sender.close()
    monkeypatch.undo()
    sender.close()
    heard = [ear.hear()]
    while not isinstance(heard[-1], Bye):
        heard.append(ear.hear())


@pytest.mark.parametrize("encoded", [False, True])
def test_what_is_left_out_for_a_narrow_link_is_counted(ear: Ear, encoded: bool) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw", fec=50.0) as sender:
        assert sender._core is not None
        assert sender._core.adaptation.state.parity_percent > 0
        for number in range(6):
            sender._core.adaptation._picture.fps_divisor = 3
            if encoded:
                payload = picture(number).reshape(-1)
                sender.send_encoded(payload, Codec.RAW, (320, 240), time.monotonic())
            else:
                sender.send(picture(number))
        assert (sender.stats.frames, sender.stats.left_out) == (2, 4)
        assert sender._core.adaptation._picture.frame_bytes == 320 * 240 * 3
        of_data = sender.stats.wire_bytes - sender.stats.parity_bytes
        assert 0.45 * of_data < sender.stats.parity_bytes < 0.55 * of_data


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan")])
def test_a_rate_that_is_none(ear: Ear, fps: float) -> None:
    with Sender("127.0.0.1", ear.port) as sender, pytest.raises(FrameError, match="above 0"):
        sender.fps = fps


def test_closing_may_be_repeated_and_waits_for_a_frame_that_is_being_sent(ear: Ear) -> None:
    sender = Sender("127.0.0.1", ear.port, codec="raw", fps=5)  # spread over 22 ms
    big = np.zeros((640, 640, 3), np.uint8)
    thread = threading.Thread(target=sender.send, args=(big,))
    thread.start()
    while not isinstance(ear.hear(), FrameHeader):  # a HELLO may come first
        pass
    sender.close()
    sender.close()
    thread.join()
    while not isinstance(message := ear.hear(), Bye):
        pass
    assert message.frames == sender.stats.frames


def test_closing_waits_for_a_frame_that_leaves_in_many_bursts(ear: Ear) -> None:
    sender = Sender("127.0.0.1", ear.port, codec="raw")
    errors: list[Exception] = []

    def send() -> None:
        try:
            sender.send(np.zeros((1440, 1920, 3), np.uint8))  # spread over 190 ms
        except AddressError as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    while not isinstance(ear.hear(), FrameHeader):
        pass
    sender.close()
    thread.join()
    assert errors == []
    assert sender.stats.frames == 1


def test_a_closed_sender_says_so(ear: Ear) -> None:
    sender = Sender("127.0.0.1", ear.port, codec="raw")
    sender.close()
    with pytest.raises(AddressError, match=r"was closed: make another one"):
        sender.send(picture(0))


def test_the_books_of_what_was_sent(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw") as sender:
        for number in range(4):
            sender.send(picture(number)[:10])
    stats = sender.stats
    assert (stats.frames, len(stats.encode), len(stats.send)) == (4, 4, 4)
    heard_bytes = 0
    byes = 0
    while byes < 3:
        datagram = ear.socket.recv(70_000)
        heard_bytes += len(datagram)
        byes += is_control(datagram) and isinstance(parse_control(datagram), Bye)
    assert stats.wire_bytes == heard_bytes


# -- what cannot be sent ------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"offload": "x"}, "'x' is no offload"),
        ({"fec": "x"}, "'x' is no share of parity"),
        ({"port": 0}, "0 is not a port"),
        ({"datagram_bytes": 0}, "datagrams of 0 bytes"),
        ({"datagram_bytes": 0, "wire": "classic", "codec": "raw"}, "classic chunks of -1 bytes"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with (
        pytest.raises(UdpStreamError, match=said),
        Sender("127.0.0.1", **({"port": 9} | settings)) as sender,
    ):
        sender.send(picture(0))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"quality": 0}, "quality of 0"),
        ({"quality": 101}, "quality of 101"),
        ({"wire": "classic"}, "raw pictures only"),
        ({"fps": 0.0}, "give a number above 0"),
        ({"fps": float("nan")}, "give a number above 0"),
        ({"datagram_bytes": 10}, "give 25 to 65507"),
        ({"datagram_bytes": 70_000}, "give 25 to 65507"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        Sender("127.0.0.1", 9, **options)


@pytest.mark.parametrize("fec", ["auto", "off", 0.0])
def test_the_classic_wire_takes_each_word_for_no_parity(ear: Ear, fec: Parity) -> None:
    Sender("127.0.0.1", ear.port, wire="classic", codec="raw", fec=fec).close()
    with pytest.raises(ParityError, match="the classic wire carries no parity"):
        Sender("127.0.0.1", ear.port, wire="classic", codec="raw", fec=10.0)


@pytest.mark.parametrize("host", ["no.such.host.invalid", ""])
def test_a_host_that_is_not_known(host: str) -> None:
    with pytest.raises(AddressError, match="unknown host"):
        Sender(host)


def test_pictures_that_cannot_be_sent(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port, codec="raw", datagram_bytes=25) as sender:
        with pytest.raises(FrameError, match="uint8 BGR"):
            sender.send(np.zeros((4, 4), np.uint8))
        with pytest.raises(FrameError, match="use larger datagrams"):
            sender.send(np.zeros((480, 640, 3), np.uint8))
        with pytest.raises(FrameError, match="at least a byte"):
            sender.send_encoded(np.zeros(0, np.uint8), Codec.JPEG, (1, 1), 0.0)
        for size_wh in ((0, 1), (65_536, 1)):
            with pytest.raises(FrameError, match="sides are 1 to 65535"):
                sender.send_encoded(np.zeros(9, np.uint8), Codec.JPEG, size_wh, 0.0)
        with pytest.raises(FrameError, match="9 bytes are not a raw picture of 2x2"):
            sender.send_encoded(np.zeros(9, np.uint8), Codec.RAW, (2, 2), 0.0)
        sender.send(np.zeros((2, 2, 3), np.uint8))  # none of that did any harm
        assert sender.stats.frames == 1


def test_a_jpeg_on_the_classic_wire(ear: Ear) -> None:
    with (
        Sender("127.0.0.1", ear.port, wire="classic", codec="raw") as sender,
        pytest.raises(FrameError, match="raw pictures only"),
    ):
        sender.send_encoded(np.zeros(9, np.uint8), Codec.JPEG, (2, 2), 0.0)


# -- classic ------------------------------------------------------------------


def test_classic_datagrams_are_the_index_and_a_slice_and_nothing_else(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port, wire="classic", codec="raw") as sender:
        sender.send(classic_picture(7))
        datagrams = [ear.socket.recv(70_000) for _ in range(20)]
        assert [datagram[0] for datagram in datagrams] == list(range(20))
        assert {len(datagram) for datagram in datagrams} == {46_081}
        assert b"".join(d[1:] for d in datagrams) == classic_picture(7).tobytes()
        assert not sender.receiver_is_there
    ear.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        ear.socket.recv(70_000)  # no hello, no bye


def test_classic_to_our_own_receiver_at_another_size() -> None:
    pictures: list[NDArray[np.uint8]] = [picture(number) for number in range(5)]
    with (
        Receiver("127.0.0.1", 0, wire="classic", classic_size_wh=(320, 240)) as receiver,
        Sender("127.0.0.1", receiver.port, wire="classic", codec="raw") as sender,
    ):
        for number, sent in enumerate(pictures):
            sender.send(sent)
            frame = receiver.read(5.0)
            assert frame is not None
            assert (frame.number, frame.size_wh, frame.captured_at) == (number, (320, 240), None)
            assert np.array_equal(frame.image, sent)


def test_the_plain_classic_receiver_sees_our_frames() -> None:
    port = free_port()
    script = Path(__file__).with_name("classic_receive.py")
    with subprocess.Popen(
        [sys.executable, str(script), "127.0.0.1", str(port), "30"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sent = []
        with Sender("127.0.0.1", port, wire="classic", codec="raw", fps=30) as sender:
            for number in range(30):
                frame = classic_picture(number)
                sent.append(hashlib.sha256(frame.tobytes()).hexdigest())
                sender.send(frame)
                time.sleep(0.005)
        assert process.stdout.read().split() == sent
        assert process.wait(10.0) == 0


def test_a_rate_that_becomes_known_is_told_and_paced_by(ear: Ear) -> None:
    with Sender("127.0.0.1", ear.port) as sender:
        assert sender.fps is None
        sender.fps = 25.0
        assert sender.fps == 25.0
        assert until(lambda: isinstance(told := ear.hear(), Hello) and told.interval_us == 40_000)


@pytest.mark.parametrize("options", [{"codec": "png"}, {"wire": "serial"}])
def test_what_is_no_codec_or_wire_is_refused_in_words(options: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match="of this link: give"):
        Sender("127.0.0.1", 9505, **options)
