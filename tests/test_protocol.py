from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from udpstream.errors import DatagramError
from udpstream.protocol import (
    DEFAULT_DATAGRAM_BYTES,
    GRADES,
    HEADER_BYTES,
    MAX_ASKS,
    MAX_PROBES,
    MAX_TEXT_BYTES,
    TALLY_BYTES,
    VERDICTS,
    Ask,
    Bye,
    ClassicGeometry,
    Codec,
    Control,
    FrameHeader,
    Hello,
    Kind,
    Nack,
    Probe,
    ProbeForm,
    Report,
    Result,
    StageTimes,
    Tally,
    UnknownKindError,
    UnknownVersionError,
    Welcome,
    epoch_of,
    is_control,
    is_marked,
    pack_control,
    pack_frame_header,
    parse_control,
    parse_frame_header,
)

RAW_HEADER = FrameHeader(
    index=0, block=0, data=1, parity=0, epoch=0x1234, frame=7, length=12,
    captured_us=0x01020304, width=2, height=2, codec=Codec.RAW, chunk_bytes=12,
)  # fmt: skip
JPEG_HEADER = FrameHeader(
    index=1, block=0, data=2, parity=0, epoch=0x1234, frame=7, length=20,
    captured_us=0x01020304, width=640, height=480, codec=Codec.JPEG, chunk_bytes=10,
)  # fmt: skip
PARITY_HEADER = FrameHeader(
    index=0xC9, block=3, data=200, parity=55, epoch=0xFFFF, frame=0xFFFF_FFFF, length=700_000,
    captured_us=0xFFFF_FFFF, width=65_535, height=1, codec=Codec.JPEG, chunk_bytes=1000,
)  # fmt: skip
HELLO = Hello(
    epoch=0x1234, session=0x1122334455667788, clock_us=1_700_000_000_000_000, next_frame=7,
    interval_us=33_333, offset_us=-250, offset_error_us=40,
    capture=StageTimes(120, 310, 900), encode=StageTimes(1_500, 1_900, 2_600),
)  # fmt: skip
WELCOME = Welcome(
    epoch=0x1234, echo_us=1_700_000_000_000_000, received_us=1_700_000_000_000_100,
    sent_us=1_700_000_000_000_150, receive_buffer_bytes=212_992,
)  # fmt: skip
BYE = Bye(epoch=0x1234, frames=7)

REPORT = Report(
    epoch=0x1234, number=5, clock_us=1_700_000_000_200_000, frame=6,
    arrived_us=1_700_000_000_190_000, expected=420, received=416, runs=3, reordered=1,
    duplicates=2, kernel_dropped=0, wire_bytes=582_400, delivered=6, lost=1, jitter_us=180,
    receive_buffer_bytes=212_992, waiting=1, partial=0,
)  # fmt: skip
NACK = Nack(epoch=0x1234, asks=(Ask(frame=7, block=1, index=30, chunks=2), Ask(frame=8)))

PROBE = Probe(
    epoch=0x1234, trial=3, number=30, chunks=10, form=ProbeForm.LOAD,
    clock_us=1_700_000_000_000_000,
)  # fmt: skip
CLOSING = replace(PROBE, number=60, form=ProbeForm.CLOSING, clock_us=1_700_000_000_200_000)
TALLY = Tally(
    epoch=0x1234, trial=3, echo_us=1_700_000_000_200_000, received_us=1_700_000_000_200_100,
    sent_us=1_700_000_000_200_150, receive_buffer_bytes=212_992, received=57, duplicates=1,
    reordered=1, runs=2, longest_run=2, whole=4, wire_bytes=58 * 36,
    first_us=1_700_000_000_000_100, last_us=1_700_000_000_167_180, delay_mean_us=90,
    delay_p50_us=80, delay_p99_us=300, delay_max_us=320, jitter_us=12, kernel_dropped=0,
    version=(0, 1, 0),
)  # fmt: skip

RESULT = Result(
    epoch=0x1234, frame=7, score=42.5, verdict="NOT CORRECT STEPS", grade="off",
    limb="left forearm", degrees=40.0, direction="too low", lag_s=0.28, reference_s=12.34,
    mirrored=True,
)  # fmt: skip
NO_SCORE = Result(epoch=0x1234, frame=8, reason="nobody in view")

RAW_HEX = """00 e1 01 00 01 00 12 34  00 00 00 07  00 00 00 0c  01 02 03 04  00 02 00 02
             00 01 02 03 04 05 06 07 08 09 0a 0b"""
JPEG_HEX = """01 e1 02 00 02 00 12 34  00 00 00 07  00 00 00 14  01 02 03 04  02 80 01 e0
              0a 0b 0c 0d 0e 0f 10 11 12 13"""
PARITY_HEX = "c9 e1 02 03 c8 37 ff ff  ff ff ff ff  00 0a ae 60  ff ff ff ff  ff ff 00 01" + (
    " 55" * 1000
)
HELLO_HEX = """ff e1 40 00 00 00 12 34  11 22 33 44 55 66 77 88  00 06 0a 24 18 1e 40 00
               00 00 00 00 00 00 00 07  00 00 82 35  ff ff ff ff ff ff ff 06  00 00 00 28
               00 00 00 78  00 00 01 36  00 00 03 84  00 00 05 dc  00 00 07 6c  00 00 0a 28"""
WELCOME_HEX = """ff e1 41 00 00 00 12 34  00 06 0a 24 18 1e 40 00  00 06 0a 24 18 1e 40 64
                 00 06 0a 24 18 1e 40 96  00 03 40 00"""
BYE_HEX = "ff e1 42 00 00 00 12 34  00 00 00 00 00 00 00 07"
REPORT_HEX = """ff e1 43 00 00 00 12 34  00 00 00 05  00 06 0a 24 18 21 4d 40
                00 00 00 06  00 06 0a 24 18 21 26 30
                00 00 00 00 00 00 01 a4  00 00 00 00 00 00 01 a0
                00 00 00 00 00 00 00 03  00 00 00 00 00 00 00 01
                00 00 00 00 00 00 00 02  00 00 00 00 00 00 00 00
                00 00 00 00 00 08 e3 00  00 00 00 00 00 00 00 06
                00 00 00 00 00 00 00 01  00 00 00 b4  00 03 40 00  00 01  00 00"""
NACK_HEX = """ff e1 44 00 00 00 12 34  00 02
              00 00 00 07 01 1e 02 00  00 00 00 08 00 00 00 00"""
PROBE_HEX = """ff e1 45 00 00 00 12 34  00 00 00 03  00 00 00 1e  00 0a  00 00
               00 06 0a 24 18 1e 40 00"""
FILLED_HEX = PROBE_HEX + " 00" * 8
CLOSING_HEX = (
    """ff e1 45 00 00 00 12 34  00 00 00 03  00 00 00 3c  00 0a  00 01
       00 06 0a 24 18 21 4d 40"""
    + " 00" * 88
)
TALLY_HEX = """ff e1 47 00 00 00 12 34  00 00 00 03  00 06 0a 24 18 21 4d 40
               00 06 0a 24 18 21 4d a4  00 06 0a 24 18 21 4d d6  00 03 40 00
               00 00 00 39  00 00 00 01  00 00 00 01  00 00 00 02  00 00 00 02  00 00 00 04
               00 00 00 00 00 00 08 28  00 06 0a 24 18 1e 40 64  00 06 0a 24 18 20 cd 0c
               00 00 00 5a  00 00 00 50  00 00 01 2c  00 00 01 40  00 00 00 0c
               00 00 00 00  00 01 00 00"""
RESULT_HEX = """ff e1 46 00 00 00 12 34  00 00 00 07  00 00 30 34  00 00 01 18  10 9a  01 90
                02  05  01  00  0c  07
                6c 65 66 74 20 66 6f 72 65 61 72 6d  74 6f 6f 20 6c 6f 77"""
NO_SCORE_HEX = """ff e1 46 00 00 00 12 34  00 00 00 08  ff ff ff ff  80 00 00 00  ff ff  00 00
                  00  00  00  0e  00  00
                  6e 6f 62 6f 64 79 20 69 6e 20 76 69 65 77"""

RAW_DATAGRAM = bytes.fromhex(RAW_HEX)


def check_wire(value: FrameHeader | Control, datagram: bytes) -> None:
    """Assert that a value is written as these bytes, and that they are read as that value."""
    if isinstance(value, FrameHeader):
        assert pack_frame_header(*value[:-1]) == datagram[:HEADER_BYTES]
        assert parse_frame_header(datagram) == value
        assert not is_control(datagram)
    else:
        assert pack_control(value) == datagram
        assert parse_control(datagram) == value
        assert is_control(datagram)
    assert is_marked(datagram)
    assert epoch_of(datagram) == value.epoch


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (RAW_HEADER, RAW_HEX),
        (JPEG_HEADER, JPEG_HEX),
        (PARITY_HEADER, PARITY_HEX),
        (HELLO, HELLO_HEX),
        (WELCOME, WELCOME_HEX),
        (BYE, BYE_HEX),
        (REPORT, REPORT_HEX),
        (NACK, NACK_HEX),
        (PROBE, PROBE_HEX),
        (CLOSING, CLOSING_HEX),
        (TALLY, TALLY_HEX),
        (RESULT, RESULT_HEX),
        (NO_SCORE, NO_SCORE_HEX),
    ],
    ids=[
        "raw",
        "jpeg",
        "parity",
        "hello",
        "welcome",
        "bye",
        "report",
        "nack",
        "probe",
        "closing",
        "tally",
        "result",
        "no score",
    ],
)
def test_golden_bytes_both_ways(value: FrameHeader | Control, wire: str) -> None:
    check_wire(value, bytes.fromhex(wire))


def test_the_specification_shows_the_same_bytes() -> None:
    page = Path(__file__).parents[1].joinpath("docs", "protocol.md").read_text(encoding="utf-8")
    shown = re.sub(r"\s", "", page.partition("## Examples")[2])
    for wire in (
        RAW_HEX, JPEG_HEX, HELLO_HEX, WELCOME_HEX, BYE_HEX, REPORT_HEX, NACK_HEX, FILLED_HEX,
        CLOSING_HEX, TALLY_HEX, RESULT_HEX, NO_SCORE_HEX,
    ):  # fmt: skip
        assert re.sub(r"\s", "", wire) in shown


# -- any bytes ----------------------------------------------------------------

marked_bytes = st.builds(
    lambda index, kind, rest: bytes([index, 0xE1, kind]) + rest,
    st.sampled_from([0, 1, 254, 255]),
    st.sampled_from([*Kind, 0x03, 0x7F, 0x80, 0xC1]),
    st.binary(max_size=80),
)


@given(st.one_of(st.binary(max_size=100), marked_bytes))
def test_parsers_return_or_raise_datagram_error(datagram: bytes) -> None:
    for parse in (parse_frame_header, parse_control):
        for form in (datagram, memoryview(datagram), bytearray(datagram)):
            try:
                parse(form)
            except DatagramError as error:
                assert str(error)  # noqa: PT017 - that nothing else comes out is the test
    is_marked(datagram)
    epoch_of(datagram)
    ClassicGeometry().is_chunk(datagram)


@given(st.data())
def test_a_header_that_is_read_is_sound(data: st.DataObject) -> None:
    datagram = bytearray(RAW_DATAGRAM if data.draw(st.booleans()) else bytes.fromhex(JPEG_HEX))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, HEADER_BYTES - 1))
        datagram[at] = data.draw(st.integers(0, 255))
    try:
        header = parse_frame_header(datagram)
    except DatagramError:
        return
    assert header.length > 0
    assert header.data_chunks <= 256 * header.data <= 65_280
    assert header.index < header.data + header.parity <= 255
    if header.position is None:
        assert header.index >= header.data
    else:
        assert 0 <= header.position < header.data_chunks


@given(
    st.builds(
        Hello,
        epoch=st.integers(0, 0xFFFF),
        session=st.integers(0, 2**64 - 1),
        clock_us=st.integers(0, 2**64 - 1),
        next_frame=st.integers(0, 2**64 - 1),
        interval_us=st.integers(0, 2**32 - 1),
        offset_us=st.integers(-(2**63), 2**63 - 1),
        offset_error_us=st.integers(0, 2**32 - 1),
        capture=st.builds(StageTimes, *[st.integers(0, 2**32 - 1)] * 3),
    ),
    st.binary(max_size=20),
)
def test_any_hello_comes_back_and_later_bytes_are_ignored(hello: Hello, later: bytes) -> None:
    assert parse_control(pack_control(hello) + later) == hello


# -- what breaks a rule -------------------------------------------------------


def changed(datagram: bytes, at: int, *values: int) -> bytes:
    return datagram[:at] + bytes(values) + datagram[at + len(values) :]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "too few"),
        (RAW_DATAGRAM[:7], "too few"),
        (RAW_DATAGRAM[:24], "no chunk"),
        (changed(RAW_DATAGRAM, 1, 0xD1), "no indexed mark"),
        (changed(RAW_DATAGRAM, 0, 1), "index 1 in a block"),
        (changed(RAW_DATAGRAM, 4, 0), "index 0 in a block of 0"),
        (changed(RAW_DATAGRAM, 4, 255, 1), "block of 255"),
        (changed(RAW_DATAGRAM, 3, 1), "block 1"),
        (changed(RAW_DATAGRAM, 12, 0, 0, 0, 0), "empty frame"),
        (changed(RAW_DATAGRAM, 20, 0, 0), "empty frame"),
        (changed(RAW_DATAGRAM, 22, 0, 0), "empty frame"),
        (changed(RAW_DATAGRAM, 15, 13), "raw frame of 2x2 with 13"),
        (changed(bytes.fromhex(JPEG_HEX), 15, 10), "past the frame's end"),
        (changed(bytes.fromhex(JPEG_HEX), 12, 255), "block 0 of 2 chunks"),  # over 256 blocks
        (bytes.fromhex(HELLO_HEX), "control datagram"),
    ],
)
def test_malformed_frame_datagrams(datagram: bytes, reason: str) -> None:
    with pytest.raises(DatagramError, match=reason):
        parse_frame_header(datagram)


def test_an_index_past_the_last_chunk_is_refused_only_where_it_is_data() -> None:
    last_block = changed(bytes.fromhex(PARITY_HEX), 0, 100)  # 700 chunks: 100 in block 3
    with pytest.raises(DatagramError, match="past the frame's end"):
        parse_frame_header(last_block)
    assert parse_frame_header(changed(last_block, 0, 99)).position == 699
    assert parse_frame_header(changed(last_block, 0, 200)).position is None


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        (HELLO_HEX, "HELLO"),
        (WELCOME_HEX, "WELCOME"),
        (BYE_HEX, "BYE"),
        (REPORT_HEX, "REPORT"),
        (PROBE_HEX, "PROBE"),
        (TALLY_HEX, "TALLY"),
        (RESULT_HEX, "RESULT"),
        (" ".join(RESULT_HEX.split()[:30]), "RESULT"),
    ],
)
def test_shortened_control_datagrams(wire: str, name: str) -> None:
    datagram = bytes.fromhex(wire)
    with pytest.raises(DatagramError, match=f"{name} of {len(datagram) - 1} bytes is too short"):
        parse_control(datagram[:-1])
    with pytest.raises(DatagramError, match="chunk index 9"):
        parse_control(changed(datagram, 0, 9))


def test_a_frame_datagram_is_no_control() -> None:
    with pytest.raises(DatagramError, match="frame datagram"):
        parse_control(changed(RAW_DATAGRAM, 0, 255))


@pytest.mark.parametrize("version", [0, 2, 15])
def test_other_versions_are_told_apart(version: int) -> None:
    datagram = changed(RAW_DATAGRAM, 1, 0xE0 | version)
    with pytest.raises(UnknownVersionError, match=f"wire version {version}"):
        parse_frame_header(datagram)
    assert is_marked(datagram)


@pytest.mark.parametrize("kind", [0x00, 0x03, 0x7F, 0x81])
def test_other_kinds_are_told_apart(kind: int) -> None:
    with pytest.raises(UnknownKindError, match=f"0x{kind:02x}"):
        parse_frame_header(changed(RAW_DATAGRAM, 2, kind))


@pytest.mark.parametrize(
    "field", [{"frame": 2**32}, {"width": 65_536}, {"index": 256}, {"epoch": -1}]
)
def test_a_header_field_that_does_not_fit_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(DatagramError, match="out of range"):
        pack_frame_header(*RAW_HEADER._replace(**field)[:-1])


@pytest.mark.parametrize(
    "message",
    [
        replace(HELLO, interval_us=2**32),
        replace(HELLO, offset_us=2**63),
        replace(WELCOME, echo_us=-1),
        replace(BYE, frames=2**64),
        replace(REPORT, waiting=2**16),
        replace(NACK, asks=(Ask(2**32),)),
        replace(PROBE, chunks=2**16),
        replace(TALLY, delay_max_us=2**32),
        replace(TALLY, version=(0, 256, 0)),
        replace(RESULT, score=100.01),
        replace(RESULT, score=-0.01),
        replace(RESULT, score=655.35),
        replace(RESULT, score=float("nan")),
        replace(RESULT, degrees=180.1),
        replace(RESULT, degrees=-1.0),
        replace(RESULT, lag_s=float("inf")),
        replace(RESULT, lag_s=3e6),
        replace(RESULT, reference_s=-1.0),
        replace(RESULT, verdict="WELL DONE"),
        replace(RESULT, grade="superb"),
    ],
)
def test_a_control_field_that_does_not_fit_is_refused(message: Control) -> None:
    with pytest.raises(DatagramError, match="out of range"):
        pack_control(message)


def test_a_nack_asks_for_something_and_not_for_too_much() -> None:
    datagram = bytes.fromhex(NACK_HEX)
    with pytest.raises(DatagramError, match="0 asks in one NACK: 1 to 170 fit"):
        pack_control(replace(NACK, asks=()))
    with pytest.raises(DatagramError, match="171 asks in one NACK"):
        pack_control(replace(NACK, asks=(Ask(7),) * 171))
    with pytest.raises(DatagramError, match="a NACK of 0 asks"):
        parse_control(changed(datagram, 8, 0, 0))
    with pytest.raises(DatagramError, match="a NACK of 3 asks in 26 bytes is too short"):
        parse_control(changed(datagram, 8, 0, 3))
    with pytest.raises(DatagramError, match="226 chunks from 30 on"):
        parse_control(changed(datagram, 16, 226))
    full = replace(NACK, asks=(Ask(7, 0, 0, 255),) * MAX_ASKS)
    assert len(pack_control(full)) <= DEFAULT_DATAGRAM_BYTES
    check_wire(full, pack_control(full))


@given(
    st.lists(
        st.builds(
            lambda frame, block, index, chunks: Ask(frame, block, index, min(chunks, 255 - index)),
            st.integers(0, 2**32 - 1), *[st.integers(0, 255)] * 3,
        ),
        min_size=1, max_size=MAX_ASKS,
    ),
    st.binary(max_size=20),
)  # fmt: skip
def test_any_nack_comes_back_and_later_bytes_are_ignored(asks: list[Ask], later: bytes) -> None:
    nack = Nack(7, tuple(asks))
    assert parse_control(pack_control(nack) + later) == nack


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (changed(bytes.fromhex(PROBE_HEX), 19, 2), "unknown form 2"),
        (changed(bytes.fromhex(PROBE_HEX), 16, 0, 0), "frames of 0"),
        (changed(bytes.fromhex(PROBE_HEX), 12, 0, 8, 0, 0), f"up to {MAX_PROBES}"),
        (changed(bytes.fromhex(CLOSING_HEX), 12, 0, 8, 0, 1), f"up to {MAX_PROBES}"),
        (bytes.fromhex(CLOSING_HEX)[:-1], "115 bytes asks for a TALLY of 116"),
    ],
)
def test_probes_that_break_a_rule(datagram: bytes, reason: str) -> None:
    with pytest.raises(DatagramError, match=reason):
        parse_control(datagram)


@given(
    st.builds(
        Probe, epoch=st.integers(0, 0xFFFF), trial=st.integers(0, 2**32 - 1),
        number=st.integers(0, MAX_PROBES - 1), chunks=st.integers(1, 0xFFFF),
        form=st.sampled_from(ProbeForm), clock_us=st.integers(0, 2**64 - 1),
    ),
    st.binary(max_size=20),
)  # fmt: skip
def test_any_probe_comes_back_whatever_it_is_filled_up_with(probe: Probe, fill: bytes) -> None:
    assert parse_control(pack_control(probe) + fill) == probe


def test_an_answer_is_never_longer_than_what_asked_for_it() -> None:
    assert len(pack_control(WELCOME)) < len(pack_control(HELLO))
    assert len(pack_control(TALLY)) == TALLY_BYTES == len(pack_control(CLOSING))


texts = st.text(
    st.characters(codec="utf-8").filter(str.isprintable), max_size=MAX_TEXT_BYTES
).filter(lambda text: len(text.encode()) <= MAX_TEXT_BYTES)


@given(
    st.builds(
        Result, epoch=st.integers(0, 0xFFFF), frame=st.integers(0, 2**32 - 1),
        score=st.one_of(st.none(), st.integers(0, 100_00).map(lambda n: n / 100)),
        verdict=st.sampled_from([None, *VERDICTS]), grade=st.sampled_from([None, *GRADES]),
        reason=texts, limb=texts, degrees=st.integers(0, 180_0).map(lambda n: n / 10),
        direction=texts,
        lag_s=st.one_of(st.none(), st.integers(1 - 2**31, 2**31 - 1).map(lambda n: n / 1000)),
        reference_s=st.one_of(st.none(), st.integers(0, 2**32 - 2).map(lambda n: n / 1000)),
        mirrored=st.booleans(), ended=st.booleans(),
    ),
    st.binary(max_size=20),
)  # fmt: skip
def test_any_result_comes_back_and_later_bytes_are_ignored(result: Result, later: bytes) -> None:
    assert parse_control(pack_control(result) + later) == result


@given(st.binary(max_size=MAX_TEXT_BYTES))
@example(b"\x1b[2J\x1b]0;owned\x07")
@example("left\u202eforearm\u200b\n\x9b31m".encode())
def test_text_from_the_network_can_be_shown(text: bytes) -> None:
    datagram = bytearray(pack_control(replace(NO_SCORE, reason="-" * len(text))))
    datagram[30:] = text
    result = parse_control(datagram)
    assert isinstance(result, Result)
    assert result.reason.isprintable() or not result.reason
    assert len(result.reason) <= MAX_TEXT_BYTES


def test_what_a_later_version_may_say_in_a_result() -> None:
    datagram = changed(bytes.fromhex(RESULT_HEX), 24, 3, 6, 0xFF)
    unknown = replace(RESULT, verdict=None, grade=None, ended=True)
    assert parse_control(datagram) == unknown
    hand = replace(RESULT, limb="linke Hand", direction="zu hoch \N{UPWARDS ARROW}")
    check_wire(hand, pack_control(hand))


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (changed(bytes.fromhex(RESULT_HEX), 20, 0x27, 0x11), "score 100.01"),
        (changed(bytes.fromhex(RESULT_HEX), 20, 0xFF, 0xFE), "score 655.34"),
        (changed(bytes.fromhex(RESULT_HEX), 22, 0x07, 0x09), "180.1 degrees"),
        (changed(bytes.fromhex(RESULT_HEX), 27, 49) + bytes(99), "text of 49 bytes: 48 fit"),
        (changed(bytes.fromhex(RESULT_HEX), 28, 13), "49 bytes is too short for its texts"),
    ],
)
def test_results_that_break_a_rule(datagram: bytes, reason: str) -> None:
    with pytest.raises(DatagramError, match=reason):
        parse_control(datagram)


def test_a_text_that_is_too_long_is_not_sent() -> None:
    longest = replace(RESULT, reason="x" * 48, limb="\N{EM DASH}" * 16, direction="y" * 48)
    assert len(pack_control(longest)) == 174
    with pytest.raises(DatagramError, match="up to 48 bytes each"):
        pack_control(replace(longest, limb="\N{EM DASH}" * 16 + "x"))


# -- classic ------------------------------------------------------------------


def test_the_classic_geometry() -> None:
    geometry = ClassicGeometry()
    assert (geometry.frame_bytes, geometry.chunks) == (921_600, 20)
    assert [geometry.chunk_size(index) for index in (0, 19)] == [46_080, 46_080]
    smaller = ClassicGeometry((320, 241))
    assert (smaller.chunks, smaller.chunk_size(5)) == (6, 320 * 241 * 3 - 5 * 46_080)


def test_a_classic_chunk_has_the_size_of_its_index() -> None:
    geometry = ClassicGeometry((2, 2), chunk_bytes=5)
    assert [geometry.is_chunk(bytes([index]) + bytes(5)) for index in range(4)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert geometry.is_chunk(b"\x02\x0a\x0b")
    assert not geometry.is_chunk(b"")
    assert not geometry.is_chunk(b"\x00")


@pytest.mark.parametrize(
    ("size_wh", "chunk_bytes"),
    [((4000, 3000), 46_080), ((640, 480), 0), ((640, 480), 65_507), ((0, 480), 46_080)],
)
def test_impossible_classic_geometries(size_wh: tuple[int, int], chunk_bytes: int) -> None:
    if size_wh == (4000, 3000):
        chunk_bytes = 4_000  # 9,000 chunks
    with pytest.raises(DatagramError, match="classic chunks"):
        ClassicGeometry(size_wh, chunk_bytes)
