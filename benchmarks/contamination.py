"""Planted contamination: which tier finds what, and how much that is innocent it accuses.

Gold is the first text of each pair in `paraphrases.jsonl`. Among unrelated rows (of `UPCYCLE_DATA`/hub where that is,
else made up) are planted: each gold item in other spelling (exact), spans of real items inside other text (overlap),
and the second text of each pair (semantic). Each half of the pairs and rows is judged by a semantic rule that is fitted
on the other half, here and now; the rule that is shipped is fitted on both (`--fit` prints it). Harder innocents are
rows of the gold's own dataset: half of it is the gold, the other half must pass. An interval is Wilson's, 95 %.
"""

from __future__ import annotations

import csv
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
from upcycle.curation.paraphrase import RULES, WEIGHTS, Features, Paraphrases, least_of, probability_of
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
    parser.add_argument("--domain-rows", type=int, default=200, help="rows of each dataset held against its own half")
    parser.add_argument("--fit", action="store_true", help="fit the semantic rule on all pairs and print it")
    args = parser.parse_args()
    pairs, rows, same = read_pairs(), unrelated(args.rows), list(domains(args.domain_rows))
    if args.fit:
        for encoder in encoders():
            weights_found = fit([examined(encoder, pairs, rows, half, same) for half in (0, 1)])
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
        halves = [examined(encoder, pairs, rows, half, same) for half in (0, 1)]
        found = crossed(encoder, halves)
        spent = time.process_time() - started
        best = best or found
        reached = found.recall >= 0.8 and found.precision >= 0.95
        lines.append(line(f"semantic: {encoder.name}", found, "80 % at 95 %", good=reached if found is best else None))
        lines.append(Line("  near misses also flagged", "{} of {}".format(*found.near_misses)))
        lines.append(Line("  CPU per text", f"{spent / sum(len(half.features) for half in halves) * 1000:.1f} ms"))
        facts[f"semantic_{encoder.name}"] = {"recall": found.recall, "precision": found.precision}
        if same and found is best:
            own = among_their_own(encoder, same)
            share = sum(wrong for wrong, _ in own.values()) / sum(of for _, of in own.values())
            facts |= {"same_domain_false_share": share, "same_domain": own}
            told = ", ".join(f"{name} {wrong}" for name, (wrong, _) in own.items())
            lines.append(Line("  rows of the gold's own dataset flagged", f"{share:.2%}", "1 %", share <= 0.01))
            lines.append(Line(f"    of {args.domain_rows} each", told))
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


class Domain(NamedTuple):
    """Rows of one dataset in two halves: what plays the gold, and what must not be taken for it.

    Attributes:
        fitted: the rule was fitted on it, among others; the rest is only looked at.
    """

    name: str
    gold: list[str]
    rows: list[str]
    fitted: bool


_DOMAINS = {
    "sst2": ("sst2/test.tsv", "sst2/train.tsv", "text"),
    "gsm8k": ("gsm8k/test.parquet", "gsm8k/test.parquet", "question"),
    "commonsense_qa": ("commonsense_qa/validation.jsonl", "commonsense_qa/train.parquet", "question"),
    "strategyqa": ("strategyqa/train.parquet", "strategyqa/train.parquet", "question"),
    "rotten_tomatoes": ("rotten_tomatoes/train.csv", "rotten_tomatoes/train.csv", "text"),
    "mbpp": ("mbpp/train.parquet", "mbpp/train.parquet", "text"),
    "banking77": ("banking77/test.csv", "banking77/train.csv", "text"),
    "fever_claims": ("fever_claims/validation.jsonl", "fever_claims/validation.jsonl", "claim"),
    "boolq": ("boolq/validation.parquet", "boolq/validation.parquet", "question"),
}
_FITTED = ("sst2", "gsm8k", "commonsense_qa", "strategyqa")


def domains(most: int) -> Iterator[Domain]:
    """Datasets of `UPCYCLE_DATA`/hub with at most so many rows a half; nothing where the data are not."""
    for name, (gold_file, rows_file, column) in _DOMAINS.items():
        paths = DATA / "hub" / gold_file, DATA / "hub" / rows_file
        if not all(path.is_file() for path in paths):
            continue
        gold, rows = (list(dict.fromkeys(str(row[column]).strip() for row in read_rows(path))) for path in paths)
        Random(name).shuffle(gold)
        gold = gold[:most]
        rows = sorted(set(rows) - set(gold))
        Random(name).shuffle(rows)
        yield Domain(name, gold, rows[:most], name in _FITTED)


def read_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path).to_pylist()
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        quoting = csv.QUOTE_NONE if path.suffix == ".tsv" else csv.QUOTE_MINIMAL
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", quoting=quoting))


def among_their_own(encoder: SentenceEncoder, rows: Sequence[Domain]) -> dict[str, tuple[int, int]]:
    """Of each dataset how many rows the shipped rule takes for gold that they are not, of how many."""
    found: dict[str, tuple[int, int]] = {}
    for domain in rows:
        near = Paraphrases(domain.gold, encoder).nearest(domain.rows)
        found[domain.name] = (sum(one is not None and one.same for one in near), len(domain.rows))
    return found


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
    """What the rule sees of one half: the texts' features, the nearest item of each, what each text is, and the gold
    held against itself.
    """

    features: list[Features]
    items: list[int]
    kinds: list[tuple[str, int]]
    among: list[Features]

    def same(self) -> list[bool]:
        """What the rule should say: it is planted, and the item it was made of is the nearest."""
        return [kind in ("paraphrase", "copy") and item == number
                for item, (kind, number) in zip(self.items, self.kinds, strict=True)]  # fmt: skip


def examined(
    encoder: SentenceEncoder, pairs: Sequence[Pair], rows: Sequence[str], half: int, same: Sequence[Domain] = ()
) -> Examined:
    """One half of the pairs, rows, near misses and copies, and of the rows of the gold's own datasets."""
    mine = [pair for pair in pairs if half_of(pair.text) == half]
    stream = [("paraphrase", number, pair.paraphrase) for number, pair in enumerate(mine)]
    stream += [("row", number, row) for number, row in enumerate(rows[half::2])]
    stream += [("near miss", number, pair.near_miss) for number, pair in enumerate(mine) if pair.near_miss]
    stream += [("copy", number, lightly_changed(pair.text)) for number, pair in enumerate(mine)]
    index = Paraphrases([pair.text for pair in mine], encoder)
    found = index.features([text for _, _, text in stream])
    kinds = [(kind, number) for kind, number, _ in stream]
    among = index.among_themselves()
    for domain in same:
        if domain.fitted:
            own = Paraphrases(domain.gold, encoder).features([row for row in domain.rows if half_of(row) == half])
            found += own
            kinds += [("own", number) for number in range(len(own))]
    items = [item for item, _ in found]
    return Examined([features for _, features in found], items, kinds, [features for _, features in among])


def judged(seen: Examined, weights: Sequence[float], same: float) -> Found:
    """What a rule flags."""
    least = least_of(seen.among, weights, same)
    flagged = [probability_of(features, weights) >= least for features in seen.features]
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
