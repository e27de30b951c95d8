"""Presets: the settings of the paper's four tasks; `preset: rte` with `plain: true` is the published method on RTE.

Sizes, rounds, rationales and the student's training are those of arXiv 2310.13671 (sections 3 and 4, appendix) and of
the code published with it (commit 3e1f903, `ModelTraining/main_*.py`). The decision: what a user gives wins over the
preset, and the quirks of that code (a learning rate that is 0 for the last 1,000 steps, a best epoch chosen on the
test set) are not among the settings. The number of reasons shown is not published; three is ours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from upcycle.config import S3, Training


class Preset(NamedTuple):
    """What a preset sets.

    Attributes:
        settings: of the method.
        training: of the student; its name is left to the user.
        rows: of the whole set in the paper.
        shown: number of error rows the paper wrote in both rounds together.
    """

    settings: dict[str, Any]
    training: dict[str, Any]
    rows: int
    shown: int


_EVERY = {"rounds": 2, "per_error": 1, "temperature": 0.9, "extrapolate": "errors", "reset": True}
_ENTAILMENT = {
    "0": "it is definitely right given the premise",
    "1": "it does not follow from the premise",
    "entailment": "it is definitely right given the premise",
    "not_entailment": "it does not follow from the premise",
}
_ANSWERED = {
    "0": "the sentence holds its answer",
    "1": "the sentence does not hold its answer, though it is about the same things",
    "entailment": "the sentence holds its answer",
    "not_entailment": "the sentence does not hold its answer, though it is about the same things",
}

PRESETS: dict[str, Preset] = {
    "imdb": Preset(
        {**_EVERY, "rationales": 3, "first": 0.71, "what": "a review of a film you imagine to have watched",
         "meanings": {"0": "negative", "1": "positive"}},
        {"learning_rates": (5e-6,), "batch": 8, "epochs": 6, "max_tokens": 512, "layers": None, "patience": 0},
        21_200, 6_173,
    ),
    "qnli": Preset(
        {**_EVERY, "rationales": 0, "first": 0.70, "write": "Question", "what": "a question", "meanings": _ANSWERED},
        {"learning_rates": (5e-6,), "batch": 32, "epochs": 10, "max_tokens": 512, "layers": None, "patience": 0},
        168_000, 51_100,
    ),
    "rte": Preset(
        {**_EVERY, "rationales": 0, "first": 0.955, "write": "Hypothesis", "what": "a sentence",
         "meanings": _ENTAILMENT},
        {"learning_rates": (1e-5,), "batch": 16, "epochs": 20, "max_tokens": 512, "layers": None, "patience": 0},
        33_600, 1_522,
    ),
    "adqa": Preset(
        {**_EVERY, "rationales": 0, "first": 0.37, "write": "Question", "what": "a question"},
        {"learning_rates": (1e-5,), "batch": 8, "epochs": 10, "max_tokens": 512, "layers": None, "patience": 0},
        81_500, 51_532,
    ),
}  # fmt: skip


_ROUND = {"epochs": 2.0, "max_tokens": 256, "layers": 3}
"""A round of the embedded encoder is to take minutes, so its last layers learn alone; 256 tokens are what it was made
to read. The published settings are those of a preset.
"""


def for_rounds(training: Training, student: str) -> Training:
    """Training of a small model that is trained again every round, with what the user did not set made quick."""
    if student != "minilm" or training.kind != "label":
        return training
    unset = {key: value for key, value in _ROUND.items() if key not in training.model_fields_set}
    return training.model_copy(update=unset)


def with_preset(settings: S3, training: Training) -> tuple[S3, Training]:
    """Settings and training with what the preset says of everything the user did not set."""
    if settings.preset is None:
        return settings, training
    preset = PRESETS[settings.preset]
    mine = {key: value for key, value in preset.settings.items() if key not in settings.model_fields_set}
    theirs = {key: value for key, value in preset.training.items() if key not in training.model_fields_set}
    return settings.model_copy(update=mine), training.model_copy(update=theirs)
