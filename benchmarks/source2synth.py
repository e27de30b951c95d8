"""The whole of Source2Synth on two cores: slices, intermediate model, filter, imputation, final model, its scores.

    python benchmarks/source2synth.py [--slice 200] [--gold 100] [--application documents|tables] [--out DIR] [--json]
    python benchmarks/source2synth.py --model openai/NAME --base-url URL --slice 1250 --student FOLDER

Both applications, one after the other: multi-hop questions over paragraphs of Wikipedia, for which the embedded
language model (SmolLM2, 135M) is trained, since imputation writes; and questions over tables, for which the embedded
encoder (MiniLM, 22M) learns to find the cell. The scripted writers of `upcycle.testing` write the questions, unless a
model is named; everything else is the product: `upcycle build`, then a student trained from the base on what was kept,
and one on as many examples of slice 1 at random, both scored by exact match, soft match and F1 on questions by people
over other articles and tables. With `--out DIR` a killed run goes on. `--slice 16 --gold 8` is a quick look.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import bench
from source2synth_data import SHARED, Row, write_documents, write_tables

MINUTES = 60
METRIC = "soft_exact_match"
CHANCE = ", random"
FEWEST = 8  # rows a final student is trained on at all
STAGES = {"slice 0 constructed": "slice 0", "intermediate model trained": "intermediate", "filtered": "filter",
          "imputed": "imputation"}  # fmt: skip
"""Events of a build that hold how long a stage took, and how they are told here."""


class Setting(NamedTuple):
    """One application: what fills its sources, its part of the task file, and what is trained."""

    prepare: Callable[[Path, int], list[Row]]
    instruction: str
    source: str
    method: Row
    training: Row


APPLICATIONS = {
    "documents": Setting(
        write_documents,
        "Answer the question from the texts, with the steps before the answer.",
        "documents.jsonl",
        {"application": "documents", "per_unit": 1, "kinds": {"bridge": 1}, "teach": "chain", "impute": "after"},
        {"student": "smollm2", "kind": "text", "epochs": 1, "batch": 4, "learning_rates": [5e-4], "patience": 0},
    ),
    "tables": Setting(
        write_tables,
        "Answer the question from the table.",
        "small.tables.jsonl",
        {"application": "tables", "per_unit": 2, "teach": "answer"},
        {"student": "minilm", "kind": "span", "epochs": 6, "batch": 8, "learning_rates": [3e-4], "patience": 0},
    ),
}


def main() -> int:
    args = arguments()
    if not SHARED.is_dir():
        print(f"there is no {SHARED}; name the folder of the shared data with UPCYCLE_DATA", file=sys.stderr)
        return 2
    chosen = [args.application] if args.application else list(APPLICATIONS)
    with TemporaryDirectory() as folder:
        found = {name: pipeline(name, (args.out or Path(folder)) / name, args) for name in chosen}
    # The students of as many examples at random are no part of the pipeline: they say what curation was worth.
    took = [one for each in found.values() for name, one in each["seconds"].items() if not name.endswith(CHANCE)]
    minutes = sum(took) / 60
    facts = {"minutes": round(minutes, 1), "slice": args.slice, "gold": args.gold, **found}
    return bench.finish("Source2Synth, the whole pipeline", lines(facts, chosen, args), facts, as_json=args.json)


def arguments() -> argparse.Namespace:
    parser = bench.arguments(__doc__)
    parser.add_argument("--application", choices=list(APPLICATIONS), help="one of them alone (default: both)")
    parser.add_argument("--slice", type=int, default=200, help="examples in each slice (default: 200)")
    parser.add_argument("--gold", type=int, default=100, help="held-out questions (default: 100)")
    parser.add_argument("--student", help="what is trained (default: the embedded models)")
    parser.add_argument("--epochs", type=float, help="passes over the examples")
    parser.add_argument("--model", help="what writes the questions (default: the scripted writers)")
    parser.add_argument("--base-url", help="where it is served")
    parser.add_argument("--out", type=Path, help="where the runs lie, to go on with (default: a temporary folder)")
    return parser.parse_args()


# -- what is done ------------------------------------------------------------------------------------------------------


def pipeline(name: str, place: Path, args: argparse.Namespace) -> Row:
    """One application from its sources to the scores of its students."""
    place.mkdir(parents=True, exist_ok=True)
    setting, seconds = APPLICATIONS[name], {}
    gold = timed(seconds, "prepare", lambda: setting.prepare(place, args.gold))
    (place / "task.yaml").write_text(json.dumps(task(setting, args)), encoding="utf-8")
    began = time.perf_counter()
    build(place, args)
    took = stages(place / "run")
    # Of a build that went on after a kill, the stages know of all its processes, and this one only of itself.
    seconds |= {**took, "rest of the build": max(0.0, round(time.perf_counter() - began - sum(took.values()), 1))}
    return {**final(place / "run", gold, training(setting, args), setting, seconds), "seconds": seconds}


def timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Do it, and note how long it took."""
    began = time.perf_counter()
    done = work()
    seconds[name] = round(time.perf_counter() - began, 1)
    print(f"{name}: {seconds[name]:.0f} s", file=sys.stderr, flush=True)
    return done


def task(setting: Setting, args: argparse.Namespace) -> Row:
    """The task file; everything the paper leaves open is written down in it."""
    method = {**setting.method, "slice": args.slice, "tries": 3, "temperature": 0.7, "book": "open"}
    return {
        "instruction": setting.instruction, "methods": {"source2synth": method}, "sources": [setting.source],
        "rows": 10 * args.slice, "training": training(setting, args), "language": "en",
    }  # fmt: skip


def training(setting: Setting, args: argparse.Namespace) -> Row:
    named = {"student": args.student, "epochs": args.epochs}
    return setting.training | {key: value for key, value in named.items() if value is not None}


def build(place: Path, args: argparse.Namespace) -> None:
    """`upcycle build`: constructs both slices, trains the intermediate model, filters and imputes."""
    with writer(args) as flags:
        command = [*bench.UPCYCLE, "build", str(place / "task.yaml"), "-o", str(place / "run"), "--yes", *flags]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: slice 1 came to its size, as it should, before the rows asked for
        raise SystemExit(f"upcycle build ended with {done.returncode}")
    print(done.stdout, file=sys.stderr)


@contextmanager
def writer(args: argparse.Namespace) -> Iterator[list[str]]:
    """The flags that name who writes the questions."""
    if args.model:
        yield ["--model", args.model, *(["--base-url", args.base_url] if args.base_url else [])]
        return
    # A run belongs to the address it was made with: whoever goes on with one serves there again.
    kept = args.out / "port" if args.out else None
    port = kept.read_text() if kept and kept.is_file() else "0"
    with bench.served("--questions", "--plain", "--port", port) as url:
        if kept:
            kept.write_text(str(urlsplit(url).port))
        yield ["--model", "openai/fake", "--base-url", url]


def stages(run: Path) -> dict[str, float]:
    """Seconds of each stage of a build, over all the processes it took."""
    found = dict.fromkeys(STAGES.values(), 0.0)
    with closing(sqlite3.connect(f"{(run / 'run.db').resolve().as_uri()}?mode=ro", uri=True)) as db:
        for kind, data in db.execute("SELECT kind, data FROM events WHERE stage = 'source2synth'"):
            if kind in STAGES:
                found[STAGES[kind]] += json.loads(data)["seconds"]
    return {name: round(value, 1) for name, value in found.items()}


def final(run: Path, gold: list[Row], how: Row, setting: Setting, seconds: dict[str, float]) -> Row:
    """Both final students, from the base: on what was kept, and on as many of slice 1 at random."""
    from upcycle.config import Source2Synth, Training
    from upcycle.evaluation.evaluate import evaluate
    from upcycle.evaluation.gold import gold_items
    from upcycle.methods.source2synth.comparison import Plain, at_random
    from upcycle.methods.source2synth.lessons import taught_of
    from upcycle.records import Example, Origin
    from upcycle.training.fit import fit

    settings = Source2Synth.model_validate(setting.method)
    kept = [
        Example(row["id"], row["input"], taught_of(row["output"], row["rationale"], settings), Origin("source2synth"))
        for row in bench.kept_rows(run)
    ]
    found: Row = {"rows": len(kept), "gold": len(gold), "curation": curation(run), "scores": {}}
    if len(kept) < FEWEST:
        print(f"{len(kept)} rows are too few to train on; the final students are left out", file=sys.stderr)
        return found
    chosen, items = Training.model_validate(how), gold_items(gold)
    arms = {"curated": kept, "random": at_random(pool(run, settings), len(kept), seed=0)}
    for arm, rows in arms.items():
        folder = run / "source2synth" / f"final-{arm}"
        student = timed(seconds, f"final model, {arm}", lambda rows=rows, to=folder: fit(rows, chosen, folder=to))
        scored = timed(seconds, f"evaluation, {arm}", lambda one=student: evaluate(Plain(one), items, METRIC))
        found["scores"][arm] = {name: round(one.value, 4) for name, one in scored.estimates.items()} | scored.beside
    return found


def curation(run: Path) -> Row:
    """What the run says of its filter and imputation."""
    import yaml

    return yaml.safe_load((run / "plans" / "source2synth.curation.yaml").read_text(encoding="utf-8"))


def pool(run: Path, settings: Any) -> list[Any]:
    """Every example of slice 1 that the filter judged."""
    from upcycle.methods.source2synth.comparison import pool_of
    from upcycle.run import Run

    with Run(run) as opened:
        return pool_of(opened, settings)


# -- what comes out ----------------------------------------------------------------------------------------------------


def lines(facts: Row, chosen: list[str], args: argparse.Namespace) -> list[bench.Line]:
    """The table: times, keep-rates beside the paper's, and both students."""
    whole = (args.slice, args.gold) == (200, 100)
    told = [
        bench.Line("minutes in all", f"{facts['minutes']:.1f}", f"under {MINUTES}" if whole else "",
                   facts["minutes"] < MINUTES if whole else None)
    ]  # fmt: skip
    for name in chosen:
        told += told_of(name, facts[name])
    return told


def told_of(name: str, found: Row) -> list[bench.Line]:
    """The lines of one application."""
    filtered, imputed = found["curation"]["filter"], found["curation"]["imputation"]
    paper = {"documents": "the paper: 87 %", "tables": "the paper: 27 %"}[name]
    share = f" ({filtered['share']:.0%})" if filtered["asked"] else ""
    told = [
        *(bench.Line(f"{name}: {stage}", f"{took:.0f} s") for stage, took in found["seconds"].items()),
        bench.Line(f"{name}: filter kept", f"{filtered['kept']} of {filtered['asked']}{share}", paper),
    ]
    if imputed["blanked"]:
        same = f", {imputed['word_for_word']} word for word"
        told.append(bench.Line(f"{name}: imputation kept", f"{imputed['kept']} of {imputed['blanked']}{same}"))
    if imputed["perplexity_before"]:
        before, after = imputed["perplexity_before"], imputed["perplexity_after"]
        told.append(bench.Line(f"{name}: perplexity a word, before, after", f"{before:.1f}, {after:.1f}", "24.7, 13.6"))
    for arm, scores in found["scores"].items():
        numbers = ", ".join(f"{key} {value:.3f}" for key, value in scores.items() if isinstance(value, float))
        told.append(bench.Line(f"{name}: {found['rows']} rows, {arm}; {found['gold']} questions", numbers))
    return told


if __name__ == "__main__":
    sys.exit(main())
