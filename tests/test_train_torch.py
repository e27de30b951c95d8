"""Students of torch, trained for real on models of a few thousand weights."""

from __future__ import annotations

import itertools
import json
import math
import random
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tiny_models
from test_train import REVIEWS, example
from upcycle.config import Training
from upcycle.errors import ConfigError, StaleRunError, UpcycleError
from upcycle.records import Example
from upcycle.training.fit import fit
from upcycle.training.predictor import Predictor, Progress
from upcycle.training.saved import facts_of, load

for library in ("torch", "transformers", "trl", "peft", "accelerate"):
    pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning:(torch|transformers|trl|peft|accelerate)",
    "ignore::DeprecationWarning:(torch|transformers|trl|peft|accelerate)",
)

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
SAYINGS = [example(f"say {word}", f"{word} , {word}", number) for number, word in enumerate(NUMBERS * 4)]


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.causal(tmp_path_factory.mktemp("causal"), chat=True)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.encoder(tmp_path_factory.mktemp("encoder"))


def quick(student: Path, **more) -> Training:
    return Training.model_validate(
        {"student": str(student), "learning_rates": (0.02,), "epochs": 6, "batch": 8, "patience": 0, **more}
    )


def turned(rows: list[Example]) -> list[Example]:
    """The same reviews with the other label."""
    other = {"positive": "negative", "negative": "positive"}
    return [example(one.input, other[one.output], 500 + number) for number, one in enumerate(rows)]


def sentences(told: list[Progress]) -> str:
    return "\n".join(one.text for one in told if one.text)


def test_a_language_model_learns_to_say_what_it_was_taught_and_says_it_again_when_loaded(causal: Path, tmp_path: Path):
    told: list[Progress] = []
    student = fit(SAYINGS, quick(causal, rank=16, epochs=30), folder=tmp_path / "model", told=told.append)
    asked = [one.input for one in SAYINGS[:10]]
    said = student.predict(asked)
    right = sum(row == [one.output] for row, one in zip(said, SAYINGS, strict=False))
    assert isinstance(student, Predictor)
    assert right >= 6, said
    assert load(tmp_path / "model").predict(asked) == said
    ticks = [one for one in told if not one.text]
    assert ticks[-1].step == ticks[-1].steps
    assert ticks[-1].seconds_left == 0
    assert not (tmp_path / "model" / "training").exists()


def test_an_adapter_and_merged_weights_both_open_with_transformers_and_say_the_same(causal: Path, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    scores = {}
    for name, merged in (("adapter", False), ("merged", True)):
        fit(SAYINGS, quick(causal, epochs=1, merged=merged), folder=tmp_path / name)
        AutoModelForCausalLM.from_pretrained(tmp_path / name)
        scores[name] = load(tmp_path / name).score(["say one"], [["one , one", "two , two"]])[0]
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert scores["merged"] == pytest.approx(scores["adapter"], abs=1e-4)


def test_a_score_is_the_sum_of_the_log_probabilities_of_the_answers_tokens(causal: Path, tmp_path: Path):
    import torch

    student = fit(SAYINGS, quick(causal, epochs=1), folder=tmp_path / "model")
    found = student.score(["say one"], [["one", "two , two"]])[0]
    model, tokenizer = student.model, student.tokenizer  # type: ignore[attr-defined]
    prompt = tokenizer("user : say one </s> assistant :", add_special_tokens=False)["input_ids"]
    for answer, value in zip(("one </s>", "two , two </s>"), found, strict=True):
        wanted = tokenizer(answer, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *wanted]])).logits[0].log_softmax(-1)
        by_hand = sum(float(logits[len(prompt) - 1 + place, token]) for place, token in enumerate(wanted))
        assert value == pytest.approx(by_hand, abs=1e-4)


def test_only_the_answer_and_the_end_of_the_sequence_are_learned(causal: Path):
    from upcycle.training.causal.model import open_tokenizer
    from upcycle.training.causal.prompting import Prompting

    prompting = Prompting.of(open_tokenizer(causal), 64, None)
    row = prompting.encode("say one", "one , one")
    assert row is not None
    words = prompting.tokenizer.convert_ids_to_tokens
    assert words(row.prompt) == ["user", ":", "say", "one", "</s>", "assistant", ":"]
    assert words(row.completion) == ["one", ",", "one", "</s>"]


def test_a_base_without_a_chat_template_is_asked_in_plain_text(tmp_path: Path):
    from upcycle.training.causal.model import open_tokenizer
    from upcycle.training.causal.prompting import Prompting

    tokenizer = open_tokenizer(tiny_models.causal(tmp_path / "plain"))
    row = Prompting.of(tokenizer, 64, None).encode("say one", "one")
    assert row is not None
    assert tokenizer.convert_ids_to_tokens(row.prompt) == ["say", "one"]


def test_the_loss_is_the_models_own_over_the_answers(causal: Path):
    import torch
    from transformers import AutoModelForCausalLM

    from upcycle.training.causal.sft import _losses

    model = AutoModelForCausalLM.from_pretrained(causal)
    ids = torch.tensor([[6, 9, 10, 11, 3, 0], [6, 9, 10, 11, 12, 3]])
    labels = torch.tensor([[-100, -100, 10, 11, 3, -100], [-100, -100, -100, 11, 12, 3]])
    inputs = {"input_ids": ids, "labels": labels, "attention_mask": (ids != 0).long()}
    with torch.no_grad():
        ours = _losses(model, inputs).sum() / (labels != -100).sum()
        theirs = model(**inputs).loss
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)


def test_long_answers_are_scored_in_chunks_with_the_same_loss_and_slopes(causal: Path, monkeypatch: pytest.MonkeyPatch):
    import torch
    from transformers import AutoModelForCausalLM

    from upcycle.training.causal import sft

    model = AutoModelForCausalLM.from_pretrained(causal)
    ids = torch.randint(4, 40, (3, 20))
    inputs = {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}
    found = []
    for chunk in (1024, 7):
        monkeypatch.setattr(sft, "_CHUNK", chunk)
        model.zero_grad()
        loss = sft._losses(model, inputs).sum()
        loss.backward()
        found.append((float(loss.detach()), float(model.model.layers[0].self_attn.q_proj.weight.grad.norm())))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_grid_is_chosen_by_loss_on_validation(causal: Path, tmp_path: Path):
    told: list[Progress] = []
    settings = quick(causal, learning_rates=(1e-6, 0.02), alphas=(16,), epochs=3)
    fit(SAYINGS, settings, validation=SAYINGS[:10], folder=tmp_path / "model", told=told.append)
    facts = facts_of(tmp_path / "model")
    losses = {one["rate"]: one["loss"] for one in facts["grid"]}
    assert set(losses) == {1e-6, 0.02}
    assert facts["rate"] == min(losses, key=losses.__getitem__) == 0.02
    assert facts["loss"] == losses[0.02]
    assert "chosen by validation loss" in sentences(told)


def test_the_grid_of_the_paper_is_four_settings():
    from upcycle.training.legs import legs_of

    assert [tuple(leg) for leg in legs_of(Training(grid=True), 1e-4)] == [
        (5e-5, 16), (5e-5, 24), (1e-4, 16), (1e-4, 24),
    ]  # fmt: skip
    assert [tuple(leg) for leg in legs_of(Training(), 1e-4)] == [(1e-4, 16)]


def test_a_grid_without_validation_is_refused(causal: Path):
    with pytest.raises(ConfigError, match="needs validation examples"):
        fit(SAYINGS, quick(causal, learning_rates=(1e-4, 1e-3)))


def test_the_same_seed_gives_the_same_student_and_another_seed_another(causal: Path):
    scores = [
        fit(SAYINGS, quick(causal, epochs=1), seed=seed).score(["say one"], [["one"]])[0][0] for seed in (1, 1, 2)
    ]
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]


def test_draws_are_seeded_and_differ(causal: Path, tmp_path: Path):
    fit(SAYINGS, quick(causal, epochs=1), folder=tmp_path / "model")
    draws = [load(tmp_path / "model").predict(["say one", "say two"], samples=6) for _ in range(2)]
    assert draws[0] == draws[1]
    assert [len(row) for row in draws[0]] == [6, 6]
    assert len(set(draws[0][0])) > 1


def test_an_input_longer_than_the_model_loses_its_beginning_and_is_counted(causal: Path):
    told: list[Progress] = []
    long = example(f"{'one ' * 100}say two", "two , two", 999)
    student = fit([*SAYINGS, long], quick(causal, epochs=1), told=told.append)
    assert "1 of 41 inputs are longer than 64 tokens; their beginning was cut off" in sentences(told)
    prompting = student.prompting  # type: ignore[attr-defined]
    row = prompting.encode(long.input, long.output)
    assert len(row) <= 64
    assert prompting.tokenizer.convert_ids_to_tokens(row.prompt)[-6:] == ["one", "say", "two", "</s>", "assistant", ":"]
    assert student.predict([long.input])[0][0] is not None


def test_an_output_longer_than_the_model_is_left_out_and_counted(causal: Path):
    told: list[Progress] = []
    fit([*SAYINGS, example("say", "one " * 100, 999)], quick(causal, epochs=1), told=told.append)
    assert "1 of 41 examples have an output too long for 64 tokens" in sentences(told)
    with pytest.raises(ConfigError, match="no example fits"):
        fit([example("say", "one " * 100, 1)], quick(causal, kind="text"))


def test_more_tokens_than_the_model_reads_are_refused(causal: Path):
    with pytest.raises(ConfigError, match="max_tokens 100 is more than the 64 tokens this model can read"):
        fit(SAYINGS, quick(causal, max_tokens=100))


def test_a_loss_that_is_no_number_stops_and_the_last_good_checkpoint_is_kept(causal: Path, tmp_path: Path):
    told: list[Progress] = []
    student = _poisoned(causal, tmp_path, told, after=5)
    assert "the loss is not a number at step 6, so training stopped; what is kept is the checkpoint of step 5" in (
        sentences(told)
    )
    scores = student.score(["say one"], [["one , one"]])[0]
    assert math.isfinite(scores[0])


def test_a_loss_that_was_never_a_number_is_one_sentence(causal: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"not a number at step 1, before the first checkpoint; give a learning rate"):
        _poisoned(causal, tmp_path, [], after=0)


def poison() -> None:
    """Overwrite a weight of every model in memory by NaN."""
    import gc

    for one in gc.get_objects():
        if type(one).__name__ == "LlamaRMSNorm":
            one.weight.data.fill_(float("nan"))


def _poisoned(causal: Path, tmp_path: Path, told: list[Progress], *, after: int) -> Predictor:
    """Train with a weight that is overwritten by NaN after some steps, as an overflow would."""

    def listen(progress: Progress) -> None:
        told.append(progress)
        if progress.step == after and not progress.text:
            poison()

    broken = causal
    if after == 0:
        from transformers import AutoModelForCausalLM

        from upcycle.training.causal.model import open_tokenizer

        model = AutoModelForCausalLM.from_pretrained(causal)
        model.model.norm.weight.data.fill_(float("nan"))
        broken = tmp_path / "broken"
        model.save_pretrained(broken)
        open_tokenizer(causal).save_pretrained(broken)
    return fit(SAYINGS, quick(broken, epochs=2), folder=tmp_path / "model", told=listen)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_train_torch import SAYINGS, quick
from upcycle.training import fit as fitting, trainer
trainer.SAVE_EVERY = 0.0  # a checkpoint after every step
def told(progress):
    print(progress.step, progress.text, flush=True)
fitting.fit(SAYINGS, quick(Path({base!r}), epochs=4), folder=Path({out!r}), told=told)
print("done", flush=True)
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint_and_ends_as_one_that_was_not(causal: Path, tmp_path: Path):
    script = KILLED.format(tests=str(Path(__file__).parent), base=str(causal), out=str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("8 "):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    with pytest.raises(ConfigError, match="is not finished; run the same `upcycle train` again, and it goes on"):
        load(tmp_path / "killed")
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first = next(line for line in again.stdout.splitlines() if "going on at step" in line)
    assert 6 <= int(first.split()[-1]) <= 8
    assert "done" in again.stdout
    whole = fit(SAYINGS, quick(causal, epochs=4), folder=tmp_path / "whole")
    killed = load(tmp_path / "killed")
    asked = [one.input for one in SAYINGS[:5]]
    choices = [[one.output] for one in SAYINGS[:5]]
    assert [row[0] for row in killed.score(asked, choices)] == pytest.approx(
        [row[0] for row in whole.score(asked, choices)], abs=1e-4
    )


def test_a_finished_student_is_not_trained_again_and_another_is_refused(causal: Path, tmp_path: Path):
    told: list[Progress] = []
    fit(SAYINGS, quick(causal, epochs=1), folder=tmp_path / "model")
    fit(SAYINGS, quick(causal, epochs=1), folder=tmp_path / "model", told=told.append)
    assert [one.text for one in told] == [f"{tmp_path / 'model'} holds this very student already; nothing was trained"]
    with pytest.raises(StaleRunError, match="other examples or settings; nothing was overwritten"):
        fit(SAYINGS, quick(causal, epochs=2), folder=tmp_path / "model")


OUT_OF_MEMORY = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch, trl, peft, transformers, datasets
from test_train_torch import SAYINGS, example, quick
from upcycle.training import trainer
from upcycle.training.fit import fit
trainer.TOKENS_AT_ONCE["cpu"] = 1 << 20
fit(SAYINGS[:8], quick(Path({base!r}), epochs=1))  # everything that is loaded once
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {room}, resource.RLIM_INFINITY))
long = [example("one " * 900 + str(n), "two " * 60, n) for n in range(64)]
told = []
student = fit(long, quick(Path({base!r}), epochs=1, batch={batch}), told=told.append)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps([one.text for one in told if one.text]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path: Path):
    base = tiny_models.causal(tmp_path / "base", context=1024)
    script = OUT_OF_MEMORY.format(tests=str(Path(__file__).parent), base=str(base), batch=64, room=190 << 20)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    notes = json.loads(done.stdout.splitlines()[-1])
    assert "out of memory; it goes on with 32 examples at once" in notes


@pytest.mark.parametrize("kind", ["text", "label", "span"])
def test_a_student_that_runs_out_of_memory_answers_fewer_at_once_and_says_the_same(
    causal: Path, encoder: Path, kind: str
):
    import torch

    rows = {"text": SAYINGS, "label": REVIEWS, "span": homes(24)}[kind]
    student: Any = fit(rows, quick(causal if kind == "text" else encoder, epochs=2, kind=kind))
    asked = [one.input for one in rows[:12]]
    sizes: list[int] = []

    def full(module: Any, given: Any, named: Any) -> None:
        sizes.append(named["input_ids"].shape[0])
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("no memory for so many rows")

    wanted = student.predict(asked)
    inner = student.model.get_base_model() if kind == "text" else student.model
    hook = inner.register_forward_pre_hook(full, with_kwargs=True)
    try:
        assert student.predict(asked) == wanted
    finally:
        hook.remove()
    assert max(sizes) == len(asked)


def test_a_student_that_has_no_memory_for_one_item_says_so_in_a_sentence(encoder: Path):
    import torch

    student: Any = fit(REVIEWS, quick(encoder, epochs=1))

    def full(module: Any, given: Any, named: Any) -> None:
        raise torch.OutOfMemoryError("no memory at all")

    hook = student.model.register_forward_pre_hook(full, with_kwargs=True)
    try:
        with pytest.raises(UpcycleError, match="not enough memory to ask the model even one item"):
            student.predict(["a film"])
    finally:
        hook.remove()


def test_an_encoder_learns_labels_and_opens_with_transformers(encoder: Path, tmp_path: Path):
    from transformers import AutoModelForSequenceClassification

    student = fit(REVIEWS, quick(encoder, learning_rates=(5e-3,)), folder=tmp_path / "model")
    texts = ["a superb film", "a boring film", "a dreadful film", "a wonderful film"]
    assert student.predict(texts) == [["positive"], ["negative"], ["negative"], ["positive"]]
    logs = student.score(texts[:1], [["positive", "negative", "neutral"]])[0]
    assert math.exp(logs[0]) + math.exp(logs[1]) == pytest.approx(1)
    assert logs[2] == float("-inf")
    again = load(tmp_path / "model")
    assert again.score(texts, [["positive"]] * 4) == student.score(texts, [["positive"]] * 4)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert model.config.id2label == {0: "negative", 1: "positive"}


def test_only_the_last_layers_learn_where_that_is_asked_for_and_the_head_with_them(encoder: Path, tmp_path: Path):
    from transformers import AutoModel

    student = fit(REVIEWS, quick(encoder, learning_rates=(5e-3,), layers=1), folder=tmp_path / "model")
    assert student.predict(["a superb film", "a boring film"]) == [["positive"], ["negative"]]
    before, after = (AutoModel.from_pretrained(one).state_dict() for one in (encoder, tmp_path / "model"))
    same = {name for name in before if before[name].equal(after[name])}
    assert {name for name in same if name.startswith(("embeddings.", "encoder.layer.0."))} == {
        name for name in before if name.startswith(("embeddings.", "encoder.layer.0."))
    }
    assert not any(name.startswith("encoder.layer.1.") for name in same if name.endswith("weight"))
    with pytest.raises(ConfigError, match="layers is 3, and this encoder has 2"):
        fit(REVIEWS, quick(encoder, layers=3))


def test_a_folder_of_hugging_face_that_upcycle_never_saw_is_a_classifier_too(encoder: Path, tmp_path: Path):
    fit(REVIEWS, quick(encoder, epochs=1), folder=tmp_path / "model")
    (tmp_path / "model" / "upcycle-model.json").unlink()
    assert set(load(tmp_path / "model").predict(["a superb film"])[0]) <= {"positive", "negative"}


def test_two_parts_of_an_input_are_read_as_a_pair(encoder: Path, tmp_path: Path):
    draw = random.Random(0)
    pairs = []
    for number in range(120):
        one, other = draw.choice(NUMBERS), draw.choice(NUMBERS)
        other = one if number % 2 else other
        pairs.append(example(f"Premise: {one}\nHypothesis: {other}", "yes" if one == other else "no", number))
    student = fit(pairs, quick(encoder, epochs=1), folder=tmp_path / "model")
    assert facts_of(tmp_path / "model")["names"] == ["Premise", "Hypothesis"]
    from upcycle.training.encoders.classifier import encode

    (row,), _ = encode(student.tokenizer, [pairs[0].input], ("Premise", "Hypothesis"), 64)  # type: ignore[attr-defined]
    words = student.tokenizer.convert_ids_to_tokens(row["input_ids"])  # type: ignore[attr-defined]
    assert words.count("[SEP]") == 2
    assert "Premise" not in words


def test_what_a_classifier_cannot_read_to_the_end_is_counted_when_it_learns_and_when_it_is_scored(encoder: Path):
    from upcycle.evaluation.evaluate import evaluate
    from upcycle.evaluation.gold import GoldItem

    told: list[Progress] = []
    long = example("a film " * 60 + "superb", "positive", 1001)
    student = fit([*REVIEWS, long], quick(encoder, epochs=1), told=told.append)
    assert f"1 of {len(REVIEWS) + 1} inputs are longer than 64 tokens; their end was cut off" in sentences(told)
    gold = [GoldItem(str(n), one.input, (one.output,)) for n, one in enumerate([*REVIEWS[:20], long])]
    assert "1 item longer than the model reads: the end was cut off" in evaluate(student, gold, "accuracy").warnings


def test_labels_of_the_validation_set_that_training_never_saw_are_counted(encoder: Path):
    told: list[Progress] = []
    odd = [example("a film", "neutral", 1000)]
    fit(REVIEWS, quick(encoder, epochs=1), validation=[*REVIEWS[:4], *odd], told=told.append)
    assert "1 validation examples have labels unseen in training (neutral)" in sentences(told)


def test_training_stops_early_when_validation_gets_no_better_and_keeps_the_best(encoder: Path, tmp_path: Path):
    wrong = [
        example(one.input, "negative" if one.output == "positive" else "positive", n) for n, one in enumerate(REVIEWS)
    ]
    settings = quick(encoder, learning_rates=(5e-3,), epochs=20, patience=1)
    fit(REVIEWS, settings, validation=wrong, folder=tmp_path / "model")
    facts = facts_of(tmp_path / "model")
    assert facts["steps"] == 2 * len(REVIEWS) / 8, "one epoch that is best, and one without gain"


def test_weights_decide_between_examples_that_contradict_each_other(encoder: Path):
    texts = [f"a film number {number % 10}" for number in range(40)]
    both = [
        example(text, label, number * 2 + place, weight=weight)
        for number, text in enumerate(texts)
        for place, (label, weight) in enumerate((("positive", 9.0), ("negative", 1.0)))
    ]
    weighted = fit(both, quick(encoder, learning_rates=(5e-3,), epochs=3))
    assert weighted.predict(texts[:10]) == [["positive"]] * 10
    chance = math.exp(weighted.score(texts[:1], [["positive"]])[0][0])
    assert chance == pytest.approx(0.9, abs=0.08)
    alike = fit(both, quick(encoder, learning_rates=(5e-3,), epochs=3, weights="none"))
    assert math.exp(alike.score(texts[:1], [["positive"]])[0][0]) == pytest.approx(0.5, abs=0.1)


def test_dimp_makes_little_of_rows_that_real_data_would_not_say(encoder: Path):
    real = REVIEWS * 2
    made = [*REVIEWS, *turned(REVIEWS)]
    texts = ["a superb film", "a boring film"]
    settings = quick(encoder, learning_rates=(5e-3,), epochs=8)
    dimp = fit(made, settings.model_copy(update={"weights": "dimp"}), real=real)
    plain = fit(made, settings)
    wanted = [["positive"], ["negative"]]
    sure = [math.exp(row[0]) for row in dimp.score(texts, wanted)]
    unsure = [math.exp(row[0]) for row in plain.score(texts, wanted)]
    assert dimp.predict(texts) == wanted
    assert min(sure) > max(unsure)


def test_dimp_without_real_examples_is_refused(encoder: Path, causal: Path):
    with pytest.raises(ConfigError, match="learned from real examples; give some with --real"):
        fit(REVIEWS, quick(encoder, weights="dimp"))
    with pytest.raises(ConfigError, match="DIMP loss weighs labels"):
        fit(SAYINGS, quick(causal, weights="dimp"))


def homes(count: int) -> list[Example]:
    draw = random.Random(1)
    found = []
    for number in range(count):
        one, other = draw.sample(("Anna", "Bob", "Carl"), 2)
        here, there = draw.sample(("Oslo", "Rome", "Lima", "Paris"), 2)
        text = f"Context: {one} lives in {here} . {other} lives in {there} .\nQuestion: where lives {other} ?"
        found.append(example(text, there, number))
    return found


def test_an_encoder_learns_to_find_the_answer_in_the_context(encoder: Path, tmp_path: Path):
    rows = homes(200)
    student = fit(rows[:180], quick(encoder, learning_rates=(5e-3,), epochs=8), folder=tmp_path / "model")
    asked = [one.input for one in rows[180:]]
    said = student.predict(asked)
    assert all(row[0] in text for row, text in zip(said, asked, strict=True))
    assert sum(row == [one.output] for row, one in zip(said, rows[180:], strict=True)) >= 8
    again = load(tmp_path / "model")
    assert again.predict(asked) == said
    scores = again.score(asked[:1], [[said[0][0], "Berlin"]])[0]
    assert scores[0] > scores[1] == float("-inf")
    draws = again.predict(asked[:1], samples=5)
    assert draws == load(tmp_path / "model").predict(asked[:1], samples=5)
    assert len(draws[0]) == 5


def test_a_long_context_is_read_in_windows_that_overlap(encoder: Path):
    from upcycle.training.causal.model import open_tokenizer
    from upcycle.training.encoders.span import occurrences, tokens_of, windows_of

    text = f"Context: {'the film was . ' * 60}Anna lives in Rome .\nQuestion: where lives Anna ?"
    windows = windows_of(open_tokenizer(encoder), [text], 64)
    context = text.removeprefix("Context: ").split("\nQuestion")[0]
    where = occurrences(context, "Rome")
    assert len(windows) > 3
    assert all(len(window.feature["input_ids"]) <= 64 for window in windows)
    held = [tokens_of(window.places, *where[0]) for window in windows]
    assert held[0] == (None, None)
    first, last = held[-1]
    assert first is not None
    assert last is not None
    place = windows[-1].places[first]
    assert place is not None
    assert context[place[0] : place[1]] == "Rome"


def test_answers_that_are_not_in_their_context_are_left_out_and_counted(encoder: Path):
    told: list[Progress] = []
    rows = homes(30)
    fit([*rows, example(rows[0].input, "Berlin", 900)], quick(encoder, epochs=1, kind="span"), told=told.append)
    assert "1 of 31 examples have no answer in their context; they were left out" in sentences(told)
    with pytest.raises(ConfigError, match="no example has its answer in its context"):
        fit([example("Context: x\nQuestion: y", "z", 1)], quick(encoder, kind="span"))


def test_a_language_model_that_is_named_learns_to_say_labels_and_an_encoder_to_choose_them(
    causal: Path, encoder: Path, tmp_path: Path
):
    for student, kind in ((causal, "causal"), (encoder, "classifier")):
        fit(REVIEWS, quick(student, epochs=1), folder=tmp_path / kind)
        assert facts_of(tmp_path / kind)["kind"] == kind
    with pytest.raises(ConfigError, match="is an encoder, which says no text of its own; give --student smollm2"):
        fit(SAYINGS, quick(encoder))


def test_an_encoder_that_is_no_student_is_said_in_a_sentence(tmp_path: Path):
    with pytest.raises(ConfigError, match="is not there; give tfidf, smollm2, minilm"):
        fit(REVIEWS, Training(student="no-such-model"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"without config\.json"):
        fit(REVIEWS, Training(student=str(tmp_path / "empty")))


def test_batches_hold_every_example_once_an_epoch_and_like_lengths_together():
    from upcycle.training.trainer import Batches

    lengths = [random.Random(n).randint(1, 100) for n in range(103)]
    order = Batches(lengths, 8, seed=1)
    first = list(order)
    assert sorted(first) == list(range(103))
    assert list(order) == first
    order.set_epoch(1)
    assert list(order) != first
    spreads = [max(some) - min(some) for at in range(0, 96, 8) if (some := [lengths[n] for n in first[at : at + 8]])]
    assert sum(spreads) / len(spreads) < 15


def test_long_examples_are_held_fewer_at_once_and_a_step_still_holds_them_all(causal: Path, tmp_path: Path):
    from upcycle.training.trainer import Course, arguments, at_once

    def course(*lengths: int) -> Course:
        return Course(1, 8, 1e-4, lengths, judged=False, patience=0, seed=0)

    short, long, endless = course(*[100] * 20), course(*[100] * 19, 1000), course(*[100] * 19, 5000)
    assert [at_once(one) for one in (short, long, endless)] == [(8, False), (2, False), (1, True)]
    found = arguments(long, tmp_path, 2)
    assert (found["per_device_train_batch_size"], found["gradient_accumulation_steps"]) == (2, 4)


def test_qlora_is_taken_where_a_cuda_gpu_and_bitsandbytes_are_there_or_where_it_is_asked_for():
    from upcycle.training.causal.sft import precision

    held = [
        precision(Training(), cuda=cuda, quantises=there) for cuda, there in itertools.product((False, True), repeat=2)
    ]
    assert held == ["float32", "float32", "bfloat16", "nf4"]
    assert precision(Training(four_bit=True), cuda=False, quantises=True) == "nf4"
    assert precision(Training(four_bit=False), cuda=True, quantises=True) == "bfloat16"


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is here")
def test_4_bits_without_their_library_are_one_sentence_that_names_it(causal: Path):
    with pytest.raises(ConfigError, match=r"four_bit needs bitsandbytes; run `pip install 'upcycle\[train-4bit\]'`"):
        fit(SAYINGS, quick(causal, four_bit=True))


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs upcycle[train-4bit]")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:bitsandbytes", "ignore::FutureWarning:bitsandbytes")
def test_a_student_in_4_bits_learns_as_one_in_32_does_and_opens_over_the_whole_base(causal: Path, tmp_path: Path):
    losses = []
    for four_bit in (True, False):
        student = fit(SAYINGS, quick(causal, four_bit=four_bit, rank=16, epochs=20), folder=tmp_path / str(four_bit))
        losses.append(facts_of(tmp_path / str(four_bit))["train_loss"])
        said = student.predict([one.input for one in SAYINGS[:10]])
        assert sum(row == [one.output] for row, one in zip(said, SAYINGS, strict=False)) >= 5, said
        assert load(tmp_path / str(four_bit)).predict([one.input for one in SAYINGS[:10]]) == said
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert losses[0] != losses[1]


def test_a_student_trained_frugally_is_the_same(causal: Path, monkeypatch: pytest.MonkeyPatch):
    from upcycle.training import trainer

    scores = []
    for limit in (2048, 4):
        monkeypatch.setitem(trainer.TOKENS_AT_ONCE, "cpu", limit)
        student = fit(SAYINGS, quick(causal, epochs=2))
        scores.append(student.score(["say one"], [["one , one"]])[0][0])
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)


def test_text_that_no_tokenizer_reads_is_trained_on_all_the_same(causal: Path, encoder: Path, tmp_path: Path):
    odd = example("a superb film \ud83d", "positive", 900)
    student = fit([*REVIEWS, odd], quick(encoder, epochs=1), folder=tmp_path / "label")
    assert len(student.predict([odd.input])) == 1
    said = example("say one \ud83d", "one \ud83d", 901)
    assert len(fit([*SAYINGS, said], quick(causal, epochs=1), folder=tmp_path / "text").predict([said.input])) == 1


def test_an_adapter_is_no_base_to_start_from_and_says_what_is(causal: Path, tmp_path: Path):
    fit(SAYINGS, quick(causal, epochs=1), folder=tmp_path / "adapter")
    fit(SAYINGS, quick(causal, epochs=1, merged=True), folder=tmp_path / "merged")
    with pytest.raises(ConfigError, match="is an adapter; train it again with --merged"):
        fit(SAYINGS, quick(tmp_path / "adapter"))
    assert fit(SAYINGS, quick(tmp_path / "merged", epochs=1)).predict(["say one"])
