"""What a program may be: a part of Python, checked on its syntax tree before anything runs.

`refusal(code)` says in one sentence why a program cannot run. Module level holds imports, functions and constants only,
and what would differ between two runs (clocks, random numbers, addresses, hashes) is refused. This check is there for
sameness and for early, clear words; safety does not hang on it, the interpreter that runs the program has nothing to
give away.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterator

MODULES = frozenset({
    "__future__", "base64", "bisect", "collections", "copy", "datetime", "decimal", "functools", "hashlib",
    "itertools", "json", "math", "re", "typing", "unicodedata",
})  # fmt: skip
"""What a program may import."""

DIALECT = """\
Write one function `def f(record)`: `record` is a dict of the named fields; return a str, int, float, bool, None, or a
list or dict (with text keys) of these. The module holds only imports, functions and constants. You may import re, json,
math, datetime, collections, itertools, functools, decimal, hashlib, unicodedata, base64, bisect, copy and typing. Not
available: classes, yield, async, del, global, eval, getattr, id, hash, files, clocks and random numbers (use those in
record["_draws"] where it is given), str.maketrans, str.format_map, and functions as the replacement in re.sub. Raise
ValueError("why") for a record that cannot be used."""
"""What to tell whoever writes programs."""

MAX_SOURCE = 64_000
"""Characters a program may have."""

_NAMES = frozenset({
    "__import__", "breakpoint", "compile", "delattr", "dir", "eval", "exec", "exit", "getattr", "globals",
    "hash", "id", "input", "locals", "memoryview", "open", "quit", "setattr", "vars",
})  # fmt: skip
_CLOCKS = frozenset({"now", "today", "utcnow"})
_CONTEXTS = frozenset({"getcontext", "setcontext", "localcontext", "DefaultContext", "BasicContext", "ExtendedContext"})
OURS = "_up_"
TOO_DEEP = "the program is nested too deeply"


def refusal(code: str, name: str = "f") -> str | None:
    """Why this cannot be run as a program whose function is `name`; None where it can be tried."""
    if len(code) > MAX_SOURCE:
        return f"the program has {len(code):,} characters; at most {MAX_SOURCE:,} are allowed"
    try:
        tree = parse(code)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        return f"{where}not Python: {error.msg}"
    except (RecursionError, MemoryError):
        return TOO_DEEP
    except ValueError as error:
        return f"not Python: {error}"
    bound = _bound(tree)
    for node in ast.walk(tree):
        if reason := _forbidden(node, bound):
            return _at(node, reason)
    for statement in tree.body:
        if reason := _not_at_the_top(statement):
            return _at(statement, reason)
    return _wrong_function(tree, name)


def _bound(tree: ast.Module) -> set[str]:
    """Every name the program gives to something, anywhere in it."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                bound.add(name)
    return bound


def parse(code: str) -> ast.Module:
    """The syntax tree; raises as `ast.parse` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a program is no warning about us
        return ast.parse(code)


def _at(node: ast.AST, reason: str) -> str:
    line = getattr(node, "lineno", None)
    return f"line {line}: {reason}" if line else reason


def _forbidden(node: ast.AST, bound: set[str]) -> str | None:
    match node:
        case ast.Import(names=names):
            return _imports([alias.name for alias in names])
        case ast.ImportFrom(module=module, names=names, level=level):
            return _imports(["." * level + (module or "")]) or _names_of(module, [alias.name for alias in names])
        case ast.Global():
            return "'global' is not allowed; a program keeps nothing from one record to the next"
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            return "async is not allowed; nothing here waits"
        case ast.ClassDef():
            return "classes are not allowed; a program is made of functions"
        case ast.Attribute(attr=attr, ctx=ctx):
            if not isinstance(ctx, ast.Load):
                return f"'.{attr}' may not be assigned; a program changes nothing but its own variables"
            return _attribute(attr)
        case ast.MatchClass(kwd_attrs=attrs):
            return next(filter(None, map(_attribute, attrs)), None)
        case ast.Name(id=name) if name not in bound:
            if name in _NAMES:
                return f"{name!r} is not available to a program"
            if not hasattr(builtins, name):
                return _reserved(name) or f"{name!r} is not defined"
    return next(filter(None, map(_reserved, _names_in(node))), None)


def _names_in(node: ast.AST) -> Iterator[str]:
    for field in ("id", "arg", "name", "asname", "rest"):
        value = getattr(node, field, None)
        if isinstance(value, str):
            yield value


def _reserved(name: str) -> str | None:
    if name.startswith(OURS):
        return f"names that begin with {OURS!r} are not allowed"
    if name.startswith("__") and name.endswith("__") and name not in ("__name__", "__future__"):
        return f"{name!r} is not available to a program"
    return None


def _imports(modules: list[str]) -> str | None:
    for module in modules:
        if module not in MODULES:
            known = ", ".join(sorted(MODULES - {"__future__"}))
            return f"import of {module!r} is not possible here; a program may import {known}"
    return None


def _names_of(module: str | None, names: list[str]) -> str | None:
    for name in names:
        if name == "*":
            return f"name what is imported from {module!r} instead of '*'"
        if reason := _attribute(name):
            return reason
    return None


def _attribute(name: str) -> str | None:
    if name in _CLOCKS:
        return f"'{name}' reads a clock, which would make two runs differ"
    if name in _CONTEXTS:
        return f"'{name}' would be kept from one record to the next; give Decimal what it needs"
    return _reserved(name)


def _not_at_the_top(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.Expr(value=ast.Constant()):
            inner: list[ast.AST] = []
        case ast.Assign(targets=targets, value=value) if all(map(_name_target, targets)):
            inner = [value]
        case ast.AnnAssign(target=ast.Name(), value=value):
            inner = [value] if value else []
        case _:
            return "only imports, functions and constants may stand outside of functions"
    if any(isinstance(node, ast.NamedExpr) for top in inner for node in ast.walk(top)):
        return "':=' is only allowed inside functions"
    return None


def _name_target(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_name_target, target.elts))
    return isinstance(target, ast.Name)


def _wrong_function(tree: ast.Module, name: str) -> str | None:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found:
        return f"there is no function {name!r}; a program defines 'def {name}(record):'"
    given = found[-1].args
    positional = [*given.posonlyargs, *given.args]
    needed = len(positional) - len(given.defaults)
    keywords = [arg for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    if needed > 1 or keywords or (not positional and not given.vararg):
        return _at(found[-1], f"{name!r} takes one argument, the record")
    return None
