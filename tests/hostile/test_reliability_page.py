"""docs/reliability.md names the tests that there are, no other, and leaves no row out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HOSTILE = Path(__file__).resolve().parent
PAGE = HOSTILE.parent.parent / "docs" / "reliability.md"
_LINK = re.compile(r"\[`(test_\w+)`\]\(\.\./tests/hostile/(test_\w+\.py)\)")
_ROW = re.compile(r"\| (\d+) \|")


def marked() -> dict[tuple[str, str], int | None]:
    """File and name of each hostile test, and the row that it is marked with."""
    found: dict[tuple[str, str], int | None] = {}
    for path in sorted(HOSTILE.glob("test_*.py")):
        if path == Path(__file__).resolve():
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                calls = [mark for mark in node.decorator_list if isinstance(mark, ast.Call)]
                rows = [mark for mark in calls if ast.unparse(mark.func) == "pytest.mark.row"]
                row = ast.literal_eval(rows[0].args[0]) if rows else None
                found[path.name, node.name] = row
    return found


def told() -> dict[tuple[str, str], int | None]:
    """The same, as the page has it."""
    found: dict[tuple[str, str], int | None] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        row = _ROW.match(line)
        for name, file in _LINK.findall(line):
            assert (file, name) not in found, f"{name} stands twice"
            found[file, name] = int(row[1]) if row else None
    return found


def test_the_page_names_exactly_the_tests_that_there_are() -> None:
    assert told() == marked()


def test_no_row_is_missing() -> None:
    assert {row for row in marked().values() if row is not None} == set(range(1, 51))
