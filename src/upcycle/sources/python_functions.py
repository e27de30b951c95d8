"""Sources that exist on every machine: documented functions of the standard library, or of an installed package.

In: nothing ("stdlib"), or a package's name ("python:numpy"). Out: one record per documented function or method: module,
name, signature, source without its docstring, docstring. The decision: files are parsed, never imported, and a source
text is given only if it parses to exactly the function it came from.
"""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
import platform
import re
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import metadata, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from upcycle.errors import SourceError
from upcycle.records import Record
from upcycle.sources.card import Card, Column, Config, Split
from upcycle.sources.source import Skip

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_SKIPPED = frozenset({"test", "tests", "idlelib", "lib2to3", "turtledemo", "idle_test", "__pycache__", "_bundled"})
_TEXT = """# {name}

Functions and methods of {what} as installed on this machine, each with its source code and the
docstring that describes in English what the function does. Python code paired with a natural language description:
code summarization, code documentation, docstring generation.

Left out: test packages, functions without a docstring, and functions whose body does nothing (only a docstring,
`pass`, `...` or `raise NotImplementedError`).
"""
_COLUMNS = (
    Column("module", "string", None, "module the function is defined in"),
    Column("name", "string", None, "qualified name of the function or method"),
    Column("signature", "string", None, "name and parameters of the Python function"),
    Column("source", "string", None, "source code of the Python function, without its docstring"),
    Column("docstring", "string", None, "English description of what the function does, written by its authors"),
)


class PythonFunctions:
    """Documented functions of a set of Python files, public modules first."""

    def __init__(self, card: Card, modules: Callable[[], Iterator[tuple[str, Path]]]) -> None:
        self.card = card
        self._modules = modules
        # Parsing takes seconds and a build reads a source several times; a few thousand functions are a few megabytes.
        self._read: list[Record] = []
        self._unreadable: list[tuple[str, str]] = []
        self._rest: Iterator[Record] | None = None

    def __repr__(self) -> str:
        return f"PythonFunctions({self.card.id!r})"

    def records(
        self, *, config: str | None = None, split: str | None = None, skip: Skip | None = None
    ) -> Iterator[Record]:
        """Functions module by module; each id is `module:name`, with a number where a name is defined again."""
        if config not in (None, "default") or split not in (None, "train"):
            asked = f"{config or 'default'}/{split or 'train'}"
            raise SourceError(f"source {self.card.id} has no {asked}; it has default/train")
        return self._replayed(skip or (lambda ref, why: None))

    def _replayed(self, skip: Skip) -> Iterator[Record]:
        if self._rest is None:
            self._rest = self._parsed_records()
        for number in itertools.count():
            if number == len(self._read):
                record = next(self._rest, None)
                if record is None:
                    break
                self._read.append(record)
            yield self._read[number]
        for path, why in self._unreadable:
            skip(path, why)

    def _parsed_records(self) -> Iterator[Record]:
        for module, path in self._modules():
            try:
                with tokenize.open(path) as file:
                    text = file.read()
                tree = _parsed(text)
            except (SyntaxError, UnicodeDecodeError, OSError, ValueError) as error:
                self._unreadable.append((str(path), f"it is not readable Python ({error})"))
                continue
            # Never str.splitlines: a form feed or a line separator inside a string is no end of line to Python.
            lines = re.split(r"(?<=\n)", text)
            seen: dict[str, int] = {}
            for name, node in _functions(tree, ""):
                if fields := _fields(module, name, node, lines):
                    seen[name] = seen.get(name, 0) + 1
                    again = f"#{seen[name]}" if seen[name] > 1 else ""
                    record = f"{module}:{name}{again}"
                    yield Record(self.card.id, "default", "train", record, fields, self.card.revision)


def standard_library(folder: Path | None = None) -> PythonFunctions:
    """The functions of the standard library installed here (or lying in `folder`)."""
    home = folder or Path(sysconfig.get_paths()["stdlib"])
    revision = f"{platform.python_implementation().lower()}-{platform.python_version()}"
    card = _card(
        "stdlib", "Python standard library functions", "the Python standard library", home, "PSF-2.0", revision
    )
    return PythonFunctions(card, lambda: _modules(home))


def package(name: str) -> PythonFunctions:
    """The functions of an installed package, found without importing it.

    Raises:
        SourceError: no such package is installed here, or it holds no Python files.
    """
    spec = find_spec(name) if name.isidentifier() else None
    homes = [Path(home) for home in (spec.submodule_search_locations or ())] if spec else []
    if not homes or name in sys.stdlib_module_names:
        raise SourceError(f"there is no installed package {name!r}; install it, or name another after python:")
    licence, version = _stated(name)
    card = _card(
        f"python:{name}", f"Python functions of {name}", f"the Python package {name}", homes[0], licence, version
    )
    return PythonFunctions(card, lambda: _package_modules(name, homes[0]))


def _card(identifier: str, name: str, what: str, home: Path, licence: str | None, revision: str) -> Card:
    return Card(
        id=identifier,
        name=name,
        text=_TEXT.format(name=name, what=what),
        licence=licence,
        languages=("en", "code"),
        categories=("text-generation", "summarization"),
        tags=("code", "python", "docstring"),
        configs=(Config("default", (Split("train", ()),)),),
        columns=_COLUMNS,
        rows=None,
        bytes=None,
        revision=revision,
        path=str(home),
    )


def _stated(name: str) -> tuple[str | None, str]:
    """Licence and version as the package's own metadata state them."""
    for distribution in packages_distributions().get(name, ()):
        found = metadata(distribution)
        licence = next((found[key] for key in ("License-Expression", "License") if key in found), None)
        short = licence if licence and len(licence) < 60 else None
        classified = [c.split(" :: ")[-1] for c in found.get_all("Classifier", []) if c.startswith("License ::")]
        return short or (classified[0] if classified else None), f"{distribution}-{found['Version']}"
    return None, name


def _package_modules(name: str, home: Path) -> Iterator[tuple[str, Path]]:
    found = []
    for path in home.rglob("*.py"):
        parts = (name, *path.relative_to(home).with_suffix("").parts)
        if not _SKIPPED.intersection(parts) and parts[-1] != "conftest":
            found.append((".".join(parts).removesuffix(".__init__"), path))
    yield from sorted(found, key=lambda one: ("._" in one[0], one[0]))


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    # Public modules first: whoever takes only some records gets the ones that people know.
    for name in sorted(sys.stdlib_module_names, key=lambda name: (name.startswith("_"), name)):
        if name in _SKIPPED:
            continue
        file = folder / f"{name}.py"
        if file.is_file():
            yield name, file
        package = folder / name
        for path in sorted(package.rglob("*.py")) if package.is_dir() else ():
            parts = path.relative_to(folder).with_suffix("").parts
            if not _SKIPPED.intersection(parts):
                yield ".".join(parts).removesuffix(".__init__"), path


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        # Odd escapes in somebody else's code are not the user's concern.
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Function]]:
    """Functions of a module and methods of its classes, also under `if` and `try`; not functions inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _functions(child, prefix)


def _fields(module: str, name: str, node: _Function, lines: list[str]) -> dict[str, Any] | None:
    docstring = ast.get_docstring(node, clean=False)
    if not docstring or not docstring.strip() or all(_does_nothing(statement) for statement in node.body[1:]):
        return None
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return {
        "module": module,
        "name": name,
        "signature": f"{node.name}({ast.unparse(node.args)}){returns}",
        "source": _source(node, lines),
        "docstring": inspect.cleandoc(docstring),
    }


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return "NotImplementedError" in ast.unparse(statement)
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _source(node: _Function, lines: list[str]) -> str:
    """The function as written, with its comments, dedented, without its docstring."""
    bare = copy.copy(node)
    bare.body = node.body[1:]
    wanted = ast.dump(bare)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    doc, last = node.body[0], node.end_lineno or node.lineno
    kept = lines[first - 1 : doc.lineno - 1] + lines[doc.end_lineno or doc.lineno : last]
    indent = " " * node.col_offset
    source = "".join(line.removeprefix(indent) for line in kept).rstrip()
    try:
        if ast.dump(_parsed(source).body[0]) == wanted:
            return source
    except (SyntaxError, IndexError):
        pass
    return ast.unparse(bare)
