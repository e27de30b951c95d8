"""Students that are taught a chain before the answer, and a trained adapter as Source2Synth's intermediate model."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from upcycle.config import BuildConfig, Training
from upcycle.errors import ConfigError
from upcycle.methods.source2synth.intermediate import trained
from upcycle.methods.source2synth.lessons import Lessons
from upcycle.producing import student
from upcycle.records import Example, Origin
from upcycle.run import Run
from upcycle.training import chains
from upcycle.training.chains import with_chains
from upcycle.training.fit import fit
from upcycle.training.saved import load

ORIGIN = Origin("source2synth")
ROWS = [
    Example(
        str(n), f"Context: my car got dirty\nQuestion: which {n % 2}?", "no", ORIGIN, rationale="it started raining."
    )
    for n in range(8)
]
NO_REASONS = [Example("0", "a", "b", ORIGIN)]


def need_torch() -> None:
    for library in ("torch", "transformers", "trl", "peft", "accelerate"):
        pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)


def test_a_row_is_taught_as_its_rationale_and_then_its_answer():
    assert with_chains(ROWS)[0].output == "it started raining.\nAnswer: no"
    assert doctest.testmod(chains).failed == 0


def test_chains_that_are_not_there_or_cannot_be_said_are_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="no example has a rationale"):
        fit(NO_REASONS, Training(teach="chain"))
    with pytest.raises(ConfigError, match="a student of labels cannot say a chain"):
        fit(ROWS, Training(teach="chain", kind="label"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_student_taught_chains_gives_answers_alone_and_does_so_again_when_loaded(tmp_path: Path):
    need_torch()
    import byte_models

    settings = Training(
        student=str(byte_models.save(tmp_path / "base")), teach="chain", learning_rates=(0.02,), epochs=2, patience=0
    )
    made = fit(ROWS, settings, folder=tmp_path / "model")
    said = made.predict([ROWS[0].input, ROWS[1].input], samples=4)
    assert all("Answer:" not in text for texts in said for text in texts)
    assert load(tmp_path / "model").predict([ROWS[0].input, ROWS[1].input], samples=4) == said


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox", "qwen2", "bloom", "mamba", "mistral"])
def test_draws_from_a_prompt_that_is_read_once_are_those_of_the_whole_model(tmp_path: Path, kind: str):
    need_torch()
    import byte_models
    from upcycle.training.causal.model import CausalPredictor

    model = CausalPredictor.load(byte_models.save(tmp_path / kind, kind))
    model.new_tokens, model.temperature = 6, 1e-4
    asked = ["my car got dirty", "it started raining, and I opened my umbrella because of it. The child"]
    greedy = model.predict(asked)
    assert model.predict(asked, samples=3) == [texts * 3 for texts in greedy]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
async def test_a_trained_adapter_is_an_intermediate_model_that_answers_and_tells_likelihoods(tmp_path: Path):
    need_torch()
    import byte_models

    base = str(byte_models.save(tmp_path / "base"))
    # What methods teach holds its chain already: `teach` of the final student is none of the intermediate model's.
    config = BuildConfig(training=Training(student=base, kind="text", epochs=1, teach="chain"))
    blanks = [Example(f"{one.id}-blank", "Rebuild it.", "Question: which?", ORIGIN) for one in ROWS]
    with Run(tmp_path / "run") as run:
        lessons = Lessons(with_chains(ROWS), blanks)
        for _ in range(2):  # the second time it is opened, and what it said is known
            found = await trained(lessons, student(config, None), run, temperature=0.5)
            (said,) = await found.answer([ROWS[0].input], samples=3)
            assert len(said.texts) == 3
            assert found.writes
            likelihood = await found.likelihood("which child?")
            assert likelihood is not None
            assert likelihood < 0
        # Whoever goes on with a run computes nothing twice: not even the weights are needed.
        gone_on = await trained(lessons, lambda *_, **__: None, run, temperature=0.5)  # type: ignore[arg-type]
        assert await gone_on.answer([ROWS[0].input], samples=3) == [said]
        assert await gone_on.likelihood("which child?") == likelihood
