"""The index of dataset cards: what is found and why, what is never read half, and what no card can break."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from upcycle.errors import SourceError
from upcycle.sources.encoder import SentenceEncoder
from upcycle.sources.index.card_index import CardIndex, Filters, Weights
from upcycle.sources.index.listing import Listing, from_card, from_row, prose
from upcycle.sources.index.place import current
from upcycle.sources.index.prior import standardised
from upcycle.sources.index.store import write_index
from upcycle.sources.index.understanding import bare

CARDS = [
    Listing("a/reviews", text="Film reviews with a rating, from critics of several papers.", licence="mit",
            languages=("en",), columns=("review", "rating"), popularity=5000, modified="2019-03-01", rows=9000),
    Listing("b/reviews-copy", text="Film reviews with a rating, from critics of several papers.", popularity=3),
    Listing("c/weather", text="Hourly temperatures measured at 300 stations.", licence="cc-by-nc-4.0",
            languages=("de",), modified="2022", rows=10),
    Listing("d/SQuAD-hard", text="Questions over articles, in the style of CoLA-2.", skip="gated"),
    Listing("e/CoLA-2", text="Sentences judged acceptable or not."),
    Listing("f/empty"),
]  # fmt: skip


def letters(texts: Sequence[str]) -> np.ndarray:
    """An encoder whose vectors are the letters of a text."""
    rows = np.array([[text.lower().count(chr(97 + n)) + 0.01 for n in range(26)] for text in texts], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_index(CARDS, tmp_path / "index")
    return tmp_path / "index"


def ids(index: CardIndex, query: str, **filters: object) -> list[str]:
    return [one.listing.id for one in index.search(query, filters=Filters(**filters))]  # type: ignore[arg-type]


def test_what_matches_is_first_and_says_why(folder: Path):
    found = CardIndex.open(folder).search("Rate film reviews")
    assert found[0].listing.id == "a/reviews"
    assert found[0].why == "card: rate, film, reviews; columns: rate, reviews; used often (5,000)"
    assert found[0].parts["words"] > 0
    assert found[0].listing.columns == ("review", "rating")


def test_datasets_with_the_same_description_are_one_and_named(folder: Path):
    found = CardIndex.open(folder).search("film reviews")
    assert found[0].duplicates == ("b/reviews-copy",)
    assert "b/reviews-copy" not in [one.listing.id for one in found]


def test_a_dataset_that_others_name_is_worth_more(folder: Path):
    index = CardIndex.open(folder)
    first = index.search("sentences", weights=Weights(0, 0, 0, 1))[0]
    assert first.listing.id == "e/CoLA-2"


@pytest.mark.parametrize(
    ("filters", "missing"),
    [
        ({"licence": "permissive"}, {"c/weather", "e/CoLA-2", "f/empty", "d/SQuAD-hard"}),
        ({"languages": ("en",)}, {"c/weather"}),
        ({"until": "2020"}, {"c/weather"}),
        ({"least_rows": 100}, {"c/weather"}),
        ({"usable": True}, {"d/SQuAD-hard"}),
        ({"blocked": ("cola",)}, {"e/CoLA-2"}),
    ],
)
def test_filters_leave_out_what_is_known_not_to_fit_and_keep_the_unknown(folder: Path, filters: dict, missing: set):
    found = {one.listing.id for one in CardIndex.open(folder).search("film weather", filters=Filters(**filters))}
    everything = {"a/reviews", "c/weather", "d/SQuAD-hard", "e/CoLA-2", "f/empty"}
    if "licence" in filters:
        assert found == {"a/reviews"}
    else:
        matched = {one.listing.id for one in CardIndex.open(folder).search("film weather")}
        assert found == (matched & everything) - missing


def test_meaning_is_compared_where_vectors_were_written(tmp_path: Path):
    encoder = SentenceEncoder("letters", letters)
    made = write_index(CARDS, tmp_path, encoder=encoder)
    index = CardIndex(made, encoder, "letters")
    found = index.search("zzz stations temperature measured hourly", weights=Weights(1, 0, 0, 0))
    assert found[0].listing.id == "c/weather"
    assert len(found) == len(CARDS) - 1


def test_only_new_texts_are_encoded_when_an_index_is_written_again(tmp_path: Path):
    asked: list[str] = []

    def counted(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return letters(texts)

    encoder = SentenceEncoder("letters", counted)
    write_index(CARDS, tmp_path, encoder=encoder)
    first = len(asked)
    write_index([*CARDS, Listing("g/new", text="Something new.")], tmp_path, encoder=encoder)
    assert asked[first:] == ["g/new. Something new."]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from upcycle.sources.encoder import SentenceEncoder
from upcycle.sources.index.listing import Listing
from upcycle.sources.index.store import write_index
seen = Path(sys.argv[2])
def encode(texts):
    with seen.open("a") as file:
        file.write("".join(f"{text}\\n" for text in texts))
    if sys.argv[3] == "die" and len(seen.read_text().splitlines()) > 5000:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.ones((len(texts), 8), np.float32) / np.sqrt(8, dtype=np.float32)
listings = [Listing(f"x/{n}", text=f"Text number {n} of many.") for n in range(7000)]
write_index(listings, Path(sys.argv[1]), encoder=SentenceEncoder("ones", encode))
"""


def test_an_index_killed_while_it_is_written_is_never_read_and_goes_on(folder: Path, tmp_path: Path):
    seen = tmp_path / "seen"
    run = [sys.executable, "-c", KILLED, str(folder), str(seen)]
    before = current(folder)
    assert subprocess.run([*run, "die"]).returncode == -signal.SIGKILL
    assert current(folder) == before
    assert ids(CardIndex.open(folder), "film reviews")[0] == "a/reviews"
    subprocess.run([*run, "live"], check=True)
    assert len(CardIndex.open(folder)) == 7000
    texts = seen.read_text().splitlines()
    assert len(texts) < 2 * 7000, "what was encoded before the kill is not encoded again"
    assert len(set(texts)) == 7000
    assert not (folder / "encoding").exists()
    left = {path.name for path in folder.iterdir()}
    made = current(folder)
    assert made is not None
    assert before is not None
    assert left == {"current", made.name, before.name}


def test_an_index_of_another_version_is_refused_in_a_sentence(folder: Path):
    generation = current(folder)
    assert generation is not None
    (generation / "meta.json").write_text('{"version": 0, "encoder": null}')
    with pytest.raises(SourceError, match=r"is of version 0 and this upcycle reads version 2; delete the folder"):
        CardIndex.open(folder)


def test_where_there_is_no_index_it_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(SourceError, match=r"there is no index in .*; make one with: upcycle index build"):
        CardIndex.open(tmp_path)
    with pytest.raises(SourceError, match="nothing to index"):
        write_index([], tmp_path)


@pytest.mark.parametrize(
    "card",
    [
        "---\nlicense: [mit\n  broken: {\n---\nA card with broken YAML.",
        "",
        "---\n---\n",
        "<div>" * 200_000 + "text",
        "Только русский текст о фильмах. 电影评论数据集。",
        "half a surrogate \ud800 pair",
        "\x00\x01 control characters",
    ],
)
def test_no_card_breaks_the_index(tmp_path: Path, card: str):
    listing = from_card("some/thing", card, popularity=3)
    assert len(listing.text) <= 4000
    write_index([listing, *CARDS], tmp_path)
    assert len(CardIndex.open(tmp_path)) == len(CARDS) + 1
    assert ids(CardIndex.open(tmp_path), "film reviews")[0] == "a/reviews"


def test_a_query_of_nothing_but_odd_characters_finds_without_failing(folder: Path):
    for query in ("", "???", "\ud800", "the of and", "a" * 10_000):
        assert len(CardIndex.open(folder).search(query)) <= len(CARDS)


def test_rows_of_a_card_dump_are_read():
    row = {
        "datasetId": "squad/v2",
        "card": "---\npretty_name: SQuAD\nlicense: cc-by-sa-4.0\n---\n# SQuAD\nQuestions [here](https://x.y/z).",
        "downloads": 12,
        "tags": ["license:mit", "language:en", "task_categories:question-answering", "croissant"],
        "last_modified": "2024-05-06",
        "gated": "auto",
    }
    listing = from_row(row)
    assert listing is not None
    assert (listing.name, listing.licence, listing.languages) == ("SQuAD", "mit", ("en",))
    assert (listing.categories, listing.tags, listing.popularity) == (("question-answering",), ("croissant",), 12)
    assert listing.skip == "gated"
    assert "x.y" not in listing.text
    assert from_row({"card": "no name"}) is None


def test_a_megabyte_of_html_is_cut_before_it_is_looked_at():
    assert prose("<p>word</p>" * 200_000).startswith("word word")


def test_the_frame_of_a_sentence_says_nothing_of_what_is_wanted():
    assert bare("We want to build a system that finds faces in crowded streets.") == "finds faces crowded streets"
    assert bare("we want to") == "we want to"


def test_a_million_rows_are_ranked_by_bits_first_and_rightly(tmp_path: Path):
    from upcycle.sources.index import vectors

    random = np.random.default_rng(0)
    count = vectors.EXACT + 1_000
    rows = random.normal(size=(count, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    files = vectors.VectorFiles(tmp_path, count, 32)
    files.add(rows)
    files.close()
    opened = vectors.Vectors(tmp_path)
    query = rows[777] + 0.1 * rows[5]
    numbers, cosines, mean, spread = opened.scores(
        query / np.linalg.norm(query), np.arange(0, count, 50), np.array([3])
    )
    assert numbers[cosines.argmax()] == 777
    assert cosines.max() > 0.97
    assert 3 in numbers
    assert abs(mean) < 0.02
    assert 0.1 < spread < 0.3


@pytest.mark.skipif(os.name == "nt", reason="renaming an open folder")
def test_an_index_in_use_can_be_written_anew(folder: Path):
    opened = CardIndex.open(folder)
    write_index([*CARDS, Listing("g/new", text="Something about volcanoes.")], folder)
    assert opened.search("film reviews")[0].listing.id == "a/reviews"
    assert ids(CardIndex.open(folder), "volcanoes")[0] == "g/new"


def test_what_everyone_uses_counts_only_so_much():
    usual = [float(count) for count in range(200)]
    told = standardised([*usual, 1e12, None])
    assert told[-2] == 4.0
    assert told[-1] == 0.0
    assert abs(float(told[:-2].mean())) < 0.2


def test_one_rare_word_does_not_decide_a_search_alone(tmp_path: Path):
    many = [Listing(f"x/{n}", text=f"Film reviews of the year {n}.") for n in range(400)]
    odd = Listing("y/odd", text="zyzzyva")
    write_index([*many, odd], tmp_path)
    found = CardIndex.open(tmp_path).search("zyzzyva")
    assert found[0].listing.id == "y/odd"
    assert 4 < found[0].parts["words"] < 12


def test_neighbours_of_what_was_found_first_come_before_the_rest(tmp_path: Path):
    def directions(texts: Sequence[str]) -> np.ndarray:
        rows = np.full((len(texts), 64), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:2] = (0.0 if "unlike" in text else 1.0, 0.3)
            row[2 + len(text) % 60] += 0.2
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    cards = [Listing(f"a/{n}", text=f"A collection of birdsong, part {n}, {'x' * n}.") for n in range(12)]
    cards += [Listing("b/like", text="Alike."), *(Listing(f"c/{n}", text=f"unlike {'y' * n}") for n in range(30))]
    encoder = SentenceEncoder("directions", directions)
    index = CardIndex(write_index(cards, tmp_path, encoder=encoder), encoder, "directions")
    found = index.search("birdsong", limit=50, weights=Weights(0.0, 1.0, 0.0, 0.0, 1.0))
    assert found[12].listing.id == "b/like"
    assert found[12].parts["neighbours"] > found[20].parts["neighbours"]


def test_neighbours_are_those_of_what_may_be_found(tmp_path: Path):
    encoder = SentenceEncoder("letters", letters)
    index = CardIndex(write_index(CARDS, tmp_path, encoder=encoder), encoder, "letters")
    assert index.search("film reviews", filters=Filters(blocked=("/",))) == []


def test_words_in_which_tasks_are_put_count_in_an_index(tmp_path: Path):
    write_index([Listing("a/qa", text="Question answering."), *CARDS], tmp_path)
    assert ids(CardIndex.open(tmp_path), "question answering")[0] == "a/qa"
