"""A BIG-bench `task.json` as gold: its own prompt, every option with its score, and the metric it prefers.

The prompt is what the benchmark's own `json_task.py` makes of the file (Srivastava et al., arXiv 2206.04615, and its
documentation of the optional fields): task_prefix once, then for each item example_input_prefix, the input, its choices
behind choice_prefix where append_choices_to_input is on, and example_output_prefix. The decision: listed options are
shuffled with a seed, item by item, because in some published files the right one always comes first.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import orjson

from upcycle.contract import listed_options, with_options
from upcycle.errors import ConfigError
from upcycle.evaluation.gold import GoldItem, GoldSet, PromptForm
from upcycle.sources.reading import as_text

_METRICS = {
    "multiple_choice_grade": "multiple_choice_grade",
    "exact_str_match": "exact_match",
}


def bigbench_gold(path: Path, subtask: str | None, *, published: bool = True, seed: int = 0) -> GoldSet | None:
    """The task in this file or folder; None where it is something else.

    Args:
        subtask: which one, where the task has several: a folder beside the file, or `task.NAME.json`.
        published: False lists options as our datasets do, for a model that was trained on one.

    Raises:
        ConfigError: the task has subtasks and none, or an unknown one, is named.
    """
    file = _file_in(path) if path.is_dir() else path
    if file is None or not file.name.lower().endswith((".json", ".json.gz")):
        return None
    whole = _loaded(file)
    subtasks = _subtasks(file) if file.name in ("task.json", "task.json.gz") else {}
    if subtask is not None and subtask in subtasks:
        file = subtasks[subtask]
        whole = _loaded(file)
    elif subtask is not None and subtasks:
        raise ConfigError(f"{file} has no subtask {subtask!r}; it has {', '.join(subtasks)}")
    if not isinstance(whole, dict):
        return None
    if "examples" not in whole:
        if subtasks and {"name", "description", "keywords"} & set(whole):
            raise ConfigError(f"{file} has subtasks; name one of them, like {file.parent}:{next(iter(subtasks))}"
                              f" (there are {', '.join(subtasks)})")  # fmt: skip
        return None
    examples = whole["examples"]
    if not isinstance(examples, list) or not any(
        isinstance(one, dict) and {"target", "target_scores"} & set(one) for one in examples
    ):
        return None
    return _gold(whole, file, published, seed)


def _file_in(folder: Path) -> Path | None:
    return next((folder / name for name in ("task.json", "task.json.gz") if (folder / name).is_file()), None)


def _subtasks(file: Path) -> dict[str, Path]:
    beside = {
        one.name.removeprefix("task.").split(".json")[0]: one
        for one in sorted(file.parent.glob("task.*.json*"))
        if one.name not in ("task.json", "task.json.gz")
    }
    below = {one.parent.name: one for one in sorted(file.parent.glob("*/task.json*"))}
    return beside | below


def _loaded(file: Path) -> Any:
    try:
        data = file.read_bytes()
        return orjson.loads(gzip.decompress(data) if file.suffix.lower() == ".gz" else data)
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError):
        return None  # whoever reads the file next says what is wrong with it


def _gold(whole: Mapping[str, Any], file: Path, published: bool, seed: int) -> GoldSet:
    name = str(whole.get("name") or file.name.split(".")[0])
    metric, notes = _metric(whole)
    items: list[GoldItem] = []
    left_out: Counter[str] = Counter()
    for number, one in enumerate(whole["examples"]):
        found = _item(one, f"{name}:{number}", whole, published, Random(f"{seed} {number}"))
        if isinstance(found, str):
            left_out[found] += 1
        elif metric == "multiple_choice_grade" and not found.choices:
            left_out["have no choices"] += 1
        else:
            items.append(found)
    form = PromptForm()
    if published:
        form = PromptForm(
            prefix=_text(whole, "task_prefix", ""),
            before=_text(whole, "example_input_prefix", "\nQ: "),
            between=_text(whole, "example_output_prefix", "\nA: "),
            after=_text(whole, "few_shot_example_separator", "\n"),
        )
    instruction = _text(whole, "task_prefix", "").strip() or _text(whole, "description", "").strip() or None
    return GoldSet(name, items, metric, "a BIG-bench task", instruction, form, left_out, notes)


def _text(whole: Mapping[str, Any], key: str, usual: str) -> str:
    # A key that is there with null means nothing; only a missing one means the usual.
    return as_text(whole[key]) if key in whole else usual


def _metric(whole: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    asked = [whole["preferred_score"]] if whole.get("preferred_score") else list(whole.get("metrics") or ())
    for name in asked:
        if name in ("multiple_choice_grade", "exact_str_match"):
            return _METRICS[name], ()
    scored = any(isinstance(one, dict) and one.get("target_scores") for one in whole["examples"])
    metric = "multiple_choice_grade" if scored else "exact_match"
    return metric, (f"the task prefers {', '.join(map(str, asked))}, which is not read here; {metric} is",) * bool(
        asked
    )


def _item(one: Any, name: str, whole: Mapping[str, Any], published: bool, random: Random) -> GoldItem | str:
    if not isinstance(one, dict):
        return "are not objects of fields"
    text = as_text(one.get("input"))
    scores = one.get("target_scores")
    if not isinstance(scores, dict) or not scores:
        target = one.get("target")
        answers = tuple(as_text(value) for value in (target if isinstance(target, list) else [target]) if value)
        return GoldItem(name, text, answers) if answers else "have neither target nor target_scores"
    worth = {
        " ".join(option.split()) if not published else option: float(score or 0) for option, score in scores.items()
    }
    best = max(worth.values())
    if best <= 0:
        return "have no choice with a score above 0"
    options = sorted(worth)
    random.shuffle(options)
    if published and whole.get("append_choices_to_input", True):
        before = _text(whole, "choice_prefix", "\n  choice: ")
        text += "".join(before + option for option in options)
    elif not published and not listed_options(text):
        text = with_options(text, options)
    answers = tuple(option for option in options if worth[option] == best)
    return GoldItem(name, text, answers, tuple(options), tuple(worth[option] for option in options))
