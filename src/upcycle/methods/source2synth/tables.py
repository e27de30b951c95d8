"""Questions over tables: a topic, a statement that finds it out, the question it answers; the answer is executed.

It is the tabular half of Source2Synth (arXiv 2409.08239, section 3.2, figures 13 to 15), with the checks of
`sql_checks` beside the paper's own (a statement must run; one that does not is discarded and written again). Without a
model statements and questions are drawn by `sql_grammar`. The one decision: no answer is ever written by a model, so an
example can be badly asked and cannot be false.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from upcycle.config import Source2Synth
from upcycle.errors import ConfigError, RowError, RowKind
from upcycle.llm.model import Request
from upcycle.methods.prompts import fill
from upcycle.methods.source2synth.application import METHOD, Blank, Grounded, Unit, Writer
from upcycle.methods.source2synth.matching import soft_match
from upcycle.methods.source2synth.sql import Refused, Result, Sql
from upcycle.methods.source2synth.sql_checks import LEAK, answer_text, canonical, leaks, rejection, statement_in
from upcycle.methods.source2synth.sql_grammar import KINDS, Sketch, sketches
from upcycle.records import Dropped, Origin, example_id
from upcycle.sources.tables.folder import TableFolder
from upcycle.sources.tables.table import BadTable, Table, as_shown, shown
from upcycle.training.chains import ANSWER_MARK, answer_of

__all__ = ["TableSource", "Tables", "open_ground", "open_tables"]

_HERE = Path(__file__).parent
_CHARS = 4000  # of a table that a prompt or an example shows
_TRIES = 3  # statements written for one topic
_DRAWS = 16  # sketches executed for each example wanted of a table
_MOST_DRAWS = 400
_LINE = 300  # characters a topic or a question may have

PROSE = "the model wrote no query"
AGAIN = "the statement repeats another of this table"
REFUSALS = {
    "invalid": "the statement does not run",
    "refused": "the statement does more than read the table",
    "out-of-time": "the statement runs too long",
    "too-big": "the statement's result is too large",
}


def open_tables(sources: Sequence[str], settings: Source2Synth) -> Tables:
    """The application over the tables in these files and folders.

    Raises:
        SourceError: a name does not exist, or nothing in it can hold a table.
        ConfigError: an unknown kind of question, or a prompt that cannot be read.
    """
    if unknown := sorted(set(settings.kinds) - set(KINDS)):
        raise ConfigError(f"{unknown[0]!r} is no kind of question over tables; known kinds: {', '.join(KINDS)}")
    prompts = {"table_topic": settings.topic_prompt, "table_sql": settings.construction_prompt}
    given = {name: Path(path) for name, path in prompts.items() if path is not None}
    folder = TableFolder(sources)
    source = TableSource(folder, chars=_CHARS) if settings.book == "open" else TableSource(folder)
    return Tables(source, kinds=settings.kinds or None, prompts=given)


def open_ground(sources: Sequence[str]) -> TableSource:
    """The tables in these files and folders as units for a recipe; raises as `open_tables`."""
    return TableSource(TableFolder(sources))


class TableSource:
    """Tables as units: what the application and recipes over tables share (`application.Ground`).

    Args:
        chars: a table that is longer when shown is a unit as far as it is shown, or its answers could not be found;
            None leaves it whole.
    """

    def __init__(self, folder: TableFolder, *, chars: int | None = None) -> None:
        self._folder, self._chars = folder, chars

    def units(self, seed: int) -> Iterator[Unit | Dropped]:
        """Every table, and each that cannot be used with the reason."""
        for found in self._folder.tables(seed):
            table = found
            if self._chars is not None and isinstance(found, Table):
                table = as_shown(found, chars=self._chars)
            if isinstance(table, BadTable):
                origin = Origin(METHOD, source=table.source, record=table.id, licences=table.licences)
                name = example_id(METHOD, table.source, table.revision, table.id, "source")
                yield Dropped(name, origin, "source", RowKind.SKIPPED, table.reason)
            else:
                yield Unit(table.id, table.source, table, table.revision, table.licences, table.notes)

    def shown(self, unit: Unit, chars: int) -> str:
        """The table as a prompt shows it."""
        return shown(_table(unit), chars=chars)


class Tables:
    """The application.

    Args:
        kinds: weights of the kinds of questions that are drawn without a model.
        prompts: files in place of `table_topic`, `table_sql` or `table_question`.
        seconds: how long one statement may run.
    """

    name = "tables"

    def __init__(
        self,
        source: TableSource,
        *,
        kinds: Mapping[str, float] | None = None,
        prompts: Mapping[str, Path] | None = None,
        seconds: float = 1.0,
    ) -> None:
        self._source, self._kinds = source, kinds
        self._prompts = {name: _read_prompt(path) for name, path in (prompts or {}).items()}
        self._sql = Sql(seconds=seconds)

    def units(self, seed: int) -> Iterator[Unit | Dropped]:
        return self._source.units(seed)

    async def construct(self, unit: Unit, writer: Writer) -> Sequence[Grounded | Dropped]:
        """Examples of one table; every statement that was discarded is a rejection with its reason."""
        if writer.model is None:
            return await self._drawn(unit, writer)
        made: list[Grounded | Dropped] = []
        seen: set[str] = set()
        for number in range(writer.wanted):
            try:
                await self._write(unit, writer, number, seen, made)
            except RowError as error:  # what was made of this table before stays
                made.append(writer.dropped(str(error), error.kind))
        return made

    async def right(self, grounded: Grounded, said: str, unit: Unit) -> bool:
        """Whether a reply comes to the answer: by its words, or by what its statement comes to on the table."""
        statement = statement_in(said)
        if (statement is None or ANSWER_MARK in said) and _says(said, grounded):
            return True
        if statement is None:
            return False
        outcome, truth = await self._sql.arun(_table(unit), [statement, str(grounded.details["sql"])])
        return isinstance(outcome, Result) and isinstance(truth, Result) and _values(outcome) == _values(truth)

    def blank(self, grounded: Grounded) -> Blank | None:
        """Nothing: the paper imputes no tables."""
        return None

    async def rebuild(self, grounded: Grounded, said: str, writer: Writer) -> Grounded | Dropped:
        raise NotImplementedError("nothing of a question over a table is imputed")

    async def close(self) -> None:
        self._sql.close()

    async def _drawn(self, unit: Unit, writer: Writer) -> list[Grounded | Dropped]:
        """Examples from the grammar; what it drew in vain is dropped once for each reason."""
        table = _table(unit)
        made: list[Grounded | Dropped] = []
        in_vain: Counter[str] = Counter()
        seen: set[str] = set()
        drawn = sketches(table, writer.rng, kinds=self._kinds)
        for batch in _batches(drawn, writer.wanted):
            outcomes = await self._sql.arun(table, [sketch.sql for sketch in batch])
            for sketch, outcome in zip(batch, outcomes, strict=True):
                reason = self._reason(table, sketch.sql, outcome, seen, sketch.question)
                if reason is not None or isinstance(outcome, Refused):
                    in_vain[reason or ""] += 1
                    continue
                made.append(self._example(unit, writer, sketch, outcome))
                if len(made) == writer.wanted:
                    return made
        if not made:
            why = in_vain.most_common(1)[0][0] if in_vain else "its columns leave nothing to ask about"
            made.append(writer.dropped(why))
        return made

    async def _write(
        self, unit: Unit, writer: Writer, number: int, seen: set[str], made: list[Grounded | Dropped]
    ) -> None:
        """Add one example that a model wrote, after the statements that were discarded on the way."""
        table = _table(unit)
        seeing = shown(table, chars=_CHARS).replace("</", "<\\/")
        topic = await self._line(writer, "table_topic", number, 1.0, table=seeing)
        problem = ""
        for attempt in range(_TRIES):
            text = self._filled("table_sql", table=seeing, schema=_schema(table), topic=topic, problem=problem)
            asked = Request(_message(text), "sql", 400, 0.7 if attempt else 0.0, sample=100 * number + attempt)
            reply = str((await writer.ask(asked)).value)
            statement = statement_in(reply)
            if statement is None:
                made.append(writer.dropped(PROSE, RowKind.PROGRAM, answer=reply[:_LINE]))
                problem = f" (An earlier reply could not be used: {PROSE}. Write one SELECT and nothing else.)"
                continue
            (outcome,) = await self._sql.arun(table, [statement])
            reason = self._reason(table, statement, outcome, seen)
            if reason is not None or isinstance(outcome, Refused):
                told = f"{reason} ({outcome.reason})" if isinstance(outcome, Refused) else str(reason)
                kind = RowKind.PROGRAM if isinstance(outcome, Refused) else RowKind.SKIPPED
                made.append(writer.dropped(reason or "", kind, question=topic, answer=statement))
                problem = f" (An earlier statement could not be used: {told}. Write another.)"
                continue
            question = await self._line(writer, "table_question", number, 0.0, table=seeing, sql=statement)
            if leaks(statement, answer_text(outcome.rows), question):
                made.append(writer.dropped(LEAK, question=question, answer=answer_text(outcome.rows)))
            else:
                sketch = Sketch(kind_of(statement), statement, question)
                made.append(self._example(unit, writer, sketch, outcome, topic))
            return

    async def _line(self, writer: Writer, prompt: str, number: int, temperature: float, **values: str) -> str:
        """A reply of one line."""
        request = Request(_message(self._filled(prompt, **values)), prompt, 200, temperature, sample=number)
        return one_line(str((await writer.ask(request, check=_line_problem)).value))

    def _filled(self, name: str, **values: str) -> str:
        if (text := self._prompts.get(name)) is None:
            return fill(_HERE, name, **values)
        return re.sub(r"\{\{(\w+)\}\}", lambda match: values.get(match[1], match[0]), text)

    def _reason(
        self, table: Table, statement: str, outcome: Result | Refused, seen: set[str], question: str | None = None
    ) -> str | None:
        if isinstance(outcome, Refused):
            return REFUSALS[outcome.kind]
        if reason := rejection(table, statement, outcome):
            return reason
        if (same := canonical(statement)) in seen:
            return AGAIN
        if question is not None and leaks(statement, answer_text(outcome.rows), question):
            return LEAK
        seen.add(same)
        return None

    def _example(
        self, unit: Unit, writer: Writer, sketch: Sketch, result: Result, topic: str | None = None
    ) -> Grounded:
        details = {"sql": sketch.sql, "topic": topic} if topic is not None else {"sql": sketch.sql}
        return writer.grounded(
            sketch.question,
            answer_text(result.rows),
            context=shown(_table(unit), chars=_CHARS),
            rationale=sketch.sql,
            kind=sketch.kind,
            details=details,
            program=hashlib.sha256(sketch.sql.encode()).hexdigest()[:16],
        )


def kind_of(statement: str) -> str:
    """What a statement that a model wrote asks, in the words of `sql_grammar.KINDS`.

    >>> kind_of("SELECT a FROM t ORDER BY b DESC LIMIT 1"), kind_of("SELECT COUNT(*) FROM t WHERE a > 1")
    ('superlative', 'count')
    """
    text = canonical(statement)
    if text.count("select") > 1:
        return "nested"
    if "group by" in text:
        return "group"
    if "order by" in text:
        return "superlative" if "limit 1" in text else "list"
    if "count ( distinct" in text:
        return "distinct"
    if "count (" in text:
        return "count"
    if re.search(r"\b(min|max|sum|avg|total) \(", text):
        return "aggregate_where" if "where" in text else "aggregate"
    return "lookup"


def one_line(reply: str) -> str:
    r"""A reply without the quotes, the label and the announcement that models put around a line.

    >>> one_line('Question: "Who won?"'), one_line("Sure! Here is the question:\n\nWho won?")
    ('Who won?', 'Who won?')
    """
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    first = next((line for line in lines if not line.endswith(":")), lines[0] if lines else "")
    first = re.sub(r"^(question|statement|q)\s*:\s*", "", first, flags=re.IGNORECASE)
    pair = first[:1] + first[-1:]
    return first[1:-1].strip() if len(first) > 2 and pair in ('""', "''", "“”") else first


def _line_problem(reply: str) -> str | None:
    line = one_line(reply)
    if line.endswith(":"):
        return "it announces a line and does not say it; the line alone was asked for"
    if not line:
        return "it is empty"
    if len(line) > _LINE:
        return f"it has {len(line)} characters; at most {_LINE} are wanted"
    return "it is a query, and a sentence was asked for" if statement_in(line) else None


def _batches(drawn: Iterator[Sketch], wanted: int) -> Iterator[list[Sketch]]:
    """Sketches in growing batches: as many as may do, then more, so that little is executed in vain."""
    left, size = min(_DRAWS * wanted, _MOST_DRAWS), 2 * wanted
    while left > 0:
        batch = [sketch for sketch, _ in zip(drawn, range(min(size, left)), strict=False)]
        if not batch:
            return
        yield batch
        left -= len(batch)
        size *= 2


def _says(said: str, grounded: Grounded) -> bool:
    """Whether the words of a reply come to the answer; the order of several values counts where it was asked for."""
    if soft_match(said, grounded.answer):
        return True
    one, other = (sorted(text.casefold().split(", ")) for text in (answer_of(said), grounded.answer))
    return grounded.kind != "list" and len(other) > 1 and one == other


def _values(result: Result) -> list[str]:
    return sorted(answer_text([row]) for row in result.rows)


def _schema(table: Table) -> str:
    types = {"integer": "INTEGER", "real": "REAL"}
    return "t(" + ", ".join(f"{column.name} {types.get(column.kind, 'TEXT')}" for column in table.columns) + ")"


def _message(text: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": text},)


def _table(unit: Unit) -> Table:
    assert isinstance(unit.value, Table)
    return unit.value


def _read_prompt(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the prompt {path} cannot be read ({error}); give a Markdown file") from None
