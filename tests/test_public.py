"""What `import udpstream` gives, and what it does not load."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import udpstream


def test_all_is_sorted_and_there() -> None:
    assert udpstream.__all__ == sorted(set(udpstream.__all__))
    for name in udpstream.__all__:
        assert getattr(udpstream, name) is not None


def test_what_is_public_is_documented() -> None:
    for name in udpstream.__all__:
        public = getattr(udpstream, name)
        assert public.__doc__, name
        for attribute, value in vars(public).items():
            if not attribute.startswith("_") and callable(value):
                assert value.__doc__, f"{name}.{attribute}"


def test_what_is_public_is_listed_and_the_rest_is_an_error() -> None:
    assert set(udpstream.__all__) <= set(dir(udpstream))
    with pytest.raises(AttributeError, match="has no attribute 'Camera'"):
        udpstream.Camera  # noqa: B018


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", udpstream.__version__)


def test_importing_loads_no_more_than_it_needs() -> None:
    script = "import sys, udpstream; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    adapters = {f"udpstream.adapters.{name}" for name in ("avi", "recorder", "screen", "window")}
    assert not {
        "av",
        "cv2",
        "mediapipe",
        "numpy",
        "typer",
        "rich",
        "udpstream.cli",
        *adapters,
    } & set(loaded)


@pytest.mark.parametrize(
    "module",
    [each.name for each in pkgutil.walk_packages(udpstream.__path__, "udpstream.")
     if not each.name.endswith("__main__")],
)  # fmt: skip
def test_every_module_can_be_imported_and_says_what_it_is(module: str) -> None:
    imported = importlib.import_module(module)
    assert imported.__doc__
