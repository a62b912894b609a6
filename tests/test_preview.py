"""The performer's window on a made-up window system and clock."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.test_window import FakeGui
from udpstream.adapters import preview as module
from udpstream.adapters.preview import TITLE, Preview
from udpstream.adapters.score_words import Words
from udpstream.protocol import VERDICTS, Result

RESULT = Result(1, 7, score=42.0, verdict=VERDICTS[1])


def picture(size_wh: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """A picture that is dark at its left and bright at its right, and not to be written to."""
    row = np.linspace(0, 255, size_wh[0]).astype(np.uint8)
    frame_bgr = np.repeat(np.tile(row, (size_wh[1], 1))[:, :, None], 3, axis=2)
    frame_bgr.flags.writeable = False
    return frame_bgr


class Bench:
    """A preview on a `FakeGui` and a clock that a test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, mirrored: bool = False) -> None:
        self.now = 100.0
        self.gui = FakeGui()
        self.drawn: list[str] = []
        self.preview = Preview(mirrored=mirrored, gui=self.gui, clock=lambda: self.now)

        def note_words(canvas_bgr: NDArray[np.uint8], words: Words, *, afar: bool) -> None:
            assert afar
            self.drawn.append(words.score or words.reason)

        monkeypatch.setattr(module, "draw_words", note_words)

    def step(self, result: Result | None = None, *, passed_s: float = 0.1) -> bool:
        """Show a new picture, so much later."""
        self.now += passed_s
        self.preview.put(picture())
        return self.preview.step(result, "", 0.02)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_the_window_opens_with_the_first_picture(bench: Bench) -> None:
    assert bench.preview.step(RESULT, "", 0.0)
    assert bench.gui.opened == []
    assert bench.gui.polls == 0
    assert bench.step()
    assert bench.gui.opened == [TITLE]
    assert bench.gui.sizes_wh[TITLE] == (64, 48)
    assert bench.step()
    assert bench.gui.opened == [TITLE]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mirror_shows_the_right_at_the_left(
    monkeypatch: pytest.MonkeyPatch, mirrored: bool
) -> None:
    bench = Bench(monkeypatch, mirrored=mirrored)
    bench.step()
    shown = bench.gui.shown[TITLE]
    expected = picture()[:, ::-1] if mirrored else picture()
    upper = slice(0, 20)  # below is the line
    assert np.array_equal(shown[upper], expected[upper])


def test_what_is_written_is_not_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    grey = np.full((480, 640, 3), 128, np.uint8)
    for mirrored in (False, True):
        gui = FakeGui()
        preview = Preview(mirrored=mirrored, gui=gui)
        preview.put(grey)
        preview.step(RESULT, "127.0.0.1:9505   30.0 fps", 0.01)
        lines.append(gui.shown[TITLE])
    assert np.array_equal(lines[0], lines[1])
    assert not np.array_equal(lines[0], grey)


def test_the_latest_picture_is_shown_and_putting_one_touches_no_window(bench: Bench) -> None:
    def put() -> None:
        for grey in range(5):
            bench.preview.put(np.full((48, 64, 3), grey, np.uint8))

    thread = threading.Thread(target=put)
    thread.start()
    thread.join()
    assert bench.gui.threads == set()
    bench.preview.step(None, "", 0.01)
    assert bench.gui.shown[TITLE].max() == 4
    assert bench.gui.threads == {threading.get_ident()}


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27])
def test_q_and_escape_end_it(bench: Bench, key: int) -> None:
    assert bench.step()
    bench.gui.keys.append(ord("x"))
    assert bench.step()
    bench.gui.keys.append(key)
    assert not bench.step()
    bench.preview.close()
    assert bench.gui.closed == [TITLE]


def test_the_close_button_ends_it(bench: Bench) -> None:
    bench.gui.maps_at_poll = False
    assert bench.step()  # it is not up yet, which is not closed
    bench.gui.maps_at_poll = True
    assert bench.step()
    bench.gui.user_closes(TITLE)
    assert not bench.preview.step(None, "", 0.0)
    bench.preview.close()
    assert bench.gui.closed == []


def test_the_window_answers_while_no_picture_comes(bench: Bench) -> None:
    bench.step()
    polls = bench.gui.polls
    assert bench.preview.step(None, "", 0.0)
    assert bench.gui.polls == polls + 1


def test_a_result_stays_long_enough_to_be_read(bench: Bench) -> None:
    results = [replace(RESULT, score=score) for score in range(10)]
    for result in results:
        bench.step(result, passed_s=0.125)
    assert bench.drawn == list("0000444488")


def test_whether_there_is_a_score_shows_at_once(bench: Bench) -> None:
    nobody = Result(1, 8, reason="nobody in view")
    bench.step(RESULT, passed_s=0.1)
    bench.step(nobody, passed_s=0.1)
    bench.step(RESULT, passed_s=0.1)
    assert bench.drawn == ["42", "no score: nobody in view", "42"]
    bench.step(None, passed_s=0.1)
    bench.step(None, passed_s=1.0)
    assert len(bench.drawn) == 3


def test_a_quick_source_is_not_drawn_more_often_than_it_can_be_seen(bench: Bench) -> None:
    bench.step()
    slept: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", slept.append)
        bench.step(passed_s=0.004)
        bench.step(passed_s=0.1)
    assert slept == [pytest.approx(1 / 60 - 0.004)]


def test_what_a_later_receiver_may_say_is_drawn_as_far_as_it_can_be() -> None:
    shown = []
    for limb in ("f\N{LATIN SMALL LETTER U WITH DIAERESIS}nf", "f?nf"):
        gui = FakeGui()
        preview = Preview(mirrored=False, gui=gui)
        preview.put(np.full((480, 640, 3), 128, np.uint8))
        hinted = replace(RESULT, verdict=None, limb=limb, degrees=40.0, direction="W" * 48)
        preview.step(hinted, "", 0.01)
        shown.append(gui.shown[TITLE])
    assert np.array_equal(shown[0], shown[1])
