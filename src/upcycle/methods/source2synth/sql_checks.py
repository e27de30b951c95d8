"""Whether what a statement came to can be the answer to a question: each rejection is one reason, counted by its words.

In: the table, the statement, its `Result`. Out: a reason, or None. None of these checks is in the paper, which refuses
only what does not run. They need no parser of SQL: what a statement reads and whether the order of rows decides is told
by the engine that executed it, and the rest follows from its tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from upcycle.methods.source2synth.sql import Result
from upcycle.sources.tables.table import Cell, Table, cell_text

MOST_ROWS = 20
MOST_CHARS = 600

EMPTY = "the statement's result is empty"
NULLS = "the statement's result holds an empty cell"
WHOLE = "the statement's result is the whole table, or a whole column"
CONSTANT = "the statement reads nothing of the table"
LONG = f"the statement's result is longer than an answer ({MOST_ROWS} rows, {MOST_CHARS} characters)"
UNSETTLED = "the statement's result hangs on the order of the table's rows"
TELLS = "the answer stands in the statement"
WORDS = "the statement reckons with a column of words, or puts one in order, as if it held numbers"
LEAK = "the answer stands in the question"

_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|\d+(?:\.\d+)?|\w+|[<>=!]+|--[^\n]*|/\*.*?\*/|\S", re.DOTALL
)
_QUERY = re.compile(r"^[ \t]*(?:SQL:[ \t]*)?(?P<sql>(?:SELECT|WITH)\b.*)", re.IGNORECASE | re.DOTALL | re.MULTILINE)
# To a semicolon outside of texts and names, an empty line, or the answer after it.
_TO_ITS_END = re.compile(r"(?:'(?:[^']|'')*'|\"[^\"]*\"|(?!\n[ \t]*\n|\nAnswer:)[^;])*")
_RECKONING = frozenset({"sum", "avg", "total", "min", "max", "abs", "round"})
_AGGREGATES = frozenset({"count", "sum", "avg", "total", "min", "max"})
_NUMBER = re.compile(r"\d+(\.\d+)?")


def tokens(statement: str) -> list[str]:
    """Words, numbers, quoted names and texts and signs of a statement, comments left out."""
    return [token for token in _TOKEN.findall(statement) if not token.startswith(("--", "/*"))]


def canonical(statement: str) -> str:
    """The same for statements that differ in case, spaces, quotes of names and a closing semicolon only.

    >>> canonical('SELECT "a"  FROM t;') == canonical("select a from T")
    True
    """
    said = [token if token.startswith("'") else token.strip('"`[]').lower() for token in tokens(statement)]
    return " ".join(said).rstrip("; ")


def answer_text(rows: Sequence[Sequence[Cell]]) -> str:
    """A result as an answer: values of one column joined by ", ", rows of several joined by "; ".

    >>> answer_text([["Rome"], ["Oslo"]]), answer_text([["Rome", 3.0]])
    ('Rome, Oslo', 'Rome, 3')
    """
    lines = [", ".join(map(cell_text, row)) for row in rows]
    return (", " if all(len(row) == 1 for row in rows) else "; ").join(lines)


def rejection(table: Table, statement: str, result: Result) -> str | None:
    """Why this result is no answer worth asking for; None where it can be one."""
    said = tokens(statement)
    words = {token.lower() for token in said}
    if not result.rows:
        return EMPTY
    if any(cell is None or cell == "" for row in result.rows for cell in row):
        return NULLS
    if set(result.read) <= {""} and "count" not in words:
        return CONSTANT
    if len(result.rows) >= len(table.rows):
        return WHOLE
    if len(result.rows) > MOST_ROWS or len(answer_text(result.rows)) > MOST_CHARS:
        return LONG
    if result.unsettled:
        return UNSETTLED
    if _tells(said, words, result, table):
        return TELLS
    return WORDS if _reckons_with_words(said, table) else None


def leaks(statement: str, answer: str, question: str) -> bool:
    """Whether a question tells its answer; one that names what to choose among does not."""
    if _NUMBER.fullmatch(answer) or len(_texts(tokens(statement))) > 1:
        return False
    return re.search(rf"(?<!\w){re.escape(answer.lower())}(?!\w)", question.lower()) is not None


def _texts(said: Sequence[str]) -> list[str]:
    return [token[1:-1].replace("''", "'") for token in said if token.startswith("'")]


def _tells(said: Sequence[str], words: set[str], result: Result, table: Table) -> bool:
    if len(result.rows) != 1 or len(result.rows[0]) != 1:
        return False
    answer = result.rows[0][0]
    if isinstance(answer, str):
        names = {column.name for column in table.columns}
        # SQLite takes "a name that nothing has" for a text.
        loose = [token[1:-1] for token in said if token.startswith('"') and token[1:-1].lower() not in names]
        texts = _texts(said) + loose
        return len(texts) == 1 and texts[0].lower() == answer.lower()
    numbers = [float(token) for token in said if _NUMBER.fullmatch(token)]
    return float(answer or 0) in numbers and not words & _AGGREGATES


def _reckons_with_words(said: Sequence[str], table: Table) -> bool:
    texts = {column.name for column in table.columns if column.kind == "text"}
    plain = ["" if token.startswith("'") else token.strip('"`[]').lower() for token in said]
    limited = "limit" in plain
    for at, token in enumerate(plain):
        if token not in texts:
            continue
        before = [one for one in plain[max(0, at - 3) : at] if one != "distinct"]
        after = plain[at + 1 : at + 3]
        if len(before) >= 2 and before[-1] == "(" and before[-2] in _RECKONING:
            return True
        if len(after) == 2 and after[0] in ("<", ">", "<=", ">=", "between") and _NUMBER.fullmatch(after[1]):
            return True
        if limited and before[-2:] == ["order", "by"]:
            return True
    return False


def statement_in(reply: str) -> str | None:
    r"""The first query in a reply, out of a fence or prose; None where there is none.

    >>> statement_in("Sure! ```sql\nSELECT a FROM t;\n``` It counts.")
    'SELECT a FROM t'
    """
    fenced = re.search(r"```(?:\w*[ \t]*\n)?(.*?)(?:```|\Z)", reply, re.DOTALL)
    text = fenced[1] if fenced else reply
    # In prose only a line that begins as a query is one: "select the best" is a sentence.
    found = _QUERY.search(text)
    if found is None:
        return None
    query = _TO_ITS_END.match(found["sql"])
    assert query is not None  # it matches nothing too
    return query[0].strip() if re.search(r"\bfrom\b", query[0], re.IGNORECASE) else None
