"""Statements and their questions without a model: a grammar over the columns and values of a table.

`sketches(table, rng)` draws (kind, statement, question) for ever; the answer is what execution brings, so it is true by
construction, and free. The decision: statement and question are drawn together from one rule, and a rule gives nothing
where the table lacks what it asks about, so a question never says more or less than its statement does. Ours; the paper
has a model write every statement.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from upcycle.methods.source2synth.sql import TABLE
from upcycle.methods.source2synth.sql_view import View, literal
from upcycle.sources.tables.table import Table


class Sketch(NamedTuple):
    """A statement and the question it answers."""

    kind: str
    sql: str
    question: str


def sketches(
    table: Table, rng: random.Random, *, kinds: Mapping[str, float] | None = None, idle: int = 200
) -> Iterator[Sketch]:
    """Drawn without end, unless `idle` draws in a row brought nothing: then the table has nothing to ask about.

    Args:
        kinds: weights of the kinds in `KINDS`; `WEIGHTS` where not given.
    """
    weights = dict(kinds or WEIGHTS)
    names, shares = list(weights), list(weights.values())
    view = View(table, rng)
    missed = 0
    while missed < idle:
        kind = rng.choices(names, shares)[0]
        drawn = KINDS[kind](view)
        if drawn is None:
            missed += 1
            continue
        missed = 0
        yield Sketch(kind, *drawn)


Drawn = tuple[str, str] | None


def _lookup(view: View) -> Drawn:
    at = view.draw(view.asked)
    where = view.equals(but=[at] if at is not None else [])
    if at is None or where is None:
        return None
    said = view.said(at)
    question = view.one_of(
        f"What is the {said} where the {where.said}?",
        f"Which {said} is listed where the {where.said}?",
        f"If the {where.said}, what is the {said}?",
    )
    return f"SELECT DISTINCT {view.name(at)} FROM {TABLE} WHERE {where.sql}", question


def _listing(view: View) -> Drawn:
    at, by = view.draw(view.keys), view.draw(view.scales)
    where = view.condition(but=[one for one in (at, by) if one is not None])
    if at is None or by is None or where is None:
        return None
    down = view.rng.random() < 0.5
    order = "highest first" if down else "lowest first"
    sql = f"SELECT {view.name(at)} FROM {TABLE} WHERE {where.sql} ORDER BY {view.name(by)} {'DESC' if down else 'ASC'}"
    question = view.one_of(
        f"List every {view.said(at)} where the {where.said}, ordered by {view.said(by)}, {order}.",
        f"For which {view.said(at)} is it true that the {where.said}? Give them by {view.said(by)}, {order}.",
    )
    return sql, question


def _count(view: View) -> Drawn:
    where = view.condition()
    if where is None:
        return None
    question = view.one_of(
        f"How many rows are there where the {where.said}?",
        f"In how many cases is it true that the {where.said}?",
        f"How often does it happen that the {where.said}?",
    )
    return f"SELECT COUNT(*) FROM {TABLE} WHERE {where.sql}", question


def _distinct(view: View) -> Drawn:
    at = view.draw(view.groups)
    if at is None:
        return None
    question = view.one_of(
        f"How many different values of {view.said(at)} are there?",
        f"How many distinct entries of {view.said(at)} occur?",
    )
    return f"SELECT COUNT(DISTINCT {view.name(at)}) FROM {TABLE}", question


def _aggregate(view: View) -> Drawn:
    what = view.reckoned(view.orderly)
    if what is None:
        return None
    question = view.one_of(f"What is the {what.said}?", f"What is the {what.said}, over all rows?")
    return f"SELECT {what.sql} FROM {TABLE}", question


def _aggregate_where(view: View) -> Drawn:
    at = view.draw(view.orderly)
    what = view.reckoned([at]) if at is not None else None
    where = view.condition(but=[at]) if at is not None else None
    if what is None or where is None:
        return None
    question = view.one_of(
        f"What is the {what.said}, where the {where.said}?",
        f"Of the rows where the {where.said}, what is the {what.said}?",
    )
    return f"SELECT {what.sql} FROM {TABLE} WHERE {where.sql}", question


def _superlative(view: View) -> Drawn:
    by = view.draw(view.orderly)
    at = view.draw(view.texts, but=[by] if by is not None else [])
    if at is None or by is None:
        return None
    down = view.rng.random() < 0.5
    nth, words = view.rng.choice([(0, ""), (0, ""), (0, ""), (1, "second "), (2, "third ")])
    far = view.far(by, down)
    offset = f" OFFSET {nth}" if nth else ""
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(by)} IS NOT NULL"
        f" ORDER BY {view.name(by)} {'DESC' if down else 'ASC'} LIMIT 1{offset}"
    )
    question = view.one_of(
        f"Which {view.said(at)} has the {words}{far} {view.said(by)}?",
        f"What is the {view.said(at)} with the {words}{far} {view.said(by)}?",
    )
    return sql, question


def _most_often(view: View) -> Drawn:
    at = view.draw(view.groups)
    if at is None:
        return None
    down = view.rng.random() < 0.75
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IS NOT NULL GROUP BY {view.name(at)}"
        f" ORDER BY COUNT(*) {'DESC' if down else 'ASC'} LIMIT 1"
    )
    often = "most often" if down else "least often"
    question = view.one_of(
        f"Which {view.said(at)} occurs {often}?", f"What is the {view.said(at)} that is listed {often}?"
    )
    return sql, question


def _group(view: View) -> Drawn:
    at, by = view.draw(view.groups), view.draw(view.amounts)
    if at is None or by is None:
        return None
    down = view.rng.random() < 0.7
    function, word = view.rng.choice([("SUM", "total"), ("AVG", "average"), ("MAX", "single")])
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IS NOT NULL GROUP BY {view.name(at)}"
        f" HAVING COUNT({view.name(by)}) > 0 ORDER BY {function}({view.name(by)}) {'DESC' if down else 'ASC'} LIMIT 1"
    )
    if function == "MAX":
        # The largest of a group, and the group whose largest is smallest: the latter cannot be said well.
        sql = sql.replace(" ASC ", " DESC ")
        return sql, f"Which {view.said(at)} has the highest single {view.said(by)}?"
    far = "highest" if down else "lowest"
    question = view.one_of(
        f"Which {view.said(at)} has the {far} {word} {view.said(by)}?",
        f"Grouped by {view.said(at)}, where is the {word} {view.said(by)} {far}?",
    )
    return sql, question


def _groups_with(view: View) -> Drawn:
    at = view.draw(view.groups)
    if at is None:
        return None
    counts = sorted(view.counts[at].values())
    reached = [times for times in sorted(set(counts)) if times > 1 and sum(count >= times for count in counts) > 1]
    if not reached:
        return None
    times = view.rng.choice(reached)
    sql = (
        f"SELECT COUNT(*) FROM (SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IS NOT NULL"
        f" GROUP BY {view.name(at)} HAVING COUNT(*) >= {times})"
    )
    question = view.one_of(
        f"How many different values of {view.said(at)} occur at least {times} times?",
        f"How many values of {view.said(at)} are listed {times} times or more?",
    )
    return sql, question


def _comparison(view: View) -> Drawn:
    at, by = view.draw(view.keys), view.draw(view.scales)
    if at is None or by is None or len(view.counts[at]) < 2:
        return None
    one, two = sorted(view.rng.sample(sorted(view.counts[at], key=str), 2), key=str)
    down = view.rng.random() < 0.5
    far = "higher" if down else "lower"
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IN ({literal(one)}, {literal(two)})"
        f" AND {view.name(by)} IS NOT NULL ORDER BY {view.name(by)} {'DESC' if down else 'ASC'} LIMIT 1"
    )
    question = view.one_of(
        f"Which {view.said(at)} has the {far} {view.said(by)}, {one} or {two}?",
        f"Is the {view.said(by)} {far} for {one} or for {two}?",
    )
    return sql, question


def _difference(view: View) -> Drawn:
    at, by = view.draw(view.keys), view.draw(view.amounts)
    if at is None or by is None or len(view.counts[at]) < 2:
        return None
    one, two = sorted(view.rng.sample(sorted(view.counts[at], key=str), 2), key=str)
    picked = [f"(SELECT {view.name(by)} FROM {TABLE} WHERE {view.name(at)} = {literal(each)})" for each in (one, two)]
    question = view.one_of(
        f"What is the difference in {view.said(by)} between {one} and {two}?",
        f"By how much does the {view.said(by)} of {one} differ from that of {two}?",
    )
    return f"SELECT ABS({picked[0]} - {picked[1]})", question


def _above_average(view: View) -> Drawn:
    by = view.draw(view.amounts)
    if by is None:
        return None
    above = view.rng.random() < 0.5
    sign, word = (">", "above") if above else ("<", "below")
    inner = f"(SELECT AVG({view.name(by)}) FROM {TABLE})"
    question = view.one_of(
        f"How many rows have a {view.said(by)} {word} the average {view.said(by)}?",
        f"In how many rows is the {view.said(by)} {word} its average over the whole table?",
    )
    return f"SELECT COUNT(*) FROM {TABLE} WHERE {view.name(by)} {sign} {inner}", question


def _of_extreme(view: View) -> Drawn:
    """Nested: what the row has that is extreme among those that meet a condition."""
    by, group = view.draw(view.orderly), view.draw(view.groups)
    used = [one for one in (by, group) if one is not None]
    at = view.draw(view.asked, but=used)
    where = view.equals(among=[group]) if group is not None else None
    if at is None or by is None or where is None:
        return None
    down = view.rng.random() < 0.5
    far = view.far(by, down)
    inner = f"(SELECT {'MAX' if down else 'MIN'}({view.name(by)}) FROM {TABLE} WHERE {where.sql})"
    sql = f"SELECT {view.name(at)} FROM {TABLE} WHERE {where.sql} AND {view.name(by)} = {inner}"
    said, most = view.said(at), f"{far} {view.said(by)}"
    question = view.one_of(
        f"Among the rows where the {where.said}, what is the {said} of the one with the {most}?",
        f"Where the {where.said}, which {said} goes with the {most}?",
    )
    return sql, question


KINDS: dict[str, Callable[[View], Drawn]] = {
    "lookup": _lookup,
    "list": _listing,
    "count": _count,
    "distinct": _distinct,
    "aggregate": _aggregate,
    "aggregate_where": _aggregate_where,
    "superlative": _superlative,
    "most_often": _most_often,
    "group": _group,
    "having": _groups_with,
    "comparison": _comparison,
    "difference": _difference,
    "above_average": _above_average,
    "nested": _of_extreme,
}
"""What can be asked, and the rule that draws it."""

WEIGHTS = {**dict.fromkeys(KINDS, 1.0), "having": 0.3, "distinct": 0.3, "most_often": 0.5, "count": 0.7, "lookup": 0.8}
"""Less of what almost every table has something for, so that a dataset holds all kinds in like numbers."""
