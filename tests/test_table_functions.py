"""A function over a table counts only if running it shows that it computes something; the shipped recipe makes such."""

from __future__ import annotations

import json
import statistics
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from upcycle.config import Source2Synth
from upcycle.llm.model import Request
from upcycle.methods.source2synth import functions
from upcycle.methods.source2synth.application import Grounded, Unit, Writer
from upcycle.methods.source2synth.functions import PythonExecutor, function_in, known_statistic
from upcycle.methods.source2synth.recipe import RecipeApplication, open_recipe
from upcycle.records import Dropped
from upcycle.sources.tables.table import Table, make_table
from upcycle.task import make_task
from upcycle.testing import ScriptedModel

RECIPE = Path(__file__).parent.parent / "examples" / "spreadsheet_functions.yaml"
PRICES = [3, 1, 4, 1, 5, 9, 2, 6]
CSV = "item,price,stock\n" + "".join(f"item {n},{price},{100 - n}\n" for n, price in enumerate(PRICES))


def unit() -> Unit:
    rows = [[f"item {n}", price, 100 - n] for n, price in enumerate(PRICES)]
    table = make_table("prices.csv", ["item", "price", "stock"], rows)
    assert isinstance(table, Table)
    return Unit(table.id, "prices.csv", table, table.revision)


@pytest.fixture
async def executor() -> AsyncIterator[PythonExecutor]:
    opened = PythonExecutor()
    yield opened
    await opened.close()


def f(body: str, name: str = "f") -> str:
    return f"def {name}(table):\n    {body}"


MEAN = f("return sum(table['price']) / len(table['price'])")


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (MEAN, "3.875"),
        (f"```python\n{MEAN}\n```\nIt divides.", "3.875"),
        (f("return max(table['price'])", name="highest"), "9"),
        (f("return len(table['item'])"), "8"),
        (f("return len(set(table['price']))"), "7"),
        (f("return table['item'][table['price'].index(max(table['price']))]"), "item 5"),
        ("import math\n\n" + f("return math.sqrt(sum(table['stock']))"), "27.78488798"),
    ],
)
async def test_what_a_function_returns_on_the_table_is_the_truth(executor: PythonExecutor, code: str, answer: str):
    truth = await executor.truth(unit(), {"question": "What it computes.", "function": code})
    assert (truth.answer, truth.reason) == (answer, "")


@pytest.mark.parametrize(
    ("code", "question", "reason"),
    [
        ("The mean is the sum over the count.", "", functions.NONE),
        ("", "", functions.NONE),
        (f("return sum(table['price'] "), "", functions.NONE),
        (f("return 3.875"), "", functions.CONSTANT),
        (f("return table['price'][0]"), "", functions.ORDER),
        (f("return table['cost'][0]"), "", "the function raises an exception"),
        (f("return None"), "", functions.SHAPE),
        (f("return table"), "", functions.SHAPE),
        (f("return float('nan')"), "", functions.SHAPE),
        (f("return True"), "", functions.SHAPE),
        (f("return open('/etc/passwd').read()"), "", "the function cannot be run"),
        ("import os\n" + f("return os.getpid()"), "", "the function cannot be run"),
        (f("while True: pass"), "", "the function runs too long"),
        (f("return 'x' * 10**9"), "", "the function"),
        (f("return max(table['price'])"), "Compute the average price.", functions.WRONG),
        (f("return sum(table['price'])"), "Return the mean of the column price.", functions.WRONG),
    ],
)
async def test_a_function_that_computes_nothing_is_rejected_with_a_reason(
    executor: PythonExecutor, code: str, question: str, reason: str
):
    truth = await executor.truth(unit(), {"question": question, "function": code})
    assert truth.answer is None
    assert truth.reason.startswith(reason)


def test_a_statistic_is_checked_only_where_the_question_says_nothing_else():
    table = unit().value
    assert known_statistic("Compute the average price over all rows.", table) == [statistics.fmean(PRICES)]
    assert known_statistic("What is the standard deviation of the stock column?", table) == [
        pytest.approx(statistics.pstdev(range(93, 101))), pytest.approx(statistics.stdev(range(93, 101))),
    ]  # fmt: skip
    assert known_statistic("Compute the average price of items with a stock above 95.", table) == []
    assert known_statistic("Compute the difference between maximum and minimum price.", table) == []
    assert known_statistic("How many items are there?", table) == []


def test_a_function_is_found_in_a_reply():
    assert function_in("Sure:\n\nimport math\n\ndef f(table):\n    return 1\n\nThis is it.") == (
        "import math\n\ndef f(table):\n    return 1"
    )
    assert function_in("I define nothing.") is None


async def test_another_function_is_right_where_it_returns_the_same(executor: PythonExecutor):
    one = unit()
    writer = Writer(one, task=make_task("Write the function."), model=None, seed=0)
    own = {"function": MEAN, "question": "The mean.", "truth": "3.875"}
    grounded = writer.grounded("The mean.", MEAN, context="", details=own)
    other = f("total = 0\n    for p in table['price']:\n        total += p\n    return total / 8", name="g")
    assert await executor.same(one, grounded, f"The mean of all.\nAnswer: {other}")
    assert await executor.same(one, grounded, f"```python\n{other}\n```")
    assert not await executor.same(one, grounded, f("return max(table['price'])"))
    assert not await executor.same(one, grounded, f("return table['nothing']"))
    assert not await executor.same(one, grounded, "3.875")


# -- the shipped recipe ------------------------------------------------------------------------------------------------


def written(request: Request) -> str:
    """A model that writes one sound function, one that is wrong, one that raises and one in prose."""
    prompt = request.messages[0]["content"]
    number = request.sample % 1000
    if request.schema is None:
        return ["The average price is 3.875.", "The maximum price is 9.", "The sum of prices.", "The median."][number]
    question, code = [
        ("Compute the average of the column price.", MEAN),
        ("Compute the maximum of the column price.", f("return min(table['price'])")),
        ("Compute the sum of the column price.", f("return sum(table['prices'])")),
        ("Compute the median of the column price.", "The median is in the middle."),
    ][number]
    assert "<unit>" in prompt
    assert "item | price | stock" in prompt
    return json.dumps({"question": question, "function": code})


async def constructed(tmp_path: Path) -> tuple[RecipeApplication, list[Grounded | Dropped]]:
    (tmp_path / "prices.csv").write_text(CSV)
    application = open_recipe(RECIPE, [str(tmp_path / "prices.csv")], Source2Synth())
    (found,) = application.units(0)
    assert isinstance(found, Unit)
    task = make_task("Write a Python function that computes what is asked of a table.")
    writer = Writer(found, task=task, model=ScriptedModel(written), seed=0, wanted=4)
    return application, await application.construct(found, writer)


async def test_the_shipped_recipe_makes_functions_that_were_run_on_the_table(tmp_path: Path):
    application, (sound, *dropped) = await constructed(tmp_path)
    await application.close()
    assert isinstance(sound, Grounded)
    assert (sound.question, sound.answer) == ("Compute the average of the column price.", MEAN)
    assert (sound.rationale, sound.details["truth"]) == ("The average price is 3.875.", "3.875")
    assert sound.context.startswith("Table: prices\nitem | price | stock\n")
    assert [one.reason for one in dropped if isinstance(one, Dropped)] == [
        functions.WRONG, "the function raises an exception", functions.NONE,
    ]  # fmt: skip
