"""A performance to compare with: poses over time, and the CSV files that hold them.

Two forms are read. The product's own has a header, so a spreadsheet opens it and columns
may be moved or added:

    time_s,aspect,seen,nose_x,nose_y,nose_z,nose_visibility,left_eye_inner_x,...

One row is one sample. Where nobody was seen, `seen` is 0 and the rest is empty: a gap never
shifts the rows behind it. The other form has no header and 36 columns: x and y of the 18
COCO keypoints in pixels, where 0, 0 is a point that was not found.

Texts in, values out: this file opens no files.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udpstream.core.landmarks import LANDMARK_NAMES, N_LANDMARKS, PLACE
from udpstream.errors import BadReferenceError

_VALUES = ("x", "y", "z", "visibility")
_HEAD = ("time_s", "aspect", "seen")
_LANDMARK_COLUMNS = tuple(f"{name}_{value}" for name in LANDMARK_NAMES for value in _VALUES)
HEADER = _HEAD + _LANDMARK_COLUMNS

# The 18 in their order, as ours; the neck (None) is none of MediaPipe's, and not needed.
_COCO = (
    "nose", None,
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
_COCO_COLUMNS = 2 * len(_COCO)
DEFAULT_FPS = 10.0  # of a file that does not tell its rate

_MAX_ROWS = 500_000  # over an hour at 120 a second; 264 MB of landmarks
_MAX_COORDINATE = 1000.0  # so many pictures away: not a place, but a mistake
_MAX_PIXEL = 1e6
_ASPECTS = (0.01, 100.0)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Poses over time.

    Attributes:
        times_s: `(n,)` float64, rising, from 0: when each pose was seen.
        landmarks: `(n, 33, 4)` float32: x and y in shares of the picture's width and
            height, z, visibility 0 to 1. All zeros where nobody was seen; a point that
            was not found has visibility 0.
        aspect: the picture's width over its height, as it is meant to be seen.
    """

    times_s: NDArray[np.float64]
    landmarks: NDArray[np.float32]
    aspect: float

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """`(n,)`: whether somebody was seen."""
        return np.asarray((self.landmarks[:, :, 3] > 0).any(axis=1))

    @property
    def fps(self) -> float:
        """Samples a second, on the whole."""
        return (len(self) - 1) / float(self.times_s[-1] - self.times_s[0])

    @property
    def duration_s(self) -> float:
        """How long it lasts: the last sample counts as long as one does on the whole."""
        return float(self.times_s[-1]) + 1 / self.fps


def make_reference(
    times_s: Iterable[float],
    poses: Iterable[NDArray[np.float32] | None],
    aspect: float,
    name: str,
) -> Reference:
    """Put samples together, and make sure that they can be compared with.

    Args:
        times_s: rising times of the samples.
        poses: `(33, 4)` landmarks of each sample, or None where nobody was seen.
        aspect: the picture's width over its height.
        name: what to call it in messages.

    Raises:
        BadReferenceError: it is too short, or there is nobody in it.
    """
    nobody = np.zeros((N_LANDMARKS, 4), np.float32)
    rows = [nobody if pose is None else pose for pose in poses]
    if len(rows) < 2:
        raise BadReferenceError(
            f"{name} has {len(rows)} samples: a reference needs 2 at least, and is of use "
            "from a few seconds on"
        )
    # To a microsecond, as the CSV file has them: read back, it is the same reference.
    exact_s = [round(float(time_s), 6) for time_s in times_s]
    reference = Reference(np.array(exact_s), np.stack(rows).astype(np.float32), round(aspect, 6))
    if not reference.seen.any():
        raise BadReferenceError(
            f"nobody was seen in any of the {len(reference)} samples of {name}: "
            "take a video in which one person is in full view"
        )
    return reference


def format_reference(reference: Reference) -> Iterator[str]:
    """Give the lines of the CSV file, header first, each with its line end.

    Numbers have as many digits as it takes to read the same numbers again.
    """
    yield ",".join(HEADER) + "\n"
    aspect = repr(reference.aspect)
    nobody = "," * len(_LANDMARK_COLUMNS)
    for time_s, landmarks, seen in zip(
        reference.times_s, reference.landmarks, reference.seen, strict=True
    ):
        head = f"{float(time_s)!r},{aspect}"
        if seen:
            yield f"{head},1,{','.join(map(str, landmarks.ravel()))}\n"
        else:
            yield f"{head},0{nobody}\n"


def parse_reference(lines: Iterable[str], name: str, fps: float | None = None) -> Reference:
    """Read either form of CSV file.

    Args:
        lines: the file's text.
        name: what to call it in messages.
        fps: samples a second of a file without times; 10 unless told.

    Raises:
        BadReferenceError: the text is neither, is cut short, or there is nobody in it.
    """
    rows = _rows(lines, name)
    first = next(rows, None)
    if first is None:
        raise BadReferenceError(
            f"{name} is empty: make a reference with 'udpstream reference VIDEO -o FILE.csv'"
        )
    _, cells = first
    header = [cell.strip().casefold() for cell in cells]
    if HEADER[0] in header:
        return _parse_own(header, rows, name, fps)
    if len(cells) == _COCO_COLUMNS and _is_number(cells[0]):
        return _parse_coco(first, rows, name, fps or DEFAULT_FPS)
    raise BadReferenceError(
        f"{name} is no reference: its first line is neither a header with {HEADER[0]} nor "
        f"{_COCO_COLUMNS} numbers ({_COCO_COLUMNS // 2} keypoints x, y), but {_shown(cells)}"
    )


def _parse_own(
    header: list[str],
    rows: Iterator[tuple[int, list[str]]],
    name: str,
    fps: float | None,
) -> Reference:
    if fps is not None:
        raise BadReferenceError(f"{name} has its own times: leave out the rate (--fps)")
    missing = [column for column in HEADER if column not in header]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadReferenceError(
            f"{name} has no column {missing[0]}{more}: its header was cut or changed"
        )
    heads = [header.index(column) for column in _HEAD]
    places = [header.index(column) for column in _LANDMARK_COLUMNS]
    times_s: list[float] = []
    poses: list[NDArray[np.float32] | None] = []
    aspects: set[float] = set()
    for line, cells in rows:
        _check_width(cells, len(header), name, line)
        time_s, aspect, seen = _numbers([cells[place] for place in heads], name, line)
        if times_s and time_s <= times_s[-1]:
            raise BadReferenceError(
                f"{name}, line {line}: the time {time_s:g} s does not come after "
                f"{times_s[-1]:g} s: sort the rows by {HEADER[0]}"
            )
        if not _ASPECTS[0] <= aspect <= _ASPECTS[1]:
            raise BadReferenceError(f"{name}, line {line}: {aspect:g} is no picture's aspect")
        times_s.append(time_s)
        aspects.add(aspect)
        values = [cells[place] for place in places] if seen else None
        poses.append(None if values is None else _pose(_numbers(values, name, line), name, line))
    if len(aspects) > 1:
        raise BadReferenceError(
            f"{name} has pictures of {len(aspects)} aspects, such as {min(aspects):g} and "
            f"{max(aspects):g}: a reference comes from one video"
        )
    start_s = times_s[0] if times_s else 0.0
    aspect = aspects.pop() if aspects else 1.0
    return make_reference([time_s - start_s for time_s in times_s], poses, aspect, name)


def _parse_coco(
    first: tuple[int, list[str]],
    rows: Iterator[tuple[int, list[str]]],
    name: str,
    fps: float,
) -> Reference:
    samples = []
    for line, cells in (first, *rows):
        _check_width(cells, _COCO_COLUMNS, name, line)
        samples.append(_numbers(cells, name, line))
        if max(map(abs, samples[-1])) > _MAX_PIXEL:
            raise BadReferenceError(f"{name}, line {line}: pixels of no picture")
    points = np.array(samples).reshape(-1, len(_COCO), 2)
    found = np.any(points != 0, axis=2)
    # The picture's size is not told. Any box will do that keeps the pixels square.
    width, height = np.maximum(np.abs(points).max(axis=(0, 1)), 1.0)
    landmarks = np.zeros((len(points), N_LANDMARKS, 4), np.float32)
    for at, landmark in enumerate(_COCO):
        if landmark is not None:
            landmarks[:, PLACE[landmark], :2] = points[:, at] / (width, height)
            landmarks[:, PLACE[landmark], 3] = found[:, at]
    times_s = np.arange(len(points)) / fps
    return make_reference(times_s, landmarks, float(width / height), name)


def _rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Give line number and cells of each row that is not blank."""
    reader = csv.reader(lines)
    n_rows = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            n_rows += 1
            if n_rows > _MAX_ROWS:
                raise BadReferenceError(f"{name} has more than {_MAX_ROWS:,} rows")
            yield reader.line_num, cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadReferenceError(
            f"{name} is not a CSV file: {error}: give a reference's .csv, or a video"
        ) from error


def _check_width(cells: list[str], width: int, name: str, line: int) -> None:
    if len(cells) != width:
        raise BadReferenceError(
            f"{name}, line {line}: {len(cells)} columns where {width} belong: "
            "the file was cut off or changed; make it anew"
        )


def _numbers(cells: list[str], name: str, line: int) -> list[float]:
    for cell in cells:
        if not _is_number(cell):
            raise BadReferenceError(
                f"{name}, line {line}: {_shown([cell])} is no number: "
                "the file was cut off or changed; make it anew"
            )
    return [float(cell) for cell in cells]


def _pose(numbers: list[float], name: str, line: int) -> NDArray[np.float32]:
    pose = np.array(numbers).reshape(N_LANDMARKS, 4)
    visibility = pose[:, 3]
    if np.abs(pose).max() > _MAX_COORDINATE or visibility.min() < 0 or visibility.max() > 1:
        raise BadReferenceError(
            f"{name}, line {line}: not a pose: x and y are shares of the picture's width and "
            "height, visibility is 0 to 1"
        )
    return pose.astype(np.float32)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _shown(cells: list[str]) -> str:
    text = ",".join(cells)
    return repr(text if len(text) <= 40 else text[:37] + "...")
