"""A classifier of texts, or of pairs of texts, from any Hugging Face encoder: the small model of S3.

In: examples whose outputs are labels. Out: a predictor that gives the likeliest label and the log-probability of each.
An input whose lines begin with names ("Premise: ...", "Hypothesis: ...") is a pair, and the encoder reads it as one.
The settings differ from S3's (arXiv 2310.13671) where those cost accuracy: the rate falls over the real number of
steps, the epoch is chosen on validation, and everything is seeded. DIMP weights: arXiv 2410.21526.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upcycle.config import Training
from upcycle.errors import ConfigError, boundary
from upcycle.parts import part_names, parts_of
from upcycle.records import Example
from upcycle.training.bases import base_folder, need_torch, quiet
from upcycle.training.causal.model import batches, context_of, open_tokenizer
from upcycle.training.causal.prompting import readable
from upcycle.training.encoders.encoder import Feature, Study, open_encoder, states, to_device, train_encoder
from upcycle.training.memory import halved
from upcycle.training.predictor import Progress, Told
from upcycle.training.saved import facts_of, write_facts
from upcycle.training.weights import LARGEST, check_real, own_probabilities, weights_of

_BATCH_TOKENS = 8192
_MOST_LABELS = 1000


@dataclass(slots=True)
class Classifier:
    """An encoder with a head for labels.

    Attributes:
        labels: what it can say, in the order of the head.
        names: of the parts that its inputs have; empty for single texts.
        longest: tokens it reads; longer inputs lose their end.
        facts: what `upcycle-model.json` says of it.
        cut: inputs of the last call that were longer than that.
    """

    model: Any
    tokenizer: Any
    labels: tuple[str, ...]
    names: tuple[str, ...]
    longest: int
    facts: dict[str, Any] = field(default_factory=dict)
    cut: int = 0

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        """The likeliest label of each input, `samples` times over (there is nothing random in it)."""
        return [[self.labels[max(range(len(row)), key=row.__getitem__)]] * samples for row in self._logs(inputs)]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Natural logarithm of the probability of each choice; minus infinity for labels it does not know."""
        place = {label: number for number, label in enumerate(self.labels)}
        return [
            [row[place[choice]] if choice in place else float("-inf") for choice in asked]
            for row, asked in zip(self._logs(inputs), choices, strict=True)
        ]

    def _logs(self, inputs: Sequence[str]) -> list[list[float]]:
        rows, self.cut = encode(self.tokenizer, inputs, self.names, self.longest)
        found: list[list[float]] = [[] for _ in rows]

        def read(some: list[int]) -> None:
            logits = states(self.model, [rows[number] for number in some], self.tokenizer.pad_token_id).logits
            for number, row in zip(some, logits.double().log_softmax(-1).tolist(), strict=True):
                found[number] = row

        for batch in batches([len(row["input_ids"]) for row in rows], _BATCH_TOKENS):
            halved(batch, read)
        return found

    def save(self, folder: Path) -> None:
        """Write it as a folder that transformers opens too."""
        with boundary(str(folder)), quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        write_facts(folder, {**self.facts, "kind": "classifier", "labels": self.labels, "names": self.names,
                             "longest": self.longest})  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Open a folder, ours or any sequence classifier of Hugging Face.

        Raises:
            ConfigError: a file is missing or broken, or torch is not installed.
        """
        need_torch()
        facts = facts_of(folder)
        model = to_device(open_encoder(folder, "SequenceClassification"))
        labels = facts.get("labels") or [name for _, name in sorted(model.config.id2label.items())]
        longest = facts.get("longest") or context_of(model.config) or 512
        with quiet():
            tokenizer = open_tokenizer(folder)
        return cls(model, tokenizer, tuple(labels), tuple(facts.get("names", ())), longest, facts)


def fit_labels(
    examples: Sequence[Example],
    settings: Training,
    *,
    student: str,
    validation: Sequence[Example],
    real: Sequence[Example],
    work: Path,
    seed: int,
    told: Told,
) -> Classifier:
    """Train an encoder on labels.

    Args:
        real: labelled examples nobody made, from which the DIMP loss learns what is likely; needed for it alone.

    Raises:
        ConfigError: no such model, outputs that are no labels, the DIMP loss without real examples.
    """
    base = base_folder(student)
    labels = labels_of(examples)
    names = part_names(examples)
    with quiet():
        tokenizer = open_tokenizer(base)
    longest = longest_of(base, settings)
    known = known_labels(validation, labels, told)
    weights = weights_of([one.weight for one in examples], settings)
    rows, cut = encode(tokenizer, [one.input for one in examples], names, longest)
    judged, _ = encode(tokenizer, [one.input for one in known], names, longest)
    if cut:
        told(Progress(text=f"{cut} of {len(rows)} inputs are longer than {longest} tokens; their end was cut off"))
    more: dict[str, Any] = {}
    if settings.weights == "dimp":
        more["likely"] = _likely(examples, settings, real, student, work, seed, told)
    study = Study(
        _features(rows, [one.output for one in examples], labels, weights, **more),
        _features(judged, [one.output for one in known], labels, [1.0] * len(known)),
        lambda number: _fresh(base, labels, number),
        _dimp_losses if more else _losses,
        tokenizer.pad_token_id,
    )
    best, folder = train_encoder(study, settings, work=work, seed=seed, told=told)
    facts = {"student": student, "examples": len(examples), "rate": best.leg.rate, **best.facts}
    model = to_device(open_encoder(folder, "SequenceClassification"))
    return Classifier(model, tokenizer, labels, names, longest, facts)


def labels_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """The labels, sorted.

    Raises:
        ConfigError: so many that they cannot be labels.
    """
    labels = tuple(sorted({one.output for one in examples}))
    if len(labels) > _MOST_LABELS:
        raise ConfigError(f"{len(labels):,} different outputs are no labels; give --kind text")
    return labels


def known_labels(validation: Sequence[Example], labels: Sequence[str], told: Told) -> list[Example]:
    """The validation examples whose label is one of training; the others are counted and told."""
    known = [one for one in validation if one.output in set(labels)]
    if missing := len(validation) - len(known):
        unseen = sorted({one.output for one in validation} - set(labels))
        told(Progress(text=f"{missing} validation examples have labels unseen in training ({', '.join(unseen[:5])}); "
                      "they are left out of the choice of the epoch"))  # fmt: skip
    return known


def longest_of(base: Path, settings: Training) -> int:
    """Tokens an encoder reads.

    Raises:
        ConfigError: more are asked for than it can.
    """
    from transformers import AutoConfig

    with quiet():
        can = context_of(AutoConfig.from_pretrained(base, local_files_only=True)) or 512
    if settings.max_tokens and settings.max_tokens > can:
        raise ConfigError(f"max_tokens {settings.max_tokens} is more than the {can} tokens this model can read")
    return settings.max_tokens or can


def encode(tokenizer: Any, inputs: Sequence[str], names: Sequence[str], longest: int) -> tuple[list[Feature], int]:
    """Inputs in tokens, a pair where there are parts, and how many did not fit and lost their end."""
    if not inputs:
        return [], 0
    inputs = [readable(text) for text in inputs]
    texts: list[Any] = list(inputs)
    if names:
        parts = [list(parts_of(text, names).values()) for text in inputs]
        # More than two parts: the last is what the others are about (a hypothesis, a question).
        texts = [
            (" ".join(some[:-1]), some[-1]) if any(some) else (text, "")
            for some, text in zip(parts, inputs, strict=True)
        ]
    whole = tokenizer(texts, add_special_tokens=True, verbose=False)
    long = [number for number, ids in enumerate(whole["input_ids"]) if len(ids) > longest]
    rows: list[Feature] = [{name: values[number] for name, values in whole.items()} for number in range(len(inputs))]
    for number in long:
        rows[number] = dict(tokenizer(*_both(texts[number]), truncation=True, max_length=longest, verbose=False))
    return rows, len(long)


def _both(text: str | tuple[str, str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _features(
    rows: Sequence[Feature], outputs: Sequence[str], labels: Sequence[str], weights: Sequence[float],
    likely: Sequence[float] | None = None,
) -> list[Feature]:  # fmt: skip
    place = {label: number for number, label in enumerate(labels)}
    found: list[Feature] = [
        {**row, "target": place[output], "weight": weight}
        for row, output, weight in zip(rows, outputs, weights, strict=True)
    ]
    if likely is not None:
        found = [{**row, "likely": value} for row, value in zip(found, likely, strict=True)]
    return found


def _fresh(base: Path, labels: Sequence[str], seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    names = dict(enumerate(labels))
    return open_encoder(
        base, "SequenceClassification", num_labels=len(labels), id2label=names,
        label2id={label: number for number, label in names.items()}, ignore_mismatched_sizes=True,
        problem_type="single_label_classification",
    )  # fmt: skip


def _losses(outputs: Any, batch: Any) -> Any:
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs.logits.float(), batch["target"], reduction="none")


def _dimp_losses(outputs: Any, batch: Any) -> Any:
    """Each loss times P(label | text) of the real data's model over the student's own, which gets no gradient."""
    losses = _losses(outputs, batch)
    if "likely" not in batch:
        return losses
    weights = batch["likely"] / (-losses.detach()).exp().clamp(min=1e-6)
    return losses * weights.clamp(max=LARGEST)


def _likely(
    examples: Sequence[Example], settings: Training, real: Sequence[Example], student: str, work: Path, seed: int,
    told: Told,
) -> list[float]:  # fmt: skip
    """Probability of each example's label for a model that was trained on real data only."""
    check_real(real)
    plain = settings.model_copy(
        update={"weights": "none", "grid": False, "learning_rates": settings.learning_rates[:1]}
    )
    checker = fit_labels(
        real, plain, student=student, validation=(), real=(), work=work / "real", seed=seed, told=told
    )  # fmt: skip
    return own_probabilities(checker, [one.input for one in examples], [one.output for one in examples])
