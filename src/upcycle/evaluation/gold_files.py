"""Gold as it is published, read as a `GoldSet`: which format a file has is seen from its fields, and said.

In: a path. A BIG-bench `task.json` (also gzipped), a task file of ours with its gold, SQuAD (its JSON, or rows of
context, question and answers), HotpotQA, questions over tables as WikiSQL and WikiTableQuestions keep them, questions
with several right answers, or any labelled dataset that `sources` can read. The decision: a row that cannot be scored
is left out and counted by its reason, never scored as wrong and never dropped in silence.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import ConfigError, SourceError
from upcycle.evaluation.asked import metric_of
from upcycle.evaluation.bigbench_gold import bigbench_gold
from upcycle.evaluation.gold import GoldItem, GoldSet
from upcycle.sources.examples import open_examples, read_examples
from upcycle.sources.reading import Columns, as_text

_SAMPLE = 32
Fields = Mapping[str, Any]


def read_gold_set(
    path: str | Path, *, columns: Columns | None = None, published: bool = True, seed: int = 0
) -> GoldSet:
    """Everything a gold file or folder holds.

    Args:
        path: the file or folder; `PATH:SPLIT` reads one split of a dataset or one subtask of a BIG-bench task.
        columns: which column is what, where the names do not say it.
        published: BIG-bench items with their own prompt; False gives them as our datasets write options, which is what
            a model that was trained on such a dataset has to be asked.
        seed: orders the options that an input lists.

    Raises:
        ConfigError, SourceError: nothing there, nothing that can be read as gold, or no item left in it.
    """
    where, part = _path_and_part(path)
    found: GoldSet | None = None
    if columns is None:
        found = bigbench_gold(where, part, published=published, seed=seed) or _task_gold(where) or _squad_json(where)
    if found is None:
        found = _rows_gold(where, part, columns)
    if not found.items:
        why = "; ".join(f"{count} {reason}" for reason, count in list(found.left_out.items())[:3])
        raise ConfigError(f"{path} holds no gold item that can be scored{f' ({why})' if why else ''}")
    return replace(found, items=_distinct(found.items))


def _path_and_part(path: str | Path) -> tuple[Path, str | None]:
    where = Path(path).expanduser()
    if where.exists():
        return where, None
    before, colon, part = str(path).rpartition(":")
    if colon and before and Path(before).expanduser().exists():
        return Path(before).expanduser(), part
    raise ConfigError(f"there is no gold {str(path)!r}; give a file or a folder that exists")


def _distinct(items: Sequence[GoldItem]) -> list[GoldItem]:
    """The items with an id of their own each."""
    seen: Counter[str] = Counter()
    kept: list[GoldItem] = []
    for item in items:
        seen[item.id] += 1
        kept.append(item if seen[item.id] == 1 else replace(item, id=f"{item.id}#{seen[item.id]}"))
    return kept


@dataclass(slots=True)
class _Reader:
    """Collects items and counts what could not be read."""

    items: list[GoldItem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, found: GoldItem | str) -> None:
        if isinstance(found, str):
            self.left_out[found] += 1
        else:
            self.items.append(found)


def _task_gold(path: Path) -> GoldSet | None:
    """The gold of a task file, with its metric, its instruction and its demonstrations; None for anything else."""
    from upcycle.taskfile import load_task_file

    if path.suffix.lower() not in (".yaml", ".yml", ".json") or not path.is_file():
        return None
    if path.suffix.lower() == ".json" and not {"instruction", "gold"} <= set(_keys(path)):
        return None
    task, _ = load_task_file(path)
    if not task.gold:
        raise ConfigError(f"{path} is a task file without gold, so nothing can be scored on it; give it `gold`")
    reader = _Reader()
    for number, row in enumerate(task.gold):
        reader.add(_item(str(number), row.input, (row.output,), row.choices))
    metric = metric_of(reader.items, task.metric or "auto") if reader.items else "exact_match"
    return GoldSet(
        task.name, reader.items, metric, "the gold of a task file", task.instruction, left_out=reader.left_out,
        shown=tuple((one.input, one.output) for one in task.demonstrations),
    )  # fmt: skip


def _keys(path: Path) -> Sequence[str]:
    try:
        whole = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return ()
    return list(whole) if isinstance(whole, dict) else ()


def _item(name: str, text: str, answers: tuple[str, ...], choices: Sequence[str] | None) -> GoldItem | str:
    if not any(answer.strip() for answer in answers):
        return "have no answer"
    if choices and not set(answers) & set(choices):
        return "have an answer that is not among their choices"
    return GoldItem(name, text, answers, tuple(choices) if choices else None)


# -- SQuAD's own JSON ----------------------------------------------------------------------------------------------


def _squad_json(path: Path) -> GoldSet | None:
    if path.suffix.lower() != ".json" or not path.is_file() or "data" not in _keys(path):
        return None
    articles = orjson.loads(path.read_bytes())["data"]
    if not isinstance(articles, list) or not all(isinstance(one, dict) and "paragraphs" in one for one in articles):
        return None
    reader = _Reader()
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = [one["text"] for one in asked.get("answers") or ()]
                    reader.add(_squad_item(str(asked["id"]), paragraph["context"], asked["question"], answers))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path} begins like SQuAD and then lacks {error}; check the file") from None
    return GoldSet(path.stem, reader.items, "squad", "SQuAD: context, question, answers", left_out=reader.left_out)


def _squad_item(name: str, context: str, question: str, answers: Sequence[str]) -> GoldItem | str:
    known = tuple(dict.fromkeys(answer for answer in answers if answer.strip()))
    if not known:
        return "have no answer in their context (SQuAD 2.0)"
    return GoldItem(name, f"Context: {context}\nQuestion: {question}", known)


# -- rows ----------------------------------------------------------------------------------------------------------


def _rows_gold(path: Path, split: str | None, columns: Columns | None) -> GoldSet:
    if columns is None and (found := _known_rows(path, split)) is not None:
        return found
    opened = open_examples(path, columns=columns)
    split = split or split_to_score(opened.splits)
    examples = read_examples(path, split=split, columns=columns)
    reader = _Reader()
    for skipped in examples.skipped:
        reader.left_out[_reason(skipped.why)] += 1
    for example in examples.examples:
        name = example.id if examples.read_as == "the columns of a run" else example.origin.record or example.id
        reader.add(_item(name, example.input, (example.output,), example.choices))
    metric = metric_of(reader.items) if reader.items else "exact_match"
    return GoldSet(
        examples.name, reader.items, metric, examples.read_as, examples.instruction, left_out=reader.left_out,
        notes=_only_train(opened.splits) if path.is_dir() else (),
    )  # fmt: skip


def split_to_score(splits: Sequence[str]) -> str | None:
    """The split that is meant to be scored: test, else validation; None (all of it) where there is neither."""
    for wanted in ("test", "validation", "valid", "dev"):
        if found := [name for name in splits if name == wanted] or [name for name in splits if name.startswith(wanted)]:
            return found[0]
    return None


def _only_train(splits: Sequence[str]) -> tuple[str, ...]:
    if list(splits) != ["train"]:
        return ()
    return ("it has a train split only: a model that was trained on it has seen every item",)


def _reason(why: str) -> str:
    """A row's reason without what is its own, so that equal ones are counted together."""
    if "is none of its" in why:
        return "have an answer that is not among their choices"
    return f"could not be read ({why})"


def _known_rows(path: Path, split: str | None) -> GoldSet | None:
    """Rows whose fields tell of a format that has more than one input and one output; None for the others."""
    found = _fields_of(path, split)
    if found is None:
        return None
    name, rows, reader = found
    head = list(itertools.islice(rows, _SAMPLE))
    names = {key for row in head for key in row}
    read = _format_of(names, head, path)
    if read is None:
        return None
    kind, metric, read_as, item = read
    for number, row in enumerate(itertools.chain(head, rows)):
        reader.add(item(str(row.get("id") or row.get("_id") or number), row))
    return GoldSet(name, reader.items, metric, f"{kind}: {read_as}", left_out=reader.left_out)


def _fields_of(path: Path, split: str | None) -> tuple[str, Iterator[Fields], _Reader] | None:
    """The rows of a file or of a folder that holds one dataset; None where `read_examples` should have it."""
    from upcycle.sources.source import open_sources

    if path.is_dir() and ((path / "run.db").exists() or (path / "data").is_dir()):
        return None
    try:
        sources, _ = open_sources([str(path)])
    except SourceError:
        return None  # `read_examples` says what is wrong
    if len(sources) != 1:
        return None
    source = sources[0]
    configs = [one.name for one in source.card.configs]
    config = "default" if "default" in configs else configs[0]
    reader = _Reader()

    def skip(where: str, why: str) -> None:
        reader.left_out[f"could not be read ({why})"] += 1

    splits = [one.name for each in source.card.configs if each.name == config for one in each.splits]
    split = split or split_to_score(splits)
    if split is not None and split not in splits:
        return None
    rows = (record.fields for record in source.records(config=config, split=split, skip=skip))
    return source.card.id, rows, reader


_Item = Callable[[str, Fields], GoldItem | str]


def _format_of(names: set[str], head: Sequence[Fields], path: Path) -> tuple[str, str, str, _Item] | None:
    question = next((name for name in ("question", "query") if name in names), None)
    if question is None:
        return None
    if {"context", "answers.text"} <= names:
        return "SQuAD", "squad", "context, question, answers", _squad_row
    if "answer" in names and ({"context.title", "context.sentences"} <= names or _nested_context(head)):
        return "HotpotQA", "soft_exact_match", "paragraphs, question, answer", _hotpot_row
    if {"table_id"} <= names and names & {"answer", "answers"}:
        tables = _Tables(path)
        return "questions over tables", "exact_match", "table, question, answer", tables.row
    if {"table.header", "table.rows"} <= names and names & {"answer", "answers", "output"}:
        return "questions over tables", "exact_match", "table, question, answer", _table_row
    if "answers" in names and not names & {"choices", "options"} and _lists(head, "answers"):
        context = "context" if "context" in names else None

        def row_of(name: str, row: Fields) -> GoldItem | str:
            text = as_text(row.get(question))
            text = f"Context: {as_text(row.get(context))}\nQuestion: {text}" if context else text
            return _item(name, text, _texts(row.get("answers")), None)

        return "questions with every right answer", "soft_exact_match", f"{question}, answers", row_of
    return None


def _lists(head: Sequence[Fields], name: str) -> bool:
    return all(isinstance(row.get(name), list) for row in head)


def _nested_context(head: Sequence[Fields]) -> bool:
    """HotpotQA as it was first published: a list of [title, sentences]."""
    found = [row.get("context") for row in head]
    return all(isinstance(one, list) and one and isinstance(one[0], list) and len(one[0]) == 2 for one in found)


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(text for one in values if (text := _shown(one)).strip()))


def _shown(value: Any) -> str:
    # 3.0 out of a table is 3 to whoever asks.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else as_text(value)


def _squad_row(name: str, row: Fields) -> GoldItem | str:
    return _squad_item(name, as_text(row.get("context")), as_text(row.get("question")), _texts(row.get("answers.text")))


def _hotpot_row(name: str, row: Fields) -> GoldItem | str:
    pairs = row.get("context")
    if not isinstance(pairs, list):
        pairs = list(zip(row.get("context.title") or (), row.get("context.sentences") or (), strict=False))
    paragraphs = [
        f"{title}: {''.join(sentences) if isinstance(sentences, list) else sentences}" for title, sentences in pairs
    ]
    text = f"Context: {chr(10).join(paragraphs)}\nQuestion: {as_text(row.get('question'))}"
    return _item(name, text, _texts(row.get("answer")), None)


def _table_row(name: str, row: Fields) -> GoldItem | str:
    title = next((row[f"table.{key}"] for key in ("page_title", "caption", "name") if row.get(f"table.{key}")), "")
    return _asked_of(_shown_table(name, row.get("table.header"), row.get("table.rows"), as_text(title)), name, row)


def _shown_table(name: str, header: Any, cells: Any, title: str) -> tuple[str, str]:
    """A table as text, and why it cannot be shown."""
    from upcycle.sources.tables.table import BadTable, make_table, shown

    if not isinstance(header, list) or not isinstance(cells, list):
        return "", "have no table"
    table = make_table(name, header, cells, title=title)
    return (
        ("", f"have a table that cannot be read ({table.reason})")
        if isinstance(table, BadTable)
        else (shown(table), "")
    )


def _asked_of(table: tuple[str, str], name: str, row: Fields) -> GoldItem | str:
    text, why = table
    answers = next((row[key] for key in ("answers", "answer", "output") if row.get(key) is not None), None)
    values = _texts(answers)
    if why or not values:
        return why or "have no answer"
    text = f"{text}\nQuestion: {as_text(row.get('question'))}"
    return GoldItem(name, text, (", ".join(values),), listed=values if len(values) > 1 else None)


class _Tables:
    """The tables beside a file of questions: `dev.tables.jsonl` beside `dev.jsonl`, else every one in the folder."""

    def __init__(self, path: Path) -> None:
        folder = path if path.is_dir() else path.parent
        beside = path.with_name(f"{path.name.removesuffix(path.suffix)}.tables.jsonl")
        files = [beside] if path.is_file() and beside.is_file() else sorted(folder.glob("*.tables.jsonl"))
        if not files:
            raise ConfigError(
                f"{path} asks questions of tables by their id, and there is no file of tables beside it; put"
                f" {beside.name} there (id, header, rows)"
            )
        self._tables: dict[str, Fields] = {}
        self._shown: dict[str, tuple[str, str]] = {}
        for file in files:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        table = orjson.loads(line)
                        self._tables[str(table["id"])] = table
                    except (orjson.JSONDecodeError, KeyError, TypeError):
                        raise ConfigError(f"{file} line {number} is no table with an id, a header and rows") from None

    def row(self, name: str, row: Fields) -> GoldItem | str:
        known = str(row.get("table_id"))
        if known not in self._tables:
            return "ask of a table that is not there"
        if known not in self._shown:
            table = self._tables[known]
            title = next((as_text(table[key]) for key in ("page_title", "caption") if table.get(key)), "")
            self._shown[known] = _shown_table(known, table.get("header"), table.get("rows"), title)
        return _asked_of(self._shown[known], name, row)
