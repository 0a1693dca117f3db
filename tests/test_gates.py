"""The shape of the code: lengths, docstrings, broad excepts, and that every test states its promise."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import cvalues

ROOT = Path(__file__).parents[1]
SOURCE = sorted((ROOT / "src" / "cvalues").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
MODULE_LINES, FUNCTION_LINES = 600, 100


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_module_and_no_function_is_too_long() -> None:
    """No module has more than 600 lines and no function more than 100."""
    long_modules = [path.name for path in SOURCE if len(path.read_text(encoding="utf-8").splitlines()) > MODULE_LINES]
    long_functions = [
        f"{path.name}:{node.name}"
        for path in SOURCE
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert (long_modules, long_functions) == ([], [])


def test_every_test_states_its_promise() -> None:
    """Every test function has a docstring."""
    silent = [
        f"{path.name}:{node.name}"
        for path in TESTS
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_at_most_one_broad_except() -> None:
    """Nothing but the command line's boundary may catch everything."""
    broad = []
    for path in SOURCE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                name = ast.unparse(node.type) if node.type else ""
                raises = any(isinstance(child, ast.Raise) and child.exc is None for child in ast.walk(node))
                if name in {"", "Exception", "BaseException"} and not raises:
                    broad.append(f"{path.name}:{node.lineno}")
    assert len(broad) <= 1, broad


def test_nothing_unfinished_is_left() -> None:
    """No marker of unfinished work and no host or path of one machine stands in the source."""
    marks = re.compile("TO" + "DO|FIX" + r"ME|\bXX" + "X|NotImplemented" + "Error|(^|[^A-Za-z0-9_.])/(work|root|home)/")
    found = [
        f"{path.name}:{number}"
        for path in SOURCE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


def test_the_wheel_is_what_is_tested() -> None:
    """When CI says that it tests the wheel, the package does not come from the source folder."""
    in_source = Path(cvalues.__file__).is_relative_to(ROOT / "src")
    assert not (in_source and os.environ.get("CVALUES_TESTS_WHEEL"))
