"""What all tests share: the same examples on every run, and none that fails for its time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import udpstream
from tests.cli_tools import Commands, commands_in
from tests.judge_tools import Judge, judging
from tests.screen_tools import x_server

settings.register_profile(
    "udpstream",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("udpstream")

_NEVER_LOADED = """
import os, pathlib, time
part = pathlib.Path({path!r} + ".part")
part.write_text(str(os.getpid()))
part.rename({path!r})
time.sleep(300)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Commands]:
    """Runs commands in a folder of their own."""
    with commands_in(tmp_path) as commands:
        yield commands


@pytest.fixture
def slow_mediapipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A MediaPipe that never gets loaded, for commands; the file where its process's number is."""
    package, loading = tmp_path / "slow" / "mediapipe", tmp_path / "loading"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_NEVER_LOADED.format(path=str(loading)))
    paths = [str(package.parent), str(Path(udpstream.__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return loading


@pytest.fixture
def judge() -> Iterator[Judge]:
    """A receiver that says of each frame what it is told to say."""
    with judging() as judge:
        yield judge


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """The name of a screen of the tests' own."""
    with x_server() as name:
        yield name
