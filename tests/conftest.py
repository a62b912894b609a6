"""What all tests share: the same examples on every run, and none that fails for its time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Commands]:
    """Runs commands in a folder of their own."""
    with commands_in(tmp_path) as commands:
        yield commands


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
