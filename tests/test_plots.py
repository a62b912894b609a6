"""Curves and pages of `udpstream bench loss`."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from udpstream.bench import plots
from udpstream.bench.loss import Method, Setting, Trial
from udpstream.errors import UdpStreamError

SETTING = Setting(losses=(0.0, 0.01, 0.05), frames=200)
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br"}


def trials() -> list[Trial]:
    """Figures as trials give them: classic delivers nothing where anything is lost."""
    return [
        Trial(
            method=method, loss=loss, burst=burst, frames=200, left_out=3 if loss else 0,
            intact=0 if loss and method is Method.CLASSIC else 200 - round(400 * loss * worse),
            p50_ms=None if loss and method is Method.CLASSIC else 1.0,
            p99_ms=None if loss and method is Method.CLASSIC else 1.0 + 90 * loss,
            wire_by_payload=1 + loss * worse, by_parity=7, by_nack=2,
        )
        for loss, burst in SETTING.cases()
        for worse, method in enumerate(reversed(Method))
    ]  # fmt: skip


class Nesting(HTMLParser):
    """Makes sure that what is opened is closed, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        self.links += [v or "" for name, v in attrs if name in {"src", "href", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for name, v in attrs if name in {"src", "href", "xlink:href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(tmp_path: Path) -> str:
    pytest.importorskip("matplotlib")
    plots.write_html(tmp_path / "page.html", SETTING, trials())
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_beside_it(page: str) -> None:
    parser = Nesting()
    parser.feed(page)
    assert parser.open == []
    assert parser.rows == len(trials()) + 2  # and a heading for each table
    assert {link[:1] for link in parser.links} <= {"#"}
    assert "@import" not in page
    assert "url(http" not in page
    assert "it left frames out, up to 3" in page


def test_the_drawing_holds_each_series_with_a_point_for_each_loss(page: str) -> None:
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    groups = {group.get("id"): group for group in svg.iter(f"{SVG}g")}
    for burst in (1, 8):
        for method in Method:
            name = method.value.removeprefix("+")
            for what in ("intact", "wire"):
                path = groups[f"{what}-{name}-{burst}"].find(f"{SVG}path")
                assert path is not None
                assert len(re.findall("[ML]", path.get("d", ""))) == 3
    texts = {"".join(text.itertext()).strip() for text in svg.iter(f"{SVG}text")}
    assert {method.value for method in Method} <= texts
    assert {"0", "1", "5", "datagrams lost, %", "frames intact", "all", "99 %"} <= texts
    assert {"each lost independently", "lost in bursts, 8 on average"} <= texts


def test_the_same_figures_give_the_same_page(page: str, tmp_path: Path) -> None:
    plots.write_html(tmp_path / "again.html", SETTING, trials())
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_the_picture_can_be_read(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plots.write_png(tmp_path / "curves.png", SETTING, trials())
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture is not None
    assert min(picture.shape[:2]) > 1000
    colours = {tuple(pixel) for row in picture[::2, ::2].tolist() for pixel in row}
    for colour in ("#E69F00", "#56B4E9", "#009E73"):
        red, green, blue = bytes.fromhex(colour[1:])
        assert (blue, green, red) in colours


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UdpStreamError, match=r"pip install 'udpstream\[bench\]'"):
        plots.require_matplotlib()


def test_a_setting_is_told_in_a_line() -> None:
    setting = Setting(rate_bytes_per_s=2.5e6, reorder=3, duplicate=0.01, fec_percent=30, seed=9)
    assert plots.describe(setting) == (
        "900 frames of 58 kB at 30 fps, datagrams of 1,400 bytes, 1 ms each way, 20 Mbit/s, "
        "overtaken by up to 3, 1.00% twice, 30 % parity, seed 9"
    )
