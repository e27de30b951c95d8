"""What extrapolating errors is worth on IMDb: the known table, one round's time, and the switches of S3 one by one.

Three parts. (1) The known table of gold with and without the released S3 rows (`imdb.py`; `gold`, `plus_s3`, `inside`).
(2) `round_s`: one round on 500 gold and 2,000 made rows with TF-IDF, without the time the model takes; with `--encoder`
also `encoder_round_s`, the same with the embedded encoder: minutes. (3) S3 itself, its ablations and its controls at
equal size, each with a 95 % interval on 2,000 test rows, and a curve over gold size.

For (3) there is no language model here. The writer is a stand-in that writes sound text: it answers each prompt with
the unused one of the 6,173 released S3 reviews (GPT-3.5 wrote them) that has the wanted label and is most like what the
prompt says, with noise for a temperature. So the numbers tell what choosing by errors does to a small model when what
is written is sound; they tell nothing about any model's writing.

    UPCYCLE_DATA=../shared/data python benchmarks/extrapolation.py --json
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import bench
import imdb
from upcycle.config import S3, Training
from upcycle.curation.checks import checks_for
from upcycle.evaluation.evaluate import evaluate
from upcycle.evaluation.intervals import mean_interval, paired_bootstrap
from upcycle.llm.model import Request
from upcycle.llm.roles import Roles
from upcycle.methods.s3 import gold_parts, s3
from upcycle.records import Example
from upcycle.run import Run
from upcycle.sources.files.readers import rows as read_rows
from upcycle.task import Gold, Task, make_task
from upcycle.testing import ScriptedModel
from upcycle.training.fit import fit
from upcycle.training.shallow.tfidf import Rows, Vocabulary, tokens

NAMES = ("negative", "positive")
GOLD = {"mine": 0.67, "select": 0.33, "test": 0.0}
"""The 500 gold rows; the test rows are a file of their own."""
SWITCHES: dict[str, dict[str, Any]] = {
    "S3": {},
    "S3, a round kept only if it helps": {"gate": "helps"},
    "S3 as published (plain)": {"plain": True},
    "rationales off": {"rationales": 0},
    "one round": {"rounds": 1},
    "three rounds": {"rounds": 3},
    "random gold instead of errors": {"extrapolate": "random"},
    "any gold, nothing else (GoldGen)": {"extrapolate": "gold"},
    "first set of equal size": {"extrapolate": "off"},
    "first set of equal size, rationales off (ZeroGen)": {"extrapolate": "off", "rationales": 0},
}
SIZES = (50, 100, 250, 500)
_NOISE = 0.05  # of the cosine; about what parts the best ten rows for a prompt
_REASONS = 20


class Reviews(NamedTuple):
    """Reviews and their labels, by name."""

    texts: list[str]
    labels: list[str]


@cache
def reviews(*names: str) -> Reviews:
    """The rows of these files of the shared data."""
    rows = [row for name in names for row in read_rows(imdb.DATA / f"{name}.parquet") if isinstance(row, dict)]
    return Reviews(
        [str(row["text"]).replace("<br />", " ") for row in rows], [NAMES[int(row["label"])] for row in rows]
    )


def task(gold: int, seed: int) -> Task:
    """The task with so many gold rows, as many of each label."""
    known = reviews("train_gold_sample")
    chosen = imdb._drawn(known.labels, gold, seed)
    rows = [Gold(input=known.texts[number], output=known.labels[number]) for number in chosen]
    return make_task("Say whether a film review is positive or negative.", gold=rows)


@cache
def vectors() -> tuple[Vocabulary, Rows]:
    """The released reviews as vectors."""
    return Vocabulary.of(reviews("additional_1", "additional_2").texts, longest=1, least=3)


@cache
def telling(label: str) -> tuple[str, ...]:
    """Words that tell the label in the released reviews, three at a time."""
    known = reviews("additional_1", "additional_2")
    counts: dict[str, dict[str, int]] = {name: defaultdict(int) for name in NAMES}
    for text, of in zip(known.texts, known.labels, strict=True):
        for word in set(tokens(text)):
            counts[of][word] += 1
    (other,) = set(NAMES) - {label}
    often = [word for word, count in counts[label].items() if count >= 40 and len(word) > 3]
    best = sorted(often, key=lambda word: -counts[label][word] / (1 + counts[other][word]))[: 3 * _REASONS]
    return tuple(", ".join(best[start::_REASONS]) for start in range(_REASONS))


class Writer:
    """Answers with released reviews, each once: the unused one of the label that is most like the prompt.

    Attributes:
        seconds: spent here, which a served model would spend elsewhere.
    """

    def __init__(self, seed: int) -> None:
        import numpy as np

        self.seconds = 0.0
        self._rows = reviews("additional_1", "additional_2")
        self._vocabulary, self._vectors = vectors()
        self._random = np.random.default_rng(seed)
        self._free = {label: np.array([one == label for one in self._rows.labels]) for label in NAMES}

    def __call__(self, request: Request) -> Any:
        began = time.perf_counter()
        try:
            return self._answer(request.messages[-1]["content"])
        finally:
            self.seconds += time.perf_counter() - began

    def _answer(self, prompt: str) -> Any:
        label = re.findall(r'right output (?:is|for it is) "(\w+)"', prompt)[0]
        if "different reasons" in prompt:
            return {"reasons": list(telling(label))}
        return self._rows.texts[self._nearest(prompt, label)]

    def _nearest(self, prompt: str, label: str) -> int:
        import numpy as np

        free = self._free[label]
        if not free.any():
            raise LookupError(f"all {label} reviews are used; ask for fewer rows")
        asked = self._vocabulary.rows([prompt])
        wanted = np.zeros(asked.shape[1])
        wanted[asked.columns] = asked.weights
        score = self._vectors.times(wanted) + _NOISE * self._random.gumbel(size=len(free))
        best = int(np.where(free, score, -np.inf).argmax())
        free[best] = False
        return best


class Made(NamedTuple):
    """One run: its rows, what its student has right of the test rows, and how many errors it mined first."""

    rows: int
    right: list[float]
    errors: int


def round_seconds(student: str, rows: int, gold: int) -> float:
    """Seconds that one round takes, beside the model's, after which there are so many made rows."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"rounds": 1, "first": 0.8}
        return asyncio.run(_extrapolated(Path(folder), settings, rows, gold, 0, student))[1]


def made(settings: Mapping[str, Any], rows: int, gold: int, seed: int) -> Made:
    """Run S3 and hold the student of its set against the test rows."""
    with tempfile.TemporaryDirectory() as folder:
        kept, _, errors = asyncio.run(_extrapolated(Path(folder), settings, rows, gold, seed))
    test = reviews("test_gold")
    student = fit(kept, Training(kind="label", student="tfidf"))
    said = student.predict(test.texts)
    right = [float(one == wanted) for (one,), wanted in zip(said, test.labels, strict=True)]
    return Made(len(kept), right, errors)


async def _extrapolated(
    folder: Path, given: Mapping[str, Any], rows: int, gold: int, seed: int, student: str = "tfidf"
) -> tuple[list[Example], float, int]:
    asked = task(gold, seed)
    settings = S3.model_validate({"gate": "off", "gold": GOLD, **given})
    held_out = asked.model_copy(update={"gold": gold_parts(asked, settings, seed=seed).held_out()})
    writer, results = Writer(seed), list[Example]()
    times: dict[str, float] = {}
    errors: list[int] = []

    def listener(event: Any) -> None:
        now = time.perf_counter() - writer.seconds
        if event.data.get("round", 1) == 1 and event.stage == "s3":
            times.setdefault(event.kind, now)
        if event.kind == "mined":
            errors.append(event.data["errors"])

    with Run(folder, listener=listener) as run:
        model = ScriptedModel(writer)
        stream = s3(
            asked, settings, models=Roles(model, model), run=run, check=checks_for(held_out, written=True),
            needed=lambda: rows - len(results), fit=fit, evaluate=evaluate,
            training=Training(kind="label", student=student), seed=seed,
        )  # fmt: skip
        async for result in stream:
            if isinstance(result, Example):
                results.append(result)
    return results, times.get("round", 0.0) - times.get("mined", 0.0), errors[0] if errors else 0


class Line(NamedTuple):
    """A row of the ablation table: accuracy in percent, and S3 minus it in points."""

    name: str
    rows: float
    accuracy: float
    low: float
    high: float
    sd: float | None
    ahead: tuple[float, float, float] | None

    def words(self) -> str:
        """How far S3 is ahead, and whether that could be nothing."""
        if self.ahead is None:
            return ""
        value, low, high = self.ahead
        zero = "excludes zero" if low > 0 or high < 0 else "does not exclude zero"
        return f"S3 ahead by {value:+.1f} ({low:+.1f} to {high:+.1f}), which {zero}"

    def facts(self) -> dict[str, Any]:
        ahead = list(self.ahead) if self.ahead else None
        return {**self._asdict(), "accuracy_ci": [self.low, self.high], "ahead": ahead, "words": self.words()}


def lines_of(runs: Mapping[str, Sequence[Made]]) -> list[Line]:
    """Each set over its seeds: every test row counts with its mean over the seeds, intervals are over test rows."""
    ours = [mean(one) for one in zip(*(run.right for run in next(iter(runs.values()))), strict=True)]
    found = []
    for name, seeds in runs.items():
        items = [mean(one) for one in zip(*(run.right for run in seeds), strict=True)]
        low, high = mean_interval(items)
        values = [100 * mean(run.right) for run in seeds]
        ahead = None
        if found:
            gap = paired_bootstrap(ours, items)
            ahead = (round(100 * gap.value, 2), round(100 * gap.low, 2), round(100 * gap.high, 2))
        spread = round(stdev(values), 2) if len(values) > 1 else None
        rows = mean(run.rows for run in seeds)
        found.append(Line(name, rows, round(mean(values), 2), round(100 * low, 2), round(100 * high, 2), spread, ahead))
    return found


def known_table(draws: int, pool: ProcessPoolExecutor) -> tuple[dict[str, Any], list[bench.Line]]:
    """The table "E2 on the shared sample" again."""
    fits = [(*key, draw) for key in imdb.KNOWN for draw in range(draws if 0 < key[0] < 500 else 1)]
    found = list(pool.map(imdb.right, *zip(*fits, strict=True), chunksize=1))
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    for (gold, name, _), right in zip(fits, found, strict=True):
        values[gold, name].append(100 * mean(right))
    read = {key: round(mean(some), 2) for key, some in values.items()}
    lines = [
        bench.Line(f"{gold:>3} gold rows, {name if gold else name.removeprefix('gold + ')}", f"{read[gold, name]:.2f}",
                   f"{known:.2f} within 1.5", abs(read[gold, name] - known) <= 1.5)
        for (gold, name), known in imdb.KNOWN.items()
    ]  # fmt: skip
    both, one = "gold + add_1 + add_2", "gold + add_1"
    facts = {
        "gold": {str(gold): value for (gold, name), value in read.items() if name == "gold"},
        "plus_s3": {str(gold): value for (gold, name), value in read.items() if name == both},
        "plus_add_1": {str(gold): value for (gold, name), value in read.items() if name == one},
        "inside": all(line.good for line in lines),
        "add_1_above_both_without_gold": read[0, one] > read[0, both],
    }
    return facts, lines


def main() -> int:
    parser = bench.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every set")
    parser.add_argument("--rows", type=int, default=2000, help="rows of every set")
    parser.add_argument("--gold", type=int, default=500, help="gold rows, up to 500")
    parser.add_argument("--draws", type=int, default=20, help="draws of gold in the known table")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--encoder", action="store_true", help="also time a round with the embedded encoder")
    parser.add_argument("--round-only", action="store_true", help="time a round, and nothing else")
    args = parser.parse_args()
    if not imdb.DATA.is_dir():
        sys.exit(f"{imdb.DATA} is not there; set UPCYCLE_DATA to the folder that holds s3/imdb")
    # Times are read before there is anything beside.
    timed = {"round_s": round_seconds("tfidf", args.rows, args.gold)}
    if args.encoder:
        timed["encoder_round_s"] = round_seconds("minilm", args.rows, args.gold)
    limits = (("TF-IDF", "round_s", 30), ("MiniLM", "encoder_round_s", 900))
    what = f"one round, {args.gold} gold + {args.rows:,} made rows"
    times = [bench.Line(f"{what}, {student}", f"{timed[key]:.1f} s", f"< {most} s", timed[key] < most)
             for student, key, most in limits if key in timed]  # fmt: skip
    if args.round_only:
        return bench.finish("One round of S3 beside the model's calls", times, timed, as_json=args.json)
    jobs = [(name, args.gold, seed) for name in SWITCHES for seed in range(args.seeds)]
    jobs += [("S3", gold, seed) for gold in SIZES if gold < args.gold for seed in range(args.seeds)]
    with ProcessPoolExecutor(args.workers) as pool:
        known, lines = known_table(args.draws, pool)
        done = [pool.submit(made, SWITCHES[name], args.rows, gold, seed) for name, gold, seed in jobs]
        runs: dict[tuple[str, int], list[Made]] = defaultdict(list)
        for (name, gold, _), future in zip(jobs, done, strict=True):
            runs[name, gold].append(future.result())
    table = lines_of({name: runs[name, args.gold] for name in SWITCHES})
    curve = {gold: runs["S3", gold] for gold in SIZES if ("S3", gold) in runs}
    lines += times
    for one in table:
        told = f"{one.accuracy:.1f} ({one.low:.1f} to {one.high:.1f})"
        lines.append(bench.Line(f"{one.name}, {one.rows:,.0f} rows", told, one.words()))
    for gold, some in curve.items():
        errors = mean(one.errors for one in some)
        told = f"{100 * mean(mean(one.right) for one in some):.1f}"
        lines.append(bench.Line(f"S3 from {gold} gold rows", told, f"{errors:.0f} errors mined first"))
    facts = {
        **known,
        **{key: round(value, 2) for key, value in timed.items()},
        "ablations": [one.facts() for one in table],
        "against_seed_only": next(one.words() for one in table if one.name == "first set of equal size"),
        "curve": {str(gold): round(100 * mean(mean(one.right) for one in some), 2) for gold, some in curve.items()},
        "seeds": args.seeds,
        "rows": args.rows,
    }
    return bench.finish(
        f"IMDb, TF-IDF + logistic regression, 2,000 test rows; a stand-in writes; {args.seeds} seeds", lines, facts,
        as_json=args.json,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
