"""Everything a verb of the command line does, as one public async function with the verb's name.

`await upcycle.build(...)` in a notebook, `asyncio.run(upcycle.build(...))` in a script. A task is a sentence, the path
of a task file, or a `Task`; settings are the keys of the task file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upcycle.config import BuildConfig, make_config, one_model
from upcycle.errors import ConfigError
from upcycle.task import Demonstration, Task, make_task, read_demonstrations
from upcycle.taskfile import load_task_file

if TYPE_CHECKING:
    from upcycle.analysis.comparison import Comparison
    from upcycle.comparing.result import ComparedLegs
    from upcycle.fitting import TrainReport
    from upcycle.plan_report import PlanReport
    from upcycle.report.curated import CuratedReport
    from upcycle.report.evaluated import Evaluation
    from upcycle.report.summary import Report
    from upcycle.run import Listener, Run
    from upcycle.sources.catalog import Hit
    from upcycle.training.predictor import Predictor

Examples = str | os.PathLike[str] | Sequence[tuple[str, str] | dict[str, str] | Demonstration]
"""Demonstrations: a JSONL, JSON, CSV or TSV file, or (input, output) pairs."""


def resolve(
    task: str | os.PathLike[str] | Task, *, examples: Examples | None = None, **settings: Any
) -> tuple[Task, BuildConfig]:
    """The task and the complete settings behind what a user gave; flags win over the task file.

    Raises:
        ConfigError: anything wrong with either, in one sentence.
    """
    contract = settings.pop("contract", None) or {}
    about = {key: settings.pop(key, None) for key in ("name", "metric", "language", "gold")}
    about = {key: value for key, value in about.items() if value is not None}
    found: dict[str, Any] = {}
    if isinstance(task, Task):
        base = task
    elif is_task_file(task):
        base, found = load_task_file(Path(task))
    else:
        base = None
    if base is None or examples is not None or contract or about:
        base = _with(base, str(task), examples, contract, about)
    if isinstance(settings.get("model"), str):
        settings["model"] = one_model(settings["model"])
    if isinstance(settings.get("budget"), str):
        from upcycle.budget import parse_budget

        settings["budget"] = parse_budget(settings["budget"])
    return base, make_config(_merged(found, {key: value for key, value in settings.items() if value is not None}))


def _with(
    base: Task | None, text: str, examples: Examples | None, contract: dict[str, Any], about: dict[str, Any]
) -> Task:
    """`base`, or a new task from a sentence, with what the flags say."""
    given = read_gold_of(about)
    shown = _demonstrations(examples) if examples is not None else (base.demonstrations if base else ())
    if base is None:
        return make_task(text, demonstrations=shown, contract=contract, **given)
    kept = base.contract.model_dump(exclude_unset=True) if examples is None else {}
    values: dict[str, Any] = {"name": base.name, "metric": base.metric, "language": base.language, "gold": base.gold}
    values |= given
    return make_task(base.instruction, demonstrations=shown, contract={**kept, **contract}, **values)


def read_gold_of(about: dict[str, Any]) -> dict[str, Any]:
    """`about` with a gold file's path replaced by its items."""
    from upcycle.task import read_gold

    if isinstance(about.get("gold"), str | os.PathLike):
        return {**about, "gold": read_gold(Path(about["gold"]))}
    return about


def is_task_file(task: object) -> bool:
    """Whether this names a task file: a path that exists (a folder is refused where it is read), or ends like one."""
    text = str(task)
    return text.endswith((".yaml", ".yml", ".json")) or (
        "\n" not in text and 0 < len(text.encode()) < 240 and Path(text).exists()
    )


def _demonstrations(examples: Examples) -> tuple[Demonstration, ...]:
    if isinstance(examples, str | os.PathLike):
        return read_demonstrations(Path(examples))
    shown = []
    for example in examples:
        if isinstance(example, Demonstration):
            shown.append(example)
        elif isinstance(example, dict):
            if missing := {"input", "output"} - set(example):
                raise ConfigError(f"a demonstration has no {min(missing)!r}: {str(example)[:80]}")
            shown.append(Demonstration.model_validate(example))
        else:
            text, output = example
            shown.append(Demonstration(input=text, output=output))
    return tuple(shown)


def _merged(found: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = {**found, **given}
    for key in ("model", "methods", "training", "compare"):
        if isinstance(found.get(key), dict) and isinstance(given.get(key), dict):
            merged[key] = {**found[key], **given[key]}
    for method, flags in (given.get("methods") or {}).items():
        # Flags win key by key: a share on the command line leaves the file's other settings of the method as they are.
        settings = (found.get("methods") or {}).get(method)
        if isinstance(settings, dict) and isinstance(flags, dict):
            merged["methods"][method] = {**settings, **flags}
    return merged


def default_out(task: Task) -> Path:
    """Where a run goes that was given no folder."""
    return Path("runs") / task.name


async def build(
    task: str | os.PathLike[str] | Task,
    *,
    examples: Examples | None = None,
    out: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Report:
    """Make a task's dataset out of existing data; calling it again on the same folder goes on where it stopped.

    Args:
        out: the run's folder; `runs/<task name>` where not given.
        listener: is told of every event.
        settings: keys of the task file: rows, sources, model, budget, licence, seed, ...

    Raises:
        UpcycleError: in one sentence; see `upcycle.errors`.
    """
    from upcycle.build import build as make_dataset

    resolved, config = resolve(task, examples=examples, **settings)
    with open_run(resolved, config, out, listener) as run:
        return await make_dataset(resolved, config, run)


async def plan(
    task: str | os.PathLike[str] | Task,
    *,
    examples: Examples | None = None,
    out: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> PlanReport:
    """Choose sources and plans, pilot them and estimate the price; nothing more is spent. `build` goes on from it."""
    from upcycle.plan_report import plan as make_plans

    resolved, config = resolve(task, examples=examples, **settings)
    with open_run(resolved, config, out, listener) as run:
        return await make_plans(resolved, config, run)


async def search(
    task: str | os.PathLike[str] | Task,
    *,
    sources: Sequence[str] = ("stdlib",),
    examples: Examples | None = None,
    limit: int = 10,
    licence: str = "any",
    languages: Sequence[str] = (),
    max_bytes: int | None = None,
    min_rows: int | None = None,
) -> list[Hit]:
    """Sources ranked by how well they fit the task; of "hub", the first that its index finds are opened, too."""
    from upcycle.sources.catalog import Catalog
    from upcycle.sources.opening import opened_for

    resolved, _ = resolve(task, examples=examples)
    opened = await opened_for(resolved, list(sources), licence, tuple(languages))
    return Catalog.build(opened).search(
        resolved.instruction,
        demonstrations=[f"{d.input}\n{d.output}" for d in resolved.demonstrations],
        limit=limit,
        licence=licence,
        languages=list(languages) or None,
        max_bytes=max_bytes,
        min_rows=min_rows,
    )


async def describe(
    *datasets: str | os.PathLike[str],
    gold: str | os.PathLike[str] | None = None,
    limit: int | None = 20_000,
    seed: int = 0,
    model: str | None = None,
    **more: Any,
) -> Comparison:
    """Describe datasets side by side: how varied, long, unique, balanced and hard their examples are.

    Args:
        datasets: runs, dataset folders, or JSONL, CSV, Parquet or BIG-bench files; `PATH:SPLIT` names one split.
        gold: one more dataset; levels of a loss are then its fifths.
        limit: most examples of a set that are measured, drawn with `seed`; None for all.
        model: rates the difficulty of a part of each set. None is asked where none is named.
        more: `columns` (role to column), `rated` (examples of each set the model rates), `base_url`, `budget`, `task`
            (what the model is told), `out` (the folder its calls are kept in), `tell` (is told what is being done).
    """
    from upcycle.analysis.comparison import describe_paths

    return await describe_paths(datasets, gold=gold, limit=limit, seed=seed, model=model, **more)


async def curate(
    dataset: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    check: str | Sequence[str] | None = None,
    task: str | os.PathLike[str] | Task | None = None,
    examples: Examples | None = None,
    gold: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    model: str | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> CuratedReport:
    """Run checks over any dataset and write what they keep, and what they drop with each reason, into a folder.

    Args:
        dataset: a run, a folder of one dataset, or a file; `PATH:SPLIT` takes one split.
        out: folder of the result, `runs/<name>-curated` where not given; the dataset itself is never changed.
        check: names of `upcycle.curation.curate.CHECKS`; one that begins with "+" is added to the usual ones.
        task: what the examples are for: its contract, demonstrations and gold are used.
        gold: labelled items, in anything that can be read as a dataset, which no example may repeat.
        columns: which column is the input (several joined by "+"), the output and the choices.
        model: what judges and answers, where such checks are asked for.
        settings: near, guess, even, judge, tries, licence and seed, as in `Checks`; base_url, budget, concurrency.

    Raises:
        UpcycleError: in one sentence; see `upcycle.errors`.
    """
    from upcycle.curating import curate_dataset

    about = resolve(task, examples=examples)[0] if task is not None else None
    shown = _demonstrations(examples) if examples is not None and about is None else ()
    return await curate_dataset(
        dataset, out=out, check=check, task=about, demonstrations=shown, gold=gold, columns=columns, model=model,
        listener=listener, settings=settings,
    )  # fmt: skip


async def train(
    dataset: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    gold: str | os.PathLike[str] | None = None,
    real: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    seed: int | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> TrainReport:
    """Train a student on a dataset's training split; calling it again on the same folder goes on where it stopped.

    Args:
        dataset: a run, a folder of one dataset, or a file; `PATH:SPLIT` takes one split.
        out: folder of the student; `model` inside a run, else `runs/<name>-model`, where not given.
        gold: evaluation items in anything that can be read as such; examples that repeat one are left out.
        real: real examples, from which the DIMP weights are learned.
        columns: which column is the input (several joined by "+"), the output and the choices.
        seed: of everything random; the run's where it has one.
        settings: keys of the task file's `training`: student, kind, epochs, grid, batch, ...

    Raises:
        UpcycleError: in one sentence; see `upcycle.errors`.
    """
    from upcycle.fitting import train_dataset

    return train_dataset(
        dataset, out=out, gold=gold, real=real, columns=columns, seed=seed, listener=listener, **settings
    )  # fmt: skip


async def evaluate(
    model: str | os.PathLike[str] | Predictor,
    gold: str | os.PathLike[str],
    *,
    metric: str | None = None,
    shots: int = 0,
    examples: Examples | None = None,
    against: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    listener: Listener | None = None,
    **settings: Any,
) -> Evaluation:
    """Hold a model against gold: every number with its 95 % interval, every prediction in a file.

    Args:
        model: a folder (trained here, or of a Hugging Face causal language model), "smollm2", a served model as
            "openai/NAME", or anything with `predict` and `score`.
        gold: a BIG-bench task.json, a task file, SQuAD, HotpotQA, questions over tables, or any labelled dataset;
            `PATH:SPLIT` names one split or subtask.
        metric: where not given, what suits the gold.
        shots: demonstrations before each item; of `examples`, of the task file, or drawn from the gold and not scored.
        against: another model, or the folder or predictions of an earlier evaluation; compared item by item.
        limit: score only so many items, drawn with `seed`.
        out: folder of `evaluation.json` and `predictions.jsonl`; `runs/evaluate-<gold>-<model>` where not given.
        settings: base_url, budget, concurrency, rpm, tpm, prices, for a served model.

    Raises:
        UpcycleError: in one sentence; see `upcycle.errors`.
    """
    from upcycle.evaluating import Wanted, evaluate_model

    shown = _demonstrations(examples) if examples is not None else ()
    wanted = Wanted(gold, metric, shots, shown, columns, seed, limit)
    return await evaluate_model(model, wanted, against=against, out=out, listener=listener, settings=settings)


async def compare(
    task: str | os.PathLike[str] | Task,
    *,
    examples: Examples | None = None,
    out: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> ComparedLegs:
    """Train the same student on each set of rows the task could get, and say which is better and which is not.

    Args:
        out: the comparison's folder, `runs/<task name>-compare` where not given; what is finished in it is used.
        listener: is told of every event.
        settings: keys of the task file; `compare` holds the comparison's own (rows, seeds, curve, existing, baseline,
            gold_share, label_usd), `training` the student's.

    Raises:
        UpcycleError: in one sentence; see `upcycle.errors`.
    """
    from upcycle.comparing.compare import compare as hold_together
    from upcycle.comparing.written import write

    resolved, config = resolve(task, examples=examples, **settings)
    folder = Path(out) if out is not None else Path("runs") / f"{resolved.name}-compare"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder for the comparison")
    found = await hold_together(resolved, config, folder, listener=listener)
    write(found)
    return found


def open_run(
    task: Task, config: BuildConfig, out: str | os.PathLike[str] | None, listener: Listener | None = None
) -> Run:
    """The run's directory for these settings, opened; `task.yaml` and `config.yaml` are written into it."""
    from upcycle.run import Run, write_text
    from upcycle.yamlfile import dump_yaml

    path = Path(out) if out is not None else default_out(task)
    about = task.model_dump(mode="json", exclude={"gold"}, exclude_none=True)
    config = _without_credentials(config)
    identity = {"task": {**about, "gold": _digest(task)}, **config.identity()}
    run = Run.open(path, identity, budget=config.budget, listener=listener)
    try:
        write_text(path / "task.yaml", dump_yaml(about))
        write_text(path / "config.yaml", dump_yaml(config.model_dump(mode="json", exclude_none=True)))
    except BaseException:
        run.close()
        raise
    return run


def _without_credentials(config: BuildConfig) -> BuildConfig:
    """The settings as they may be written down: an address may hold a name and a password, a run's files do not."""
    if config.model.base_url is None:
        return config
    from upcycle.llm.transport import bare_address

    bare = config.model.model_copy(update={"base_url": bare_address(config.model.base_url)})
    return config.model_copy(update={"model": bare})


def _digest(task: Task) -> str:
    import hashlib

    text = "\x1f".join(f"{item.input}\x1e{item.output}" for item in task.gold)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if task.gold else ""
