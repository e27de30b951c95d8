"""Planted contamination: which tier finds what, and how much that is innocent it accuses.

Gold is the first text of each pair in `paraphrases.jsonl`. Among unrelated rows (of `UPCYCLE_DATA`/hub where that is,
else made up) are planted: each gold item in other spelling (exact), spans of real items inside other text (overlap),
and the second text of each pair (semantic). Each half of the pairs and rows is judged by a semantic rule that is fitted
on the other half, here and now; the rule that is shipped is fitted on both (`--fit` prints it). An interval is
Wilson's, 95 %.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bench import Line, arguments, finish
from upcycle.curation.contamination import GoldIndex
from upcycle.curation.exact import folded
from upcycle.curation.paraphrase import RULES, WEIGHTS, Features, Paraphrases, probability_of
from upcycle.llm import weights
from upcycle.sources.encoder import SentenceEncoder, installed_encoder
from upcycle.sources.minilm import load_minilm

HERE = Path(__file__).parent
DATA = Path(os.environ.get("UPCYCLE_DATA", HERE.parent.parent / "shared" / "data"))


class Pair(NamedTuple):
    """Two texts that say the same, and where there is one a third that does not."""

    text: str
    paraphrase: str
    near_miss: str | None


class Found(NamedTuple):
    """What a tier flagged: planted rows, of how many; innocent rows, of how many."""

    right: int
    planted: int
    wrong: int
    innocent: int
    near_misses: tuple[int, int] = (0, 0)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.planted)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=5000, help="unrelated rows (default: 5000)")
    parser.add_argument("--fit", action="store_true", help="fit the semantic rule on all pairs and print it")
    args = parser.parse_args()
    pairs, rows = read_pairs(), unrelated(args.rows)
    if args.fit:
        for encoder in encoders():
            weights_found = fit([examined(encoder, pairs, rows, half) for half in (0, 1)])
            print(encoder.name, [round(weight, 2) for weight in weights_found])
        return 0
    exact, spans = spelled_otherwise(pairs, rows), verbatim(rows)
    lines = [
        line("exact: case, punctuation, Unicode form", exact, "recall 100 %", good=exact.recall == 1),
        line("overlap: verbatim spans in other text", spans, "recall 100 %", good=spans.recall == 1),
    ]
    facts: dict[str, Any] = {"exact_recall": exact.recall, "ngram_recall": spans.recall}
    facts |= {"exact_precision": exact.precision, "ngram_precision": spans.precision, "pairs": len(pairs)}
    best: Found | None = None
    for encoder in encoders():
        started = time.process_time()
        halves = [examined(encoder, pairs, rows, half) for half in (0, 1)]
        found = crossed(encoder, halves)
        spent = time.process_time() - started
        best = best or found
        reached = found.recall >= 0.8 and found.precision >= 0.95
        lines.append(line(f"semantic: {encoder.name}", found, "80 % at 95 %", good=reached if found is best else None))
        lines.append(Line("  near misses also flagged", "{} of {}".format(*found.near_misses)))
        lines.append(Line("  CPU per text", f"{spent / sum(len(half.features) for half in halves) * 1000:.1f} ms"))
        facts[f"semantic_{encoder.name}"] = {"recall": found.recall, "precision": found.precision}
    if best is not None:
        facts |= {"paraphrase_recall": best.recall, "paraphrase_precision": best.precision}
        facts["paraphrase_recall_ci"] = wilson(best.right, best.planted)
        facts["paraphrase_precision_ci"] = wilson(best.right, best.right + best.wrong)
        facts["paraphrase_planted"] = best.planted
    else:
        lines.append(Line("semantic", "no encoder installed", "80 % at 95 %", good=False))
    return finish("Planted contamination, by tier", lines, facts, as_json=args.json)


def line(what: str, found: Found, asked: str, *, good: bool | None) -> Line:
    low, high = wilson(found.right, found.planted)
    told = f"recall {found.recall:.1%} [{low:.0%}, {high:.0%}] of {found.planted}"
    return Line(what, f"{told}, precision {found.precision:.1%} ({found.wrong} of {found.innocent} wrong)", asked, good)


def read_pairs() -> list[Pair]:
    lines = (HERE / "paraphrases.jsonl").read_text(encoding="utf-8").splitlines()
    return [Pair(row["text"], row["paraphrase"], row.get("near_miss")) for row in map(json.loads, lines)]


def unrelated(count: int) -> list[str]:
    """Rows of many datasets, a few hundred of each at most; made-up sentences where the data are not."""
    rows: list[str] = []
    if (DATA / "hub").is_dir():
        for folder in sorted((DATA / "hub").iterdir()):
            for file in sorted(folder.glob("*.jsonl"))[:3]:
                read = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
                Random(file.name).shuffle(read)
                texts = (" ".join(v for v in row.values() if isinstance(v, str) and len(v) > 15) for row in read[:220])
                rows += [text[:400] for text in texts if text and text.isascii()]
        Random(0).shuffle(rows)
        rows = list(dict.fromkeys(rows))
    random = Random(1)
    words = [f"{a}{b}" for a in ("bar", "sol", "ten", "mi", "ru", "ka") for b in ("do", "lin", "ver", "sa", "tor")]
    while len(rows) < count:
        rows.append(" ".join(random.choices(words, k=random.randint(6, 30))))
    return rows[:count]


def spelled_otherwise(pairs: Sequence[Pair], rows: Sequence[str]) -> Found:
    """Each gold item in capitals, with other quotes, dashes, spacing and full-width letters."""
    index = GoldIndex([(pair.text, None) for pair in pairs], tiers=("exact",))
    wide = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(ord("A"), ord("Z") + 1)})
    wide |= {ord("'"): "’", ord(" "): "  "}
    planted = [f"  {pair.text.upper().translate(wide)} !" for pair in pairs]
    right = sum((found := index.match(text)) is not None and found.item == n for n, text in enumerate(planted))
    return Found(right, len(planted), sum(index.match(row) is not None for row in rows), len(rows))


def verbatim(rows: Sequence[str]) -> Found:
    """Spans of long items (half of each, or 25 words) inside unrelated rows."""
    random = Random(2)
    gold = long_items(400)
    # The wording all share must not count, and must not hide the rest.
    opening = "Read the text below and say in one word what it is about, then explain your answer: "
    index = GoldIndex([(opening + text, None) for text in gold], tiers=("overlap",))
    hosts = [row for row in rows if index.match(row) is None]
    right = planted = 0
    for text in gold:
        words, host = folded(text).split(), random.choice(hosts).split()
        length = min(len(words), max(13, min(25, math.ceil(len(words) / 2))))
        start, place = random.randint(0, len(words) - length), random.randint(0, len(host))
        span = words[start : start + length]
        found = index.match(" ".join([*host[:place], *span, *host[place:]]))
        planted += 1
        right += found is not None and " ".join(span) in folded(gold[found.item])
    return Found(right, planted, len(rows) - len(hosts), len(rows))


def long_items(count: int) -> list[str]:
    """Texts of 26 to 60 words of a fixed vocabulary, no two alike."""
    random = Random(3)
    heads, tails = ("gar", "pel", "hun", "ste", "lo", "bri", "ca"), ("den", "ton", "ra", "mel", "ste")
    words = [head + tail for head in heads for tail in tails]
    return [" ".join(random.choices(words, k=random.randint(26, 60))) for _ in range(count)]


def encoders() -> Iterator[SentenceEncoder]:
    """MiniLM where its weights were fetched, then static word vectors."""
    model = load_minilm(weights.path("minilm"))
    if model is not None:
        yield SentenceEncoder("minilm", model)
    static = installed_encoder()
    if static is not None:
        yield SentenceEncoder("static", static)


def half_of(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[-1] % 2


class Examined(NamedTuple):
    """What the rule sees of one half: the texts' features, the nearest item of each, and what each text is."""

    features: list[Features]
    items: list[int]
    kinds: list[tuple[str, int]]

    def same(self) -> list[bool]:
        """What the rule should say: it is planted, and the item it was made of is the nearest."""
        return [kind in ("paraphrase", "copy") and item == number
                for item, (kind, number) in zip(self.items, self.kinds, strict=True)]  # fmt: skip


def examined(encoder: SentenceEncoder, pairs: Sequence[Pair], rows: Sequence[str], half: int) -> Examined:
    """One half of the pairs among one half of the rows, in drawn order; then near misses and copies."""
    mine = [pair for pair in pairs if half_of(pair.text) == half]
    stream = [("paraphrase", number, pair.paraphrase) for number, pair in enumerate(mine)]
    stream += [("row", number, row) for number, row in enumerate(rows[half::2])]
    Random(half).shuffle(stream)
    stream += [("near miss", number, pair.near_miss) for number, pair in enumerate(mine) if pair.near_miss]
    stream += [("copy", number, lightly_changed(pair.text)) for number, pair in enumerate(mine)]
    found = Paraphrases([pair.text for pair in mine], encoder).features([text for _, _, text in stream])
    items = [item for item, _ in found]
    return Examined([features for _, features in found], items, [(kind, number) for kind, number, _ in stream])


def judged(seen: Examined, weights: Sequence[float], same: float) -> Found:
    """What a rule flags."""
    flagged = [probability_of(features, weights) >= same and not features.numbers_differ for features in seen.features]
    kinds = [kind for kind, _ in seen.kinds]
    count = {kind: sum(f and k == kind for f, k in zip(flagged, kinds, strict=True)) for kind in set(kinds)}
    right = sum(f and s and k == "paraphrase" for f, s, k in zip(flagged, seen.same(), kinds, strict=True))
    # A paraphrase flagged for another item than its own is flagged wrongly.
    wrong = count["row"] + count["paraphrase"] - right
    misses = (count["near miss"], kinds.count("near miss"))
    return Found(right, kinds.count("paraphrase"), wrong, kinds.count("row"), misses)


def crossed(encoder: SentenceEncoder, halves: Sequence[Examined]) -> Found:
    """Each half judged by the rule that is fitted on the other."""
    one, other = (judged(halves[half], fit([halves[1 - half]]), RULES[encoder.name].same) for half in (0, 1))
    misses = (one.near_misses[0] + other.near_misses[0], one.near_misses[1] + other.near_misses[1])
    return Found(*(a + b for a, b in zip(one[:4], other[:4], strict=True)), near_misses=misses)


def lightly_changed(text: str) -> str:
    """Every sixth word left out, some neighbours swapped: must count as the same, too."""
    words = [word for place, word in enumerate(text.split()) if place % 6 != 4]
    for place in range(2, len(words) - 1, 5):
        words[place], words[place + 1] = words[place + 1], words[place]
    return " ".join(words)


def fit(halves: Sequence[Examined]) -> list[float]:
    """Weights of a logistic regression with a small penalty, by Newton's method; the bias first."""
    import numpy as np

    chosen = [
        (features, same)
        for half in halves
        for features, same, (kind, _) in zip(half.features, half.same(), half.kinds, strict=True)
        if kind != "near miss" and not features.numbers_differ
    ]
    seen = np.array([[1.0, *features[: WEIGHTS - 1]] for features, _ in chosen])
    wanted = np.array([same for _, same in chosen], float)
    penalty = 0.02 * np.diag([1e-9, *[1.0] * (WEIGHTS - 1)])
    found = np.zeros(WEIGHTS)
    for _ in range(100):
        told = 1 / (1 + np.exp(-seen @ found))
        slope = seen.T @ (told - wanted) + penalty @ found
        found -= np.linalg.solve((seen * (told * (1 - told))[:, None]).T @ seen + penalty, slope)
    return found.tolist()


def wilson(right: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if of == 0:
        return (0.0, 1.0)
    z, share = 1.96, right / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return (max(0.0, middle - spread), min(1.0, middle + spread))


if __name__ == "__main__":
    assert set(RULES) >= {"minilm", "static"}
    sys.exit(main())
