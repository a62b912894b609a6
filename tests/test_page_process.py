from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.score_tools import body, result_of, scored_of
from udpstream.adapters import page_process
from udpstream.adapters.page_process import PageProcess
from udpstream.adapters.score_plot import Page, ScorePlot, draw_page
from udpstream.core.pose.tally import Tally
from udpstream.errors import PoseError

NO_SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture
def process() -> Iterator[PageProcess]:
    process = PageProcess()
    try:
        yield process
    finally:
        process.close()


def page_of(camera: str) -> Page:
    plot, tally = ScorePlot(), Tally()
    for number in range(60):
        result = result_of(number / 30, float(number))
        plot.add(scored_of(number, landmarks=body(), result=result))
        tally.add(result.time_s, result.score, None, result.limbs_deg, correct=True)
    return plot.page(tally.summary(lag_s=0.3, mirrored=True), camera, "dance.csv")


def test_it_draws_what_is_drawn_here(process: PageProcess) -> None:
    pytest.importorskip("matplotlib")
    pages = [page_of(camera) for camera in ("192.0.2.7", "192.0.2.8")]
    drawn: dict[str, bytes] = {}

    def draw(page: Page) -> None:
        drawn[page.camera] = process.draw(page)

    threads = [threading.Thread(target=draw, args=(page,)) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == {page.camera: draw_page(page) for page in pages}
    assert len(set(drawn.values())) == 2


def test_without_matplotlib_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    process = PageProcess()
    for _ in range(2):
        with pytest.raises(PoseError, match="pip install"):
            process.draw(page_of("192.0.2.7"))
    process.close()


def test_it_needs_no_error_output() -> None:
    pytest.importorskip("matplotlib")
    code = """if True:
        import os
        os.close(2)
        from tests.test_page_process import PageProcess, page_of
        process = PageProcess()
        os.write(1, process.draw(page_of("192.0.2.7")))
        process.close()
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.stdout == draw_page(page_of("192.0.2.7"))


@NO_SIGNALS
def test_a_process_that_died_is_told_once_and_then_there_is_another(process: PageProcess) -> None:
    pytest.importorskip("matplotlib")
    assert process.id is not None
    os.kill(process.id, signal.SIGSEGV)
    with pytest.raises(PoseError, match="cannot be drawn: its process ended with exit code -11"):
        process.draw(page_of("192.0.2.7"))
    assert process.draw(page_of("192.0.2.7")).startswith(b"\x89PNG")


@NO_SIGNALS
def test_one_that_does_not_answer_is_not_waited_for_for_ever(
    process: PageProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_process, "_TIMEOUT_S", 0.1)
    assert process.id is not None
    os.kill(process.id, signal.SIGSTOP)
    with pytest.raises(PoseError, match="cannot be drawn"):
        process.draw(page_of("192.0.2.7"))
