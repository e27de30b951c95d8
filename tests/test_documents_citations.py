"""Answers from a folder of documents, each with a citation that is a passage of them and holds the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from upcycle.config import Source2Synth
from upcycle.llm.model import Request
from upcycle.methods.source2synth.application import Grounded, Truth, Unit, Writer
from upcycle.methods.source2synth.citations import CitationExecutor, cited, parts_of, quoted
from upcycle.methods.source2synth.documents import open_ground
from upcycle.methods.source2synth.recipe import open_recipe
from upcycle.records import Dropped
from upcycle.sources.documents import Document, Passage, make_document
from upcycle.task import make_task
from upcycle.testing import ScriptedModel

RECIPE = Path(__file__).parent.parent / "examples" / "cited_answers.yaml"
REFUNDS = make_document(
    "refunds.md",
    "Refunds",
    [
        Passage("Refunds are paid within 30 days. “Damaged goods” are replaced\nfree of charge."),
        Passage("Ask the desk."),
    ],
)
UNIT = Unit("refunds.md", "handbook", REFUNDS)
GOOD = {
    "question": "How soon are refunds paid?",
    "answer": "within 30 days",
    "quote": "Refunds are paid within 30 days.",
}


def truth(made: Mapping[str, str]) -> Truth:
    return asyncio.run(CitationExecutor().truth(UNIT, made))


def test_an_answer_is_kept_with_the_words_of_the_document_and_where_they_stand():
    assert truth(GOOD).answer == 'within 30 days\nSource: refunds.md: "Refunds are paid within 30 days."'


def test_what_is_cited_is_the_documents_own_text_not_the_models():
    made = {
        "question": "What happens to damaged goods?", "answer": "replaced",
        "quote": '"damaged goods"  are replaced free of CHARGE',
    }  # fmt: skip
    found = truth(made).answer
    assert found is not None
    assert parts_of(found).quote == "“Damaged goods” are replaced\nfree of charge."
    assert parts_of(found).quote in REFUNDS.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quote": "Refunds are paid within 40 days."}, "the quotation does not stand in the document word for word"),
        ({"quote": ""}, "the quotation does not stand in the document word for word"),
        ({"quote": "free of charge. Ask the desk."}, "the quotation does not stand in the document word for word"),
        ({"quote": "Ask the desk."}, "the quotation is not between 4 and 80 words long"),
        ({"answer": "40 days"}, "the quotation does not hold the answer"),
        ({"answer": "Yes"}, "the answer is empty, or yes or no"),
        ({"answer": "..."}, "the answer is empty, or yes or no"),
        ({"question": "Are refunds paid within 30 days?"}, "the answer stands in the question"),
        ({"question": "Tell me."}, "the question is no question"),
        ({"question": "What does the document say of refunds?"},
         "the question points at a text that nobody sees beside it"),
    ],
)  # fmt: skip
def test_what_is_not_borne_out_by_the_document_is_dropped_with_the_reason(change: dict[str, str], reason: str):
    assert truth({**GOOD, **change}) == Truth(None, reason)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ('It is within 30 days.\nSource: refunds.md: "paid within 30 days"', True),
        ('Thinking. Answer: within 30 days\nSource: refunds.md: "Refunds are paid within 30 days."', True),
        ("within 30 days", False),
        ('within 40 days\nSource: refunds.md: "Refunds are paid within 30 days."', False),
        ('within 30 days\nSource: refunds.md: "Refunds come within 30 days."', False),
        ('within 30 days\nSource: refunds.md: "are replaced free of charge."', False),
    ],
)
def test_a_reply_is_right_if_it_comes_to_the_answer_and_cites_a_passage_that_holds_it(said: str, right: bool):
    writer = Writer(UNIT, task=make_task("Answer."), model=None, seed=0)
    grounded = writer.grounded(GOOD["question"], cited("within 30 days", "refunds.md", GOOD["quote"]), context="")
    assert asyncio.run(CitationExecutor().same(UNIT, grounded, said)) is right


def test_a_quotation_that_breaks_off_inside_a_word_is_made_whole():
    assert quoted("efunds are paid with", REFUNDS) == "Refunds are paid within"
    assert quoted("***", REFUNDS) is None


def test_the_shipped_recipe_makes_cited_answers_of_a_folder(tmp_path: Path):
    (tmp_path / "refunds.md").write_text("# Refunds\n\nRefunds are paid within 30 days.\n", encoding="utf-8")
    (tmp_path / "desk.html").write_text("<h1>Desk</h1><p>The desk opens at 9 o'clock.</p>", encoding="utf-8")
    (tmp_path / "broken.txt").write_bytes(b"\xff\xfe\0")

    def said(request: Request) -> str:
        prompt = request.messages[-1]["content"]
        if "Wish:" not in prompt:
            return "When something happens."
        if "Refunds" in prompt:
            return orjson.dumps(GOOD).decode()
        return orjson.dumps({"question": "When?", "answer": "9 o'clock", "quote": "It opens at 9 o'clock."}).decode()

    model = ScriptedModel(said)
    application = open_recipe(RECIPE, [str(tmp_path)], Source2Synth())

    async def made() -> list[Grounded | Dropped]:
        found: list[Grounded | Dropped] = []
        for unit in application.units(0):
            if isinstance(unit, Dropped):
                found.append(unit)
            else:
                writer = Writer(unit, task=make_task("Answer questions about our handbook."), model=model, seed=0)
                found += await application.construct(unit, writer)
        await application.close()
        return found

    found = asyncio.run(made())
    kept = [one for one in found if isinstance(one, Grounded)]
    assert [one.answer for one in kept] == ['within 30 days\nSource: refunds.md: "Refunds are paid within 30 days."']
    assert {one.reason for one in found if isinstance(one, Dropped)} == {
        "it is not UTF-8 text", "the quotation does not stand in the document word for word"
    }  # fmt: skip
    assert (
        "Title: Refunds\nRefunds are paid" in model.requests[0].messages[-1]["content"]
        or "Title: Desk" in (model.requests[0].messages[-1]["content"])
    )


def test_of_a_long_document_a_drawn_stretch_is_shown_and_never_more_than_there_is_room_for(tmp_path: Path):
    for number in range(20):
        text = "\n\n".join(f"Paragraph {at} of book {number}. " + "Words follow. " * 20 for at in range(100))
        (tmp_path / f"book-{number}.md").write_text(f"# Book {number}\n\n{text}\n", encoding="utf-8")
    ground = open_ground([tmp_path])
    units = [unit for unit in ground.units(0) if isinstance(unit, Unit)]
    shown = [ground.shown(unit, 2000) for unit in units]
    ground.store.close()
    assert all(1000 < len(text) <= 2000 for text in shown)
    begins = {text.split("\n")[1].split(" of ")[0] for text in shown}
    assert len(begins) > 10
    assert all(isinstance(unit.value, Document) for unit in units)
