"""Which sources a plan is found for without a model, what it makes of them, and rows to judge by eye.

    python benchmarks/six_tasks.py [--data DIR] [--task NAME] [--show 50] [--json]
    python benchmarks/six_tasks.py --read runs/x [--show 50] [--seed 1]

For each of the six tasks that rearranging columns answers: plans are searched for over all sources (every data set of
the folder and the standard library), those good enough are run over all their records, and a table is printed. With
`--show N`, N random rows a task follow, to be read and judged; with `--read`, rows of a dataset that was built. The
criteria stand in `CRITERIA`; what the last reading by eye found stands in `READ` and in `docs/six-tasks.md`, and is
printed with the table, not measured anew.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from upcycle.methods.datatune.choose import sample
from upcycle.methods.datatune.plans.program import Made, compile_plan
from upcycle.methods.datatune.search.scores import ScoredPlan
from upcycle.methods.datatune.search.searching import GOOD_ENOUGH, search_plans
from upcycle.sources.source import Source, open_sources
from upcycle.task import Demonstration, Task, make_task

CRITERIA: Mapping[str, str] = {
    "describe_python": "the sentence says what the function does, is true of the code shown, and stands by itself",
    "code_line_description": "the answer describes the code, and no other option does",
    "elementary_math_qa": "the problem has all it needs, the answer is right, and no other option is right",
    "cause_and_effect": "both statements are grammatical, and the answer has cause and effect the right way round",
    "imdb_sentiment": "the text is about a film, and a reader would give it the label",
    "math_word_problems": "the problem has all it needs, and the number is its answer",
}
# Rows read and rows found right, as written down in docs/six-tasks.md.
READ: Mapping[str, tuple[int, int]] = {
    "describe_python": (79, 75),
    "code_line_description": (94, 88),
    "elementary_math_qa": (300, 272),
    "cause_and_effect": (120, 113),
    "imdb_sentiment": (94, 87),
    "math_word_problems": (89, 88),
}
SEED = 0
ASKED = 500


class Fitting(NamedTuple):
    """A source that scored well enough, with what its plan made."""

    source: str
    scored: ScoredPlan
    made: list[Made]
    skipped: Counter[str]
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=_data())
    parser.add_argument("--task", action="append", choices=list(CRITERIA))
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N random rows a task")
    parser.add_argument("--read", type=Path, metavar="DIR", help="print random rows of this dataset and nothing else")
    parser.add_argument("--seed", type=int, default=SEED, help="which rows --read draws")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    args = parser.parse_args()
    if args.read:
        read_dataset(args.read, args.show or 50, args.seed)
        return
    if not (args.data / "hub").is_dir():
        sys.exit(f"{args.data} holds no hub/ folder; set UPCYCLE_DATA or give --data")
    sources, unreadable = open_sources([str(args.data / "hub"), "stdlib"])
    for name, why in unreadable:
        print(f"skipped {name}: {why}")
    found: dict[str, Any] = {}
    for name in args.task or CRITERIA:
        task = read_task(args.data / "tasks" / name / "task.json")
        fitting = sorted(fits(task, sources), key=lambda one: -one.scored.score)
        print_table(task, fitting)
        if args.show:
            show(task, fitting, args.show)
        read, right = READ[name]
        low, high = wilson(right, read)
        print(
            f"  {'read by eye':18} {right} of {read} right: {right / read:.1%}, 95 % interval {low:.1%} to {high:.1%}"
        )
        found[name] = {
            "sources": {one.source: {"score": one.scored.score, "rows": len(one.made)} for one in fitting},
            "rows": sum(len(one.made) for one in fitting),
            "read": read,
            "right": right,
        }
    if args.json:
        print(json.dumps(found))


def _data() -> Path:
    return Path(os.environ.get("UPCYCLE_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))


def read_task(path: Path) -> Task:
    told = json.loads(path.read_text())
    demonstrations = [Demonstration.model_validate(demo) for demo in told["demonstrations"]]
    return make_task(
        told["instruction"], name=told["name"], demonstrations=demonstrations, language=told.get("language")
    )


def fits(task: Task, sources: list[Source]) -> Iterator[Fitting]:
    """The sources that are good enough, each run to its end."""
    for source in sources:
        start = time.perf_counter()
        scored = search_plans(task, source.card, sample(source, SEED), seed=SEED, limit=1)
        if not scored or scored[0].score < GOOD_ENOUGH:
            continue
        made, skipped = run(task, source, scored[0])
        yield Fitting(source.card.id, scored[0], made, skipped, time.perf_counter() - start)


def run(task: Task, source: Source, scored: ScoredPlan) -> tuple[list[Made], Counter[str]]:
    program = compile_plan(scored.plan, seed=SEED)
    pool = program.fill(source.records() if program.needs_pool else ())
    made: list[Made] = []
    skipped: Counter[str] = Counter()
    for record in source.records():
        result = program(record, pool)
        if not isinstance(result, list):
            skipped[result.reason.split(":")[0]] += 1
            continue
        for one in result:
            reason = task.contract.violation(one.input, one.output, one.choices)
            if reason is None:
                made.append(one)
            else:
                skipped["contract"] += 1
    return made, skipped


def print_table(task: Task, fitting: list[Fitting]) -> None:
    print(f"\n{task.name}: {task.contract.described()}")
    for one in fitting:
        steps = " > ".join(step.do for step in one.scored.plan.steps)
        lost = ", ".join(f"{count} {what}" for what, count in one.skipped.most_common()) or "none"
        print(f"  {one.source:18} score {one.scored.score:.2f}  rows {len(one.made):5}  skipped: {lost}")
        print(f"  {'':18} {one.scored.plan.input[:60]!r} -> {one.scored.plan.output!r}: {steps}")
    print(f"  {'in all':18} {sum(len(one.made) for one in fitting)} rows")


def wilson(right: int, read: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z = 1.96
    middle = (right + z * z / 2) / (read + z * z)
    half = z / (read + z * z) * math.sqrt(right * (read - right) / read + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def read_dataset(folder: Path, count: int, seed: int) -> None:
    import pyarrow.parquet as pq

    rows = [row for part in sorted((folder / "data").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    for number, row in enumerate(Random(seed).sample(rows, min(count, len(rows))), 1):
        print(f"\n--- {number} {row['id']} ({row['source']})\n{row['input']}\n=> {row['output']}")


def show(task: Task, fitting: list[Fitting], count: int) -> None:
    # What a run of 500 rows would hold: the best source first, its records in seeded order, then the next.
    rows = [(one.source, made) for one in fitting for made in Random(SEED).sample(one.made, len(one.made))][:ASKED]
    print(f"\nA row is right when {CRITERIA[task.name]}.")
    for number, (source, made) in enumerate(Random(SEED).sample(rows, min(count, len(rows))), 1):
        print(f"\n--- {task.name} {number} ({source})\n{made.input}\n=> {made.output}")


if __name__ == "__main__":
    main()
