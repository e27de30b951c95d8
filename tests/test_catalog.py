"""Search: what fits comes first, says why, and twins are shown once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from upcycle.records import Record
from upcycle.sources.card import Card, Column
from upcycle.sources.catalog import Catalog
from upcycle.sources.encoder import installed_encoder
from upcycle.sources.source import Skip, Source, open_sources
from upcycle.sources.words import form_words, terms


class Shelf:
    """A source in memory."""

    def __init__(
        self,
        name: str,
        text: str,
        *rows: dict[str, object],
        licence: str | None = "mit",
        languages: tuple[str, ...] = ("en",),
        revision: str = "",
        size: int | None = None,
    ) -> None:
        self.rows = rows
        columns = tuple(Column(key, "string") for key in (rows[0] if rows else {}))
        self.card = Card(
            id=name,
            name=name,
            text=text,
            licence=licence,
            languages=languages,
            categories=(),
            tags=(),
            configs=(),
            columns=columns,
            rows=len(rows) or None,
            bytes=size,
            revision=revision or name,
            path=None,
        )

    def records(
        self, *, config: str | None = None, split: str | None = None, skip: Skip | None = None
    ) -> Iterator[Record]:
        for number, row in enumerate(self.rows):
            yield Record(self.card.id, "default", "train", str(number), row)


def shelves() -> list[Source]:
    return [
        Shelf("weather", "Forecasts of rain and wind.", {"text": "rain tomorrow", "wind": "strong"}),
        Shelf("films", "Reviews of movies, positive or negative.", {"review": "a fine film", "label": "positive"}),
        Shelf("sums", "Arithmetic word problems.", {"question": "Tom has 3 apples", "answer": "3"}),
        Shelf("рецепты", "Рецепты супов и пирогов.", {"название": "борщ"}, languages=("ru",)),
        Shelf("病历", "医疗对话数据集", {"对话": "头痛三天"}, languages=("zh",)),
    ]


def first(query: str, *, dense: bool = False) -> str:
    return Catalog.build(shelves(), dense=dense).search(query)[0].card.id


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Decide whether a movie review is positive or negative.", "films"),
        ("Solve a word problem in arithmetic.", "sums"),
        ("Forecasting rain", "weather"),
        ("Как варить суп по рецепту", "рецепты"),
        ("根据医疗对话回答问题", "病历"),
    ],
)
def test_the_source_that_fits_comes_first_in_any_language(query: str, expected: str) -> None:
    assert first(query) == expected


def test_the_words_of_columns_and_records_are_searched_too() -> None:
    assert first("apples") == "sums"
    assert first("wind") == "weather"


def test_a_hit_says_why_and_brings_records() -> None:
    hit = Catalog.build(shelves(), dense=False).search("Is this movie review positive?")[0]
    assert hit.why == "card: movie, review, positive; columns: review"
    assert [record.fields["label"] for record in hit.sample] == ["positive"]


def test_words_in_which_every_task_is_put_do_not_decide() -> None:
    asked = Shelf("asked", "Answer the question. Questions and answers to give, predict and decide.")
    sources = [asked, *shelves()]
    assert Catalog.build(sources, dense=False).search("Answer the question: will rain come?")[0].card.id == "weather"


def test_demonstrations_help_where_the_instruction_says_little() -> None:
    catalog = Catalog.build(shelves(), dense=False)
    demonstrations = ["Ann has 5 apples and eats 2\n3", "Bob has 7 apples and buys 1\n8"]
    assert catalog.search("Do this.", demonstrations=demonstrations)[0].card.id == "sums"


@pytest.mark.parametrize(
    ("demonstration", "expected"),
    [
        ("Which?\nchoice: a\nchoice: b\na", "choice"),
        ("def f(x):\n    return x\nGive x back.", "python"),
        ("how many\nSELECT COUNT(*) FROM t", "sql"),
        ("5 apples, 2 eaten, 1 lost\n2", "arithmetic"),
    ],
)
def test_the_form_of_demonstrations_is_put_into_the_words_of_cards(demonstration: str, expected: str) -> None:
    assert expected in form_words([demonstration])


def test_numbers_in_prose_are_not_arithmetic() -> None:
    assert form_words(["In 1996, 2000 and 2002 they met.\nentailment"]) == []


def test_identifiers_inflections_and_scripts_are_cut_into_the_same_terms() -> None:
    assert terms("isMovieReview movie_reviews") == ["movi", "review", "movi", "review"]
    assert terms("рецептами") == terms("рецепты")
    assert terms("医疗对话") == ["医疗", "疗对", "对话"]


def test_filters_leave_out_what_does_not_qualify() -> None:
    text = "Reviews of movies."
    sources: list[Source] = [
        Shelf("free", text, {"a": "x"}, {"a": "y"}, size=10),
        Shelf("shared", text + " Two.", {"b": "x"}, licence="cc-by-sa-4.0", size=1000),
        Shelf("unstated", text + " Three.", {"c": "x"}, licence=None),
        Shelf("russian", text + " Four.", {"d": "x"}, languages=("ru",)),
        Shelf("silent", text + " Five.", {"e": "Это предложение написано на русском языке целиком"}, languages=()),
    ]
    catalog = Catalog.build(sources, dense=False)

    def found(**filters: object) -> set[str]:
        return {hit.card.id for hit in catalog.search("movies", **filters)}  # type: ignore[arg-type]

    assert found() == {"free", "shared", "unstated", "russian", "silent"}
    assert found(licence="permissive") == {"free", "russian", "silent"}
    assert found(languages=["ru"]) == {"russian", "silent"}
    assert found(max_bytes=100) == {"free", "unstated", "russian", "silent"}
    assert found(min_rows=2) == {"free"}
    assert len(catalog.search("movies", limit=2)) == 2


def test_the_same_data_or_the_same_card_are_shown_once() -> None:
    text = "Reviews of movies, positive or negative."
    sources: list[Source] = [
        Shelf("one", text, {"review": "a"}),
        Shelf("two", text.upper(), {"review": "b"}),
        Shelf("three", "Another text.", {"other": "b"}, revision="one"),
        Shelf("four", text, {"different": "b"}),
    ]
    hits = Catalog.build(sources, dense=False).search("movie reviews")
    assert {hit.card.id: hit.duplicates for hit in hits if hit.duplicates} == {"one": ("two", "three")}
    assert {hit.card.id for hit in hits} == {"one", "four"}


def test_the_same_search_gives_the_same_list_and_ties_go_by_id() -> None:
    forward, backward = shelves(), shelves()[::-1]
    orders = [
        [hit.card.id for hit in Catalog.build(sources, dense=False).search("nothing matches zzz")]
        for sources in (forward, forward, backward)
    ]
    assert orders[0] == orders[1] == orders[2]


def test_a_catalog_of_nothing_finds_nothing() -> None:
    assert Catalog.build([], dense=False).search("anything") == []


def test_a_source_in_another_language_comes_after_one_in_the_language_of_the_task() -> None:
    same = "Which statement follows from the paragraph above, judged by logical reasoning alone?"
    sources: list[Source] = [
        Shelf("chinese", same, {"question": "x"}, languages=("zh",)),
        Shelf("english", same + " Here in English.", {"question": "x"}),
    ]
    hits = Catalog.build(sources, dense=False).search("Say which statement follows from the paragraph by logic.")
    assert [hit.card.id for hit in hits] == ["english", "chinese"]


@pytest.mark.skipif(installed_encoder() is None, reason="no encoder is installed (upcycle[embed])")
def test_meaning_finds_what_words_do_not_where_an_encoder_is_installed() -> None:
    assert first("Is this cinema critique favourable?", dense=True) == "films"


def test_a_folder_is_searched_as_it_lies(tmp_path: Path) -> None:
    for name, row in {"films": {"review": "a fine film"}, "soups": {"recipe": "boil the beet"}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text(json.dumps(row) + "\n")
    sources, _ = open_sources([str(tmp_path)])
    assert Catalog.build(sources, dense=False).search("a beet recipe")[0].card.id == "soups"


FITTING = {
    "describe_python": {"stdlib"},
    "code_line_description": {"mbpp", "humaneval"},
    "elementary_math_qa": {"aqua_rat"},
    "cause_and_effect": {"copa", "balanced_copa"},
    "imdb_sentiment": {"rotten_tomatoes", "sst2"},
    "math_word_problems": {"gsm8k", "multiarith"},
}


@pytest.fixture(scope="module")
def hub(shared_data: Path) -> Catalog:
    sources, _ = open_sources([str(shared_data / "hub"), "stdlib"])
    return Catalog.build(sources, dense=False)


@pytest.mark.data
@pytest.mark.parametrize("task", FITTING)
@pytest.mark.parametrize("shown", [True, False], ids=["with demonstrations", "by the instruction alone"])
def test_the_fitting_sources_of_the_shared_tasks_are_among_the_first_ten(
    shared_data: Path, hub: Catalog, task: str, shown: bool
) -> None:
    stated = json.loads((shared_data / "tasks" / task / "task.json").read_text(encoding="utf-8"))
    demonstrations = [f"{one['input']}\n{one['output']}" for one in stated["demonstrations"]] if shown else []
    hits = hub.search(stated["instruction"], demonstrations=demonstrations, limit=10)
    assert FITTING[task] <= {hit.card.id for hit in hits}
