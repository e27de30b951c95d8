"""A scripted writer of questions over tables: answers the three prompts of Source2Synth's tables application, by rule.

It reads what a prompt shows and nothing else, as a model would. In: a topic prompt, out: an interesting statement; from
that one SELECT; from that the question. One statement in five names a column that is not there, as models do (of the
paper's 800 statements 658 ran), and is written rightly when it is asked for again.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from upcycle.llm.model import Request

_TABLE = re.compile(r"<table>\n(.*?)\n</table>", re.DOTALL)
_LOOKUP = re.compile(r'The (\w+) is worth knowing where the (\w+) is "(.*?)"\.')
_EXTREME = re.compile(r"One (\w+) stands out by the (highest|lowest) (\w+)\.")
_COUNT = re.compile(r'Several rows have the (\w+) "(.*?)"\.')
_SELECT = re.compile(r"SELECT (?P<what>\w+|COUNT\(\*\)) FROM t(?: WHERE (?P<by>\w+) = '(?P<value>(?:[^']|'')*)')?"
                     r"(?: ORDER BY (?P<order>\w+) (?P<way>ASC|DESC) LIMIT 1)?")  # fmt: skip
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FAILING = 0.2
_LONGEST = 40  # characters of a value that is asked by

NOTHING = "There is little of interest in this table."


def write_table_question(request: Request) -> str:
    """The reply to one prompt; prose where there is nothing to ask, as models do."""
    prompt = request.messages[-1]["content"]
    table = _TABLE.search(prompt)
    draw = Random(f"{prompt}{request.sample}")
    if table is None:
        return NOTHING
    if "generate an SQL statement" in prompt:
        statement = _statement(prompt)
        again = "could not be used" in prompt
        return statement if again or draw.random() >= _FAILING else statement.replace(" FROM t", "_x FROM t")
    if "SQL statement into a question" in prompt:
        return _question(prompt)
    return _topic(table[1], draw)


class Columns(NamedTuple):
    """What a table that is shown holds: rows by column, and which columns are numbers throughout."""

    header: list[str]
    rows: list[list[str]]
    numbers: list[str]
    words: list[str]


def columns_of(table: str) -> Columns:
    """A table as prompts show it, read back."""
    grid = [line.split(" | ") for line in table.splitlines() if not line.startswith(("Table: ", "("))]
    header = grid[0] if grid else []
    rows = [row for row in grid[1:] if len(row) == len(header)]
    numbers = [name for at, name in enumerate(header) if rows and all(_NUMBER.fullmatch(row[at]) for row in rows)]
    return Columns(header, rows, numbers, [name for name in header if name not in numbers])


def statement_for(question: str, table: str) -> str | None:
    """The statement that finds out what a question of this writer asks; None for any other question."""
    names = {_said(name): name for name in columns_of(table).header}
    if found := re.fullmatch(r"Which (.+) has the (highest|lowest) (.+)\?", question):
        topic = f"One {names.get(found[1])} stands out by the {found[2]} {names.get(found[3])}."
    elif found := re.fullmatch(r"What is the (.+?) when the (.+)\?", question):
        by = _longest(found[2], names)
        topic = (
            f'The {names.get(found[1])} is worth knowing where the {names[by]} is "{found[2][len(by) + 4 :]}".'
            if by
            else ""
        )
    elif found := re.fullmatch(r"How many rows have the (.+)\?", question):
        by = _longest(found[1], names)
        topic = f'Several rows have the {names[by]} "{found[1][len(by) + 1 :]}".' if by else ""
    else:
        return None
    statement = _statement(topic)
    return statement if statement.startswith("SELECT") else None


def _longest(text: str, names: dict[str, str]) -> str:
    return max((name for name in names if text.startswith(f"{name} ")), key=len, default="")


def _topic(table: str, draw: Random) -> str:
    header, rows, numbers, words = columns_of(table)
    if len(rows) < 2 or not words:
        return NOTHING
    kind = draw.choice(["lookup", "lookup", "extreme" if numbers else "lookup", "count"])
    if kind == "extreme":
        way = draw.choice(["highest", "lowest"])
        return f"One {draw.choice(words)} stands out by the {way} {draw.choice(numbers)}."
    row, by = draw.choice(rows), draw.choice(words)
    value = row[header.index(by)]
    if not value or '"' in value or len(value) > _LONGEST:
        return NOTHING
    if kind == "count":
        return f'Several rows have the {by} "{value}".'
    what = draw.choice([name for name in header if name != by] or [by])
    return f'The {what} is worth knowing where the {by} is "{value}".'


def _statement(prompt: str) -> str:
    if found := _LOOKUP.search(prompt):
        return f"SELECT {found[1]} FROM t WHERE {found[2]} = '{found[3].replace(chr(39), chr(39) * 2)}'"
    if found := _EXTREME.search(prompt):
        return f"SELECT {found[1]} FROM t ORDER BY {found[3]} {'DESC' if found[2] == 'highest' else 'ASC'} LIMIT 1"
    if found := _COUNT.search(prompt):
        return f"SELECT COUNT(*) FROM t WHERE {found[1]} = '{found[2].replace(chr(39), chr(39) * 2)}'"
    return "I would need to know what is of interest here."


def _question(prompt: str) -> str:
    found = _SELECT.search(prompt)
    if found is None:
        return "What does this table tell?"
    what, by = _said(found["what"]), _said(found["by"] or "")
    value = (found["value"] or "").replace("''", "'")
    if found["order"]:
        return f"Which {what} has the {'highest' if found['way'] == 'DESC' else 'lowest'} {_said(found['order'])}?"
    return (
        f"How many rows have the {by} {value}?"
        if "COUNT" in found["what"]
        else f"What is the {what} when the {by} is {value}?"
    )


def _said(name: str) -> str:
    return name.strip("_").replace("_", " ")
