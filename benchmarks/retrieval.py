"""Are the datasets that people ended up using found from a sentence, or keyphrases, that say what they wanted to build?

    python benchmarks/retrieval.py --data FOLDER [--json] [--resamples 1000] [--encoder best]

The task is DataFinder's (arXiv 2305.16636): 7,564 descriptions, queries with the datasets their papers used. A dataset
younger than the query's year may not be found; MAP and MRR are of the first five; queries without any gold dataset are
left out, gold that is not in the collection counts as missed. `default` is the index as `upcycle search` uses it. The
popularity prior is log(1 + number of names a dataset goes by) as counted today: it knows the future of an old query,
so rows without it stand beside. The index itself is kept in the cache, for encoding takes minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# As the command line sets it: two threads that wait for each other on a busy machine are slower than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from bench import arguments
from upcycle.sources.encoder import encoder_named
from upcycle.sources.index.card_index import WITH_STATIC, WITHOUT_MEANING, CardIndex, Filters, Weights
from upcycle.sources.index.listing import Listing, prose
from upcycle.sources.index.shortlist import looked_into
from upcycle.sources.index.store import write_index

FORMS = {"query": "query", "keyphrase": "keyphrase_query"}
DEPTH = 100
PUBLISHED = {
    "query": {"BM25": (4.7, 11.6, 8.0, 14.5), "kNN TF-IDF": (5.5, 12.3, 7.8, 15.5), "kNN BERT": (7.1, 14.2, 9.7, 21.3),
              "bi-encoder": (16.0, 31.2, 23.4, 42.6)},
    "keyphrase": {"BM25": (6.6, 15.3, 11.4, 19.9), "bi-encoder": (16.5, 32.4, 23.3, 42.3)},
}  # fmt: skip
NAMES = ("P@5", "R@5", "R@25", "R@100", "MAP", "MRR")


class Query(NamedTuple):
    """What was wanted, from when, and what was used."""

    text: str
    year: int
    gold: frozenset[str]


def listings(data: Path) -> Iterator[Listing]:
    """The collection; what counts how popular a dataset is, is the number of its names."""
    import pyarrow.parquet as pq

    for row in pq.read_table(data / "collection.parquet").to_pylist():
        text = prose(f"{row['description']} {row['paper_title'] or ''}")
        names = row["variants"] or []
        yield Listing(row["id"], text=text, tags=tuple(names), popularity=len(names), modified=str(row["year"] or ""))


def queries(data: Path, form: str) -> list[Query]:
    """Queries with at least one gold dataset."""
    with (data / "queries.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Query(row[form], row["year"], frozenset(row["documents"])) for row in rows if row["documents"]]


def scores(ranked: Sequence[str], gold: frozenset[str]) -> list[float]:
    """P@5, R@5, R@25, R@100, and MAP and MRR of the first five, in percent."""
    hits = [one in gold for one in ranked]
    at = [place + 1 for place, hit in enumerate(hits[:5]) if hit]
    precision = sum((number + 1) / place for number, place in enumerate(at)) / len(gold)
    values = (sum(hits[:5]) / 5, *(sum(hits[:k]) / len(gold) for k in (5, 25, 100)), precision, 1 / at[0] if at else 0)
    return [100 * value for value in values]


def retrievers(index: CardIndex, *, dense: bool, static: bool) -> Mapping[str, Weights]:
    """What is compared; each with and without the prior."""
    best = (WITH_STATIC if static else Weights()) if dense else WITHOUT_MEANING
    alone = {"popularity": 0.0, "mentions": 0.0, "neighbours": 0.0}
    found = {"words": WITHOUT_MEANING._replace(**alone), "words + priors": WITHOUT_MEANING}
    if dense:
        found |= {
            "meaning": Weights(1.0, 0.0, **alone),
            "meaning + words": best._replace(**alone),
            "without priors": best._replace(popularity=0.0, mentions=0.0),
            "without popularity": best._replace(popularity=0.0),
            "without mentions": best._replace(mentions=0.0),
            "without neighbours": best._replace(neighbours=0.0),
        }
    return {**found, "default": best}


def run(index: CardIndex, asked: Sequence[Query], weights: Weights) -> np.ndarray:
    """One row of scores a query."""
    rows = []
    for query in asked:
        found = index.search(query.text, limit=DEPTH, filters=Filters(until=str(query.year)), weights=weights)
        rows.append(scores([one.listing.id for one in looked_into(query.text, found)], query.gold))
    return np.array(rows)


def cross_validated(index: CardIndex, forms: Mapping[str, Sequence[Query]], folds: int = 5) -> dict[str, np.ndarray]:
    """Scores of each query of each form under weights fitted without it (and without it in the other form).

    The first hundred are ordered anew by weights that make the datasets that were used likeliest (softmax over the
    hundred); the folds are of queries, drawn once.
    """
    wanted: dict[str, list[tuple[list[str], np.ndarray, frozenset[str]]]] = {}
    for form, asked in forms.items():
        wanted[form] = []
        for query in asked:
            found = index.search(query.text, limit=DEPTH, filters=Filters(until=str(query.year)))
            parts = np.array([list(one.parts.values()) for one in found])
            wanted[form].append(([one.listing.id for one in found], parts, query.gold))
    count = len(next(iter(wanted.values())))
    fold = np.random.default_rng(0).permutation(count) % folds
    rows = {form: np.zeros((count, len(NAMES))) for form in forms}
    for left_out in range(folds):
        weights = fitted([ones[n] for ones in wanted.values() for n in range(count) if fold[n] != left_out])
        for form, ones in wanted.items():
            for number in np.flatnonzero(fold == left_out):
                ids, parts, gold = ones[number]
                order = np.argsort(-(parts @ weights), kind="stable")
                rows[form][number] = scores([ids[place] for place in order], gold)
    return rows


def fitted(searches: Sequence[tuple[list[str], np.ndarray, frozenset[str]]], steps: int = 1_500) -> np.ndarray:
    """Weights under which the gold datasets are likeliest among what was found, by gradient ascent."""
    useful = [(parts, np.array([one in gold for one in ids])) for ids, parts, gold in searches]
    useful = [(parts, hit / hit.sum()) for parts, hit in useful if hit.any()]
    if not useful:
        raise SystemExit("no query finds any of its datasets; is this the folder of the DataFinder data?")
    width = useful[0][0].shape[1]
    parts, target = np.zeros((len(useful), DEPTH, width)), np.zeros((len(useful), DEPTH))
    absent = np.full((len(useful), DEPTH), -1e9)
    for number, (own, hit) in enumerate(useful):
        parts[number, : len(own)], target[number, : len(own)], absent[number, : len(own)] = own, hit, 0.0
    weights = np.zeros(width)
    flat = parts.reshape(-1, parts.shape[2])
    for _ in range(steps):
        likely = (flat @ weights).reshape(target.shape) + absent
        likely = np.exp(likely - likely.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        weights += 0.05 * ((target - likely).reshape(-1) @ flat) / len(parts)
    return weights


def interval(rows: np.ndarray, resamples: int) -> np.ndarray:
    """95 % bootstrap interval of the means, resampling queries."""
    random = np.random.default_rng(0)
    means = np.stack([rows[random.integers(0, len(rows), len(rows))].mean(axis=0) for _ in range(resamples)])
    return np.percentile(means, [2.5, 97.5], axis=0)


def built(data: Path, encoder: str | None) -> Path:
    """The index of the collection; kept between runs, under the digest of the data."""
    digest = hashlib.sha256((data / "collection.parquet").read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"upcycle-retrieval-{digest}-{encoder or 'words'}"

    def told(what: str, done: int, total: int) -> None:
        print(f"\r{what}: {done} of {total}", end="", file=sys.stderr, flush=True)

    write_index(listings(data), folder, encoder=encoder_named(encoder) if encoder else None, told=told)
    print(file=sys.stderr)
    return folder


def found_encoder(wanted: str) -> str | None:
    """The encoder of this name, if it is here; "best" is what `upcycle search` would take."""
    names = {"best": ("minilm", "static"), "none": ()}.get(wanted, (wanted,))
    return next((name for name in names if encoder_named(name) is not None), None)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with collection.parquet and queries.jsonl")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--encoder", choices=("best", "minilm", "static", "none"), default="best")
    args = parser.parse_args()
    if not (args.data / "collection.parquet").is_file():
        print(f"{args.data} holds no collection.parquet; give the folder of the DataFinder data", file=sys.stderr)
        return 2
    encoder = found_encoder(args.encoder)
    index = CardIndex.open(built(args.data, encoder))
    print(f"encoder: {encoder or 'none installed: words alone'}; upcycle models fetch minilm brings the best one")
    facts: dict[str, Any] = {"encoder": encoder}
    held_out = cross_validated(index, {form: queries(args.data, column) for form, column in FORMS.items()})
    for form, column in FORMS.items():
        asked = queries(args.data, column)
        print(f"\n{form}: {len(asked)} queries\n{'':32}" + "".join(f"{name:>8}" for name in NAMES))
        facts[form] = {}
        for name, weights in retrievers(index, dense=encoder is not None, static=encoder == "static").items():
            rows = run(index, asked, weights)
            means, (low, high) = rows.mean(axis=0), interval(rows, args.resamples)
            print(f"{name:32}" + "".join(f"{mean:8.1f}" for mean in means))
            if name == "default":
                print(f"{'  95 % from':32}" + "".join(f"{end:8.1f}" for end in low))
                print(f"{'  to':32}" + "".join(f"{end:8.1f}" for end in high))
            facts[form][name] = dict(zip(NAMES, means.round(2).tolist(), strict=True)) | {
                f"{key}_ci": [round(float(a), 2), round(float(b), 2)]
                for key, a, b in zip(NAMES, low, high, strict=True)
            }
        means = held_out[form].mean(axis=0)
        print(f"{'weights fitted on other queries':32}" + "".join(f"{mean:8.1f}" for mean in means))
        facts[form]["cross-validated"] = dict(zip(NAMES, means.round(2).tolist(), strict=True))
        for name, (p5, r5, ap, rr) in PUBLISHED[form].items():
            print(f"{'published ' + name:32}{p5:8.1f}{r5:8.1f}{'':16}{ap:8.1f}{rr:8.1f}")
    if args.json:
        print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
