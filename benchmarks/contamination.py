"""Planted contamination: which tier finds what, and how much that is innocent it accuses.

Gold is the first text of each pair in `paraphrases.jsonl`. Among unrelated rows (of `UPCYCLE_DATA`/hub where that is,
else made up) are planted: each gold item in other spelling (exact), spans of real items inside other text (overlap),
and the second text of each pair (semantic). Each tenth of the pairs and rows is judged by a semantic rule, and a
threshold, fitted on the other nine, here and now; the rule that is shipped is fitted on all (`--fit` prints it).
Harder innocents are rows of the gold's own dataset: half of it is the gold, the other half must pass. They are judged
by the shipped rule; four of the nine datasets took part in fitting it, with a tenth of the weight. An interval is
Wilson's, 95 %.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bench import Line, arguments, finish
from upcycle.curation.decontamination.paraphrase import Paraphrases, Seen
from upcycle.curation.decontamination.paraphrase_rule import RULES, Features, Rule, least_of, probability_of, rule_for
from upcycle.curation.decontamination.tiers import GoldIndex
from upcycle.curation.duplicates.exact import folded
from upcycle.llm import weights
from upcycle.sources.encoder import SentenceEncoder, installed_encoder
from upcycle.sources.minilm import Reading, load_minilm

HERE = Path(__file__).parent
FOLDS = 10
WANTED = 0.96
LIGHT = {"own": 0.1, "copy": 0.1}
"""What counts less in a fit than the paraphrases and rows it is about."""
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
            for together in kinds_of(encoder):
                print_rule(encoder, examined(encoder, pairs, rows, same, together=together), together=together)
        return 0
    exact, spans = spelled_otherwise(pairs, rows), verbatim(rows)
    lines = [
        line("exact: case, punctuation, Unicode form", exact, "recall 100 %", good=exact.recall == 1),
        line("overlap: verbatim spans in other text", spans, "recall 100 %", good=spans.recall == 1),
    ]
    facts: dict[str, Any] = {"exact_recall": exact.recall, "ngram_recall": spans.recall}
    facts |= {"exact_precision": exact.precision, "ngram_precision": spans.precision, "pairs": len(pairs)}
    for encoder in encoders():
        for together in kinds_of(encoder):
            told, measured = semantic(encoder, pairs, rows, same, together=together)
            lines += told
            facts[f"semantic_{encoder.name}" + ("_set" if together else "")] = measured
            if "paraphrase_recall" not in facts:
                facts |= {f"paraphrase_{name}": value for name, value in measured.items()}
    if "paraphrase_recall" not in facts:
        lines.append(Line("semantic", "no encoder installed", "80 % at 95 %", good=False))
    return finish("Planted contamination, by tier", lines, facts, as_json=args.json)


def semantic(
    encoder: SentenceEncoder, pairs: Sequence[Pair], rows: Sequence[str], same: Sequence[Domain], *, together: bool
) -> tuple[list[Line], dict[str, Any]]:
    """The third tier with one encoder, each text by itself or the set together: lines to print, and numbers."""
    started = time.process_time()
    seen = examined(encoder, pairs, rows, same, together=together)
    found = crossed(encoder, seen, len(rows), together=together)
    spent = (time.process_time() - started) / len(seen.kinds) * 1000
    of = "set together" if together else "each text alone"
    reached = found.recall >= 0.8 and found.precision >= 0.95
    asked = encoder.name == "minilm" and together
    lines = [
        line(f"semantic: {encoder.name}, {of}", found, "80 % at 95 %", good=reached if asked else None),
        Line("  near misses also flagged", "{} of {}".format(*found.near_misses)),
        Line("  CPU per text", f"{spent:.1f} ms"),
    ]
    facts: dict[str, Any] = {
        "recall": found.recall, "precision": found.precision, "planted": found.planted, "cpu_ms": spent,
        "recall_ci": wilson(found.right, found.planted),
        "precision_ci": wilson(found.right, found.right + found.wrong),
    }  # fmt: skip
    if same:
        own = among_their_own(encoder, same, together=together)
        share = sum(wrong for wrong, _ in own.values()) / sum(of for _, of in own.values())
        facts |= {"same_domain_false_share": share, "same_domain": own}
        each = ", ".join(f"{name} {wrong}" for name, (wrong, _) in own.items())
        lines.append(Line("  rows of the gold's own dataset flagged", f"{share:.2%}", "1 %", share <= 0.01))
        lines.append(Line(f"    of up to {max(of for _, of in own.values())} each", each))
    return lines, facts


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


def among_their_own(encoder: SentenceEncoder, rows: Sequence[Domain], *, together: bool) -> dict[str, tuple[int, int]]:
    """Of each dataset how many rows the shipped rule takes for gold that they are not, of how many."""
    found: dict[str, tuple[int, int]] = {}
    for domain in rows:
        index = Paraphrases(domain.gold, encoder)
        near = index.nearest_together(domain.rows) if together else index.nearest(domain.rows)
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
        yield SentenceEncoder("minilm", model, remembered(model.read))
    static = installed_encoder()
    if static is not None:
        yield SentenceEncoder("static", static)


def remembered(read: Callable[[Sequence[str]], list[Reading]]) -> Callable[[Sequence[str]], list[Reading]]:
    """The same, reading no text twice: the rows are in several sets here."""
    known: dict[str, Reading] = {}

    def reading(texts: Sequence[str]) -> list[Reading]:
        new = list(dict.fromkeys(text for text in texts if text not in known))
        known.update(zip(new, read(new), strict=True) if new else ())
        return [known[text] for text in texts]

    return reading


def kinds_of(encoder: SentenceEncoder) -> tuple[bool, ...]:
    """Whether sets are judged together: first, where the encoder can."""
    return (False,) if encoder.read is None else (True, False)


def fold_of(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[-1] % FOLDS


class Examined(NamedTuple):
    """What the rule sees: the texts' features, whether each is what its nearest item says, what it is, its fold; and
    the gold held against itself.
    """

    features: list[Features]
    same: list[bool]
    kinds: list[str]
    folds: list[int]
    among: list[Features]


def examined(
    encoder: SentenceEncoder, pairs: Sequence[Pair], rows: Sequence[str], same: Sequence[Domain], *, together: bool
) -> Examined:
    """Paraphrases among rows; near misses and copies among the same rows; and rows of the gold's own datasets.

    Each kind is a set of its own with the rows: a near miss beside every paraphrase would be what no set holds.
    """
    index = Paraphrases([pair.text for pair in pairs], encoder)
    found = Examined([], [], [], [], [])
    for kind, texts in planted(pairs).items():
        stream = [*texts.items(), *((len(pairs) + number, row) for number, row in enumerate(rows))]
        seen, among = looked(index, [text for _, text in stream], together=together)
        if kind == "paraphrase":
            found.among.extend(one.features for one in among)
        for one in seen:
            number, text = stream[one.place]
            row = number >= len(pairs)
            if row and kind != "paraphrase":
                continue
            found.features.append(one.features)
            found.same.append(number == one.item and kind != "near miss")
            found.kinds.append("row" if row else kind)
            found.folds.append(fold_of(text if row else pairs[number].text))
    for domain in same:
        if domain.fitted:
            for one in looked(Paraphrases(domain.gold, encoder), domain.rows, together=together)[0]:
                found.features.append(one.features)
                found.same.append(False)
                found.kinds.append("own")
                found.folds.append(fold_of(domain.rows[one.place]))
    return found


def looked(index: Paraphrases, texts: Sequence[str], *, together: bool) -> tuple[Iterator[Seen], list[Seen]]:
    return index.together(texts) if together else index.alone(texts)


def planted(pairs: Sequence[Pair]) -> dict[str, dict[int, str]]:
    """What is planted, by its kind: number of the pair to text."""
    return {
        "paraphrase": {number: pair.paraphrase for number, pair in enumerate(pairs)},
        "near miss": {number: pair.near_miss for number, pair in enumerate(pairs) if pair.near_miss},
        "copy": {number: lightly_changed(pair.text) for number, pair in enumerate(pairs)},
    }


def crossed(encoder: SentenceEncoder, seen: Examined, rows: int, *, together: bool) -> Found:
    """Each tenth judged by the rule that is fitted on the others, of `rows` rows, the longest among them."""
    count: Counter[str] = Counter()
    for fold in range(FOLDS):
        weights_found, same = fitted(encoder, seen, {*range(FOLDS)} - {fold}, together=together)
        least = least_of(seen.among, weights_found, same)
        for features, right, kind, number in zip(seen.features, seen.same, seen.kinds, seen.folds, strict=True):
            if number == fold and probability_of(features, weights_found) >= least:
                # A paraphrase flagged for another item than its own is flagged wrongly.
                count["wrong paraphrase" if kind == "paraphrase" and not right else kind] += 1
    kinds = Counter(seen.kinds)
    misses = (count["near miss"], kinds["near miss"])
    wrong = count["row"] + count["wrong paraphrase"]
    return Found(count["paraphrase"], kinds["paraphrase"], wrong, rows, misses)


def fitted(
    encoder: SentenceEncoder, seen: Examined, folds: Collection[int], *, together: bool
) -> tuple[list[float], float]:
    """A rule for some folds: its weights, and the probability from which on `WANTED` of what it flags is right.

    That probability is read where each of these folds is judged by a rule fitted on the rest of them.
    """
    rule = rule_for(encoder, together=together)
    told: list[tuple[float, bool]] = []
    for held in folds:
        weights_found = fit(seen, {*folds} - {held}, rule)
        told += [
            (probability_of(features, weights_found), right)
            for features, right, kind, fold in zip(seen.features, seen.same, seen.kinds, seen.folds, strict=True)
            if fold == held and kind in ("paraphrase", "row")
        ]
    least, hits = 1.0, 0
    for number, (probability, right) in enumerate(sorted(told, reverse=True), 1):
        hits += right
        if hits >= WANTED * number:
            least = probability
    return fit(seen, folds, rule), least


def print_rule(encoder: SentenceEncoder, seen: Examined, *, together: bool) -> None:
    rules = [fitted(encoder, seen, {*range(FOLDS)} - {fold}, together=together) for fold in range(FOLDS)]
    weights_found, same = fitted(encoder, seen, range(FOLDS), together=together)
    print(encoder.name, "set" if together else "alone", [round(weight, 2) for weight in weights_found])
    print("  same", round(same, 2), "by tenths", [round(one, 2) for _, one in rules])
    print("  backgrounds", *(round(sum(values) / len(values), 2) for values in (
        [one.background for one in seen.features], [one.earlier_background for one in seen.features])))  # fmt: skip


def lightly_changed(text: str) -> str:
    """Every sixth word left out, some neighbours swapped: must count as the same, too."""
    words = [word for place, word in enumerate(text.split()) if place % 6 != 4]
    for place in range(2, len(words) - 1, 5):
        words[place], words[place + 1] = words[place + 1], words[place]
    return " ".join(words)


def fit(seen: Examined, folds: Collection[int], rule: Rule) -> list[float]:
    """Weights of a logistic regression with a small penalty on standardised features; the bias first."""
    import numpy as np

    size = len(rule.weights) - 1
    chosen = [
        (features[:size], same, LIGHT.get(kind, 1.0))
        for features, same, kind, fold in zip(seen.features, seen.same, seen.kinds, seen.folds, strict=True)
        if fold in folds and kind != "near miss" and not features.numbers_differ
    ]
    values, wanted, counts = (np.array(column, float) for column in zip(*chosen, strict=True))
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    table = np.column_stack((np.ones(len(values)), (values - mean) / spread))
    penalty = np.diag([1e-9, *[1.0] * size])
    found = np.zeros(size + 1)
    for _ in range(100):
        told = 1 / (1 + np.exp(-table @ found))
        slope = table.T @ (counts * (told - wanted)) + penalty @ found
        found -= np.linalg.solve((table * (counts * told * (1 - told))[:, None]).T @ table + penalty, slope)
    raw = found[1:] / spread
    return [float(found[0] - raw @ mean), *raw.tolist()]


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
