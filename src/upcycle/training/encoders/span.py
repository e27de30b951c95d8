r"""Extractive question answering: the answer is a span of the context, found by an encoder with two heads.

In: inputs "Context: ...\nQuestion: ..." whose output stands in the context. Out: a predictor that gives the likeliest
span. Long contexts are read in windows that overlap by a third (S3's AdversarialQA settings, arXiv 2310.13671); the
likelihood of a choice is summed over all places where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from upcycle.config import Training
from upcycle.errors import ConfigError, boundary
from upcycle.records import Example
from upcycle.training.bases import base_folder, need_torch, quiet
from upcycle.training.causal.model import TEMPERATURE, batches, context_of, open_tokenizer
from upcycle.training.causal.prompting import readable
from upcycle.training.encoders.classifier import longest_of
from upcycle.training.encoders.encoder import Feature, Study, open_encoder, states, to_device, train_encoder
from upcycle.training.kinds import context_and_question
from upcycle.training.memory import halved
from upcycle.training.predictor import Progress, Told
from upcycle.training.saved import facts_of, write_facts
from upcycle.training.weights import weights_of

_BATCH_TOKENS = 8192
_BEST = 20  # starts and ends that are combined, and spans that are drawn from
_LONGEST_ANSWER = 30  # tokens, where training says nothing


class Window(NamedTuple):
    """A piece of one input.

    Attributes:
        row: number of the input.
        feature: its tokens, under transformers' names.
        places: for each token of the context its first and last character in it; None for all others.
    """

    row: int
    feature: Feature
    places: list[tuple[int, int] | None]


class Span(NamedTuple):
    """A piece of a context, with the logarithm of its likelihood (up to a constant of its input)."""

    score: float
    start: int
    end: int


@dataclass(slots=True)
class SpanFinder:
    """An encoder that finds answers in contexts.

    Attributes:
        longest: tokens of a window.
        answer: most tokens of an answer.
        facts: what `upcycle-model.json` says of it.
    """

    model: Any
    tokenizer: Any
    longest: int
    answer: int = _LONGEST_ANSWER
    temperature: float = TEMPERATURE
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        """The likeliest span of each context, or draws among the likeliest at its temperature, seeded."""
        contexts = [context_and_question(text)[0] for text in inputs]
        draw = Random(self.seed)
        said = []
        for context, spans in zip(contexts, self._spans(inputs), strict=True):
            texts = [context[span.start : span.end] for span in spans]
            if not texts:
                said.append([""] * samples)
            elif samples == 1:
                said.append(texts[:1])
            else:
                shares = [math.exp((span.score - spans[0].score) / self.temperature) for span in spans]
                said.append(draw.choices(texts, shares, k=samples))
        return said

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Natural logarithm of the likelihood of each choice; minus infinity where it does not stand in the context."""
        found = [[float("-inf")] * len(asked) for asked in choices]
        for window, starts, ends in self._read(inputs):
            context = context_and_question(inputs[window.row])[0]
            for number, choice in enumerate(choices[window.row]):
                for start, end in occurrences(context, choice):
                    first, last = tokens_of(window.places, start, end)
                    if first is not None and last is not None:
                        value = starts[first] + ends[last]
                        found[window.row][number] = _log_sum(found[window.row][number], value)
        return found

    def _spans(self, inputs: Sequence[str]) -> list[list[Span]]:
        best: list[list[Span]] = [[] for _ in inputs]
        for window, starts, ends in self._read(inputs):
            best[window.row].extend(best_spans(window, starts, ends, self.answer))
        return [sorted(dict.fromkeys(spans), key=lambda one: -one.score)[:_BEST] for spans in best]

    def _read(self, inputs: Sequence[str]) -> list[tuple[Window, list[float], list[float]]]:
        """Every window with the log-probabilities of its tokens to be the first and the last of the answer."""
        windows = windows_of(self.tokenizer, inputs, self.longest)
        found: list[tuple[Window, list[float], list[float]]] = []

        def read(numbers: list[int]) -> None:
            some = [windows[number] for number in numbers]
            outputs = states(self.model, [one.feature for one in some], self.tokenizer.pad_token_id)
            for place, window in enumerate(some):
                size = len(window.feature["input_ids"])
                found.append((
                    window,
                    outputs.start_logits[place, :size].double().log_softmax(-1).tolist(),
                    outputs.end_logits[place, :size].double().log_softmax(-1).tolist(),
                ))  # fmt: skip

        for batch in batches([len(one.feature["input_ids"]) for one in windows], _BATCH_TOKENS):
            halved(batch, read)
        return found

    def save(self, folder: Path) -> None:
        """Write it as a folder that transformers opens too."""
        with boundary(str(folder)), quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        write_facts(folder, {**self.facts, "kind": "span", "longest": self.longest, "answer": self.answer,
                             "seed": self.seed})  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> SpanFinder:
        """Open a folder, ours or any question answerer of Hugging Face.

        Raises:
            ConfigError: a file is missing or broken, or torch is not installed.
        """
        need_torch()
        facts = facts_of(folder)
        model = to_device(open_encoder(folder, "QuestionAnswering"))
        longest = facts.get("longest") or context_of(model.config) or 512
        with quiet():
            tokenizer = open_tokenizer(folder)
        return cls(
            model, tokenizer, longest, facts.get("answer", _LONGEST_ANSWER), seed=facts.get("seed", 0), facts=facts
        )


def fit_spans(
    examples: Sequence[Example],
    settings: Training,
    *,
    student: str,
    validation: Sequence[Example],
    work: Path,
    seed: int,
    told: Told,
) -> SpanFinder:
    """Train an encoder to find answers; of an answer that stands in several places the first is learned.

    Raises:
        ConfigError: no such model, or no answer that stands in its context.
    """
    if settings.weights == "dimp":
        raise ConfigError("the DIMP loss weighs labels; give weights: given, or none")
    base = base_folder(student)
    with quiet():
        tokenizer = open_tokenizer(base)
    longest = longest_of(base, settings)
    weights = weights_of([one.weight for one in examples], settings)
    features, answer = _features(tokenizer, examples, longest, weights, told)
    judged, _ = _features(tokenizer, validation, longest, [1.0] * len(validation), told)
    if not features:
        raise ConfigError(
            "no example has its answer in its context; give inputs like 'Context: ...\\nQuestion: ...',"
            " or another --kind"
        )
    study = Study(features, judged, lambda number: _fresh(base, number), _losses, tokenizer.pad_token_id)
    best, folder = train_encoder(study, settings, work=work, seed=seed, told=told)
    facts = {"student": student, "examples": len(examples), "rate": best.leg.rate, **best.facts}
    model = to_device(open_encoder(folder, "QuestionAnswering"))
    return SpanFinder(model, tokenizer, longest, answer + answer // 2 + 2, seed=seed, facts=facts)


def windows_of(tokenizer: Any, inputs: Sequence[str], longest: int) -> list[Window]:
    """Every input as one or more windows; a question takes at most half of one."""
    windows: list[Window] = []
    for row, text in enumerate(inputs):
        context, question = context_and_question(readable(text))
        asked = tokenizer(question, add_special_tokens=False, verbose=False)["input_ids"]
        if len(asked) > longest // 2:
            question = tokenizer.decode(asked[-(longest // 2 - 4) :])
        cut = tokenizer(
            question, context, truncation="only_second", max_length=longest, stride=longest // 3,
            return_overflowing_tokens=True, return_offsets_mapping=True, verbose=False,
        )  # fmt: skip
        names = [name for name in cut if name not in ("offset_mapping", "overflow_to_sample_mapping")]
        for number, offsets in enumerate(cut["offset_mapping"]):
            parts = cut.sequence_ids(number)
            places = [
                (start, end) if part == 1 and end > start else None
                for (start, end), part in zip(offsets, parts, strict=True)
            ]
            windows.append(Window(row, {name: cut[name][number] for name in names}, places))
    return windows


def best_spans(window: Window, starts: Sequence[float], ends: Sequence[float], longest: int) -> list[Span]:
    """The likeliest spans of a window, at most `longest` tokens long."""
    inside = [number for number, place in enumerate(window.places) if place is not None]
    first = sorted(inside, key=lambda number: -starts[number])[:_BEST]
    last = sorted(inside, key=lambda number: -ends[number])[:_BEST]
    spans = []
    for start in first:
        for end in last:
            at, until = window.places[start], window.places[end]
            if start <= end < start + longest and at is not None and until is not None:
                spans.append(Span(starts[start] + ends[end], at[0], until[1]))
    return sorted(spans, key=lambda one: -one.score)[:_BEST]


def occurrences(context: str, answer: str) -> list[tuple[int, int]]:
    """First and last character (exclusive) of every place where an answer stands."""
    found, at = [], context.find(answer) if answer else -1
    while at >= 0:
        found.append((at, at + len(answer)))
        at = context.find(answer, at + 1)
    return found


def tokens_of(places: Sequence[tuple[int, int] | None], start: int, end: int) -> tuple[int | None, int | None]:
    """The first and the last token of a piece of the context; None where the window does not hold all of it."""
    known = [(number, place) for number, place in enumerate(places) if place is not None]
    if not known or start < known[0][1][0] or end > known[-1][1][1]:
        return None, None
    first = next((number for number, place in known if place[1] > start), None)
    last = next((number for number, place in reversed(known) if place[0] < end), None)
    return (first, last) if first is not None and last is not None and first <= last else (None, None)


def _features(
    tokenizer: Any, examples: Sequence[Example], longest: int, weights: Sequence[float], told: Told
) -> tuple[list[Feature], int]:
    """Windows with the tokens of their answer, and the longest answer in tokens."""
    places = [occurrences(context_and_question(one.input)[0], one.output)[:1] for one in examples]
    if missing := sum(not place for place in places):
        told(Progress(text=f"{missing} of {len(examples)} examples have no answer in their context; "
                      "they were left out"))  # fmt: skip
    features: list[Feature] = []
    answer = 0
    for window in windows_of(tokenizer, [one.input for one in examples], longest):
        if not places[window.row]:
            continue
        start, end = places[window.row][0]
        first, last = tokens_of(window.places, start, end)
        if first is None or last is None:
            continue  # another window of the same input holds the answer
        answer = max(answer, last - first + 1)
        features.append({**window.feature, "start": first, "end": last, "weight": weights[window.row]})
    return features, answer


def _fresh(base: Path, seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    return open_encoder(base, "QuestionAnswering", ignore_mismatched_sizes=True)


def _losses(outputs: Any, batch: Any) -> Any:
    from torch.nn.functional import cross_entropy

    # Filling tokens stand behind every row; they can be neither first nor last.
    hidden = (batch["attention_mask"] == 0) * -1e4
    starts = cross_entropy(outputs.start_logits.float() + hidden, batch["start"], reduction="none")
    ends = cross_entropy(outputs.end_logits.float() + hidden, batch["end"], reduction="none")
    return (starts + ends) / 2


def _log_sum(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return high if low == float("-inf") else high + math.log1p(math.exp(low - high))
