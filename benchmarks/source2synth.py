"""The whole of Source2Synth on two cores: slices, intermediate model, filter, imputation, final model, its scores.

    python benchmarks/source2synth.py [--slice 200] [--gold 100] [--student smollm2] [--epochs 1] [--json]
    python benchmarks/source2synth.py --model openai/NAME --base-url URL --slice 1250 --student FOLDER

Documents are paragraphs of Wikipedia from the shared data, gold are HotpotQA questions with their two paragraphs; no
title of the gold is among the documents. The scripted writer of `upcycle.testing` writes the questions, unless a model
is named; everything else is the product: `upcycle build`, then a student trained from the base on what was kept, and
one on as many examples of slice 1 at random, both scored by exact match, soft match and F1. With `--out DIR` a killed
run goes on. `--slice 16 --gold 8` is a quick look.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bench

SHARED = Path(os.environ.get("UPCYCLE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "documents"
INSTRUCTION = "Answer the question from the texts, with the steps before the answer."
MINUTES = 60
SENTENCES = 2  # of a paragraph: two cores read 300 tokens an example in the hour, not 1,000
METRIC = "exact_match"
FEWEST = 8  # rows a final student is trained on at all


def main() -> int:
    parser = bench.arguments(__doc__)
    parser.add_argument("--slice", type=int, default=200, help="examples in each slice (default: 200)")
    parser.add_argument("--gold", type=int, default=100, help="held-out questions (default: 100)")
    parser.add_argument("--student", default="smollm2", help="what is trained (default: smollm2)")
    parser.add_argument("--epochs", type=float, default=1, help="passes over the examples (default: 1)")
    parser.add_argument("--model", help="what writes the questions (default: the scripted writer)")
    parser.add_argument("--base-url", help="where it is served")
    parser.add_argument("--out", type=Path, help="where the run lies, to go on with (default: a temporary folder)")
    args = parser.parse_args()
    if not SHARED.is_dir():
        print(f"there is no {SHARED}; name the folder of the shared data with UPCYCLE_DATA", file=sys.stderr)
        return 2
    with TemporaryDirectory() as folder:
        place = args.out or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        seconds: dict[str, float] = {}
        gold = timed(seconds, "prepare", lambda: prepare(place, args))
        timed(seconds, "build", lambda: build(place, args))
        found = timed(seconds, "final", lambda: final(place / "run", gold, args))
        minutes = (time.perf_counter() - began) / 60
    facts = {"minutes": round(minutes, 1), "slice": args.slice, "seconds": seconds, **found}
    return bench.finish("Source2Synth, the whole pipeline", lines(facts, args), facts, as_json=args.json)


def timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Do it, and note how long it took."""
    began = time.perf_counter()
    done = work()
    seconds[name] = round(time.perf_counter() - began, 1)
    print(f"{name}: {seconds[name]:.0f} s", file=sys.stderr, flush=True)
    return done


# -- what goes in ------------------------------------------------------------------------------------------------------


def prepare(place: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Documents and the task file; gives the gold rows, none of whose titles is a document."""
    import pyarrow.parquet as pq

    questions = pq.read_table(SHARED / "hotpotqa" / "dev_500.parquet").to_pylist()
    held_out = [row for row in questions if row["type"] == "bridge"][: args.gold]
    titles = {title for row in held_out for title in row["context"]["title"]}
    ids = {row["id"] for row in held_out}
    texts: dict[str, str] = {}
    for row in questions:
        if row["id"] not in ids:
            for title, said in zip(row["context"]["title"], row["context"]["sentences"], strict=True):
                texts.setdefault(title, "".join(said[:SENTENCES]).strip())
    for row in pq.read_table(SHARED / "multihop_2wiki" / "corpus.parquet").to_pylist():
        texts.setdefault(row["title"], " ".join(re.split(r"(?<=[.!?]) ", row["text"])[:SENTENCES]))
    documents = [{"title": title, "text": text} for title, text in texts.items() if title not in titles]
    (place / "documents.jsonl").write_text("\n".join(map(json.dumps, documents)) + "\n", encoding="utf-8")
    (place / "task.yaml").write_text(json.dumps(task(args)), encoding="utf-8")
    return [{"id": row["id"], "input": asked(row), "output": row["answer"]} for row in held_out]


def asked(row: dict[str, Any]) -> str:
    """A HotpotQA question with its two paragraphs, worded as the product's own inputs."""
    wanted = dict.fromkeys(row["supporting_facts"]["title"])
    texts = dict(zip(row["context"]["title"], row["context"]["sentences"], strict=True))
    context = "\n\n".join(f"{title}: {''.join(texts[title]).strip()}" for title in wanted)
    return f"Context: {context}\nQuestion: {row['question']}"


def task(args: argparse.Namespace) -> dict[str, Any]:
    """The task file; everything the paper leaves open is written down in it."""
    settings = {"application": "documents", "slice": args.slice, "per_unit": 1, "kinds": {"bridge": 1}, "tries": 3,
                "teach": "chain", "book": "open", "impute": "after"}  # fmt: skip
    return {
        "instruction": INSTRUCTION, "methods": {"source2synth": settings}, "sources": ["documents.jsonl"],
        "rows": 10 * args.slice, "training": training(args), "language": "en",
    }  # fmt: skip


def training(args: argparse.Namespace) -> dict[str, Any]:
    return {"student": args.student, "kind": "text", "epochs": args.epochs, "patience": 0}


# -- what is done ------------------------------------------------------------------------------------------------------


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
    with bench.served("--questions") as url:
        yield ["--model", "openai/fake", "--base-url", url]


def final(run: Path, gold: list[dict[str, Any]], args: argparse.Namespace) -> dict[str, Any]:
    """Both final students, from the base: on what was kept, and on as many of slice 1 at random."""
    from upcycle.config import Source2Synth, Training
    from upcycle.evaluation.evaluate import evaluate
    from upcycle.evaluation.gold import gold_items
    from upcycle.methods.source2synth.comparison import Plain, at_random
    from upcycle.methods.source2synth.lessons import taught_of
    from upcycle.records import Example, Origin
    from upcycle.training.fit import fit

    settings = Source2Synth()
    kept = [
        Example(row["id"], row["input"], taught_of(row["output"], row["rationale"], settings), Origin("source2synth"))
        for row in bench.kept_rows(run)
    ]
    if len(kept) < FEWEST:
        print(f"{len(kept)} rows are too few to train on; the final students are left out", file=sys.stderr)
        return {"rows": len(kept), "gold": len(gold), "curation": curation(run), "scores": {}}
    arms = {"curated": kept, "random": at_random(pool(run, settings), len(kept), seed=0)}
    items, scores = gold_items(gold), {}
    for arm, rows in arms.items():
        student = fit(rows, Training.model_validate(training(args)), folder=run / "source2synth" / f"final-{arm}")
        found = evaluate(Plain(student), items, METRIC)
        scores[arm] = {name: round(one.value, 4) for name, one in found.estimates.items()}
        scores[arm] |= found.beside
    return {"rows": len(kept), "gold": len(gold), "curation": curation(run), "scores": scores}


def curation(run: Path) -> dict[str, Any]:
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


def lines(facts: dict[str, Any], args: argparse.Namespace) -> list[bench.Line]:
    """The table: times, keep-rates beside the paper's, and both students."""
    whole = args.slice == 200 and args.gold == 100
    filtered, imputed = facts["curation"]["filter"], facts["curation"]["imputation"]
    told = [
        bench.Line("minutes in all", f"{facts['minutes']:.1f}", f"under {MINUTES}" if whole else "",
                   facts["minutes"] < MINUTES if whole else None),
        bench.Line("filter kept", f"{filtered['kept']} of {filtered['asked']}", "the paper: 87 %"),
        bench.Line("imputation kept", f"{imputed['kept']} of {imputed['blanked']}"),
    ]  # fmt: skip
    if imputed["perplexity_before"]:
        before, after = imputed["perplexity_before"], imputed["perplexity_after"]
        told.append(bench.Line("perplexity a word, before and after", f"{before:.1f}, {after:.1f}", "24.7, 13.6"))
    for arm, found in facts["scores"].items():
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in sorted(found.items()) if isinstance(value, float))
        told.append(bench.Line(f"{facts['rows']} rows {arm}, {facts['gold']} questions", numbers))
    return told


if __name__ == "__main__":
    sys.exit(main())
