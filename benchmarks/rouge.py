"""ROUGE-L of every text with all others: seconds for 3,000, 20,000 and 100,000 texts, and whether they are right.

    python benchmarks/rouge.py [--data DIR] [--sizes 3000,20000,100000] [--pairs 200] [--json]

Texts are real: pieces of 100 words of the reviews, the labelled datasets, the documents, the tables' questions and the
catalogue of the shared data folder, drawn with a seed. Where that holds fewer than are wanted, the rest are pieces that
begin half-way into those; without the folder they are made up, and the table says so. Every size is a process of its
own that measures `max_rouge_l` after a warm-up with a hundred texts; its peak memory is the process's. In the same run
`rouge-score` and `rapidfuzz` are timed on drawn pairs, one core, and `rouge-score`'s scores are compared with ours.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bench

ASKED = {3_000: 2.0, 20_000: 20.0, 100_000: 300.0}
WORDS = 100
PLACES = ("s3/*", "hub/*", "documents/*", "tables/*", "dataset_catalog", "datafinder")
SEED = 0


def main() -> int:
    parser = bench.arguments(__doc__)
    parser.add_argument("--data", type=Path, help="the shared data folder (default: $UPCYCLE_DATA or ../shared/data)")
    parser.add_argument("--sizes", default="3000,20000,100000", help="how many texts, joined by commas")
    parser.add_argument("--pairs", type=int, default=200, help="pairs that rouge-score is asked about")
    parser.add_argument("--measure", type=Path, help="(a child) the texts to measure")
    parser.add_argument("--count", type=int, help="(a child) how many of them")
    args = parser.parse_args()
    if args.measure:
        return child(args.measure, args.count)
    home = args.data or Path(os.environ.get("UPCYCLE_DATA") or Path(__file__).parents[2] / "shared" / "data")
    sizes = [int(size) for size in args.sizes.split(",")]
    with TemporaryDirectory() as folder:
        texts, told = some_texts(home, max(sizes))
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts), encoding="utf-8")
        measured = {size: in_a_process(path, size) for size in sizes}
    others = beside(texts[: min(sizes)], args.pairs)
    return bench.finish(
        f"ROUGE-L of every text with all others ({told})",
        list(lines(measured, others)),
        facts(measured, others),
        as_json=args.json,
    )


def some_texts(home: Path, wanted: int) -> tuple[list[str], str]:
    """The texts in a drawn order, and what they are."""
    if not home.is_dir():
        draw = random.Random(SEED)
        known = [f"w{number}" for number in range(30_000)]
        weights = [1 / (rank + 2) for rank in range(len(known))]
        return [" ".join(draw.choices(known, weights, k=WORDS)) for _ in range(wanted)], "made up: no data folder"
    whole, halves = [], []
    for text in joined(home):
        pieces = text.split()
        whole += [" ".join(pieces[at : at + WORDS]) for at in range(0, len(pieces) - WORDS + 1, WORDS)]
        halves += [" ".join(pieces[at : at + WORDS]) for at in range(WORDS // 2, len(pieces) - WORDS + 1, WORDS)]
    random.Random(SEED).shuffle(whole)
    random.Random(SEED).shuffle(halves)
    told = f"{min(wanted, len(whole)):,} real pieces of {WORDS} words"
    if len(whole) < wanted:
        told += f", {wanted - len(whole):,} more that begin half-way into those"
    return (whole + halves)[:wanted], told


def joined(home: Path) -> Iterator[str]:
    """The different texts of each dataset, one after the other, as words that ROUGE knows."""
    from upcycle.analysis.tokens import words
    from upcycle.errors import SourceError
    from upcycle.sources.source import open_sources

    for place in PLACES:
        for folder in sorted(home.glob(place)):
            try:
                sources, _ = open_sources([str(folder)])
            except SourceError:
                continue
            for source in sources:
                seen = dict.fromkeys(
                    text for config in source.card.configs for record in source.records(config=config.name)
                    for text in strings(record.fields)
                )  # fmt: skip
                yield " ".join(word for text in seen for word in words(text))


def strings(value: Any) -> Iterator[str]:
    """Every text of five words or more, wherever in a record."""
    if isinstance(value, str):
        if value.count(" ") > 3:
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)


def child(path: Path, count: int) -> int:
    """Measure and print: seconds, processor seconds, a digest of the scores."""
    from upcycle.analysis.rouge import max_rouge_l

    texts = json.loads(path.read_text(encoding="utf-8"))[:count]
    max_rouge_l(texts[:100])
    started, used = time.perf_counter(), time.process_time()
    scores = max_rouge_l(texts).scores
    print(json.dumps({"s": time.perf_counter() - started, "cpu_s": time.process_time() - used,
                      "unique_at_07": float((scores < 0.7).mean())}))  # fmt: skip
    return 0


def in_a_process(path: Path, count: int) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), "--measure", str(path), "--count", str(count)]
    done = bench.checked(bench.measure(command))
    return {**json.loads(done.out), "rss_mb": done.rss_mb}


def beside(texts: list[str], pairs: int) -> dict[str, float]:
    """Seconds a pair of `rouge-score` and `rapidfuzz`, and the largest difference from ours; empty where missing."""
    from upcycle.analysis.rouge import max_rouge_l
    from upcycle.analysis.tokens import intern, words

    found: dict[str, float] = {}
    draw = random.Random(SEED)
    nearest = max_rouge_l(texts)
    places = draw.sample(
        [place for place, other in enumerate(nearest.neighbours) if other >= 0], min(pairs, len(texts))
    )
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError:
        pass
    else:
        # ROUGE's tokenizer tears other letters than a to z out of their words; where there are any, ours differs.
        plain = [place for place in places if (texts[place] + texts[nearest.neighbours[place]]).isascii()]
        scorer = RougeScorer(["rougeL"], use_stemmer=False)
        started = time.process_time()
        exact = [scorer.score(texts[p], texts[nearest.neighbours[p]])["rougeL"].fmeasure for p in plain]
        found["rouge_score_s_a_pair"] = (time.process_time() - started) / max(1, len(plain))
        ours = [nearest.scores[place] for place in plain]
        found["max_abs_diff"] = float(max((abs(a - b) for a, b in zip(exact, ours, strict=True)), default=0.0))
        found["pairs"] = len(plain)
        others = [(place, other) for place in plain for other in draw.sample(range(len(texts)), 3) if other != place]
        found["missed"] = sum(
            bool(scorer.score(texts[a], texts[b])["rougeL"].fmeasure > nearest.scores[a] + 1e-9)
            for a, b in others if texts[b].isascii()
        )  # fmt: skip
    try:
        from rapidfuzz.distance import LCSseq
    except ModuleNotFoundError:
        return found
    interned = intern(texts, words)
    # As code points of a string, the way it is fastest with; the first ones are not letters of anything.
    coded = ["".join(chr(0x100 + token) for token in interned.flat[interned.starts[i] : interned.starts[i + 1]])
             for i in range(min(len(texts), 500))]  # fmt: skip
    started = time.process_time()
    for text in coded[:100]:
        for other in coded:
            LCSseq.similarity(text, other)
    found["rapidfuzz_s_a_pair"] = (time.process_time() - started) / (len(coded[:100]) * len(coded))
    return found


def lines(measured: dict[int, dict[str, float]], others: dict[str, float]) -> Iterator[bench.Line]:
    for size, found in measured.items():
        limit = ASKED.get(size)
        yield bench.Line(
            f"{size:,} texts",
            f"{found['s']:.2f} s ({found['cpu_s']:.1f} s of processors)",
            f"under {limit:.0f} s" if limit else "",
            None if limit is None else found["s"] < limit,
        )
        pairs = size * (size - 1) / 2
        for name in ("rouge_score", "rapidfuzz"):
            if f"{name}_s_a_pair" in others:
                each = others[f"{name}_s_a_pair"]
                yield bench.Line(f"  {name}, all pairs, extrapolated", f"{each * pairs:,.0f} s at {each * 1e6:.2f} us")
    rss = max(found["rss_mb"] for found in measured.values())
    yield bench.Line("most memory", f"{rss:.0f} MB", "under 1024 MB", rss < 1024)
    if "max_abs_diff" in others:
        worst = others["max_abs_diff"]
        yield bench.Line(
            f"largest difference from rouge-score, {others['pairs']:.0f} pairs",
            f"{worst:.1e}", "under 1e-9", worst < 1e-9,
        )  # fmt: skip
        yield bench.Line("drawn pairs that score above what was found", f"{others['missed']:.0f}", "0",
                         others["missed"] == 0)  # fmt: skip


def facts(measured: dict[int, dict[str, float]], others: dict[str, float]) -> dict[str, Any]:
    return {
        **{f"s_{size}": round(found["s"], 3) for size, found in measured.items()},
        **{f"cpu_s_{size}": round(found["cpu_s"], 3) for size, found in measured.items()},
        "max_abs_diff": others.get("max_abs_diff"),
        "rss_mb": round(max(found["rss_mb"] for found in measured.values()), 1),
        **{name: value for name, value in others.items() if name != "max_abs_diff"},
    }


if __name__ == "__main__":
    sys.exit(main())
