"""The shape of the house: imports point down, importing is cheap, names are what they say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import upcycle

SRC = Path(upcycle.__file__).parent
LAYERS = (
    ("errors", "yamlfile", "cache"),
    ("language", "sandbox"),
    ("records", "contract", "task", "budget", "parts"),
    ("config", "taskfile"),
    ("run",),
    ("llm",),
    ("sources",),
    ("training",),
    ("evaluation",),
    ("analysis",),
    ("curation",),
    ("methods",),
    ("report",),
    ("build", "producing", "plan_report", "curating", "fitting", "indexing"),
    ("evaluating", "look", "comparing", "api", "share"),
    ("testing", "cli"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = ("torch", "transformers", "datasets", "pyarrow", "openai", "anthropic", "numpy", "pandas", "tantivy", "aiohttp")


def modules() -> list[Path]:
    return sorted(path for path in SRC.rglob("*.py") if path != SRC / "__init__.py")


def imported(path: Path) -> set[str]:
    """First names below `upcycle` that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "upcycle":
            rest = node.module.split(".")[1:]
            found.update([rest[0]] if rest else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("upcycle."))
    return found & set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_imports_point_down(path: Path):
    room = path.relative_to(SRC).parts[0].removesuffix(".py")
    assert room in RANK, f"{room} has no layer; give it one"
    up = {name for name in imported(path) if RANK[name] > RANK[room]}
    assert not up, f"{room} imports {up} from above"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_a_module_says_what_it_is_for(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "no module docstring"


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_upcycle_brings_in_nothing_heavy():
    assert python(f"import sys, upcycle; print([name for name in {HEAVY!r} if name in sys.modules])") == "[]\n"


def test_help_brings_in_nothing_heavy():
    code = f"import sys; from upcycle.cli import parser; parser(); print([n for n in {HEAVY!r} if n in sys.modules])"
    assert python(code) == "[]\n"


def test_every_public_name_can_be_imported():
    assert upcycle.__all__ == sorted(upcycle.__all__)
    for name in upcycle.__all__:
        assert getattr(upcycle, name) is not None


def test_build_is_a_function_even_after_its_module_was_imported():
    assert python("import upcycle, upcycle.build, inspect; print(inspect.isfunction(upcycle.build))") == "True\n"


def test_the_command_lines_page_is_what_the_program_says():
    from upcycle.cli.reference import render

    page = (Path(__file__).parent.parent / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert page == render(), "run: python -m upcycle.cli.reference > docs/command-line.md"
