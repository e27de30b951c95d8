"""Near-duplicate removal over a million short examples: time, memory, and whether it is right.

The rows have 3 to 10 words of a Zipf-distributed vocabulary; one in twenty is a near-copy of an earlier one (a word
changed, dropped or doubled). Right is what an exact comparison says: on `--check` rows all pairs are compared, and
every drop of the large run is compared again with what it names. Where `rensa` (MinHash in Rust) is installed, its time
for sketches and candidates alone stands beside. The measured part is a process of its own, so its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate, pairwise
from random import Random
from typing import Any

from bench import Line, arguments, checked, finish, measure
from upcycle.curation.duplicates.exact import folded
from upcycle.curation.duplicates.near import Content, NearIndex, jaccard
from upcycle.curation.duplicates.near_join import Near, near_duplicates

THRESHOLD = 0.8


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows (default: a million)")
    parser.add_argument("--check", type=int, default=4_000, help="rows compared pair by pair (default: 4000)")
    parser.add_argument("--measured", choices=("ours", "rensa"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measured:
        print(json.dumps(ours(args.rows) if args.measured == "ours" else rensa(args.rows)))
        return 0
    child = [sys.executable, __file__, "--rows", str(args.rows), "--measured"]
    read = checked(measure([*child, "ours"]))
    facts = json.loads(read.out.splitlines()[-1])
    precision, recall, stream = right(args.check)
    facts |= {"precision": min(precision, facts.pop("sound")), "recall": recall, "same_as_stream": stream}
    lines = [
        Line(f"{args.rows:,} short examples", f"{facts['s_1m']:.1f} s", "under 30 s", facts["s_1m"] < 30),
        Line("  CPU of it", f"{facts['cpu_s']:.1f} s"),
        Line("memory, rows and Python included", f"{facts['rss_mb']:.0f} MB", "under 2,000 MB", facts["rss_mb"] < 2000),
        Line("dropped", f"{facts['dropped']:,}, {facts['planted']:,} near-copies planted"),
        Line("precision against exact Jaccard", f"{facts['precision']:.4f}", "1", facts["precision"] == 1),
        Line(f"recall against all pairs of {args.check:,} rows", f"{recall:.4f}", "1", recall == 1),
        Line("the stream's check drops the same", "yes" if stream else "no", "yes", stream),
    ]
    if find_spec("rensa") is not None:
        other = json.loads(checked(measure([*child, "rensa"])).out.splitlines()[-1])
        told = f"{other['s']:.1f} s, {other['rss_mb']:.0f} MB, {other['flagged']:,} rows flagged"
        lines.append(Line("rensa, unverified candidates only", told))
        facts["rensa"] = other
    return finish("Near-duplicates", lines, facts, as_json=args.json)


def made_up(count: int) -> tuple[list[str], int]:
    """Texts, and how many of them are near-copies of an earlier one."""
    random = Random(0)
    words = ["".join(random.choices("etaoinshrdlucmfwypvbgk", k=random.randint(2, 9))) for _ in range(20_000)]
    weights = list(accumulate(1 / (rank + 5) for rank in range(len(words))))
    texts: list[str] = []
    planted = 0
    while len(texts) < count:
        if texts and random.random() < 0.05:
            copied = texts[random.randrange(len(texts))].split()
            place = random.randrange(len(copied))
            copied[place : place + 1] = random.choice(([], [copied[place]] * 2, ["other"]))
            texts.append(" ".join(copied) or "other")
            planted += 1
        else:
            texts.append(" ".join(random.choices(words, cum_weights=weights, k=random.randint(3, 10))))
    return texts, planted


def ours(count: int) -> dict[str, object]:
    """Folding and finding, timed; every drop is then compared again."""
    texts, planted = made_up(count)
    started, cpu = time.perf_counter(), time.process_time()
    contents = [Content(folded(text), "") for text in texts]
    found = near_duplicates(contents, THRESHOLD)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    sound = sum(jaccard(contents[n.row].text, contents[n.other].text) >= THRESHOLD for n in found)
    share = sound / len(found) if found else 1.0
    return {
        "s_1m": seconds,
        "cpu_s": cpu,
        "rss_mb": peak,
        "dropped": len(found),
        "planted": planted,
        "sound": share,
    }


def rensa(count: int) -> dict[str, object]:
    """MinHash sketches of the same sets and their LSH candidates, nothing compared."""
    library: Any = import_module("rensa")
    texts, _ = made_up(count)
    started = time.perf_counter()
    sets = []
    for text in texts:
        words = folded(text).split(" ")
        sets.append([*words, *map(" ".join, pairwise(words))])
    matrix = library.RMinHash.digest_matrix_from_token_sets(sets, num_perm=64, seed=1)
    index = library.RMinHashLSH(threshold=THRESHOLD, num_perm=64, num_bands=16)
    flagged = sum(index.query_duplicate_flags_matrix_one_shot(matrix))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return {"s": seconds, "rss_mb": peak, "flagged": flagged}


def right(count: int) -> tuple[float, float, bool]:
    """Precision and recall against comparing all pairs, and whether the stream's check drops the same rows."""
    contents = [Content(folded(text), "") for text in made_up(count)[0]]
    wanted, found, streamed = all_pairs(contents), near_duplicates(contents, THRESHOLD), in_stream(contents)
    common = len(set(wanted) & set(found))
    return common / max(1, len(found)), common / max(1, len(wanted)), streamed == found


def all_pairs(contents: Sequence[Content]) -> list[Near]:
    kept: list[int] = []
    found: list[Near] = []
    for row, content in enumerate(contents):
        best: Near | None = None
        for other in kept:
            score = jaccard(content.text, contents[other].text)
            if score >= THRESHOLD and (best is None or score > best.score):
                best = Near(row, other, score)
        if best is None:
            kept.append(row)
        else:
            found.append(best)
    return found


def in_stream(contents: Sequence[Content]) -> list[Near]:
    index = NearIndex(THRESHOLD)
    kept: list[int] = []
    found: list[Near] = []
    for row, content in enumerate(contents):
        near = index.nearest(content)
        if near is None:
            index.add(content)
            kept.append(row)
        else:
            found.append(Near(row, kept[near[0]], near[1]))
    return found


if __name__ == "__main__":
    sys.exit(main())
