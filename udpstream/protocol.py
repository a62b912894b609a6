"""The wire format: what each byte of a datagram means, and nothing else.

This module turns datagrams into values and back. It knows no sockets, threads or
clocks, keeps no state, and raises `DatagramError` for all bad bytes. The
specification in prose is ``docs/protocol.md``; where the two differ, one is wrong.
"""

from __future__ import annotations

import enum
import math
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from udpstream.errors import DatagramError

Buffer: TypeAlias = bytes | bytearray | memoryview

DEFAULT_PORT = 9505

# -- indexed ------------------------------------------------------------------

MARK = 0xE0
VERSION = 1
MARK_AND_VERSION = MARK | VERSION
CONTROL_INDEX = 255
MAX_CHUNKS_PER_BLOCK = 255
MAX_BLOCKS = 256
MAX_SIDE = 65_535  # of a picture, in pixels: 16 bits here, and in JPEG

PREFIX_BYTES = 8
HEADER_BYTES = 24
NO_ESTIMATE_US = 0xFFFF_FFFF
MAX_ASKS = 170  # in one NACK, which is then no longer than a default datagram
MAX_PROBES = 1 << 19  # datagrams in one trial: a second of 5.9 Gbit/s in default ones
MAX_TEXT_BYTES = 48  # of each text in a RESULT: a few words

# What a RESULT's codes stand for, from 1 on; 0 is none.
VERDICTS = ("CORRECT STEPS", "NOT CORRECT STEPS")
GRADES = ("perfect", "great", "good", "fair", "off")

MIN_DATAGRAM_BYTES = HEADER_BYTES + 1
MAX_DATAGRAM_BYTES = 65_507  # an IPv4 UDP payload: 65,535 - 20 - 8
DEFAULT_DATAGRAM_BYTES = 1_400  # within Ethernet's 1,500 after IPv6, a VLAN and a tunnel
DEFAULT_MAX_FRAME_BYTES = 64 << 20  # a raw 4K frame is 24.9 MB


class Kind(enum.IntEnum):
    """The kinds of indexed datagram that this version knows."""

    RAW = 0x01
    JPEG = 0x02
    HELLO = 0x40
    WELCOME = 0x41
    BYE = 0x42
    REPORT = 0x43
    NACK = 0x44
    PROBE = 0x45
    RESULT = 0x46
    TALLY = 0x47


class Codec(enum.Enum):
    """How a frame's bytes encode its pixels."""

    RAW = "raw"
    JPEG = "jpeg"

    def __init__(self, _: str) -> None:
        self.kind = Kind[self.name]
        """The kind of datagram that carries this codec's frames."""


_CODEC_OF_KIND: dict[int, Codec] = {codec.kind: codec for codec in Codec}

_PREFIX = struct.Struct(">6BH")
_FRAME = struct.Struct(">6BHIIIHH")
_HELLO = struct.Struct(">6BHQQQIqI6I")
_WELCOME = struct.Struct(">6BHQQQI")
_BYE = struct.Struct(">6BHQ")
_REPORT = struct.Struct(">6BHIQIQ9QIIHH")
_NACK = struct.Struct(">6BHH")
_ASK = struct.Struct(">I4B")
_PROBE = struct.Struct(">6BHIIHHQ")
_RESULT = struct.Struct(">6BHIIiHH6B")
_TALLY = struct.Struct(">6BHI3Q7I3Q6I4B")

PROBE_BYTES = _PROBE.size
TALLY_BYTES = _TALLY.size


class UnknownVersionError(DatagramError):
    """A datagram with the indexed mark and a version that is not ours."""


class UnknownKindError(DatagramError):
    """An indexed datagram of a kind that this version does not know."""


class FrameHeader(NamedTuple):
    """The header of a frame datagram, and what follows from it.

    `chunk_bytes` is not a field on the wire: it is the datagram's size less the
    header's.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which no header needs
    block: int
    data: int
    parity: int
    epoch: int
    frame: int
    length: int
    captured_us: int
    width: int
    height: int
    codec: Codec
    chunk_bytes: int

    @property
    def data_chunks(self) -> int:
        """Number of data chunks in the whole frame."""
        return -(-self.length // self.chunk_bytes)

    @property
    def position(self) -> int | None:
        """The data chunk's number in the frame, or None for a parity chunk."""
        position = self.block * self.data + self.index
        in_block = min(self.data, self.data_chunks - self.block * self.data)
        return position if self.index < in_block else None


class StageTimes(NamedTuple):
    """How long one stage of the sender took of late: percentiles, in microseconds."""

    p50_us: int = 0
    p95_us: int = 0
    p99_us: int = 0


NO_TIMES = StageTimes()


@dataclass(frozen=True, slots=True)
class Hello:
    """A sender says that it is there, what its clock reads and how far it is."""

    epoch: int
    session: int
    clock_us: int
    next_frame: int
    interval_us: int
    offset_us: int = 0
    offset_error_us: int = NO_ESTIMATE_US
    capture: StageTimes = NO_TIMES
    encode: StageTimes = NO_TIMES


@dataclass(frozen=True, slots=True)
class Welcome:
    """A receiver answers a `Hello`, and says what its socket can hold."""

    epoch: int
    echo_us: int
    received_us: int
    sent_us: int
    receive_buffer_bytes: int


@dataclass(frozen=True, slots=True)
class Bye:
    """Either end stops; a sender adds how many frames it sent in all."""

    epoch: int
    frames: int


@dataclass(frozen=True, slots=True)
class Report:
    """A receiver says what has arrived; counts are of the whole stream so far.

    Attributes:
        number: of the report, from 0.
        clock_us: the receiver's clock when this left.
        frame: the latest frame of which a datagram came, modulo 2**32.
        arrived_us: the receiver's clock when the last datagram of it came that was not a
            repair.
        expected: datagrams that were sent up to the latest that came.
        received: of these, how many came by themselves; repairs are not among them.
        runs: of datagrams lost in a row.
        reordered: datagrams that came behind a later one.
        duplicates: datagrams that came again.
        kernel_dropped: datagrams that found the receive buffer full, of all streams.
        wire_bytes: of all datagrams that came.
        delivered, lost: frames.
        jitter_us: of frames' first datagrams (RFC 3550, section 6.4.1).
        receive_buffer_bytes: of the socket, as granted.
        waiting: frames that wait for a reader.
        partial: frames that are begun and not whole.
    """

    epoch: int
    number: int
    clock_us: int
    frame: int
    arrived_us: int
    expected: int
    received: int
    runs: int
    reordered: int
    duplicates: int
    kernel_dropped: int
    wire_bytes: int
    delivered: int
    lost: int
    jitter_us: int
    receive_buffer_bytes: int
    waiting: int
    partial: int


class Ask(NamedTuple):
    """Chunks of one block that are asked for again: `chunks` of them from `index` on.

    With `chunks` 0 it is the whole frame, of which nothing came.
    """

    frame: int
    block: int = 0
    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which no ask needs
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Nack:
    """A receiver asks for chunks again, 1 to 170 runs of them."""

    epoch: int
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A receiver says how well the performer in a frame does.

    Attributes:
        frame: which one, modulo 2**32.
        score: 0 to 100; None where there is none.
        verdict: one of VERDICTS; None without a score.
        grade: one of GRADES; None without a score.
        reason: why there is no score, in words; empty where there is one.
        limb: what to mend first, the performer's own left or right; empty: nothing.
        degrees: by how much that is off.
        direction: where it is, "too low" say.
        lag_s: how far the performer is behind the reference; None if not known.
        reference_s: the moment of the reference that belongs to the frame; None: none does.
        mirrored: whether the performer does it mirrored.
        ended: whether the reference is over.
    """

    epoch: int
    frame: int
    score: float | None = None
    verdict: str | None = None
    grade: str | None = None
    reason: str = ""
    limb: str = ""
    degrees: float = 0.0
    direction: str = ""
    lag_s: float | None = None
    reference_s: float | None = None
    mirrored: bool = False
    ended: bool = False


class ProbeForm(enum.IntEnum):
    """What a `Probe` is in its trial."""

    LOAD = 0
    CLOSING = 1


@dataclass(frozen=True, slots=True)
class Probe:
    """A datagram of a trial of the link, filled up with zeros; or the trial's closing.

    Attributes:
        trial: number of the trial; each new one of a sender has a higher one.
        number: of the datagram in the trial, from 0; of the closing: how many there were.
        chunks: datagrams to a frame: datagram n belongs to frame n // chunks.
        form: the load, or the closing, which asks for the tally.
        clock_us: the sender's clock when it left.
    """

    epoch: int
    trial: int
    number: int
    chunks: int
    form: ProbeForm
    clock_us: int


@dataclass(frozen=True, slots=True)
class Tally:
    """A receiver says what came of a trial.

    Attributes:
        trial: which one.
        echo_us: the clock of the closing that asked.
        received_us: the receiver's clock when that came.
        sent_us: the receiver's clock when this left.
        receive_buffer_bytes: of the socket, as granted.
        received: datagrams of the trial that came, each counted once.
        duplicates: datagrams that came again.
        reordered: datagrams that came behind a later one.
        runs: of datagrams lost in a row.
        longest_run: of these, the longest.
        whole: frames of which all datagrams came.
        wire_bytes: of all datagrams that came.
        first_us, last_us: the receiver's clock when the first and the last came.
        delay_mean_us, delay_p50_us, delay_p99_us, delay_max_us: how much longer datagrams
            were under way than the quickest.
        jitter_us: of frames' first datagrams (RFC 3550, section 6.4.1).
        kernel_dropped: datagrams that found the receive buffer full meanwhile, of all sources.
        version: of the receiver's program: major, minor and patch.
    """

    epoch: int
    trial: int
    echo_us: int
    received_us: int
    sent_us: int
    receive_buffer_bytes: int
    received: int = 0
    duplicates: int = 0
    reordered: int = 0
    runs: int = 0
    longest_run: int = 0
    whole: int = 0
    wire_bytes: int = 0
    first_us: int = 0
    last_us: int = 0
    delay_mean_us: int = 0
    delay_p50_us: int = 0
    delay_p99_us: int = 0
    delay_max_us: int = 0
    jitter_us: int = 0
    kernel_dropped: int = 0
    version: tuple[int, int, int] = (0, 0, 0)


Control: TypeAlias = Hello | Welcome | Bye | Report | Nack | Probe | Result | Tally

_PROBE_FORMS = frozenset(ProbeForm)
_NO_REFERENCE, _NO_LAG, _NO_SCORE = 0xFFFF_FFFF, -(1 << 31), 0xFFFF
_MOST_SCORE, _MOST_DEGREES = 100_00, 180_0
_MIRRORED, _ENDED = 1, 2  # flags
# Messages whose fields stand on the wire one after the other, and are numbers.
_PLAIN: dict[type[Control], tuple[Kind, struct.Struct]] = {
    Welcome: (Kind.WELCOME, _WELCOME),
    Bye: (Kind.BYE, _BYE),
    Report: (Kind.REPORT, _REPORT),
}
_PLAIN_OF_KIND = {kind: (plain, layout) for plain, (kind, layout) in _PLAIN.items()}


def pack_frame_header(
    index: int,
    block: int,
    data: int,
    parity: int,
    epoch: int,
    frame: int,
    length: int,
    captured_us: int,
    width: int,
    height: int,
    codec: Codec,
) -> bytes:
    """Return the 24 bytes that lead each datagram of a frame; the fields are `FrameHeader`'s.

    Raises:
        DatagramError: a field does not fit its place on the wire.
    """
    try:
        return _FRAME.pack(
            index, MARK_AND_VERSION, codec.kind, block, data, parity, epoch, frame, length,
            captured_us, width, height,
        )  # fmt: skip
    except struct.error as error:
        raise DatagramError(f"a header field is out of range: {error}") from error


def parse_frame_header(datagram: Buffer) -> FrameHeader:
    """Read the header of a frame datagram and check it against the datagram's size.

    Raises:
        DatagramError: the bytes are not a well-formed frame datagram.
    """
    if len(datagram) < MIN_DATAGRAM_BYTES:
        _parse_prefix(datagram)  # may know better what is wrong
        raise DatagramError(f"a frame datagram of {len(datagram)} bytes has no chunk")
    index, mark, kind, block, data, parity, epoch, frame, length, captured_us, width, height = (
        _FRAME.unpack_from(datagram)
    )
    codec = _CODEC_OF_KIND.get(kind)
    if mark != MARK_AND_VERSION or codec is None:
        raise DatagramError(
            f"a control datagram ({_parse_prefix(datagram).name}) where a frame's was expected"
        )
    chunk_bytes = len(datagram) - HEADER_BYTES
    if not data or data + parity > MAX_CHUNKS_PER_BLOCK or index >= data + parity:
        raise DatagramError(f"index {index} in a block of {data} + {parity} chunks")
    if not length or not width or not height:
        raise DatagramError(f"an empty frame: {length} bytes, {width}x{height}")
    if codec is Codec.RAW and length != width * height * 3:
        raise DatagramError(f"a raw frame of {width}x{height} with {length} bytes")
    header = FrameHeader(
        index, block, data, parity, epoch, frame, length, captured_us, width, height,
        codec, chunk_bytes,
    )  # fmt: skip
    chunks = -(-length // chunk_bytes)
    if block * data >= chunks or -(-chunks // data) > MAX_BLOCKS:
        raise DatagramError(f"block {block} of {data} chunks in a frame of {chunks}")
    if index < data and index >= chunks - block * data:
        raise DatagramError(f"chunk {index} of block {block} is past the frame's end")
    return header


def pack_control(message: Control) -> bytes:
    """Return the datagram of a control message.

    Raises:
        DatagramError: a field does not fit its place on the wire.
    """
    try:
        match message:
            case Hello():
                return _HELLO.pack(
                    *_control_prefix(Kind.HELLO), message.epoch, message.session,
                    message.clock_us, message.next_frame, message.interval_us,
                    message.offset_us, message.offset_error_us,
                    *message.capture, *message.encode,
                )  # fmt: skip
            case Nack():
                return _pack_nack(message)
            case Probe():
                return _pack_probe(message)
            case Result():
                return _pack_result(message)
            case Tally():
                *fields, version = _fields(message)
                return _TALLY.pack(*_control_prefix(Kind.TALLY), *fields, *version, 0)
            case Welcome() | Bye() | Report():
                kind, layout = _PLAIN[type(message)]
                return layout.pack(*_control_prefix(kind), *_fields(message))
    except struct.error as error:
        raise DatagramError(f"a control field is out of range: {error}: {message}") from error


def parse_control(datagram: Buffer) -> Control:
    """Read a control datagram; bytes behind the known body are ignored.

    Raises:
        DatagramError: the bytes are not a well-formed control datagram.
    """
    kind = _parse_prefix(datagram)
    if datagram[0] != CONTROL_INDEX:
        raise DatagramError(f"a control datagram with the chunk index {datagram[0]}")
    try:
        match kind:
            case Kind.HELLO:
                return _parse_hello(datagram)
            case Kind.NACK:
                return _parse_nack(datagram)
            case Kind.PROBE:
                return _parse_probe(datagram)
            case Kind.RESULT:
                return _parse_result(datagram)
            case Kind.TALLY:
                *fields, major, minor, patch, _ = _TALLY.unpack_from(datagram)[6:]
                fields.append((major, minor, patch))
                return Tally(*fields)
            case Kind.WELCOME | Kind.BYE | Kind.REPORT:
                plain, layout = _PLAIN_OF_KIND[kind]
                return plain(*layout.unpack_from(datagram)[6:])
    except struct.error as error:
        raise DatagramError(f"a {kind.name} of {len(datagram)} bytes is too short") from error
    raise DatagramError(f"a frame datagram ({kind.name}) where a control's was expected")


def is_marked(datagram: Buffer) -> bool:
    """Whether a datagram bears the indexed wire's mark, of whatever version."""
    return len(datagram) >= 2 and datagram[1] & 0xF0 == MARK


def is_control(datagram: Buffer) -> bool:
    """Whether a marked datagram is a control datagram rather than a frame's."""
    return datagram[0] == CONTROL_INDEX


def epoch_of(datagram: Buffer) -> int:
    """The epoch that an indexed datagram states; of any other bytes, a number without sense."""
    return int.from_bytes(datagram[6:8])


def _parse_hello(datagram: Buffer) -> Hello:
    epoch, *fields = _HELLO.unpack_from(datagram)[6:]
    session, clock_us, next_frame, interval_us, offset_us, error_us, *stages = fields
    capture, encode = StageTimes(*stages[:3]), StageTimes(*stages[3:])
    return Hello(
        epoch, session, clock_us, next_frame, interval_us, offset_us, error_us, capture, encode
    )


def _pack_nack(nack: Nack) -> bytes:
    if not 1 <= len(nack.asks) <= MAX_ASKS:
        raise DatagramError(f"{len(nack.asks)} asks in one NACK: 1 to {MAX_ASKS} fit")
    prefix = _NACK.pack(*_control_prefix(Kind.NACK), nack.epoch, len(nack.asks))
    return prefix + b"".join(_ASK.pack(*ask, 0) for ask in nack.asks)


def _parse_nack(datagram: Buffer) -> Nack:
    epoch, count = _NACK.unpack_from(datagram)[6:]
    if not 1 <= count <= MAX_ASKS:
        raise DatagramError(f"a NACK of {count} asks: 1 to {MAX_ASKS} are allowed")
    end = _NACK.size + count * _ASK.size
    if len(datagram) < end:
        raise DatagramError(f"a NACK of {count} asks in {len(datagram)} bytes is too short")
    asks = []
    for frame, block, index, chunks, _ in _ASK.iter_unpack(datagram[_NACK.size : end]):
        if index + chunks > MAX_CHUNKS_PER_BLOCK:
            raise DatagramError(f"{chunks} chunks from {index} on are asked for: a block has 255")
        asks.append(Ask(frame, block, index, chunks))
    return Nack(epoch, tuple(asks))


def _pack_probe(probe: Probe) -> bytes:
    datagram = _PROBE.pack(*_control_prefix(Kind.PROBE), *_fields(probe))
    return datagram.ljust(TALLY_BYTES, b"\0") if probe.form is ProbeForm.CLOSING else datagram


def _parse_probe(datagram: Buffer) -> Probe:
    epoch, trial, number, chunks, form, clock_us = _PROBE.unpack_from(datagram)[6:]
    if form not in _PROBE_FORMS:
        raise DatagramError(f"a PROBE of the unknown form {form}")
    closes = form == ProbeForm.CLOSING
    if not chunks or number + (not closes) > MAX_PROBES:
        raise DatagramError(
            f"a PROBE with number {number} in frames of {chunks}: a trial has up to {MAX_PROBES}"
        )
    if closes and len(datagram) < TALLY_BYTES:
        raise DatagramError(
            f"a PROBE of {len(datagram)} bytes asks for a TALLY of {TALLY_BYTES}: it is too short"
        )
    return Probe(epoch, trial, number, chunks, ProbeForm(form), clock_us)


def _pack_result(result: Result) -> bytes:
    texts = [text.encode() for text in (result.reason, result.limb, result.direction)]
    if max(map(len, texts)) > MAX_TEXT_BYTES:
        raise DatagramError(f"a RESULT's texts have up to {MAX_TEXT_BYTES} bytes each: {result}")
    score = _scaled(result.score, 100, _NO_SCORE)
    degrees = _scaled(result.degrees, 10, -1)
    known = result.verdict in (None, *VERDICTS) and result.grade in (None, *GRADES)
    if not known or _is_off_scale(score, degrees):
        raise DatagramError(f"a control field is out of range: {result}")
    body = _RESULT.pack(
        *_control_prefix(Kind.RESULT), result.epoch, result.frame,
        _scaled(result.reference_s, 1000, _NO_REFERENCE), _scaled(result.lag_s, 1000, _NO_LAG),
        score, degrees,
        VERDICTS.index(result.verdict) + 1 if result.verdict else 0,
        GRADES.index(result.grade) + 1 if result.grade else 0,
        _MIRRORED * result.mirrored | _ENDED * result.ended,
        *map(len, texts),
    )  # fmt: skip
    return body + b"".join(texts)


def _scaled(value: float | None, scale: int, none: int) -> int:
    if value is None:
        return none
    if not math.isfinite(value) or (number := round(value * scale)) == none:
        raise DatagramError(f"a control field is out of range: {value}")
    return number


def _is_off_scale(score: int, degrees: int) -> bool:
    return not (0 <= score <= _MOST_SCORE or score == _NO_SCORE) or not (
        0 <= degrees <= _MOST_DEGREES
    )


def _parse_result(datagram: Buffer) -> Result:
    epoch, frame, reference_ms, lag_ms, score, degrees, verdict, grade, flags, *lengths = (
        _RESULT.unpack_from(datagram)[6:]
    )
    if _is_off_scale(score, degrees):
        raise DatagramError(f"a RESULT of score {score / 100} and {degrees / 10} degrees")
    if max(lengths) > MAX_TEXT_BYTES:
        raise DatagramError(f"a RESULT with a text of {max(lengths)} bytes: {MAX_TEXT_BYTES} fit")
    if len(datagram) < _RESULT.size + sum(lengths):
        raise DatagramError(f"a RESULT of {len(datagram)} bytes is too short for its texts")
    texts, start = [], _RESULT.size
    for length in lengths:
        texts.append(_harmless(bytes(datagram[start : start + length])))
        start += length
    reason, limb, direction = texts
    return Result(
        epoch,
        frame,
        score=None if score == _NO_SCORE else score / 100,
        verdict=_meaning(VERDICTS, verdict),
        grade=_meaning(GRADES, grade),
        reason=reason,
        limb=limb,
        degrees=degrees / 10,
        direction=direction,
        lag_s=None if lag_ms == _NO_LAG else lag_ms / 1e3,
        reference_s=None if reference_ms == _NO_REFERENCE else reference_ms / 1e3,
        mirrored=bool(flags & _MIRRORED),
        ended=bool(flags & _ENDED),
    )


def _meaning(words: tuple[str, ...], code: int) -> str | None:
    """What a code stands for; None for 0, and for those of a later version."""
    return words[code - 1] if 1 <= code <= len(words) else None


def _harmless(text: bytes) -> str:
    """Text from the network as it may be shown: no controls, no escapes, no hidden characters."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for each in text.decode(errors="replace")
    )


def _fields(message: Control) -> tuple[Any, ...]:
    return tuple(getattr(message, name) for name in message.__slots__)


def _control_prefix(kind: Kind) -> tuple[int, int, int, int, int, int]:
    return CONTROL_INDEX, MARK_AND_VERSION, kind, 0, 0, 0


def _parse_prefix(datagram: Buffer) -> Kind:
    if len(datagram) < PREFIX_BYTES:
        raise DatagramError(f"{len(datagram)} bytes are too few for an indexed datagram")
    mark_and_version, kind = datagram[1], datagram[2]
    if mark_and_version & 0xF0 != MARK:
        raise DatagramError(f"no indexed mark: second byte 0x{mark_and_version:02x}")
    if mark_and_version != MARK_AND_VERSION:
        raise UnknownVersionError(
            f"wire version {mark_and_version & 0x0F}; this udpstream reads version {VERSION}"
        )
    try:
        return Kind(kind)
    except ValueError:
        raise UnknownKindError(f"unknown datagram kind 0x{kind:02x}") from None


# -- classic ------------------------------------------------------------------

CLASSIC_INDEX_BYTES = 1
CLASSIC_CHUNK_BYTES = 46_080
CLASSIC_MAX_CHUNKS = 256
CLASSIC_SIZE_WH = (640, 480)


@dataclass(frozen=True, slots=True)
class ClassicGeometry:
    """How the classic wire cuts a picture of a given size.

    Raises:
        DatagramError: the picture needs more than 256 chunks of that size.
    """

    size_wh: tuple[int, int] = CLASSIC_SIZE_WH
    chunk_bytes: int = CLASSIC_CHUNK_BYTES

    def __post_init__(self) -> None:
        if not 0 < self.chunk_bytes < MAX_DATAGRAM_BYTES:
            raise DatagramError(
                f"classic chunks of {self.chunk_bytes} bytes: "
                f"1 to {MAX_DATAGRAM_BYTES - CLASSIC_INDEX_BYTES} fit a datagram"
            )
        if not 0 < self.chunks <= CLASSIC_MAX_CHUNKS:
            width, height = self.size_wh
            raise DatagramError(
                f"{width}x{height} needs {self.chunks} classic chunks of {self.chunk_bytes} "
                f"bytes and one byte counts only {CLASSIC_MAX_CHUNKS}: use a smaller size, "
                "larger datagrams or the indexed wire"
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes in one frame."""
        return self.size_wh[0] * self.size_wh[1] * 3

    @property
    def chunks(self) -> int:
        """Number of datagrams in one frame."""
        return -(-self.frame_bytes // self.chunk_bytes)

    def chunk_size(self, index: int) -> int:
        """Bytes of the chunk with that index, the leading byte not counted."""
        return min(self.chunk_bytes, self.frame_bytes - index * self.chunk_bytes)

    def is_chunk(self, datagram: Buffer) -> bool:
        """Whether a datagram has exactly the size of the chunk that it claims to be."""
        if not datagram:
            return False
        index = datagram[0]
        return index < self.chunks and len(datagram) == CLASSIC_INDEX_BYTES + self.chunk_size(index)
