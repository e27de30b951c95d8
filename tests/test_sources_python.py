"""The source that every machine has: parsed, never imported, faithful to the code."""

from __future__ import annotations

import ast
from itertools import islice
from pathlib import Path

from upcycle.records import Record
from upcycle.sources.python_functions import standard_library

MODULE = '''"""Module docstring."""
raise SystemExit("never imported")

def area(r: float) -> float:
    """Return the area of a circle."""
    # pi is good enough
    return 3.14 * r * r

def undocumented(x):
    return x

def stub():
    """Do nothing."""

def abstract():
    """Must be overridden."""
    raise NotImplementedError

class Shape:
    @property
    def text(self):
        """Text of the shape.

        Over two lines.
        """
        return """left
margin"""

    def one(self): "Documented on its line."; return 1

if True:
    def area(r):
        """Another area."""
        return r
'''


def records(folder: Path, told: list[tuple[str, str]] | None = None) -> list[Record]:
    (folder / "abc.py").write_text(MODULE)
    (folder / "json").mkdir()
    (folder / "json" / "tests").mkdir()
    (folder / "json" / "__init__.py").write_text("def broken(:\n")
    (folder / "json" / "tests" / "test_it.py").write_text('def t():\n    """A test."""\n    return 1\n')
    (folder / "notstdlib.py").write_text('def t():\n    """A stranger."""\n    return 1\n')
    found = [] if told is None else told
    return list(standard_library(folder).records(skip=lambda ref, why: found.append((ref, why))))


def test_documented_functions_and_methods_become_records(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    found = records(tmp_path, told)
    assert [record.id for record in found] == ["abc:area", "abc:Shape.text", "abc:Shape.one", "abc:area#2"]
    assert found[0].fields == {
        "module": "abc",
        "name": "area",
        "signature": "area(r: float) -> float",
        "source": "def area(r: float) -> float:\n    # pi is good enough\n    return 3.14 * r * r",
        "docstring": "Return the area of a circle.",
    }
    assert [Path(ref).name for ref, _ in told] == ["__init__.py"]
    assert "not readable Python" in told[0][1]


def test_a_source_text_is_the_function_even_where_cutting_lines_would_change_it(tmp_path: Path) -> None:
    text, one = records(tmp_path)[1:3]
    assert text.fields["docstring"] == "Text of the shape.\n\nOver two lines."
    assert text.fields["source"].startswith("@property\ndef text(self):")
    assert ast.literal_eval(ast.parse(text.fields["source"]).body[0].body[0].value) == "left\nmargin"  # type: ignore[attr-defined]
    assert one.fields["source"] == "def one(self):\n    return 1"


def test_the_installed_library_gives_valid_functions_without_their_docstrings() -> None:
    source = standard_library()
    assert (source.card.id, source.card.licence) == ("stdlib", "PSF-2.0")
    first = list(islice(source.records(), 200))
    assert [record.id for record in islice(source.records(), 200)] == [record.id for record in first]
    assert len({record.ref for record in first}) == 200
    for record in first:
        (function,) = ast.parse(record.fields["source"]).body
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        assert record.fields["docstring"]
        assert not record.fields["module"].startswith(("_", "test"))
