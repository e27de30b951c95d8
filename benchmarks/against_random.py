"""What each check that drops does to a student, beside dropping the same number at random.

    python benchmarks/against_random.py [--data DIR] [--rows 3000] [--draws 5] [--only NAME] [--model M] [--json]

A pool is curated by one check; TF-IDF and logistic regression is trained on what it keeps, and on at least five random
draws of the same size from the same pool; both are read on the same test items. The difference has a 95 % interval over
test items and draws. Pools are real (the released S3 additions against gold, sentiment from the hub) or real with a
planted fault, which the line says; a planted fault shows what a check is for, not how often it occurs. The lines of the
checks that ask are of a simulated model, whose share of right verdicts or answers is printed with them: it says the
truth in that share, whatever the row's label, by chance and anew at every try. `--model` has a real one asked as well,
about a few rows (`--asked`), which takes minutes with one that runs in process.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from bench import arguments
from upcycle.curating import model_config
from upcycle.curation.check import Check
from upcycle.curation.curate import Checks, CuratedSet, curate, unique_ids
from upcycle.llm.model import Request
from upcycle.llm.roles import open_models
from upcycle.records import Example, Origin, Verdict
from upcycle.run import Run
from upcycle.sources.examples import read_examples
from upcycle.task import Demonstration, Task, make_task
from upcycle.testing import ScriptedModel
from upcycle.training.shallow.tfidf import fit

JUDGE_RIGHT = 0.9
ANSWERS_RIGHT = 0.85
FLIPPED = {"positive": "negative", "negative": "positive"}


class Pool(NamedTuple):
    """What is selected from, what it is tested on, and how it is curated by default."""

    name: str
    examples: Sequence[Example]
    test: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Line:
    """One check on one pool; `low` and `high` are the ends of the difference's 95 % interval."""

    pool: str
    check: str
    rows: int
    dropped: int
    whole: float
    kept: float
    random: float
    difference: float
    low: float
    high: float
    verdict: str


def main() -> int:
    parser = arguments(__doc__)
    here = Path(__file__).parent.parent
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("UPCYCLE_DATA", here.parent / "shared/data")))
    parser.add_argument("--rows", type=int, default=3000, help="most rows of a pool")
    parser.add_argument("--draws", type=int, default=5, help="random draws, at least 5")
    parser.add_argument("--only", help="checks whose name holds this")
    parser.add_argument("--model", help="a real model for the checks that ask, e.g. embedded/smollm2")
    parser.add_argument("--asked", type=int, default=200, help="rows that it is asked about")
    args = parser.parse_args()
    if not args.data.is_dir():
        sys.exit(f"the shared data folder is not at {args.data}; give it with --data")
    started = time.monotonic()
    lines = []
    print(f"{'pool':34} {'check':22} {'dropped':>13} {'all':>6} {'kept':>6} {'random':>7}  difference (95 %)")
    found = [*cases(args.data, args.rows), *(asked(args.data, args.asked, args.model) if args.model else ())]
    for pool, name, run in found:
        if args.only and args.only not in name:
            continue
        line = measure(pool, name, run(pool.examples), max(5, args.draws))
        lines.append(line)
        share = f"{line.dropped} of {line.rows}"
        ends = f"{100 * line.difference:+.1f} ({100 * line.low:+.1f} to {100 * line.high:+.1f})"
        print(
            f"{line.pool:34} {line.check:22} {share:>13} {100 * line.whole:6.1f} {100 * line.kept:6.1f}"
            f" {100 * line.random:7.1f}  {ends:22} {line.verdict}",
            flush=True,
        )
    verdicts = [line.verdict for line in lines]
    better, worse = verdicts.count("better"), verdicts.count("worse")
    print(f"better than random {better}, worse {worse}, no difference {len(lines) - better - worse}")
    if args.json:
        facts = {"lines": [asdict(line) for line in lines], "draws": max(5, args.draws), "rows": args.rows}
        print(json.dumps({**facts, "better": better, "worse": worse, "s": round(time.monotonic() - started, 1)}))
    return 0


Select = Callable[[Sequence[Example]], Sequence[Example]]


def cases(data: Path, rows: int) -> Sequence[tuple[Pool, str, Select]]:
    """Every pool with the checks that have something to do on it."""
    imdb, rte, sst2 = s3(data, "imdb", rows), s3(data, "rte", rows), sentiment(data, rows)
    noise = Random(7)
    wrong = mislabelled(sst2)
    leaked = planted(sst2, "one in ten from the test", lambda pool: leak(pool, sst2.test, noise))
    return [
        (imdb, "exact", by("exact")),
        (imdb, "near", by("near")),
        (imdb, "language", by("language")),
        (imdb, "balance", by("balance")),
        (rte, "near", by("near")),
        (rte, "artefacts", by("artefacts", guess=0.8)),
        (rte, "artefacts (surer)", by("artefacts", guess=0.9)),
        (rte, "balance", by("balance")),
        (planted(sst2, "half repeated", lambda p: repeat(p, noise)), "exact", by("exact")),
        (planted(sst2, "half nearly repeated", lambda p: nearly(p, noise)), "near", by("near", near=0.7)),
        (planted(sst2, "half in other words", lambda p: reworded(p, noise)), "semantic", by("semantic", semantic=0.9)),
        (
            planted(sst2, "a quarter Russian", lambda p: foreign(p, data, noise)),
            "language",
            by("language", known=True),
        ),
        (planted(sst2, "a quarter off the set", lambda p: off_set(p, noise)), "contract", by("contract", known=True)),
        (planted(sst2, "three quarters positive", lambda p: skew(p, noise)), "balance", by("balance")),
        (wrong, f"judge ({JUDGE_RIGHT:.0%} right)", judged(noise)),
        (wrong, f"answerable ({ANSWERS_RIGHT:.0%} right)", answered(tries=1)),
        (wrong, "answerable (3 tries)", answered(tries=3)),
        (leaked, "contamination", by("contamination", gold=sst2.test)),
        (sst2, "demonstrations", by("demonstrations", known=True)),
        (planted(sst2, "half of no licence", lambda p: unlicensed(p, noise)), "licence", by("licence")),
        (planted(sst2, "a third said both ways", lambda p: contradicted(p, noise)), "conflict", by("conflict")),
    ]


def asked(data: Path, rows: int, model: str) -> Sequence[tuple[Pool, str, Select]]:
    """The checks that ask, by a real model, about a part of the mislabelled pool."""
    wrong = mislabelled(sentiment(data, rows))
    return [(wrong, f"{name} ({model})", asking(model, name)) for name in ("answerable", "judge")]


def s3(data: Path, name: str, rows: int) -> Pool:
    """The released additions, tested on gold."""
    suffix = "parquet" if name == "imdb" else "jsonl"
    folder = data / "s3" / name
    added = [e for n in (1, 2) for e in read_examples(folder / f"additional_{n}.{suffix}").examples]
    test = list(read_examples(folder / f"test_gold.{suffix}").examples)
    if name == "rte":
        # 277 test rows tell little. Training rows may be read too, but for those whose premise an addition repeats:
        # it inherited the label as well.
        seen = {premise(one) for one in added}
        test += [one for one in read_examples(folder / "train_gold.parquet").examples if premise(one) not in seen]
    return Pool(f"S3 {name}", cut(added, rows), cut(test, 2500))


def premise(example: Example) -> str:
    return example.input.partition("\nHypothesis: ")[0]


def sentiment(data: Path, rows: int) -> Pool:
    train, test = (read_examples(f"{data / 'hub' / 'sst2'}:{name}").examples for name in ("train", "test"))
    return Pool("sst2", cut(train, rows), cut(test, 2500))


def cut(examples: Sequence[Example], most: int) -> list[Example]:
    examples = unique_ids(examples)
    return Random(0).sample(examples, most) if len(examples) > most else examples


def planted(pool: Pool, fault: str, plant: Callable[[Sequence[Example]], list[Example]]) -> Pool:
    return Pool(f"{pool.name}, {fault}", unique_ids(plant(pool.examples)), pool.test)


def by(check: str, *, known: bool = False, gold: Sequence[Example] = (), **strict: Any) -> Select:
    """What one check of `upcycle curate` keeps."""

    def run(examples: Sequence[Example]) -> Sequence[Example]:
        licence = "permissive" if check == "licence" else "any"
        checks = Checks(names=(check,), licence=licence, **strict)
        items = [(one.input, one.choices) for one in gold]
        return asyncio.run(curate(examples, checks=checks, task=about(examples) if known else None, gold=items)).kept

    return run


def about(examples: Sequence[Example]) -> Task:
    """The task that sst2 is, with rows of the pool as its demonstrations."""
    labels = sorted(FLIPPED)
    shown = [Demonstration(input=one.input, output=one.output) for one in examples[1:4]]
    shown = [one for one in shown if one.output in labels]
    contract = {"kind": "label", "labels": labels}
    return make_task("Is it positive?", demonstrations=shown, contract=contract, language="en")


def judged(random: Random) -> Select:
    """What a judge keeps whose verdict is right in `JUDGE_RIGHT` of the cases, whatever the case."""

    def run(examples: Sequence[Example]) -> Sequence[Example]:
        check = oracle(random)
        return [example for example in examples if check(example).keep]

    return run


def answered(*, tries: int) -> Select:
    """What a model comes to in `tries` tries that says the true label in `ANSWERS_RIGHT` of them."""

    def run(examples: Sequence[Example]) -> Sequence[Example]:
        truths = {one.input: FLIPPED[one.output] if is_wrong(one) else one.output for one in examples}

        def answer(request: Request) -> dict[str, Any]:
            said = {}
            prompt = request.messages[-1]["content"]
            for key, text in re.findall(r'<example id="(\d+)">\nInput:\n(.*?)\n</example>', prompt, re.DOTALL):
                right = Random(f"{text}/{request.sample}").random() < ANSWERS_RIGHT
                said[key] = {"answer": truths[text] if right else FLIPPED[truths[text]]}
            return said

        checks = Checks(names=("answerable",), tries=tries)
        model = ScriptedModel(answer, name="simulated")
        return whole(asyncio.run(curate(examples, checks=checks, task=true_task(), model=model)), examples)

    return run


def asking(model: str, check: str) -> Select:
    """What a check keeps that asks a model for real, once a row."""

    async def ask(examples: Sequence[Example]) -> CuratedSet:
        with TemporaryDirectory() as folder, Run(Path(folder)) as run:
            async with open_models(model_config(model, {}), run) as models:
                checks = Checks(names=(check,), tries=1)
                return await curate(examples, checks=checks, task=true_task(), model=models.judge)

    def run(examples: Sequence[Example]) -> Sequence[Example]:
        done = asyncio.run(ask(examples))
        out = {one.id for one in done.dropped}
        faults = [one.id in out for one in examples if is_wrong(one)]
        good = [one.id in out for one in examples if not is_wrong(one)]
        print(f"{check} by {model}: dropped {sum(faults)} of {len(faults)} wrong, {sum(good)} of {len(good)} right;"
              f" {done.facts[check]}", flush=True)  # fmt: skip
        return whole(done, examples)

    return run


def whole(done: CuratedSet, examples: Sequence[Example]) -> Sequence[Example]:
    """What was kept; the end of the benchmark where the asking stopped early."""
    if done.stopped is not None or len(done.kept) + len(done.dropped) != len(examples):
        sys.exit(f"the asking stopped: {done.stopped}")
    return done.kept


def true_task() -> Task:
    """The task with demonstrations of nobody's rows, so that none of them is mislabelled."""
    shown = [("a gorgeous , witty , seductive movie .", "positive"), ("it is dull and far too long", "negative")]
    contract = {"kind": "label", "labels": sorted(FLIPPED)}
    demonstrations = [Demonstration(input=text, output=label) for text, label in shown]
    return make_task("Say whether the film review is positive or negative.", demonstrations=demonstrations,
                     contract=contract, language="en")  # fmt: skip


def oracle(random: Random) -> Check:
    def check(example: Example) -> Verdict:
        right = not is_wrong(example)
        return Verdict(keep=right if random.random() < JUDGE_RIGHT else not right)

    return check


def repeat(examples: Sequence[Example], random: Random) -> list[Example]:
    """Half of the rows replaced by further copies of a tenth of the others."""
    half = len(examples) // 2
    return [*examples[:half], *random.choices(examples[: half // 5], k=len(examples) - half)]


def contradicted(examples: Sequence[Example], random: Random) -> list[Example]:
    """Three quarters of the rows, a third of them once more with the other label, in any order."""
    several = list(examples[: 3 * len(examples) // 4])
    copies = [replace(one, output=FLIPPED[one.output]) for one in random.sample(several, len(examples) - len(several))]
    return random.sample([*several, *copies], len(examples))


def nearly(examples: Sequence[Example], random: Random) -> list[Example]:
    """The same with a word added to each copy."""
    words = ["indeed", "really", "so"]
    half = len(examples) // 2
    copies = (replace(one, input=f"{one.input} {random.choice(words)}") for one in repeat(examples, random)[half:])
    return [*examples[:half], *copies]


def reworded(examples: Sequence[Example], random: Random) -> list[Example]:
    """The same with every copy's words in another order, which neither wording nor word pairs survive."""
    half = len(examples) // 2
    copies = []
    for one in repeat(examples, random)[half:]:
        words = one.input.split()
        random.shuffle(words)
        copies.append(replace(one, input=" ".join(words)))
    return [*examples[:half], *copies]


def foreign(examples: Sequence[Example], data: Path, random: Random) -> list[Example]:
    russian = read_examples(data / "hub" / "rumedtop3").examples
    labels = [one.output for one in examples]
    return [
        replace(random.choice(russian), id=one.id, output=random.choice(labels)) if n % 4 == 0 else one
        for n, one in enumerate(examples)
    ]


def off_set(examples: Sequence[Example], random: Random) -> list[Example]:
    other = ["mixed", "I cannot say.", "neutral"]
    return [replace(one, output=random.choice(other)) if n % 4 == 3 else one for n, one in enumerate(examples)]


def skew(examples: Sequence[Example], random: Random) -> list[Example]:
    positive = [one for one in examples if one.output == "positive"]
    negative = [one for one in examples if one.output != "positive"]
    return [*positive, *random.sample(negative, len(positive) // 3)]


def mislabelled(pool: Pool) -> Pool:
    return planted(pool, "a quarter mislabelled", lambda examples: mislabel(examples, Random(8)))


def mislabel(examples: Sequence[Example], random: Random) -> list[Example]:
    chosen = set(random.sample(range(len(examples)), len(examples) // 4))
    return [
        replace(one, output=FLIPPED[one.output], origin=Origin("mislabelled")) if n in chosen else one
        for n, one in enumerate(examples)
    ]


def is_wrong(example: Example) -> bool:
    return example.origin.method == "mislabelled"


def leak(examples: Sequence[Example], test: Sequence[Example], random: Random) -> list[Example]:
    leaked = random.sample(list(test), len(examples) // 10)
    return [*examples[len(leaked) :], *(replace(one, input=one.input.upper()) for one in leaked)]


def unlicensed(examples: Sequence[Example], random: Random) -> list[Example]:
    origins = [Origin("existing", "a", licences=("mit",)), Origin("existing", "b", licences=("cc-by-nc-4.0",))]
    return [replace(one, origin=random.choice(origins)) for one in examples]


def measure(pool: Pool, name: str, kept: Sequence[Example], draws: int) -> Line:
    rows = list(pool.examples)
    right = hits(kept, pool.test)
    whole = hits(rows, pool.test).mean() if len(kept) < len(rows) else right.mean()
    if len(kept) == len(rows):
        others = right[None, :]
    else:
        others = np.stack([hits(Random(f"draw {n}").sample(rows, len(kept)), pool.test) for n in range(draws)])
    gaps = right - others.mean(axis=0)
    # Two sources of chance: which items are in the test, and which rows a draw took.
    drawn = others.mean(axis=1).var(ddof=1) / draws if len(others) > 1 else 0.0
    spread = math.sqrt(gaps.var(ddof=1) / len(gaps) + drawn)
    gap = float(gaps.mean())
    low, high = gap - 1.96 * spread, gap + 1.96 * spread
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference"
    return Line(
        pool.name, name, len(rows), len(rows) - len(kept), float(whole), float(right.mean()),
        float(others.mean()), gap, low, high, verdict,
    )  # fmt: skip


def hits(train: Sequence[Example], test: Sequence[Example]) -> np.ndarray:
    """1 for each test item whose label a student trained on `train` says, else 0."""
    student = fit([one.input for one in train], [one.output for one in train], strength=2.0)
    said = student.predict([one.input for one in test])
    return np.array([float(label == one.output) for (label,), one in zip(said, test, strict=True)])


if __name__ == "__main__":
    sys.exit(main())
