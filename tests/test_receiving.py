from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.link_tools import (
    SENDER,
    WALL_S,
    balanced,
    datagrams_of,
    ended_in,
    feed,
    frames_in,
    make_receiver,
    payload_of,
)
from udpstream.core.ledger import Loss
from udpstream.core.packetize import Packetizer, packetize_classic
from udpstream.core.receiving import BEGIN_S, MAX_NOTICES, Notice, ReceiverCore
from udpstream.core.stream import Stream
from udpstream.core.streams import (
    MAX_MEMORY_BYTES,
    MAX_PROVISIONAL,
    MAX_STREAMS,
    RESULT_BURST_S,
    RESULT_PERIOD_S,
    SILENT_S,
    Address,
)
from udpstream.protocol import (
    Bye,
    ClassicGeometry,
    Codec,
    FrameHeader,
    Hello,
    Report,
    Result,
    Welcome,
    pack_control,
    pack_frame_header,
    parse_control,
)

HELLO = Hello(
    epoch=1, session=5, clock_us=round((WALL_S - 100) * 1e6), next_frame=0, interval_us=33_333
)


def hello(**fields: Any) -> bytes:
    return pack_control(replace(HELLO, **fields))


# -- frames -------------------------------------------------------------------


def test_a_frame_arrives_with_its_times() -> None:
    core = make_receiver()
    feed(core, hello(offset_us=100_000_000, offset_error_us=500), now=2.0)
    captured_us = HELLO.clock_us + 10_000
    datagrams = (
        Packetizer(1, 124).packetize(payload_of(0), Codec.JPEG, (640, 480), 0, captured_us).whole()
    )
    (event,) = frames_in(feed(core, datagrams, now=2.025))
    assert np.array_equal(event.whole.payload, payload_of(0))
    assert event.captured_at == captured_us / 1e6
    assert event.received_at == WALL_S + 2.025
    # Captured 10 ms and received 25 ms after the hello, which took as long as it says:
    # the receiver's clock read WALL_S + 2 then, and the sender's is 100 s behind.
    assert event.latency_s == pytest.approx(2.025 - 0.010)
    report = core.reports()[0]
    assert (report.clock_error_s, report.codec, report.size_wh) == (0.0005, "jpeg", (640, 480))
    assert len(report.ledger.latency) == 1


def test_without_a_hello_the_capture_time_is_near_the_receivers_clock() -> None:
    core = make_receiver()
    captured_us = round((WALL_S - 3) * 1e6)
    datagrams = (
        Packetizer(1, 124).packetize(payload_of(0), Codec.JPEG, (640, 480), 0, captured_us).whole()
    )
    (event,) = frames_in(feed(core, datagrams))
    assert event.captured_at == captured_us / 1e6
    assert event.latency_s is None


def test_the_capture_time_wraps_every_72_minutes_and_is_made_whole() -> None:
    core = make_receiver()
    for minutes in range(0, 300, 20):
        now = minutes * 60.0
        clock_us = HELLO.clock_us + round(now * 1e6)
        feed(core, hello(clock_us=clock_us, next_frame=minutes), now=now)
        datagrams = (
            Packetizer(1, 124)
            .packetize(payload_of(minutes), Codec.JPEG, (640, 480), minutes, clock_us + 7)
            .whole()
        )
        (event,) = frames_in(feed(core, datagrams, now=now))
        assert event.captured_at == (clock_us + 7) / 1e6


def test_a_batch_of_many_frames_with_controls_between() -> None:
    core = make_receiver()
    delivered = []
    for number in range(5):
        first, second = datagrams_of(2 * number), datagrams_of(2 * number + 1)
        delivered += frames_in(feed(core, np.concatenate((first, second[:3]))))
        feed(core, hello(next_frame=2 * number + 1))
        delivered += frames_in(feed(core, second[3:]))
    assert [event.whole.number for event in delivered] == list(range(10))
    assert core.reports()[0].ledger.total_lost == 0


def test_a_control_datagram_of_the_same_size_in_the_midst_of_a_batch() -> None:
    core = make_receiver()
    datagrams = datagrams_of(0, 48 * 4, datagram_bytes=72)
    row = np.frombuffer(hello(), np.uint8)[None, :]
    events = feed(core, np.concatenate((datagrams[:2], row, datagrams[2:])))
    assert len(frames_in(events)) == 1
    assert len(core.datagrams_to_send()) == 1


# -- hello, welcome, bye ------------------------------------------------------


def test_a_hello_is_welcomed() -> None:
    core = make_receiver(receive_buffer_bytes=4_000_000)
    feed(core, hello(), now=1.5)
    ((datagram, to),) = core.datagrams_to_send()
    now_us = round((WALL_S + 1.5) * 1e6)
    assert to == SENDER
    assert parse_control(datagram) == Welcome(1, HELLO.clock_us, now_us, now_us, 4_000_000)
    assert core.datagrams_to_send() == []
    assert core.reports() == []  # no picture yet


@settings(max_examples=50)
@given(
    clock_us=st.sampled_from([0, 1, 2**63, 2**64 - 1]),
    next_frame=st.sampled_from([0, 2**32, 2**64 - 1]),
    interval_us=st.sampled_from([0, 2**32 - 1]),
    offset_us=st.sampled_from([-(2**63), 0, 2**63 - 1]),
    offset_error_us=st.sampled_from([0, 2**32 - 2, 2**32 - 1]),
)
def test_hellos_at_the_ends_of_their_ranges(**fields: int) -> None:
    core = make_receiver()
    feed(core, hello(**fields))
    assert parse_control(core.datagrams_to_send()[0][0])
    number = fields["next_frame"]
    (event,) = frames_in(feed(core, datagrams_of(number), now=0.1))
    assert event.whole.number == number
    core.handle_timer(1.0)
    assert balanced(core.reports()[0].ledger)
    assert core.reports()[0].as_dict()


def test_bye_counts_a_lost_tail_and_ends_the_stream() -> None:
    core = make_receiver()
    feed(core, datagrams_of(0))
    feed(core, datagrams_of(2)[:4])
    (end,) = ended_in(feed(core, pack_control(Bye(1, 5))))
    assert (end.report.ledger.sent, end.report.ledger.in_flight) == (5, 0)
    assert end.report.ledger.lost == {Loss.UNSEEN: 3, Loss.MISSING: 1}
    assert core.reports() == []
    assert feed(core, pack_control(Bye(1, 5))) == []


def test_what_waits_for_a_repair_is_delivered_though_the_stream_ends_first() -> None:
    core = make_receiver()
    feed(core, hello(offset_error_us=100))  # it hears us, so frames wait for what is asked for
    assert frames_in(feed(core, datagrams_of(0)[:9])) == []
    assert frames_in(feed(core, datagrams_of(1))) == []
    events = feed(core, pack_control(Bye(1, 2)))
    assert [event.whole.number for event in frames_in(events)] == [1]
    (end,) = ended_in(events)
    assert (end.report.ledger.sent, end.report.ledger.delivered) == (2, 1)


def test_what_the_network_still_holds_after_bye_is_no_new_stream() -> None:
    core = make_receiver()
    feed(core, hello())
    feed(core, datagrams_of(0))
    feed(core, pack_control(Bye(1, 1)))
    core.datagrams_to_send()
    assert feed(core, datagrams_of(0)) == []
    assert feed(core, hello()) == []
    assert core.datagrams_to_send() == []
    assert core.dropped["after_bye"] == 11
    # The same port and epoch by chance, but another run: that is a stream.
    feed(core, hello(session=6))
    assert len(frames_in(feed(core, datagrams_of(0)))) == 1


def test_a_restart_with_the_same_epoch_is_seen_by_its_session() -> None:
    core = make_receiver()
    feed(core, hello())
    feed(core, datagrams_of(0))
    events = feed(core, hello(session=6), now=0.1)
    assert len(ended_in(events)) == 1
    (event,) = frames_in(feed(core, datagrams_of(0), now=0.1))
    assert (event.stream.id, event.stream.camera) == (2, "192.0.2.7")


def test_closing_ends_all_streams_and_tells_their_senders() -> None:
    core = make_receiver()
    feed(core, hello())
    feed(core, datagrams_of(0))
    core.datagrams_to_send()
    core.close(1.0)
    assert len(ended_in(core.events())) == 1
    assert core.datagrams_to_send() == [(pack_control(Bye(1, 0)), SENDER)]


# -- cameras ------------------------------------------------------------------


def test_the_next_frame_is_expected_of_a_lone_stream_that_keeps_time() -> None:
    core = make_receiver()
    assert core.expected() is None
    for number in range(30):
        feed(core, datagrams_of(number), number / 30)
    expected = core.expected()
    assert expected is not None
    assert expected.from_at < 1 < expected.to_at
    assert expected.payload_bytes == len(payload_of(29))
    feed(core, datagrams_of(0, epoch=2), 0.97, ("192.0.2.8", 40_002))
    assert core.expected() is None


def test_times_are_booked_when_somebody_asks_however_many_frames_came() -> None:
    core = make_receiver()
    feed(core, np.frombuffer(hello(offset_error_us=10), np.uint8)[None], 0.0)
    for number in range(150):
        feed(core, datagrams_of(number), number / 30)
        if number == 3:
            (report,) = core.reports()
            assert (len(report.ledger.latency), len(report.ledger.network)) == (4, 4)
    (report,) = core.reports()
    assert len(report.ledger.latency) == len(report.ledger.reassemble) == 150
    assert report.frames_per_second == pytest.approx(30)


def test_two_cameras_on_one_host_have_two_names() -> None:
    core = make_receiver()
    for number in range(5):
        for port in (40_001, 40_002, 40_003):
            (event,) = frames_in(
                feed(core, datagrams_of(number, epoch=port), number / 30, ("192.0.2.7", port))
            )
            suffix = "" if port == 40_001 else f"-{port - 40_000}"
            assert event.stream.camera == f"192.0.2.7{suffix}"


def test_a_sender_that_restarts_at_another_port_keeps_its_cameras_name() -> None:
    core = make_receiver()
    for number in range(9):
        feed(core, datagrams_of(number, epoch=7), number / 30, ("192.0.2.7", 40_001))
    events = feed(core, datagrams_of(0, epoch=8), 1.0, ("192.0.2.7", 40_009))
    (event,) = frames_in(events)
    assert event.stream.camera == "192.0.2.7"
    assert event.stream.id == 2
    assert ended_in(events)[0].report.stream.id == 1


def test_a_restart_at_the_same_port_follows_its_own_stream_not_a_silent_neighbour() -> None:
    core = make_receiver()
    silent, restarted = ("192.0.2.7", 40_001), ("192.0.2.7", 40_002)
    for number in range(9):
        feed(core, datagrams_of(number, epoch=1), number / 30, silent)
        feed(core, datagrams_of(number, epoch=2), number / 30, restarted)
    for number in range(9, 60):
        feed(core, datagrams_of(number, epoch=2), number / 30, restarted)
    events = feed(core, datagrams_of(0, epoch=3), 2.1, restarted)
    assert frames_in(events)[0].stream.camera == "192.0.2.7-2"
    assert ended_in(events)[0].report.stream.epoch == 2


@pytest.mark.parametrize("told", [True, False])
def test_two_slow_cameras_on_one_host_do_not_take_each_others_place(told: bool) -> None:
    """A frame every second, whether the hello tells that or not."""
    core = make_receiver()
    streams = set()
    for second in range(20):
        for port in (40_001, 40_002):
            now = second + (port - 40_001) / 2
            source = ("192.0.2.7", port)
            feed(core, hello(epoch=port, next_frame=second, interval_us=1_000_000 * told), now,
                 source)  # fmt: skip
            for event in frames_in(feed(core, datagrams_of(second, epoch=port), now, source)):
                streams.add(event.stream)
    assert sorted((stream.id, stream.camera) for stream in streams) == [
        (1, "192.0.2.7"),
        (2, "192.0.2.7-2"),
    ]


@pytest.mark.parametrize(
    ("source", "camera", "address"),
    [
        (("192.0.2.7", 5), "192.0.2.7", "192.0.2.7:5"),
        (("fe80::1%eth0", 5, 0, 2), "fe80--1-eth0", "[fe80::1%eth0]:5"),
        (("fe80::1%../x", 5, 0, 2), "fe80--1-..-x", "[fe80::1%../x]:5"),
    ],
)
def test_a_cameras_name_is_safe_in_a_path(source: Address, camera: str, address: str) -> None:
    core = make_receiver()
    (event,) = frames_in(feed(core, datagrams_of(0), source=source))
    assert (event.stream.camera, event.stream.address) == (camera, address)


def test_a_silent_stream_is_let_go_and_can_come_back() -> None:
    core = make_receiver()
    feed(core, datagrams_of(0), now=1.0)
    core.handle_timer(1.0 + SILENT_S - 0.1)
    assert ended_in(core.events()) == []
    assert core.next_timer() == 1.0 + SILENT_S
    core.handle_timer(1.0 + SILENT_S)
    assert len(ended_in(core.events())) == 1
    assert core.next_timer() is None
    (event,) = frames_in(feed(core, datagrams_of(900), now=40.0))
    assert event.stream.camera == "192.0.2.7"


# -- bounds -------------------------------------------------------------------


def cameras(core: ReceiverCore, count: int) -> None:
    for camera in range(count):
        source = (f"192.0.2.{camera}", 5000)
        assert frames_in(feed(core, datagrams_of(0), source=source))


def header(**fields: object) -> bytes:
    base = FrameHeader(
        index=0, block=0, data=255, parity=0, epoch=1, frame=0, length=1000, captured_us=0,
        width=640, height=480, codec=Codec.JPEG, chunk_bytes=100,
    )  # fmt: skip
    full = base._replace(**fields)  # type: ignore[arg-type]
    return pack_frame_header(*full[:-1]) + bytes(full.chunk_bytes)


def test_forged_streams_displace_no_camera_and_cost_little() -> None:
    core = make_receiver()
    cameras(core, MAX_STREAMS)
    for number in range(20_000):
        source = (f"203.0.{number >> 8 & 255}.{number & 255}", number & 0xFFFF)
        datagram = hello(epoch=number & 0xFFFF) if number % 3 else header(epoch=number & 0xFFFF)
        core.feed(source, np.frombuffer(datagram, np.uint8)[None, :], 0, 1.0)
        core.datagrams_to_send()
    states = list(core._table)
    assert len(states) == MAX_STREAMS + MAX_PROVISIONAL
    assert sum(state.reassembler.memory_bytes for state in states) < 1 << 20
    assert len(core.reports()) == MAX_STREAMS
    assert ended_in(core.events()) == []
    for camera in range(MAX_STREAMS):
        events = feed(core, datagrams_of(1), 2.0, (f"192.0.2.{camera}", 5000))
        assert frames_in(events)[0].stream.id == camera + 1


REFUSED = (
    "a stream from 198.51.100.1 is refused: 16 cameras are being received, "
    "or that many began within 10 s. Run a second receiver on another port."
)


def test_a_seventeenth_camera_is_refused_with_a_word_until_one_leaves() -> None:
    core = make_receiver()
    cameras(core, MAX_STREAMS)
    late = ("198.51.100.1", 5000)
    texts: list[str] = []
    for number in range(3):
        events = feed(core, datagrams_of(number), BEGIN_S, source=late)
        assert frames_in(events) == []
        texts += [event.text for event in events if isinstance(event, Notice)]
    assert texts == [REFUSED]
    assert core.dropped["frames_of_too_many_streams"] == 3
    feed(core, pack_control(Bye(1, 1)), BEGIN_S, source=("192.0.2.3", 5000))
    (event,) = frames_in(feed(core, datagrams_of(3), BEGIN_S, source=late))
    assert event.whole.number == 3
    ledger = next(r for r in core.reports() if r.stream.camera == "198.51.100.1").ledger
    assert (ledger.sent, ledger.delivered) == (1, 1)  # what was refused is not in its books


@pytest.mark.parametrize("length", [(64 << 20) + 1, 65_280 * 65_483])
def test_frames_of_gigabytes_are_refused_at_the_header(length: int) -> None:
    core = make_receiver()
    events = feed(core, header(length=length, chunk_bytes=65_483))
    assert sum(state.reassembler.memory_bytes for state in core._table) == 0
    (notice,) = (event for event in events if isinstance(event, Notice))
    assert f"{length:,} bytes from 192.0.2.7 are refused" in notice.text
    assert feed(core, header(length=length, chunk_bytes=65_483, frame=1)) == []  # said once


def test_a_few_bytes_that_would_decode_to_gigabytes_are_refused_at_the_header() -> None:
    core = make_receiver()
    huge = Packetizer(1, 1400).packetize(payload_of(0), Codec.JPEG, (30_000, 30_000), 0, 0).whole()
    (notice,) = feed(core, huge)
    assert isinstance(notice, Notice)
    assert "pictures of 30000x30000 from 192.0.2.7 are refused" in notice.text
    eight_k = Packetizer(1, 1400).packetize(payload_of(1), Codec.JPEG, (7680, 4320), 1, 0).whole()
    assert len(frames_in(feed(core, eight_k))) == 1
    assert core.reports()[0].ledger.lost == {Loss.OVERSIZED: 1}


def test_memory_is_bounded_over_all_streams() -> None:
    core = make_receiver()
    feed(core, datagrams_of(0))
    feed(core, datagrams_of(1)[:5])
    for number in range(40):
        for frame in range(2):
            datagram = header(
                epoch=number, frame=frame, length=60 << 20, chunk_bytes=1376 * 8, data=255
            )
            feed(core, datagram, source=("203.0.113.9", 9))
        total = sum(state.reassembler.memory_bytes for state in core._table)
        assert total <= MAX_MEMORY_BYTES
    # Streams without a picture were robbed, not the camera.
    assert len(frames_in(feed(core, datagrams_of(1)[5:]))) == 1


def test_what_waited_for_a_frame_that_memory_had_no_room_for_is_delivered_at_once() -> None:
    core = make_receiver()
    other: Address = ("192.0.2.8", 4)
    feed(core, datagrams_of(0, epoch=2), source=other)
    large = FrameHeader(
        index=0, block=0, data=242, parity=0, epoch=1, frame=0, length=60 << 20, captured_us=0,
        width=640, height=480, codec=Codec.JPEG, chunk_bytes=65_000,
    )  # fmt: skip
    feed(core, hello(offset_error_us=100))
    feed(core, pack_frame_header(*large[:-1]) + bytes(65_000))
    assert frames_in(feed(core, datagrams_of(1))) == []
    for number in range(1, 5):
        header = pack_frame_header(*large._replace(epoch=2, frame=number)[:-1])
        events = feed(core, header + bytes(65_000), source=other)
    assert [event.whole.number for event in frames_in(events)] == [1]


def test_notices_are_bounded() -> None:
    core = make_receiver(max_frame_bytes=10)
    notices = 0
    for number in range(MAX_NOTICES + 100):
        events = feed(core, header(), source=(f"203.0.113.{number}", 1))
        notices += sum(isinstance(event, Notice) for event in events)
    assert notices == MAX_NOTICES


def test_many_tiny_frames_in_one_batch() -> None:
    core = make_receiver()
    rows = np.concatenate([datagrams_of(number, 1, datagram_bytes=25) for number in range(2000)])
    assert len(frames_in(feed(core, rows))) == 2000


# -- any bytes ----------------------------------------------------------------

mutated = st.tuples(
    st.sampled_from(
        [
            *(bytes(row) for row in datagrams_of(3)),
            bytes(datagrams_of(4, 24, datagram_bytes=48)[0]),
            hello(),
            hello(session=6, next_frame=9),
            pack_control(Bye(1, 9)),
            pack_control(Welcome(1, 1, 2, 3, 4)),
            pack_control(Result(1, 3, score=50.0, limb="left shin", degrees=30.0)),
        ]
    ),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 255)), max_size=2),
    st.integers(0, 3),
)


def mutate(datagram: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    changed = bytearray(datagram)
    for at, value in changes:
        if at < len(changed):
            changed[at] = value
    return bytes(changed[: len(changed) - cut])


@settings(max_examples=150)
@given(st.data(), st.sampled_from(["auto", "indexed", "classic"]))
def test_no_bytes_make_it_raise_or_unbalance_its_books(data: st.DataObject, wire: str) -> None:
    core = make_receiver(wire=wire, classic=ClassicGeometry((2, 2), 5))
    now = 0.0
    steps = data.draw(st.lists(st.one_of(mutated, st.binary(min_size=1, max_size=60)),
                               min_size=1, max_size=25))  # fmt: skip
    for step in steps:
        datagram = step if isinstance(step, bytes) else mutate(*step)
        if not datagram:
            continue
        core.feed(SENDER, np.frombuffer(datagram * 2, np.uint8).reshape(2, -1), 0, now)
        now += 0.03
        core.handle_timer(now)
        for state in core._table:
            assert balanced(state.ledger)
            assert state.reassembler.memory_bytes <= MAX_MEMORY_BYTES
        for report in core.reports():
            assert report.as_dict()
        core.datagrams_to_send()
    core.close(now)
    for event in ended_in(core.events()):
        assert event.report.ledger.in_flight == 0


def test_every_drop_has_a_name() -> None:
    core = make_receiver()
    feed(core, b"GET / HTTP/1.1")
    feed(core, bytes([0, 0xE2, 1, 0, 1, 0, 0, 1]) + bytes(30))
    feed(core, bytes([0, 0xE1, 9, 0, 1, 0, 0, 1]) + bytes(30))
    assert {name: count for name, count in core.dropped.items() if count} == {
        "malformed": 1,
        "unknown_version": 1,
        "unknown_kind": 1,
    }


def test_another_version_is_told_to_a_person_once() -> None:
    core = make_receiver()
    datagram = bytes([0, 0xE2, 1, 0, 1, 0, 0, 1]) + bytes(30)
    texts = [event.text for _ in range(3) for event in feed(core, datagram)
             if isinstance(event, Notice)]  # fmt: skip
    assert len(texts) == 1
    assert "wire version 2" in texts[0]
    assert "same udpstream on both machines" in texts[0]


# -- which wire ---------------------------------------------------------------

CLASSIC = ClassicGeometry((20, 5), 33)


def classic_chunks(number: int, first_bytes: bytes = b"") -> list[bytes]:
    payload = payload_of(number, CLASSIC.frame_bytes)
    payload[: len(first_bytes)] = np.frombuffer(first_bytes, np.uint8)
    return [bytes(chunk) for chunk in packetize_classic(payload, CLASSIC)]


def test_both_wires_on_one_port() -> None:
    core = make_receiver(classic=CLASSIC)
    classic: Address = ("192.0.2.8", 1)
    events = []
    for chunk, row in zip(classic_chunks(0), datagrams_of(0), strict=True):
        events += feed(core, chunk, source=classic)
        events += feed(core, row[None, :])
    assert sorted(event.stream.wire for event in frames_in(events)) == ["classic", "indexed"]
    whole = next(event for event in frames_in(events) if event.stream.wire == "classic")
    assert (whole.captured_at, whole.latency_s, whole.stream.epoch) == (None, None, 0)
    assert not +core.dropped


def test_a_known_classic_source_may_send_the_marks_byte() -> None:
    core = make_receiver(classic=CLASSIC)
    feed_all = [feed(core, chunk) for chunk in classic_chunks(0)]
    assert len(frames_in(feed_all[-1])) == 1
    marked = [feed(core, chunk) for chunk in classic_chunks(1, first_bytes=b"\xe1\x01")]
    assert len(frames_in(marked[-1])) == 1


def test_the_wire_that_was_asked_for() -> None:
    indexed = make_receiver(wire="indexed", classic=CLASSIC)
    classic = make_receiver(wire="classic", classic=CLASSIC)
    for core in (indexed, classic):
        frames = [f for chunk in classic_chunks(0) for f in frames_in(feed(core, chunk))]
        frames += frames_in(feed(core, datagrams_of(0), source=("192.0.2.9", 1)))
        wire = "indexed" if core is indexed else "classic"
        assert [frame.stream.wire for frame in frames] == [wire]
        assert core.dropped["malformed"] == 10


def notices_in(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def test_the_other_wire_than_was_asked_for_is_told_to_a_person() -> None:
    classic = make_receiver(wire="classic", classic=CLASSIC)
    (said,) = notices_in([event for _ in range(3) for event in feed(classic, datagrams_of(0))])
    assert "sends on the indexed wire" in said
    assert "leave out --wire classic" in said
    indexed = make_receiver(wire="indexed", classic=CLASSIC)
    chunks = classic_chunks(0) * 3
    (said,) = notices_in([event for chunk in chunks for event in feed(indexed, chunk)])
    assert "sends on the classic wire" in said
    assert "leave out --wire indexed" in said


@pytest.mark.parametrize("wire", ["auto", "classic"])
@pytest.mark.parametrize("chunks", [5, 15], ids=["smaller", "larger"])
def test_classic_pictures_of_another_size_are_told_to_a_person(wire: str, chunks: int) -> None:
    """The wire does not tell the size, so nothing else can be noticed."""
    core = make_receiver(wire=wire, classic=CLASSIC)
    size = 1 + CLASSIC.chunk_bytes
    events = [
        event
        for number in range(20)
        for index in range(chunks)
        for event in feed(core, bytes([index, 0x11]) + bytes([number]) * (size - 2))
    ]
    (said,) = notices_in(events)
    assert "do not have the 20x5 pixels expected" in said
    assert "--size WIDTHxHEIGHT" in said


def test_the_kernels_drops_reach_the_classic_wire_and_the_report() -> None:
    core = make_receiver(classic=CLASSIC)
    for chunk in classic_chunks(0):
        feed(core, chunk, kernel_dropped=3)
    for chunk in classic_chunks(1)[:4]:
        feed(core, chunk, kernel_dropped=3)
    for chunk in classic_chunks(2)[4:]:
        assert feed(core, chunk, kernel_dropped=13) == []
    report = core.reports()[0]
    assert (report.kernel_dropped, report.ledger.lost[Loss.TORN]) == (10, 1)
    assert report.ledger.wire_bytes == sum(map(len, classic_chunks(0))) * 2


def test_only_so_many_streams_may_begin_in_so_short_a_time() -> None:
    core = make_receiver()
    for epoch in range(MAX_STREAMS + 5):  # one sender that restarts and restarts
        feed(core, datagrams_of(0, epoch=epoch), 1.0 + epoch * 1e-3)
    assert core.dropped["frames_of_too_many_streams"] == 5
    feed(core, datagrams_of(0, epoch=999), 1.0 + BEGIN_S)
    assert core.reports()[0].stream.epoch == 999


def test_a_camera_that_has_stopped_shows_no_rate() -> None:
    core = make_receiver()
    for number in range(30):
        feed(core, datagrams_of(number), number / 30)
    assert core.reports()[0].frames_per_second == pytest.approx(30.0)
    core.handle_timer(4.0)
    assert core.reports()[0].frames_per_second is None


@pytest.mark.parametrize(("fed_at", "lag_s"), [(5.0, 0.25), (4.9, 0.0)])
def test_what_waited_in_the_socket_is_reported_as_of_when_it_came(
    fed_at: float, lag_s: float
) -> None:
    core = make_receiver()
    feed(core, hello(), 5.0)
    feed(core, datagrams_of(0), 5.0)
    core.note_lag(fed_at, 0.25)  # of what was fed last, and of nothing else
    core.datagrams_to_send()
    core.handle_timer(5.3)
    (report,) = [
        message
        for datagram, _ in core.datagrams_to_send()
        if isinstance(message := parse_control(datagram), Report)
    ]
    assert report.arrived_us == (WALL_S + 5.0 - lag_s) * 1e6
    assert report.clock_us == (WALL_S + 5.3) * 1e6


def test_a_classic_stream_wants_no_report_and_wakes_nobody() -> None:
    core = make_receiver(classic=CLASSIC)
    for chunk in classic_chunks(0):
        feed(core, chunk, now=5.0)
    core.handle_timer(6.0)
    assert core.datagrams_to_send() == []
    assert (core.next_timer() or 0.0) > 6.0


# -- results for the performer ------------------------------------------------

RESULT = Result(1, 0, score=50.0)


def stream_that_hears(core: ReceiverCore, now: float = 0.0, **fields: Any) -> Stream:
    """Begin a stream whose sender has heard the receiver; return it."""
    feed(core, hello(offset_error_us=500, **fields), now)
    (frame,) = frames_in(feed(core, datagrams_of(0), now))
    return frame.stream


def test_a_result_goes_to_the_streams_sender() -> None:
    core = make_receiver()
    addressed = core.address_result(stream_that_hears(core), RESULT, 0.0)
    assert addressed == (pack_control(RESULT), SENDER)


def test_a_sender_that_may_not_hear_gets_no_results() -> None:
    core = make_receiver()
    feed(core, hello())
    (frame,) = frames_in(feed(core, datagrams_of(0)))
    assert core.address_result(frame.stream, RESULT, 0.0) is None
    feed(core, hello(offset_error_us=500))
    assert core.address_result(frame.stream, RESULT, 0.0) is not None


def test_a_classic_sender_gets_no_results() -> None:
    core = make_receiver(classic=CLASSIC)
    events = [event for chunk in classic_chunks(0) for event in feed(core, chunk)]
    (frame,) = frames_in(events)
    assert core.address_result(frame.stream, RESULT, 0.0) is None


def test_a_stream_that_ended_gets_no_results() -> None:
    core = make_receiver()
    first = stream_that_hears(core)
    feed(core, pack_control(Bye(1, 1)))
    assert core.address_result(first, RESULT, 0.0) is None
    second = stream_that_hears(core, session=6)
    assert (second.camera, second.id) == (first.camera, 2)
    assert core.address_result(first, RESULT, 0.0) is None  # a pose that was still being found
    assert core.address_result(second, RESULT, 0.0) is not None
    core.close(0.0)
    assert core.address_result(second, RESULT, 0.0) is None


@pytest.mark.parametrize("fps", [10, 29, 100, 1000])
def test_no_more_results_than_can_be_seen(fps: int) -> None:
    core = make_receiver()
    stream = stream_that_hears(core)
    jitter = np.random.default_rng(fps).uniform(0, 0.02, 10 * fps)
    times = np.sort(np.arange(10 * fps) / fps + jitter)
    sent = sum(core.address_result(stream, RESULT, now) is not None for now in times)
    most = 10 / RESULT_PERIOD_S
    if fps < 30:
        assert sent == 10 * fps
    else:
        assert most - 1 <= sent <= most + RESULT_BURST_S / RESULT_PERIOD_S + 2


def test_a_pause_saves_up_no_flood_of_results() -> None:
    core = make_receiver()
    stream = stream_that_hears(core)
    sent = [core.address_result(stream, RESULT, 20.0) is not None for _ in range(50)]
    assert sum(sent) <= RESULT_BURST_S / RESULT_PERIOD_S + 1
