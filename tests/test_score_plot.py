from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from tests.score_tools import body, result_of, scored_of
from udpstream.adapters.score_plot import MAX_BINS, Curves, ScorePlot, WorstMoments, draw_page
from udpstream.core.pose.tally import WORST_MOMENTS, Summary, Tally
from udpstream.errors import PoseError
from udpstream.scored import Scored
from udpstream.scoring import LIMBS, NOBODY, Hint

RATE = 10.0


def scored_at(time_s: float, score: float | None = 87.0, **limbs_deg: float | None) -> Scored:
    named = {limb.replace("_", " "): degrees for limb, degrees in limbs_deg.items()}
    hint = Hint("left forearm", 40.0, "too low") if score is not None and score < 50 else None
    result = result_of(
        time_s, score, reason=NOBODY if score is None else None, limbs_deg=named, hint=hint
    )
    return scored_of(
        round(time_s * RATE), rate=RATE, landmarks=body(), reference=body(), result=result,
        level=round(score or 0.0),
    )  # fmt: skip


def summary_of(*scores: Scored) -> Summary:
    tally = Tally()
    for each in scores:
        result = each.result
        tally.add(each.time_s, result.score, result.reason, result.limbs_deg, correct=True)
    return tally.summary(lag_s=0.3, mirrored=True)


def test_curves_are_means_over_time() -> None:
    curves = Curves()
    for time_s, score in ((0.0, 80.0), (0.1, 60.0), (0.5, 90.0)):
        curves.add(scored_at(time_s, score, left_shin=score / 2, torso=None))
    curves.add(scored_at(0.9, None))
    means = curves.means()
    assert curves.bin_s == 0.2
    np.testing.assert_allclose(means[:, 0], [70, np.nan, 90, np.nan, np.nan])
    np.testing.assert_allclose(means[:, 1 + LIMBS.index("left shin")][[0, 2]], [35, 45])
    assert np.isnan(means[:, 1 + LIMBS.index("torso")]).all()


def test_curves_stay_small_in_a_session_of_hours() -> None:
    curves = Curves()
    end_s = 4 * 3600
    for time_s in range(0, end_s, 2):
        curves.add(scored_at(time_s, 20.0 if time_s < end_s / 2 else 80.0))
    means = curves.means()
    assert len(means) <= MAX_BINS
    assert len(means) * curves.bin_s == pytest.approx(end_s, abs=2 * curves.bin_s)
    half = len(means) // 2
    np.testing.assert_allclose(means[: half - 1, 0], 20.0)
    np.testing.assert_allclose(means[half + 1 :, 0], 80.0)


def test_the_worst_moments_are_the_summarys_with_their_pictures() -> None:
    rng = np.random.default_rng(5)
    scores = [scored_at(n / RATE, float(rng.uniform(10, 90))) for n in range(300)]
    scores[100] = scored_at(10.0, None)
    moments = WorstMoments()
    for each in scores:
        moments.add(each)
    worst = moments.all()
    assert [(each.time_s, each.score) for each in worst] == [
        (moment.time_s, moment.score) for moment in summary_of(*scores).worst
    ]
    assert len(worst) == WORST_MOMENTS
    for moment in worst:
        picture = cv2.imdecode(np.frombuffer(moment.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert picture.shape == (120, 160)
        assert float(np.median(picture)) == pytest.approx(moment.score, abs=4)
        assert moment.hint == "left forearm: 40 degrees too low"


def test_large_pictures_are_kept_small() -> None:
    moments = WorstMoments()
    moments.add(scored_of(1, size_wh=(1920, 1080), result=result_of(0.1, 30.0)))
    [worst] = moments.all()
    picture = cv2.imdecode(np.frombuffer(worst.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (270, 480, 3)


def page_of(*scores: Scored, camera: str = "192.0.2.7") -> np.ndarray:
    pytest.importorskip("matplotlib")
    plot = ScorePlot()
    for each in scores:
        plot.add(each)
    png = draw_page(plot.page(summary_of(*scores), camera, "dance.csv"))
    page = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert page is not None
    return page


def test_the_page_shows_scores_limbs_and_pictures() -> None:
    good = page_of(*(scored_at(n / RATE, 90.0, left_shin=5.0) for n in range(100)))
    bad = page_of(*(scored_at(n / RATE, 20.0, left_shin=55.0) for n in range(100)))
    assert good.shape == bad.shape == (990, 1320, 3)

    def redder(page: np.ndarray) -> int:
        blue, green, red = np.moveaxis(page.astype(int), 2, 0)
        return int(((red > 150) & (green < 90) & (blue < 90)).sum())

    assert redder(bad) > redder(good) + 5_000


@pytest.mark.parametrize("scores", [(), (None,), (None, None, 70.0), (50.0,)])
def test_a_page_of_hardly_anything(scores: tuple[float | None, ...]) -> None:
    page = page_of(*(scored_at(n / RATE, score) for n, score in enumerate(scores)))
    assert (page < 128).any()


def test_names_that_matplotlib_might_stumble_over() -> None:
    page_of(scored_at(0.1), camera="a$b$_\\frac{舞}" * 9)


def test_without_matplotlib_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PoseError, match="pip install"):
        draw_page(ScorePlot().page(summary_of(), "192.0.2.7", "dance.csv"))


def test_who_is_lost_all_along_is_shown_so_all_along() -> None:
    moments = WorstMoments()
    for n in range(600):
        moments.add(scored_at(n / RATE, 0.0))
    times_s = [each.time_s for each in moments.all()]
    assert len(times_s) == WORST_MOMENTS
    assert times_s[0] < 10
    assert times_s[-1] > 40
    assert np.diff(times_s).min() > 5
