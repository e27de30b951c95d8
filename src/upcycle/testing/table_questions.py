"""A scripted writer of questions over tables: answers the three prompts of Source2Synth's tables application, by rule.

It reads what a prompt shows and nothing else, as a model would. In: a topic prompt, out: an interesting statement; from
that one SELECT; from that the question. One statement in five names a column that is not there, as models do (of the
paper's 800 statements 658 ran), and is written rightly when it is asked for again.
"""

from __future__ import annotations

import re
from random import Random

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


def _topic(table: str, draw: Random) -> str:
    lines = [line for line in table.splitlines() if not line.startswith(("Table: ", "("))]
    grid = [line.split(" | ") for line in lines]
    if len(grid) < 3:
        return NOTHING
    header, rows = grid[0], [row for row in grid[1:] if len(row) == len(grid[0])]
    numbers = [at for at in range(len(header)) if rows and all(_NUMBER.fullmatch(row[at]) for row in rows)]
    words = [at for at in range(len(header)) if at not in numbers]
    if not rows or not words:
        return NOTHING
    kind = draw.choice(["lookup", "lookup", "extreme" if numbers else "lookup", "count"])
    if kind == "extreme":
        way = draw.choice(["highest", "lowest"])
        return f"One {header[draw.choice(words)]} stands out by the {way} {header[draw.choice(numbers)]}."
    row, by = draw.choice(rows), draw.choice(words)
    if not row[by] or '"' in row[by] or len(row[by]) > _LONGEST:
        return NOTHING
    if kind == "count":
        return f'Several rows have the {header[by]} "{row[by]}".'
    what = draw.choice([at for at in range(len(header)) if at != by] or [by])
    return f'The {header[what]} is worth knowing where the {header[by]} is "{row[by]}".'


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
