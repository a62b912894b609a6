"""The rings: imports point inwards only, and in no circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import udpstream

ROOT = Path(udpstream.__file__).parent
MODULES = {
    ".".join(("udpstream", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}
OUTSIDE = {"asyncio", "av", "cv2", "mediapipe", "multiprocessing", "os", "select", "selectors",
           "signal", "socket", "subprocess", "threading", "time"}  # fmt: skip
ENGINES = ("udpstream.sender", "udpstream.receiver", "udpstream.intake", "udpstream.dry_run",
           "udpstream.capture", "udpstream.bench", "udpstream.cli")  # fmt: skip
CORE = [name for name in MODULES if name.startswith("udpstream.core")]
PURE = [*CORE, "udpstream.protocol", "udpstream.errors"]
FREE = ["udpstream.frame", "udpstream.sinks"]
ADAPTERS = [name for name in MODULES if name.startswith("udpstream.adapters")]


def imports_of(name: str, *, late: bool) -> set[str]:
    """The modules that a module imports; with `late`, those inside its functions too."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(MODULES[name].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)
    return found


def test_the_modules_were_found() -> None:
    assert {"udpstream.core.reassembly", "udpstream.adapters.udp", "udpstream.cli"} <= set(MODULES)


@pytest.mark.parametrize("name", PURE)
def test_the_core_is_pure(name: str) -> None:
    imports = imports_of(name, late=True)
    assert not {each.partition(".")[0] for each in imports} & OUTSIDE
    ours = {each for each in imports if each.startswith("udpstream")}
    assert ours <= {*PURE, "udpstream.core"}


@pytest.mark.parametrize("name", FREE)
def test_what_hands_frames_on_is_as_free_until_a_picture_is_wanted(name: str) -> None:
    imports = imports_of(name, late=False)
    assert not {each.partition(".")[0] for each in imports} & OUTSIDE
    ours = {each for each in imports if each.startswith("udpstream")}
    assert ours <= {*PURE, *FREE, "udpstream.core"}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_know_no_engines(name: str) -> None:
    assert not [each for each in imports_of(name, late=True) if each.startswith(ENGINES)]


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: imports_of(name, late=False) & set(MODULES) - {name} for name in MODULES}
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert set(order) == set(MODULES)
