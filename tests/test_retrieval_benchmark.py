"""The benchmark of retrieval scores by the rules of the task, and what search finds without any model is held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import retrieval
from upcycle.sources.index.card_index import CardIndex
from upcycle.sources.index.store import write_index

TOPICS = ("birds", "faces", "roads", "speech", "poems", "maps", "tumours", "stars", "leaves", "tables", "jokes", "cars")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Twelve topics with two datasets each, the second of them younger; a query for every topic."""
    cards = [
        {"id": f"{topic}-{year}", "description": f"Many {topic}, with what they show.", "paper_title": None,
         "variants": [f"{topic}-{year}"], "year": year}
        for topic in TOPICS for year in (2012, 2019)
    ]  # fmt: skip
    asked = [
        {"query": f"We want to recognise {topic}.", "keyphrase_query": f"{topic} recognition", "year": 2015,
         "documents": [f"{topic}-2012"]}
        for topic in TOPICS
    ]  # fmt: skip
    for card in cards:
        card["description"] += f" Taken in {card['year']}."
    pq.write_table(pa.Table.from_pylist(cards), tmp_path / "collection.parquet")
    lines = [json.dumps(one) for one in [*asked, {**asked[0], "documents": []}]]
    (tmp_path / "queries.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_scores_are_those_of_a_case_worked_by_hand():
    gold = frozenset({"a", "b", "c", "missing"})
    ranked = ["x", "a", "y", "b", "z", "c"]
    p5, r5, r25, r100, ap, rr = retrieval.scores(ranked, gold)
    assert (p5, r5, r25, r100) == (40.0, 50.0, 75.0, 75.0)
    assert ap == pytest.approx(100 * (1 / 2 + 2 / 4) / 4)
    assert rr == 50.0
    assert retrieval.scores(["x"], gold) == [0.0] * 6


def test_a_dataset_younger_than_the_query_is_not_found_and_queries_without_gold_are_left_out(small: Path):
    write_index(retrieval.listings(small), small / "index")
    index = CardIndex.open(small / "index")
    asked = retrieval.queries(small, "query")
    assert len(asked) == len(TOPICS)
    rows = retrieval.run(index, asked, retrieval.WITHOUT_MEANING)
    assert rows[:, retrieval.NAMES.index("R@5")].tolist() == [100.0] * len(TOPICS)
    assert rows[:, retrieval.NAMES.index("MRR")].tolist() == [100.0] * len(TOPICS)


def test_fitted_weights_find_what_tells_the_used_from_the_others():
    random = np.random.default_rng(0)
    searches: list[tuple[list[str], np.ndarray, frozenset[str]]] = []
    for number in range(60):
        parts = random.normal(size=(retrieval.DEPTH, 3))
        best = int(np.argmax(2 * parts[:, 0] + parts[:, 1]))
        searches.append(
            ([f"{number}-{place}" for place in range(retrieval.DEPTH)], parts, frozenset({f"{number}-{best}"}))
        )
    told, half, nothing = retrieval.fitted(searches)
    assert told > half > abs(nothing)
    assert told / half == pytest.approx(2, rel=0.25)


def test_the_benchmark_prints_each_form_with_its_default_and_intervals(small: Path):
    script = Path(__file__).parent.parent / "benchmarks" / "retrieval.py"
    command = [sys.executable, str(script), "--data", str(small), "--json", "--encoder", "none", "--resamples", "50"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout.splitlines()[-1])
    for form in ("query", "keyphrase"):
        assert facts[form]["default"]["R@5"] == 100.0
        assert facts[form]["default"]["MRR_ci"] == [100.0, 100.0]
        assert {"words", "words + priors", "cross-validated"} <= facts[form].keys()
    assert "published bi-encoder" in done.stdout
    refused = subprocess.run([*command[:3], str(small / "nowhere")], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "holds no collection.parquet" in refused.stderr


@pytest.mark.data
@pytest.mark.slow
def test_words_and_priors_alone_beat_the_published_retriever(shared_data: Path, tmp_path: Path):
    folder = shared_data / "datafinder"
    write_index(retrieval.listings(folder), tmp_path)
    index = CardIndex.open(tmp_path)
    recall = retrieval.NAMES.index("R@5")
    rows = retrieval.run(index, retrieval.queries(folder, "query"), retrieval.WITHOUT_MEANING)
    assert rows[:, recall].mean() > 32  # the published one: 31.6 over all queries
