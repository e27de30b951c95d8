"""An executor for recipes: a Python function over a table, run in the sandbox to see whether it computes anything.

It is the paper's own example of a new task (Source2Synth, arXiv 2409.08239, appendix C: Python functions that compute
statistics of a spreadsheet); how such a function is verified the paper leaves open, and is ours: it is defined and
takes the table, returns one number or short text, the same for the same rows in another order, something else for
another table, and where the question is nothing but a statistic that is known here, of one column, what that comes
to. The decision: a function is judged by what it returns on tables that were made of its own, never by its text.
"""

from __future__ import annotations

import ast
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from upcycle.methods.source2synth.application import Grounded, Truth, Unit
from upcycle.methods.source2synth.matching import soft_match
from upcycle.sandbox import JSON, Fail, Failed, Sandbox, Value
from upcycle.sources.tables.table import Cell, Table, cell_text
from upcycle.training.chains import answer_of

FUNCTION = "function"
QUESTION = "question"
_MOST_ROWS = 5_000  # of a table that a function is tried on
_MOST_COLUMNS = 12  # columns that are changed one by one
_LONGEST = 200  # characters of a text that is returned
_CLOSE = 1e-6

NONE = "the reply holds no Python function"
ORDER = "the function returns something else when the table's rows are in another order"
CONSTANT = "the function returns the same whatever the table holds"
WRONG = "the function does not return the statistic that is asked for"
SHAPE = "the function does not return one number or short text"
_FAILS = {
    Fail.REFUSED: "the function cannot be run",
    Fail.OUT_OF_TIME: "the function runs too long",
    Fail.OUT_OF_MEMORY: "the function needs too much memory",
    Fail.WRONG_SHAPE: SHAPE,
    Fail.TOO_BIG: SHAPE,
}

Numbers = Sequence[float]
STATISTICS: dict[str, tuple[str, tuple[Callable[[Numbers], float], ...]]] = {
    "minimum": (r"minimum|min|lowest|smallest", (min,)),
    "maximum": (r"maximum|max|highest|largest|biggest", (max,)),
    "mean": (r"average|mean|arithmetic mean", (statistics.fmean,)),
    "median": (r"median", (statistics.median,)),
    "sum": (r"sum|total", (math.fsum,)),
    "range": (r"range", (lambda values: max(values) - min(values),)),
    "variance": (r"variance", (statistics.pvariance, statistics.variance)),
    "deviation": (r"standard deviation|std|stdev", (statistics.pstdev, statistics.stdev)),
}
"""Name to how it is called in a question, and what it may come to: of a deviation there are two kinds."""

_SMALL = frozenset({
    "a", "across", "all", "and", "as", "calculate", "calculates", "called", "code", "column", "compute", "computes",
    "entries", "every", "f", "find", "finds", "from", "function", "get", "give", "gives", "given", "in", "input", "is",
    "its", "of", "one", "over", "please", "python", "return", "returns", "rows", "statistic", "table", "takes", "that",
    "the", "this", "to", "value", "values", "what", "which", "whole", "write",
})  # fmt: skip


class PythonExecutor:
    """Runs what a recipe's field `function` holds over the unit's table: a dict of column name to list of cells.

    Args:
        sandbox: where it runs; one of its own where none is given, which `close` ends.
    """

    name = "python"

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox or Sandbox()

    async def truth(self, unit: Unit, made: Mapping[str, str]) -> Truth:
        """What the function returns on the table, or the first thing that is wrong with it."""
        table = _table(unit)
        code = function_in(made.get(FUNCTION, ""))
        if code is None:
            return Truth(None, NONE)
        (first,) = await self._run(code, [_record(table)])
        if isinstance(first, Failed):
            return Truth(None, _FAILS.get(first.kind, "the function raises an exception"))
        if not _is_answer(first.json):
            return Truth(None, SHAPE)
        turned, *others = await self._run(code, [_record(table, step=-1), *_changed(table)])
        if not _same(first, turned):
            return Truth(None, ORDER)
        if all(_same(first, other) for other in others):
            return Truth(None, CONSTANT)
        known = known_statistic(made.get(QUESTION, ""), table)
        if known and not any(_same(first, Value(value)) for value in known):
            return Truth(None, WRONG)
        return Truth(_text(first.json))

    async def same(self, unit: Unit, grounded: Grounded, said: str) -> bool:
        """Whether the function in a reply returns what the example's own does; a bare value is compared as one."""
        truth = str(grounded.details["truth"])
        code = function_in(answer_of(said)) or function_in(said)
        if code is None:
            return grounded.answer == truth and soft_match(said, truth)
        own = function_in(str(grounded.details.get(FUNCTION, "")))
        (found,) = await self._run(code, [_record(_table(unit))])
        if own is None:
            return isinstance(found, Value) and soft_match(_text(found.json), truth)
        (wanted,) = await self._run(own, [_record(_table(unit))])
        return isinstance(found, Value) and _same(wanted, found)

    async def close(self) -> None:
        """End the sandbox's workers."""
        self._sandbox.close()

    async def _run(self, code: str, records: Sequence[Mapping[str, Any]]) -> list[Any]:
        return list(await self._sandbox.arun(code, records, name=_name_of(code) or "f"))


def function_in(reply: str) -> str | None:
    r"""The Python in a reply, out of a fence or prose; None where it defines no function.

    >>> function_in("Here: ```python\ndef f(table):\n    return 1\n``` It counts.")
    'def f(table):\n    return 1'
    """
    fenced = re.search(r"```(?:\w*[ \t]*\n)?(.*?)(?:```|\Z)", reply, re.DOTALL)
    text = fenced[1] if fenced else reply
    begun = re.search(r"^(import |from |def |@|[A-Z_]+ = )", text, re.MULTILINE)
    lines = (text[begun.start() :] if begun else "").rstrip().split("\n")
    while lines:  # prose may follow: the longest beginning that is Python
        code = "\n".join(lines).rstrip()
        if _name_of(code) is not None:
            return code
        lines.pop()
    return None


def known_statistic(question: str, table: Table) -> list[float]:
    """What a question comes to that is nothing but one statistic of one column of numbers; empty for any other.

    A question with a word more ("of those above 30") is not understood, and nothing is held against the function.
    """
    said = f" {_words(question)} "
    columns = {
        name: at
        for at, column in enumerate(table.columns)
        if column.numeric
        for name in {_words(column.name), _words(column.said)}
        if f" {name} " in said
    }
    if not columns:
        return []
    longest = max(columns, key=len)
    rest = said.replace(f" {longest} ", "  ")
    named = [functions for words, functions in STATISTICS.values() if re.search(rf"\b({words})\b", rest)]
    for words, _ in STATISTICS.values():
        rest = re.sub(rf"\b({words})\b", " ", rest)
    if len(named) != 1 or set(rest.split()) - _SMALL:
        return []
    values = [float(cell) for cell in table.values(columns[longest]) if isinstance(cell, int | float)]
    return [function(values) for function in named[0]] if len(values) > 1 else []


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower().replace("_", " ")))


def _name_of(code: str) -> str | None:
    """Name of the last function a module defines, None where it defines none or is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return names[-1] if names else None


def _record(table: Table, *, step: int = 1) -> dict[str, list[Cell]]:
    rows = table.rows[:_MOST_ROWS][::step]
    return {column.name: [row[at] for row in rows] for at, column in enumerate(table.columns)}


def _changed(table: Table) -> list[dict[str, list[Cell]]]:
    """Tables of the same shape of which a function of the table has to return something else, for one at least."""
    whole = _record(table)
    cut = {name: cells[: len(cells) // 2] for name, cells in whole.items()}
    changed = [cut]
    for name in list(whole)[:_MOST_COLUMNS]:
        cells = whole[name]
        filled = next((cell for cell in cells if cell is not None), None)
        changed.append({**whole, name: [_other(cell) for cell in cells]})
        changed.append({**whole, name: [None if cell is None else filled for cell in cells]})
    return changed


def _other(cell: Cell) -> Cell:
    if cell is None:
        return None
    return f"{cell} (changed)" if isinstance(cell, str) else 3 * cell + 1000


def _is_answer(value: JSON) -> bool:
    if isinstance(value, str):
        return 0 < len(value.strip()) <= _LONGEST
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, Value) or not isinstance(other, Value):
        return False
    a, b = one.json, other.json
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=_CLOSE, abs_tol=1e-12)
    return type(a) is type(b) and a == b


def _text(value: JSON) -> str:
    return cell_text(value) if isinstance(value, int | float | str) else ""


def _table(unit: Unit) -> Table:
    assert isinstance(unit.value, Table)
    return unit.value
