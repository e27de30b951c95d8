import json
import random
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upcycle.config import Curation
from upcycle.curation.checks import tiers_of
from upcycle.curation.decontamination.alignment import aligned
from upcycle.curation.decontamination.confirmation import confirmed
from upcycle.curation.decontamination.numbers import numbers_of
from upcycle.curation.decontamination.paraphrase import Paraphrases
from upcycle.curation.decontamination.removals import contamination_report, in_markdown
from upcycle.curation.decontamination.tiers import GoldIndex, contamination_check, tiers_in_words
from upcycle.curation.duplicates.semantic import semantic_check
from upcycle.errors import ConfigError, RowKind
from upcycle.llm import weights
from upcycle.llm.model import Request
from upcycle.records import Dropped, Example, Origin, Record
from upcycle.sources.encoder import SentenceEncoder, installed_encoder
from upcycle.sources.minilm import Reading, load_minilm
from upcycle.testing import ScriptedModel

IDS = (f"{n:016x}" for n in count(1))
TWO = ("exact", "overlap")
LONG = (
    "A farmer walks from his house to the market in the next village every Saturday morning with a basket of eggs and "
    "comes home in the afternoon with flour, salt and sometimes a newspaper for his neighbour"
)
CONCEPTS = [
    {"car", "vehicle", "automobile"}, {"stolen", "taken", "robbed"}, {"night", "dark", "dusk"},
    {"doctor", "physician", "medic"}, {"river", "stream", "brook"}, {"child", "kid", "infant"},
    {"buy", "purchase", "acquire"}, {"angry", "furious", "cross"},
]  # fmt: skip


def concepts(texts: Sequence[str]) -> Any:
    """A small real encoder: which ideas a text names, whatever the word."""
    rows = np.full((len(texts), len(CONCEPTS) + 1), 1e-3, np.float32)
    for row, text in enumerate(texts):
        words = set(re.findall(r"\w+", text.lower()))
        rows[row, :-1] += [bool(words & concept) for concept in CONCEPTS]
        rows[row, -1] += not rows[row, :-1].max() > 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


ENCODER = SentenceEncoder("minilm", concepts)
ITEM = "The doctor found that his car was stolen in the night."
SAME = "At dusk a physician noticed somebody had robbed his vehicle."


def example(text: str, output: str = "x", choices: tuple[str, ...] | None = None) -> Example:
    return Example(next(IDS), text, output, Origin("test"), choices=choices)


def record(**fields: Any) -> Record:
    return Record("s", "default", "train", "0", fields)


@pytest.mark.parametrize(
    "text", [LONG.upper(), f"  {LONG.replace(' ', '  ')} !?", LONG.replace("house", "ｈｏｕｓｅ"), f"“{LONG}”"]
)
def test_the_same_words_are_found_whatever_their_spelling(text: str):
    match = GoldIndex([("another item", None), (LONG, None)], tiers=("exact",)).match(text)
    assert match is not None
    assert (match.tier, match.item, match.score) == ("exact", 1, 1.0)


def test_a_span_of_half_an_item_is_found_wherever_it_stands():
    index = GoldIndex([(LONG, None)], tiers=("overlap",))
    words = LONG.split()
    half = (len(words) + 1) // 2
    for start in range(len(words) - half + 1):
        inside = " ".join(["Read", "this", "closely", "now", *words[start : start + half], *["filler"] * 60])
        match = index.match(inside)
        assert match is not None, start
        assert match.tier == "overlap"


def test_a_few_words_in_common_are_no_contamination():
    index = GoldIndex([(LONG, None)], tiers=TWO)
    assert (
        index.match("He walks from his house to the market in the next village and buys nothing at all there") is None
    )


def test_a_run_of_25_words_counts_however_long_the_texts_are():
    item = " ".join(f"g{n}" for n in range(400))
    index = GoldIndex([(item, None)], tiers=TWO)
    other = [f"x{n}" for n in range(400)]
    assert index.match(" ".join([*other, *item.split()[50:75]])) is not None
    assert index.match(" ".join([*other, *item.split()[50:74]])) is None


def test_a_very_short_item_inside_a_long_text_is_no_contamination():
    index = GoldIndex([("the movie was very good", None)], tiers=TWO)
    assert index.match("I think the movie was very good indeed") is not None
    assert index.match(f"{LONG} and the movie was very good") is None


def test_what_many_items_share_neither_counts_nor_hides_the_rest():
    opening = "Read the following short story about a family and say in one word how its hero feels at the end"
    items = [(f"{opening}: {LONG.replace('farmer', f'farmer{n} {n}')} in year {n}", None) for n in range(2)]
    items += [(f"{opening}: " + " ".join(f"s{n}x{k}" for k in range(30)), None) for n in range(60)]
    index = GoldIndex(items, tiers=TWO)
    assert index.match(f"{opening}: a story that nobody has told before about two dogs in a town by the sea") is None
    match = index.match(f"{opening}: " + " ".join(f"s7x{k}" for k in range(15)))
    assert match is not None
    assert match.item == 9


def test_a_verdict_names_kind_item_and_score():
    verdict = contamination_check([("first", None), (LONG, None)], tiers=TWO)(example(LONG))
    assert (verdict.keep, verdict.kind, verdict.other, verdict.score) == (False, "contaminated", "gold 2", 1.0)
    assert verdict.reason == "has the same words as gold item 2"


def test_a_record_is_refused_before_anything_is_made_of_it():
    index = GoldIndex(
        [(LONG, ("eggs", "milk")), ("Which is right?", ("a", "b")), ("Which is right?", ("c", "d"))], tiers=TWO
    )
    assert not index.contaminated_record(record(question=LONG.lower(), options=["eggs", "milk"], n=3, none=None)).keep
    assert not index.contaminated_record(record(passage=f"{LONG}. {LONG[:60]}", meta={"id": 7})).keep
    assert not index.contaminated_record(record(turns=[{"text": "hello"}, {"text": LONG}])).keep
    assert index.contaminated_record(record(question="Which is right?", answer="e")).keep
    assert index.contaminated_record(record(n=3, flag=True, none=None)).keep
    assert index.contaminated_record(record()).keep


def test_paraphrases_are_found_by_meaning_and_numbers_must_agree():
    items = [(ITEM, None), ("The child was angry at the river.", None), ("They buy 12 cakes for the child.", None)]
    index = GoldIndex(items, encode=ENCODER)
    assert index.tiers == ("exact", "overlap", "semantic")
    match = index.match(SAME)
    assert match is not None
    assert (match.tier, match.item) == ("semantic", 0)
    assert match.score > 0.6
    assert match.reason == "says in other words what gold item 1 says"
    assert index.match("They purchase twelve tarts for the infant.") is not None
    assert index.match("They purchase 30 tarts for the infant.") is None
    assert index.match("Nothing of this is about any of them, honestly.") is None
    assert not index.contaminated_record(record(id="1", story=SAME)).keep


def test_rows_of_the_golds_own_kind_are_no_paraphrases():
    rng = random.Random(5)
    vocabulary = [
        f"{a}{b}" for a in ("bar", "sol", "ten", "mir", "ruk", "kal") for b in ("do", "lin", "ver", "sat", "tor")
    ]

    def reviews(texts: Sequence[str]) -> Any:
        """One genre: a large part of every vector is the same."""
        rows = np.array([[3.0, *(float(word in text.split()) for word in vocabulary)] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    gold, rows = ([" ".join(rng.sample(vocabulary, 8)) for _ in range(many)] for many in (60, 60))
    encoder = SentenceEncoder("minilm", reviews)
    everything = Paraphrases(gold, encoder).nearest(rows)
    alone = [Paraphrases([gold[near.item]], encoder).nearest([row])[0]
             for row, near in zip(rows, everything, strict=True) if near is not None]  # fmt: skip
    assert sum(near is not None and near.same for near in alone) > 30
    assert sum(near is not None and near.same for near in everything) <= 1


def test_what_is_judged_a_paraphrase_does_not_depend_on_what_was_judged_before():
    items = [(ITEM, None), ("The child was angry at the river.", None)]
    rows = [example(SAME), example("They purchase tarts for the infant."), example("A cross kid saw the stream.")]
    index = GoldIndex(items, tiers=("semantic",), encode=ENCODER)
    forwards = [index.contaminated_example(row) for row in rows]
    assert [index.contaminated_example(row) for row in reversed(rows)] == forwards[::-1]
    assert not forwards[0].keep


def test_paraphrases_are_looked_for_among_texts_of_up_to_80_words():
    long = f"{ITEM} {' '.join(f'w{n}' for n in range(80))}"
    index = GoldIndex([(long, None), (ITEM, None)], tiers=("semantic",), encode=ENCODER)
    match = index.match(SAME)
    assert match is not None
    assert match.item == 1
    assert index.match(f"{SAME} {' '.join(f'v{n}' for n in range(80))}") is None
    assert GoldIndex([(long, None)], tiers=("semantic",), encode=ENCODER).match(SAME) is None


def test_a_tier_that_was_not_asked_for_is_not_looked_through():
    index = GoldIndex([(ITEM, None)], tiers=("exact",), encode=ENCODER)
    assert index.tiers == ("exact",)
    assert index.match(SAME) is None
    with pytest.raises(ConfigError, match="tier 'ngram' is not there; known tiers: exact, overlap, semantic"):
        GoldIndex([], tiers=("ngram",))


def test_a_build_looks_for_paraphrases_where_it_is_told_to_and_where_a_model_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    asked = Curation(contamination=("exact", "semantic"))
    assert tiers_of(asked, written=False) == ("exact", "semantic")
    assert tiers_of(Curation(), written=False) == TWO
    fetched = load_minilm(weights.path("minilm")) is not None
    assert tiers_of(Curation(), written=True) == ((*TWO, "semantic") if fetched else TWO)
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path))
    assert tiers_of(Curation(), written=True) == TWO  # static vectors find too few


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("ten thousand euros", {"10000"}),
        ("10,000 euros", {"10000"}),
        ("three hundred and twelve of twenty-five", {"312", "25"}),
        ("two million three hundred thousand", {"2300000"}),
        ("3 billion", {"3000000000"}),
        ("two, four or six; one of them", {"2", "4", "6"}),
        ("nineteen ninety two", {"19", "92"}),
        ("a hundred", {"100"}),
        ("36m and ½", {"36m", "1⁄2"}),
        ("", set()),
    ],
)
def test_numbers_are_the_same_in_words_and_in_digits(text: str, numbers: set[str]):
    assert numbers_of(text) == numbers


def test_texts_align_word_by_word_and_what_finds_no_match_counts_by_itself():
    def reading(*words: int) -> Reading:
        rows = np.eye(6, dtype=np.float32)[list(words)]
        return Reading(rows[:1], rows, np.ones(len(words), np.float32))

    assert aligned(reading(0, 1, 2), reading(2, 1, 0)) == (1.0, 1.0, 1.0, 1.0)
    there, back, worst_there, worst_back = aligned(reading(0, 1, 2), reading(0, 1, 5))
    assert (there, back) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (worst_there, worst_back) == (0.0, 0.0)
    nothing = Reading(np.eye(6, dtype=np.float32)[:1], np.zeros((0, 6), np.float32), np.zeros(0, np.float32))
    assert aligned(nothing, reading(0)) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.embedded
@pytest.mark.slow
def test_a_set_is_judged_together_and_what_leaked_into_it_is_found():
    model = load_minilm(weights.path("minilm"))
    if model is None:
        pytest.skip("MiniLM is not fetched: upcycle models fetch minilm")
    file = Path(__file__).parent.parent / "benchmarks" / "paraphrases.jsonl"
    pairs = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()][:40]
    things = ("train", "kettle", "lamp", "river", "violin", "camera", "bakery", "ladder", "garden", "window", "pillow")
    plain = [f"The {one} by the {other} was {fate}." for one in things for other in things if one < other
             for fate in ("sold", "old", "red")]  # fmt: skip
    index = GoldIndex([(pair["text"], None) for pair in pairs], encode=SentenceEncoder("minilm", model, model.read))
    rows = [example(text) for text in (*(pair["paraphrase"] for pair in pairs), *plain)]
    found = index.matches(rows)
    right = sum(match is not None and match.item == number for number, match in enumerate(found[: len(pairs)]))
    assert right >= 28
    assert not any(found[len(pairs) :])
    alone = [index.match(row.input) for row in rows[: len(pairs)]]
    assert sum(match is not None for match in alone) <= right


@pytest.mark.embedded
def test_minilm_reads_the_same_vector_it_encodes():
    model = load_minilm(weights.path("minilm"))
    if model is None:
        pytest.skip("MiniLM is not fetched: upcycle models fetch minilm")
    texts = ["That is a happy person", "", "The cat sits outside, says she"]
    readings = model.read(texts)
    assert np.stack([one.vectors[0] for one in readings]) == pytest.approx(model(texts), abs=1e-6)
    assert [len(one.tokens) for one in readings] == [5, 0, 7]
    assert readings[0].weights[0] < readings[0].weights[3]  # "that" is plainer than "happy"


def test_what_is_looked_for_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path))
    said = tiers_in_words(TWO)
    assert said.startswith("gold is looked for by the same words, verbatim spans; not by paraphrases, which `upcycle")
    expected = "static word vectors" if installed_encoder() else "no encoder is installed"
    assert expected in tiers_in_words()


@pytest.mark.parametrize("items", [[], [("", None)], [("?!", None)], [("x", ())], [("a" * 100_000, None)]])
@pytest.mark.parametrize(
    "text", ["", "?", "😀😀", "人工智能正在改变我们的世界", "مرحبا بالعالم", "\ud800", "word " * 50_000]
)
def test_odd_gold_and_odd_texts_are_judged_without_trouble(items: list[tuple[str, Any]], text: str):
    index = GoldIndex(items, encode=ENCODER)
    index.contaminated_example(example(text))
    index.contaminated_record(record(text=text, more=[text]))


def test_chinese_items_are_found_in_longer_texts():
    item = "小明家里有三只猫和两只狗,后来又买了四条金鱼,请问他们家一共有多少只动物?"
    index = GoldIndex([(item, None)], tiers=TWO)
    assert index.match(f"数学题:{item} 请回答。") is not None
    assert index.match("今天天气很好,我们一起去公园里散步,看见了很多漂亮的花和小鸟,大家都很高兴。") is None


def test_the_report_shows_row_and_item_side_by_side():
    gone = Dropped("d1", Origin("test"), "curation", RowKind.DUPLICATE, "x", input=LONG.upper())
    pairs = contamination_report([example("harmless"), gone, example(SAME)], [(LONG, None), (ITEM, None)],
                                 index=GoldIndex([(LONG, None), (ITEM, None)], encode=ENCODER))  # fmt: skip
    assert [(pair["tier"], pair["item"], pair["gold"]) for pair in pairs] == [("exact", 1, LONG), ("semantic", 2, ITEM)]
    assert json.loads(json.dumps(pairs)) == pairs
    why = GoldIndex([(LONG, None), (ITEM, None)], encode=ENCODER).match(SAME)
    assert why is not None
    told = Dropped("d2", Origin("test"), "curation", RowKind.CONTAMINATED, why.reason, SAME, "x", why.score, "gold 2")
    found = contamination_report([told], [(LONG, None), (ITEM, None)], index=GoldIndex([], tiers=TWO))
    assert [(pair["tier"], pair["item"], pair["reason"]) for pair in found] == [("semantic", 2, why.reason)]
    page = in_markdown(pairs, most=1)
    assert "| exact | 1 |\n| overlap | 0 |\n| semantic | 1 |" in page
    assert LONG.upper() in page
    assert "1 more pairs are not shown." in page


async def test_a_model_is_asked_about_what_is_possible_and_its_word_counts():
    index = GoldIndex([(ITEM, None), ("They buy 12 cakes for the child.", None)], encode=ENCODER)
    rows = [
        example(SAME),
        example("Nothing to do with it, nothing at all."),
        example("A physician robbed a vehicle at dusk."),
    ]

    def careful(request: Request) -> dict[str, Any]:
        shown = re.findall(r'<pair id="(\w+)">\nText:\n(.*)\nItem:\n(.*)\n</pair>', request.messages[-1]["content"])
        assert all(item == ITEM for _, _, item in shown)
        return {key: {"same": text == SAME} for key, text, _ in shown}

    model = ScriptedModel(careful)
    verdicts = await confirmed(rows, index, model)
    assert list(verdicts) == [rows[0].id]
    assert verdicts[rows[0].id].other == "gold 1"
    assert len(model.requests) == 1
    assert "Nothing to do" not in model.requests[0].messages[-1]["content"]
    broken = await confirmed(rows, index, ScriptedModel(lambda _: "no idea"))
    assert rows[0].id in broken  # where there is no answer, the encoder's own rule stands


def test_semantic_duplicates_name_the_kept_one_and_heed_answers_and_numbers():
    check = semantic_check(concepts, 0.95)
    first = example(ITEM, "theft")
    assert check(first).keep
    verdict = check(example(SAME, "theft"))
    assert (verdict.keep, verdict.kind, verdict.other) == (False, "duplicate", first.id)
    assert check(example(SAME, "no theft")).keep
    assert check(example(f"{SAME} It was worth 900 pounds.", "theft")).keep
    for number in range(40):
        assert check(example(f"{ITEM} Case {number + 2}.", "theft")).keep
    with pytest.raises(ConfigError, match="no cosine"):
        semantic_check(concepts, 0)


def test_static_vectors_find_a_light_rewrite():
    pytest.importorskip("wordllama")
    encode = installed_encoder()
    assert encode is not None
    index = GoldIndex([(LONG, None), (ITEM, None)], encode=SentenceEncoder("static", encode), tiers=("semantic",))
    match = index.match("The doctor found in the night that his car was stolen")
    assert match is not None
    assert match.item == 1
    assert index.match("Some banks have raised the interest on savings since the spring") is None


@pytest.mark.embedded
def test_minilm_gives_the_vectors_its_authors_publish():
    model = load_minilm(weights.path("minilm"))
    if model is None:
        pytest.skip("MiniLM is not fetched: upcycle models fetch minilm")
    rows = model(["The cat sits outside", "That is a happy person", "That is a happy dog", "", "word " * 999, "\ud800"])
    assert rows[0, :3] == pytest.approx([0.1393, 0.0030, 0.0470], abs=2e-4)
    assert rows[1] @ rows[2] == pytest.approx(0.6945, abs=1e-3)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    alone = model(["That is a happy dog"])
    assert alone[0] == pytest.approx(rows[2], abs=1e-5)  # the company a text travels in changes nothing


@pytest.mark.data
def test_five_problems_of_aqua_rat_lie_in_bigbench(shared_data: Path):
    import pyarrow.parquet as pq

    gold = pq.read_table(shared_data / "bigbench" / "elementary_math_qa" / "test.parquet").to_pylist()
    index = GoldIndex([(item["input"], item["choices"]) for item in gold], tiers=TWO)
    rows = [json.loads(line) for file in sorted((shared_data / "hub" / "aqua_rat").glob("*.jsonl"))
            for line in file.read_text(encoding="utf-8").splitlines()]  # fmt: skip
    found = [row["question"] for row in rows if index.match_fields(row) is not None]
    assert len(rows) == 508
    assert 5 <= len(found) <= 10
    for known in ("10 oarsmen in a boat", "36% marks to pass", "severe headaches", "carpeting a room 13 m long"):
        assert any(known in question for question in found), known
