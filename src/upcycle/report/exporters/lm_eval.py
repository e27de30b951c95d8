"""A task of lm-evaluation-harness: the rows, and the YAML that scores a model on them.

Where every row has options, or outputs are a small closed set, the answer is chosen by likelihood
(`multiple_choice`); otherwise it is written and compared (`generate_until`, exact match). Demonstrations are never
rows that are scored: they come from the training split, or from the task's own demonstrations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from upcycle.contract import is_number, listed_options
from upcycle.records import Example
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.template import Template
from upcycle.yamlfile import dump_yaml

_REPEATS = 10  # times an output occurs on average in a closed set
_MOST_NUMBERS = 10
_CHARS_PER_TOKEN = 2  # cautious: code and languages other than English have shorter tokens


def _row(example: Example, template: Template) -> dict[str, Any]:
    # Always the same keys, so that the reader of JSON sees one schema; an empty list, not null, for the same reason.
    return {
        "id": example.id,
        "input": template.prompt(example),
        "output": example.output,
        "choices": list(example.choices or ()),
    }


def _beside(beside: Beside) -> Mapping[str, str]:
    files = {split: str(beside.out.resolve() / file) for split, file in beside.data.items()}
    config: dict[str, Any] = {
        "task": beside.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
        **{f"{kind}_split": kind_of for kind, kind_of in _splits(beside).items()},
        "doc_to_text": "{{input}}\n",
        "target_delimiter": "",
        **_demonstrations(beside),
        **_scoring(beside),
        "metadata": {"version": 1.0},
    }
    return {f"{beside.name}.yaml": dump_yaml(config)}


def _splits(beside: Beside) -> dict[str, str]:
    splits = {"test": beside.scored}
    if _fewshot_split(beside):
        splits |= {"training": "train", "fewshot": "train"}
    return splits


def _fewshot_split(beside: Beside) -> bool:
    return "train" in beside.data and beside.scored != "train"


def _demonstrations(beside: Beside) -> dict[str, Any]:
    """The task's own demonstrations as the ones to show, where no other split can give some."""
    if _fewshot_split(beside):
        return {}
    before = f"{beside.template.instruction}\n\n" if beside.template.instruction else ""
    shown = []
    for given in beside.task.get("demonstrations") or ():
        if isinstance(given, dict) and given.get("input") and given.get("output"):
            text, output = str(given["input"]), str(given["output"])
            choices = _options(beside) or listed_options(text)
            if not choices or output in choices:
                shown.append({"input": before + text, "output": output, "choices": choices})
    return {"fewshot_config": {"sampler": "first_n", "samples": shown}} if shown else {}


def _scoring(beside: Beside) -> dict[str, Any]:
    if choices := _options(beside):
        wanted: dict[str, Any] = {"doc_to_choice": choices, "doc_to_target": "output"}
    elif _chosen(beside):
        wanted = {"doc_to_choice": "{{choices}}", "doc_to_target": "{{choices.index(output)}}"}
    else:
        return _generation(beside)
    better = {"aggregation": "mean", "higher_is_better": True}
    return {
        "output_type": "multiple_choice",
        **wanted,
        "metric_list": [{"metric": "acc", **better}, {"metric": "acc_norm", **better}],
    }


def _generation(beside: Beside) -> dict[str, Any]:
    stop = ["\n"] if not beside.seen.lines else ["\n\n\n"]
    exact = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    return {
        "output_type": "generate_until",
        "doc_to_target": "{{output}}",
        "generation_kwargs": {
            "until": stop,
            "do_sample": False,
            "max_gen_toks": max(16, min(1024, beside.seen.longest // _CHARS_PER_TOKEN)),
        },
        "metric_list": [{**exact, "ignore_case": True, "ignore_punctuation": False}],
    }


def _chosen(beside: Beside) -> bool:
    return beside.seen.total > 0 and beside.seen.chosen == beside.seen.total


def _options(beside: Beside) -> list[str] | None:
    """The closed set of outputs: the contract's labels, or what a good number of rows show."""
    if _chosen(beside):
        return None
    contract = beside.task.get("contract") or {}
    outputs = beside.seen.outputs
    labels = contract.get("labels")
    if labels:
        named = [str(label) for label in labels]
        return named if outputs is not None and outputs <= set(named) else None
    if outputs is None or contract.get("kind") in ("number", "code", "span"):
        return None
    if len(outputs) > _MOST_NUMBERS and all(map(is_number, outputs)):
        return None  # results that happen to repeat, not grades
    return sorted(outputs) if len(outputs) > 1 and beside.seen.total >= _REPEATS * len(outputs) else None


def _warn(beside: Beside) -> Iterable[str]:
    if beside.scored == "train":
        yield "there is no test or validation split, so the task scores the training rows"
    if not _fewshot_split(beside) and not _demonstrations(beside):
        yield "there is no other split and no demonstration: above --num_fewshot 0 it would show rows that it scores"
    if 0 < beside.seen.chosen < beside.seen.total:
        without = beside.seen.total - beside.seen.chosen
        yield f"{without:,} rows have no options to choose from, so answers are written and compared, not chosen"


def _use(beside: Beside) -> str:
    return f"""```bash
lm_eval --include_path . --tasks {beside.name} --model hf --model_args pretrained={beside.base_model}
```

The data files stand in `{beside.name}.yaml` with their full paths: change them where the folder moves."""


LM_EVAL = Format("lm-eval", "a task of lm-evaluation-harness", _row, _use, beside=_beside, warn=_warn)
