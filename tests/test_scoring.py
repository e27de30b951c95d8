"""Options are scored by likelihood with nothing computed twice, and the numbers are those of scoring each alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import byte_models
from upcycle.errors import ConfigError, UpcycleError
from upcycle.training.causal.scoring import encode, likelihoods, score_tokens

for library in ("torch", "transformers"):
    pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:(torch|transformers)")

DEMONSTRATIONS = (
    "Which makes more sense?\nchoice: It rained.\nchoice: I got wet.\nIt rained.\n\n"
    "Which makes more sense?\nchoice: I fell.\nchoice: It hurt.\nI fell.\n\n"
)
ITEMS = [
    ("The child hurt their knee.\n", ["The child started crying.", "no", "The car got dirty and I washed it."]),
    ("My car got dirty. Why, and what then? It started raining.\n", ["yes", "no"]),
    ("x", [" y", " a longer option that has many tokens in it", " z", " y y"]),
    ("The film was great and the film was bad. ", ["positive", "negative"]),
]
PROMPTS = [DEMONSTRATIONS + text for text, _ in ITEMS]
OPTIONS = [options for _, options in ITEMS]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return byte_models.save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def llama() -> Any:
    return byte_models.make("llama")


def largest_gap(found: list[list[float]], wanted: list[list[float]]) -> float:
    return max(
        abs(a - b) for ones, others in zip(found, wanted, strict=True) for a, b in zip(ones, others, strict=True)
    )


@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox", "qwen2"])
def test_sharing_prompts_gives_the_numbers_of_scoring_each_option_alone(kind: str, tokenizer: Any):
    model = byte_models.make(kind)
    shared = likelihoods(model, tokenizer, PROMPTS, OPTIONS)
    alone = likelihoods(model, tokenizer, PROMPTS, OPTIONS, shared=False)
    assert shared.shared
    assert not alone.shared
    assert largest_gap(shared.values, alone.values) <= 1e-4
    assert len({round(one, 3) for ones in alone.values for one in ones}) > 8  # they are not all alike


@pytest.mark.parametrize("kind", ["bloom", "mamba", "mistral"])
def test_an_architecture_that_cannot_share_is_scored_right_all_the_same(kind: str, tokenizer: Any):
    model = byte_models.make(kind)
    found = likelihoods(model, tokenizer, PROMPTS, OPTIONS)
    alone = likelihoods(model, tokenizer, PROMPTS, OPTIONS, shared=False)
    assert largest_gap(found.values, alone.values) <= 1e-4


def test_a_likelihood_is_the_sum_over_the_options_own_tokens(llama: Any, tokenizer: Any):
    import torch

    [[found]] = likelihoods(llama, tokenizer, ["It started raining. "], [["I opened"]]).values
    start, whole = tokenizer.encode("It started raining."), tokenizer.encode("It started raining. I opened")
    with torch.no_grad():
        logs = llama(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
    by_hand = sum(float(logs[at - 1, whole[at]]) for at in range(len(start), len(whole)))
    assert found == pytest.approx(by_hand, abs=1e-4)


def test_spaces_before_the_answer_belong_to_its_first_token(tokenizer: Any):
    item = encode(tokenizer, "answer: ", ["yes"], most=100)
    assert list(item.prompt) == tokenizer.encode("answer:")
    assert list(item.prompt + item.options[0]) == tokenizer.encode("answer: yes")


def test_an_empty_prompt_is_begun_by_the_models_first_token(llama: Any, tokenizer: Any):
    item = encode(tokenizer, "", ["yes", "no"], most=100)
    assert item.prompt == (tokenizer.bos_token_id,)
    shared = likelihoods(llama, tokenizer, ["", "x"], [["yes", "no"], ["yes"]])
    alone = likelihoods(llama, tokenizer, ["", "x"], [["yes", "no"], ["yes"]], shared=False)
    assert largest_gap(shared.values, alone.values) <= 1e-4


def test_what_all_prompts_begin_with_is_read_once(llama: Any, tokenizer: Any):
    read = []
    hook = llama.register_forward_pre_hook(
        lambda module, given, named: read.append(named["input_ids"].numel()), with_kwargs=True
    )
    try:
        likelihoods(llama, tokenizer, PROMPTS * 8, OPTIONS * 8)
        once, read[:] = sum(read), []
        likelihoods(llama, tokenizer, PROMPTS * 8, OPTIONS * 8, shared=False)
        alone = sum(read)
    finally:
        hook.remove()
    assert alone > 3 * once


def test_small_batches_give_the_same_numbers(llama: Any, tokenizer: Any):
    many = likelihoods(llama, tokenizer, PROMPTS, OPTIONS)
    one = likelihoods(llama, tokenizer, PROMPTS, OPTIONS, at_once=1)
    assert largest_gap(many.values, one.values) <= 1e-4


def test_where_memory_does_not_suffice_batches_are_halved_and_the_numbers_are_the_same(llama: Any, tokenizer: Any):
    import torch

    sizes = []

    def full(module: Any, given: Any, named: Any) -> None:
        rows = named["input_ids"].shape[0]
        sizes.append(rows)
        if rows > 2:
            raise torch.OutOfMemoryError("no memory for so many rows")

    wanted = likelihoods(llama, tokenizer, PROMPTS * 3, OPTIONS * 3)
    hook = llama.register_forward_pre_hook(full, with_kwargs=True)
    try:
        found = likelihoods(llama, tokenizer, PROMPTS * 3, OPTIONS * 3)
    finally:
        hook.remove()
    assert max(sizes) > 2
    assert largest_gap(found.values, wanted.values) <= 1e-4


def test_an_item_that_fits_into_no_memory_is_said_in_a_sentence(llama: Any, tokenizer: Any):
    import torch

    long = [text * 6 for text in PROMPTS]

    def full(module: Any, given: Any, named: Any) -> None:
        if named["input_ids"].shape[1] > 100:
            raise torch.OutOfMemoryError("no memory for so long a row")

    hook = llama.register_forward_pre_hook(full, with_kwargs=True)
    try:
        with pytest.raises(UpcycleError, match=r"not enough memory to score one item of \d+ tokens"):
            likelihoods(llama, tokenizer, long, OPTIONS)
    finally:
        hook.remove()


def test_a_prompt_longer_than_the_model_loses_its_beginning_and_is_counted(tokenizer: Any):
    model = byte_models.make("llama", context=48)
    found = likelihoods(model, tokenizer, [DEMONSTRATIONS * 3, "short"], [["yes", "no"], ["yes", "no"]])
    item = encode(tokenizer, DEMONSTRATIONS * 3, ["yes", "no"], most=48)
    assert found.cut == 1
    assert item.cut > 0
    assert len(item.prompt) + max(map(len, item.options)) - 1 == 48
    assert tokenizer.decode(item.prompt).endswith("I fell.")
    alone, _ = score_tokens(model, [item], shared=False)
    assert found.values[0] == pytest.approx(alone[0], abs=1e-4)


def test_an_option_longer_than_the_model_is_refused_in_a_sentence(tokenizer: Any):
    model = byte_models.make("llama", context=16)
    with pytest.raises(ConfigError, match=r"a choice of \d+ tokens is longer than the 16 the model reads"):
        likelihoods(model, tokenizer, ["x"], [["yes", "no " * 40]])


def test_an_empty_option_is_refused_in_a_sentence(llama: Any, tokenizer: Any):
    with pytest.raises(ConfigError, match="an empty choice cannot be scored"):
        likelihoods(llama, tokenizer, ["x"], [["yes", " "]])


def test_no_items_is_no_work(llama: Any, tokenizer: Any):
    assert likelihoods(llama, tokenizer, [], []).values == []


def test_a_model_in_training_is_still_in_training_afterwards(llama: Any, tokenizer: Any):
    llama.train()
    try:
        likelihoods(llama, tokenizer, ["x"], [["yes", "no"]])
        assert llama.training
    finally:
        llama.eval()


# -- beside lm-evaluation-harness ----------------------------------------------------------------------------------


def test_scores_agree_with_lm_evaluation_harness_on_two_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("lm_eval", reason="needs lm-eval")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from harness import agreement

    model = byte_models.save(tmp_path / "model")
    rows = [(f"{text} Number {n}.", options) for n in range(6) for text, options in (ITEMS[0], ITEMS[1])]
    chosen = tmp_path / "chosen.jsonl"
    chosen.write_text(_jsonl([
        {"input": text, "output": options[n % len(options)].strip(), "choices": [one.strip() for one in options]}
        for n, (text, options) in enumerate(rows)
    ]))  # fmt: skip
    labels = tmp_path / "labels.jsonl"
    labels.write_text(_jsonl([
        {"input": f"The film was {word} {n}", "output": label}
        for n in range(12) for word, label in (("great", "positive"), ("bad", "negative"))
    ]))  # fmt: skip
    for gold in (chosen, labels):
        found = agreement(model, gold, tmp_path / f"lm-{gold.stem}")
        assert found.items == len(gold.read_text().splitlines())
        assert found.largest_gap <= 1e-4
        assert found.ours == pytest.approx(found.theirs, abs=1e-4)
        assert math.isfinite(found.largest_gap)


def _jsonl(rows: list[dict[str, Any]]) -> str:
    import json

    return "".join(json.dumps(row) + "\n" for row in rows)
