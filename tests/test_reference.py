from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.pose_tools import pose_at
from udpstream.core.landmarks import LANDMARK_NAMES, PLACE
from udpstream.core.reference import (
    HEADER,
    Reference,
    format_reference,
    make_reference,
    parse_reference,
)
from udpstream.errors import BadReferenceError


def some_reference(n: int = 20, aspect: float = 16 / 9) -> Reference:
    """Poses of random numbers; nobody in every fifth sample."""
    rng = np.random.default_rng(7)
    poses: list[NDArray[np.float32] | None] = []
    for number in range(n):
        pose = rng.normal(0.5, 0.4, (33, 4)).astype(np.float32)
        pose[:, 3] = rng.random(33)
        poses.append(None if number % 5 == 2 else pose)
    return make_reference(np.arange(n) / 10, poses, aspect, "dance.csv")


def lines_of(reference: Reference) -> list[str]:
    return list(format_reference(reference))


def complaint(lines: list[str], fps: float | None = None) -> str:
    with pytest.raises(BadReferenceError) as caught:
        parse_reference(lines, "dance.csv", fps)
    message = str(caught.value)
    assert "dance.csv" in message
    assert "\n" not in message
    return message


def test_what_was_written_is_read_to_the_last_bit() -> None:
    reference = some_reference()
    again = parse_reference(lines_of(reference), "dance.csv")
    assert np.array_equal(again.landmarks, reference.landmarks)
    assert np.array_equal(again.times_s, reference.times_s)
    assert again.aspect == pytest.approx(16 / 9, abs=1e-6)
    assert again.landmarks.dtype == np.float32


def test_a_spreadsheet_sees_a_header_and_one_row_a_sample() -> None:
    rows = list(csv.DictReader(lines_of(some_reference())))
    assert len(rows) == 20
    assert list(rows[0]) == list(HEADER)
    assert len(HEADER) == 3 + 4 * 33
    assert rows[3]["time_s"] == "0.3"
    assert float(rows[0]["left_wrist_y"]) == pytest.approx(
        some_reference().landmarks[0, PLACE["left_wrist"], 1]
    )


def test_a_sample_without_a_person_is_a_row_that_says_so() -> None:
    rows = list(csv.reader(lines_of(some_reference())))
    assert {len(row) for row in rows} == {len(HEADER)}
    assert rows[3][:3] == ["0.2", "1.777778", "0"]
    assert not any(rows[3][3:])
    again = parse_reference(lines_of(some_reference()), "dance.csv")
    assert np.flatnonzero(~again.seen).tolist() == [2, 7, 12, 17]
    assert not again.landmarks[2].any()


def test_rate_and_length_count_intervals() -> None:
    reference = some_reference(21)
    assert reference.fps == pytest.approx(10)
    assert reference.duration_s == pytest.approx(2.1)


def test_columns_may_be_moved_and_added() -> None:
    reference = some_reference()
    rows = list(csv.reader(lines_of(reference)))
    moved = [",".join(["a note", *reversed(row)]) for row in rows]
    again = parse_reference(["\n", *moved, " \n"], "dance.csv")
    assert np.array_equal(again.landmarks, reference.landmarks)


def test_times_begin_at_zero_wherever_the_file_begins() -> None:
    lines = lines_of(some_reference())
    again = parse_reference([lines[0], *lines[6:]], "dance.csv")
    assert again.times_s[0] == 0
    assert again.times_s[1] == pytest.approx(0.1)


def test_an_empty_file() -> None:
    assert "is empty" in complaint([])
    assert "is empty" in complaint(["\n", "  \n"])


def test_a_header_alone_and_a_single_sample() -> None:
    lines = lines_of(some_reference())
    assert "0 samples" in complaint(lines[:1])
    assert "1 samples" in complaint(lines[:2])


def test_nobody_in_it() -> None:
    lines = lines_of(some_reference())
    assert "nobody was seen in any of the 2 samples" in complaint([lines[0], lines[3], lines[8]])


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_file_that_was_cut_in_a_row(kept: float) -> None:
    lines = lines_of(some_reference())
    lines[9] = lines[9][: int(kept * len(lines[9]))]
    assert "line 10: " in complaint(lines[:10])


def test_a_header_that_was_cut() -> None:
    lines = lines_of(some_reference())
    assert "has no column" in complaint([lines[0][:500], *lines[1:]])


@pytest.mark.parametrize("text", ["<html>", "1,2,3", "a;b;c", "x" * 5000, "time,nose_x"])
def test_files_that_are_something_else(text: str) -> None:
    message = complaint([text + "\n", text + "\n"])
    assert "is no reference" in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (3, "nose", "'nose' is no number"),
        (3, "nan", "'nan' is no number"),
        (3, "1e9", "not a pose"),
        (3, "1e300", "not a pose"),
        (6, "1.5", "not a pose"),
        (6, "-0.1", "not a pose"),
        (3, "", "'' is no number"),
        (0, "inf", "'inf' is no number"),
        (0, "0.0", "does not come after"),
        (1, "0", "no picture's aspect"),
        (1, "1.5", "2 aspects"),
    ],
)
def test_a_cell_that_was_changed(column: int, value: str, words: str) -> None:
    rows = list(csv.reader(lines_of(some_reference())))
    rows[5][column] = value
    assert words in complaint([",".join(row) for row in rows])


def test_a_rate_for_a_file_that_has_times() -> None:
    assert "has its own times" in complaint(lines_of(some_reference()), fps=10)


# 18 COCO keypoints, in pixels


COCO = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip


def coco_row(**points: tuple[float, float]) -> str:
    return ",".join(f"{x},{y}" for x, y in (points.get(name, (0, 0)) for name in COCO))


def test_keypoints_in_pixels_keep_their_proportions() -> None:
    rows = [coco_row(nose=(320, 100), left_wrist=(600, 240), right_ankle=(300, 470)),
            coco_row(nose=(320, 110), left_wrist=(640, 480))]  # fmt: skip
    reference = parse_reference(rows, "old.csv", fps=20)
    assert reference.times_s.tolist() == [0, 0.05]
    pixels = reference.landmarks[..., :2] * (reference.aspect, 1)
    nose, wrist = pixels[0, PLACE["nose"]], pixels[0, PLACE["left_wrist"]]
    assert (wrist - nose)[0] / (wrist - nose)[1] == pytest.approx(280 / 140)
    assert reference.landmarks[0, PLACE["right_ankle"], 3] == 1
    assert reference.landmarks[1, PLACE["right_ankle"], 3] == 0
    seen = {LANDMARK_NAMES[at] for at in np.flatnonzero(reference.landmarks[0, :, 3])}
    assert seen == {"nose", "left_wrist", "right_ankle"}


def test_keypoints_of_nobody_are_a_gap_in_place() -> None:
    person = coco_row(nose=(1, 1))
    reference = parse_reference([person, coco_row(), person], "old.csv")
    assert reference.seen.tolist() == [True, False, True]
    assert reference.times_s.tolist() == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,2,3", "line 2: 3 columns where 36 belong"),
        (",".join(["x"] * 36), "line 2: 'x' is no number"),
        (",".join(["1e300"] * 36), "line 2: pixels of no picture"),
    ],
)
def test_keypoints_that_are_none(row: str, words: str) -> None:
    assert words in complaint([coco_row(nose=(1, 1)), row])


def test_keypoints_of_nobody_at_all() -> None:
    assert "nobody was seen" in complaint([coco_row(), coco_row()])


@given(st.lists(st.text(max_size=60), max_size=8), st.booleans())
def test_whatever_the_text_it_is_a_reference_or_a_complaint(
    texts: list[str], with_header: bool
) -> None:
    lines = [",".join(HEADER), *texts] if with_header else texts
    try:
        reference = parse_reference(lines, "dance.csv")
    except BadReferenceError:
        return
    assert reference.seen.any()


@given(st.binary(max_size=40), st.integers(0, 5000))
def test_a_file_that_was_spoilt_is_read_or_complained_about(junk: bytes, at: int) -> None:
    text = "".join(lines_of(some_reference(6)))
    spoilt = text[:at] + junk.decode("latin-1") + text[at + len(junk) :]
    try:
        reference = parse_reference(spoilt.splitlines(keepends=True), "dance.csv")
    except BadReferenceError:
        return
    assert np.isfinite(reference.landmarks).all()
    assert (np.diff(reference.times_s) > 0).all()


def test_too_few_samples_and_nobody_are_refused_at_making() -> None:
    with pytest.raises(BadReferenceError, match="1 samples"):
        make_reference([0.0], [pose_at(0.5)], 1.0, "dance.mp4")
    with pytest.raises(BadReferenceError, match="nobody was seen"):
        make_reference([0.0, 0.1], [None, None], 1.0, "dance.mp4")
