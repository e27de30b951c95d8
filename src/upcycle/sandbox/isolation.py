"""Rows do not see each other: what a program keeps at module level is made anew for every row.

`prepared(code)` is the source a worker is fed; it defines `_up_row(record)`. Statements whose value nobody can change
(imports, functions, numbers, texts, compiled patterns, and tables that are only ever looked up) run once. All others,
such as a list that functions append to, run before every row, in their order. So programs are written the usual way and
still each row gets the program as if it were the first.
"""

from __future__ import annotations

import ast
from collections import Counter

from upcycle.sandbox.dialect import OURS, parse

_LOOKUPS = frozenset({"count", "get", "index", "items", "keys", "values"})
_FROZENSET = "builtin frozenset"


def prepared(code: str, name: str = "f") -> str:
    """The source to feed for a program that `dialect.refusal` lets pass.

    Without changeable constants it is the program as it stands, so that line numbers in errors are its own.
    """
    tree = parse(code)
    once, each = _split(tree)
    if not each:
        return f"{code}\n{OURS}row = {name}\n"
    names = sorted({bound for statement in each for bound in _binds(statement)})
    fresh = parse(f"def {OURS}fresh():\n    global {', '.join(names)}").body[0]
    assert isinstance(fresh, ast.FunctionDef)
    fresh.body += [plain for statement in each if (plain := _without_annotation(statement)) is not None]
    source = ast.unparse(ast.fix_missing_locations(ast.Module([*once, fresh], [])))
    return f"{source}\n{OURS}fresh()\ndef {OURS}row(record):\n    {OURS}fresh()\n    return {name}(record)\n"


def _split(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Statements that run once, and statements that run for every row."""
    bound = Counter(name for statement in tree.body for name in _binds(statement))
    uses = _Uses(tree)
    # Names of one value that nobody can change; the builtin is one under a name that no program can give.
    steady = {_FROZENSET} if "frozenset" not in bound else set()
    once: list[ast.stmt] = []
    each: list[ast.stmt] = []
    for statement in tree.body:
        names = _binds(statement)
        if all(bound[name] == 1 for name in names) and _unchangeable(statement, steady, uses):
            steady.update(names)
            once.append(statement)
        else:
            each.append(statement)
    return once, each


def _binds(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
        case ast.FunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _unchangeable(statement: ast.stmt, steady: set[str], uses: _Uses) -> bool:
    match statement:
        case ast.FunctionDef(args=args, decorator_list=decorators):
            defaults = [*args.defaults, *(one for one in args.kw_defaults if one is not None)]
            return not decorators and all(_constant(one, steady) for one in defaults)
        case ast.Assign(value=value) | ast.AnnAssign(value=value):
            return value is None or _constant(value, steady) or uses.table(statement)
    return True


def _constant(value: ast.expr, steady: set[str]) -> bool:
    match value:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in steady
        case ast.Attribute(value=ast.Name() as module):
            return _constant(module, steady)
        case ast.Tuple(elts=elements):
            return all(_constant(one, steady) for one in elements)
        case ast.UnaryOp(operand=operand):
            return _constant(operand, steady)
        case ast.BinOp(left=left, right=right):
            return _constant(left, steady) and _constant(right, steady)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="compile"), args=args, keywords=keywords):
            return "re" in steady and all(_constant(one, steady) for one in [*args, *(one.value for one in keywords)])
        case ast.Call(func=ast.Name(id="frozenset"), args=[ast.Set(elts=elements) | ast.List(elts=elements)]):
            return _FROZENSET in steady and all(_constant(one, steady) for one in elements)
    return False


class _Uses:
    """Where each name of a program is read, to tell a table that is only looked up from one that may be changed."""

    def __init__(self, tree: ast.Module) -> None:
        self.parent = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self.reads: dict[str, list[ast.Name]] = {}
        for node in self.parent:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.reads.setdefault(node.id, []).append(node)

    def table(self, statement: ast.stmt) -> bool:
        """Whether this names a dict, set or list of literals that is nowhere handed on or changed."""
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                pass
            case _:
                return False
        match value:
            case ast.Dict(keys=keys, values=values):
                parts: list[ast.expr | None] = [*keys, *values]
            case ast.Set(elts=elements) | ast.List(elts=elements):
                parts = [*elements]
            case _:
                return False
        literal = all(isinstance(part, ast.Constant) for part in parts)
        return literal and all(self._looked_up(use) for use in self.reads.get(name, []))

    def _looked_up(self, use: ast.Name) -> bool:
        parent = self.parent[use]
        match parent:
            case ast.Compare(left=left, ops=ops):
                return left is not use and all(isinstance(op, ast.In | ast.NotIn) for op in ops)
            case ast.Subscript(value=value, ctx=ast.Load()):
                return value is use
            case ast.Attribute(attr=attr):
                call = self.parent[parent]
                return attr in _LOOKUPS and isinstance(call, ast.Call) and call.func is parent
            case ast.For(iter=walked) | ast.comprehension(iter=walked):
                return walked is use
        return False


def _without_annotation(statement: ast.stmt) -> ast.stmt | None:
    # An annotated name cannot be declared global.
    if isinstance(statement, ast.AnnAssign):
        return ast.Assign([statement.target], statement.value) if statement.value is not None else None
    return statement
