"""Prices: the user's file, nothing on this machine, the published list, or unknown; never zero by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from upcycle.errors import ConfigError
from upcycle.llm.model import Usage
from upcycle.llm.openai import OPENAI
from upcycle.llm.prices import FREE, Price, find_price, read_prices


def price_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    return path


def test_the_users_price_wins_even_on_this_machine(tmp_path: Path) -> None:
    path = price_file(tmp_path, "openai/mine: {input: 0.5, output: 1.5, cached: 0.1}\nother: {input: 1, output: 2}\n")
    found = find_price("openai/mine", endpoint="http://127.0.0.1:1/v1", free=True, files=(path,))
    assert found == Price(500_000, 1_500_000, 100_000)
    assert find_price("openai/other", endpoint="x", free=False, files=(path,)) == Price(1_000_000, 2_000_000)
    assert find_price("openai/third", endpoint="x", free=True, files=(path,)) == FREE


def test_a_published_price_is_found() -> None:
    price = find_price("openai/gpt-4.1-mini", endpoint=OPENAI, free=False)
    assert price == Price(400_000, 1_600_000, 100_000)


def test_a_long_prompt_has_its_own_price() -> None:
    price = find_price("anthropic/claude-sonnet-4-5", endpoint="https://api.anthropic.com", free=False)
    assert price is not None
    assert price.threshold == 200_000
    assert price.cost(Usage(200_001, 0)) > 1.9 * price.cost(Usage(200_000, 0))


def test_an_unknown_model_has_no_price_rather_than_none_to_pay() -> None:
    assert find_price("openai/gpt-nope", endpoint=OPENAI, free=False) is None
    assert find_price("openai/anything", endpoint="https://models.example.com/v1", free=False) is None


def test_cost_is_rounded_up_and_cached_tokens_are_cheaper() -> None:
    price = Price(400_000, 1_600_000, 100_000)
    assert price.cost(Usage(1, 0)) == 1
    assert price.cost(Usage(1000, 100)) == 400 + 160
    assert price.cost(Usage(1000, 100, cached=1000)) == 100 + 160
    assert Price(400_000, 0).cost(Usage(1000, 0, cached=1000)) == 400


def test_no_usage_within_the_bound_costs_more_than_it() -> None:
    price = Price(400_000, 1_600_000, 100_000, 5000, 800_000, 2_000_000)
    for prompt in (1, 4999, 5001, 9000):
        assert price.cost(Usage(prompt, 70)) <= price.bound(9000, 70)


@pytest.mark.parametrize(
    "text",
    [
        "openai/m: 3\n",
        "openai/m: {input: 1}\n",
        "openai/m: {input: a, output: 2}\n",
        "openai/m: {input: -1, output: 2}\n",
        "openai/m: {input: 1, output: 2, extra: 3}\n",
        "- 1\n",
        "a: [b\n",
    ],
)
def test_a_wrong_price_file_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"price file .*prices\.yaml") as caught:
        read_prices(price_file(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_price_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prices(tmp_path / "none.yaml")
