"""From a model and a gold file to an evaluation: what `upcycle.evaluate` and `upcycle evaluate` do.

A model is a folder (trained here, or a causal language model of Hugging Face), the embedded one by its name, or one
behind a server, which is asked through the gateway in the output folder's run. The decision: what a model was trained
on is known from its own folder and taken out of the gold, since a number read on seen items says nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.config import make_config, one_model
from upcycle.errors import ConfigError
from upcycle.evaluation.asked import Asked, Shown, asked_of, counted
from upcycle.evaluation.evaluate import evaluate_asked
from upcycle.evaluation.gold import GoldSet
from upcycle.evaluation.gold_files import read_gold_set
from upcycle.evaluation.scores import Compared, Prediction, Scores, compared, read_predictions
from upcycle.evaluation.served import STAGE, evaluate_served
from upcycle.llm.connect import FORMS, choose
from upcycle.llm.roles import open_models
from upcycle.report.evaluated import FACTS, PREDICTIONS, Evaluation, claim, write_evaluation
from upcycle.run import Event, Listener, Run
from upcycle.task import Demonstration
from upcycle.training.predictor import Predictor
from upcycle.training.saved import facts_of, load
from upcycle.training.seen import question, read_seen

_SETTINGS = ("base_url", "budget", "concurrency", "rpm", "tpm", "prices")
_EMBEDDED = {"embedded": "smollm2", "smollm2": "smollm2", "embedded/smollm2": "smollm2"}
_SERVED = re.compile(r"(openai|anthropic|embedded)/.+|.+\.gguf")


class Wanted(NamedTuple):
    """What is asked of every model, whichever it is."""

    gold: str | PathLike[str]
    metric: str | None
    shots: int
    shown: Sequence[Demonstration]
    columns: Mapping[str, str | Sequence[str]] | None
    seed: int
    limit: int | None


async def evaluate_model(
    model: str | PathLike[str] | Predictor,
    wanted: Wanted,
    *,
    against: str | PathLike[str] | None,
    out: str | PathLike[str] | None,
    listener: Listener | None,
    settings: Mapping[str, Any],
) -> Evaluation:
    """Evaluate a model into a folder; the arguments are those of `upcycle.evaluate`.

    Raises:
        ConfigError, SourceError: nothing began.
        ProviderError, BudgetExceededError, DiskError: what was answered is saved; the same command goes on.
    """
    for name in settings:
        if name not in _SETTINGS:
            raise ConfigError(f"unknown setting {name!r}; known settings: {', '.join(_SETTINGS)}")
    if settings and _served_name(model) is None and (against is None or _served_name(against) is None):
        raise ConfigError(f"{min(settings)} is for models behind a server; {model} runs in this process")
    others = _predictions_at(against)
    named = model if isinstance(model, str | PathLike) else type(model).__name__
    path = Path(out) if out is not None else Path("runs") / _folder_name(wanted.gold, named)
    claim(path)
    gold, scores = await _scored(model, wanted, path, listener, settings)
    compare: tuple[str, Compared] | None = None
    if against is not None:
        if others is None:
            _, second = await _scored(against, wanted, path / "against", listener, settings)
            others = list(second.items)
        compare = (str(against), compared(scores.items, others, seed=wanted.seed))
    found = Evaluation(
        str(path), str(named), gold.name, gold.read_as, scores, wanted.shots, compare, gold.left_out, gold.notes
    )
    write_evaluation(found)
    return found


def _folder_name(gold: str | PathLike[str], model: str | PathLike[str]) -> str:
    parts = (Path(str(gold).removesuffix(".gz")), Path(str(model)))
    gold_name = parts[0].parent.name if parts[0].stem in ("task", "gold") else parts[0].stem
    return "evaluate-" + re.sub(r"[^\w.-]+", "_", f"{gold_name}-{parts[1].stem or 'model'}").strip("_")


def _predictions_at(against: str | PathLike[str] | None) -> list[Prediction] | None:
    """Predictions that are there already; None where `against` names a model."""
    if against is None:
        return None
    path = Path(against).expanduser()
    if path.is_file() and path.suffix in (".jsonl", ".json"):
        return read_predictions(path / ".." / PREDICTIONS if path.name == FACTS else path)
    if (path / FACTS).is_file():
        return read_predictions(path / PREDICTIONS)
    if _served_name(against) is None and not path.is_dir() and str(against) not in _EMBEDDED:
        raise ConfigError(
            f"there is nothing to compare with at {str(against)!r}; give another model, or the folder or the"
            f" {PREDICTIONS} of an earlier evaluation"
        )
    return None


async def _scored(
    model: str | PathLike[str] | Predictor,
    wanted: Wanted,
    path: Path,
    listener: Listener | None,
    settings: Mapping[str, Any],
) -> tuple[GoldSet, Scores]:
    """One model's scores, asked where it is."""
    tell = _Teller(listener)
    if (name := _served_name(model)) is not None:
        gold, asked = _asked(wanted, None)
        tell("read", count=len(gold), name=gold.name, read_as=gold.read_as, metric=asked.metric)
        return gold, await _ask_served(name, gold, asked, wanted, path, listener, settings)
    folder, predictor = _opened(model)
    gold, asked = _asked(wanted, folder)
    tell("read", count=len(gold), name=gold.name, read_as=gold.read_as, metric=asked.metric)
    return gold, evaluate_asked(predictor, asked, form=gold.prompt, seed=wanted.seed, told=tell.progress)


def _served_name(model: str | PathLike[str] | Predictor) -> str | None:
    """The model's name where the gateway opens it; None where it runs in this process."""
    from importlib.util import find_spec

    from upcycle.llm.embedded import runtime_installed

    if not isinstance(model, str | PathLike):
        return None
    name = str(model)
    if Path(name).expanduser().is_dir():
        return None
    if name in _EMBEDDED:
        # The same weights either way; torch scores many items at once.
        return f"embedded/{_EMBEDDED[name]}" if find_spec("torch") is None and runtime_installed() else None
    return name if _SERVED.fullmatch(name) else None


def runs_here(model: str | PathLike[str] | Predictor) -> bool:
    """Whether the model computes in this process, rather than being waited for."""
    return _served_name(model) is None


def _opened(model: str | PathLike[str] | Predictor) -> tuple[Path | None, Predictor]:
    if not isinstance(model, str | PathLike):
        return None, model
    # Spinning threads fall to a tenth of their speed beside any other busy process; read once, by torch's own runtime.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    name = str(model)
    if name in _EMBEDDED:
        from upcycle.training.bases import base_folder

        return None, load(base_folder(_EMBEDDED[name]))
    folder = Path(name).expanduser()
    if not folder.is_dir():
        forms = FORMS.removesuffix(", or none")
        raise ConfigError(
            f"there is no model {name!r}; give the folder of a trained model or of a Hugging Face one, smollm2, {forms}"
        )
    return folder, load(folder)


def _asked(wanted: Wanted, folder: Path | None) -> tuple[GoldSet, Asked]:
    """The gold, and what of it is asked; items that the model in `folder` was trained on are left out."""
    trained = folder is not None and bool(facts_of(folder) or facts_of(folder / "model"))
    gold = read_gold_set(os.fspath(wanted.gold), columns=wanted.columns, published=not trained, seed=wanted.seed)
    seen = read_seen(folder) if trained and folder is not None else frozenset()
    notes: list[str] = []
    items = list(gold.items)
    if seen is None:
        notes.append("what the model was trained on is not written in its folder: overlap with it was not looked for")
    elif seen:
        items = [item for item in items if question(item.input, item.choices) not in seen]
        if lost := len(gold.items) - len(items):
            notes.append(f"{counted(lost)} left out: the model was trained on them")
        if not items:
            raise ConfigError(
                f"the model was trained on every item of {wanted.gold}, so nothing can be said; give other gold"
            )
    if wanted.limit is not None and len(items) > wanted.limit:
        from random import Random

        kept = sorted(Random(f"{wanted.seed} limit").sample(range(len(items)), wanted.limit))
        notes.append(f"{wanted.limit:,} of {len(items):,} items, drawn with seed {wanted.seed}")
        items = [items[number] for number in kept]
    shown: Sequence[Shown] = wanted.shown
    if not shown and wanted.shots and len(gold.shown) >= wanted.shots:
        shown = [Demonstration(input=text, output=output) for text, output in gold.shown]
    metric = wanted.metric or gold.metric
    asked = asked_of(items, metric, shots=wanted.shots, demonstrations=shown, seed=wanted.seed)
    return gold, asked._replace(warnings=[*notes, *asked.warnings])


async def _ask_served(
    name: str,
    gold: GoldSet,
    asked: Asked,
    wanted: Wanted,
    path: Path,
    listener: Listener | None,
    settings: Mapping[str, Any],
) -> Scores:
    given = {key: value for key, value in settings.items() if value is not None and key != "base_url"}
    if isinstance(given.get("budget"), str):
        from upcycle.budget import parse_budget

        given["budget"] = parse_budget(given["budget"])
    roles: dict[str, Any] = one_model(name)
    if settings.get("base_url"):
        roles["base_url"] = settings["base_url"]
    config = make_config({**given, "model": roles})
    identity = {
        "evaluate": name, "metric": asked.metric, "shots": asked.shown, "seed": wanted.seed,
        "gold": _digest(asked), "form": repr(gold.prompt),
    }  # fmt: skip
    await choose(name, base_url=settings.get("base_url"))  # a name nobody knows begins no run
    with Run.open(path, identity, budget=config.budget, listener=listener) as run:
        async with open_models(config, run) as models:
            assert models.executor is not None
            return await evaluate_served(
                models.executor, gold, asked, run, at_once=config.concurrency, seed=wanted.seed
            )


def _digest(asked: Asked) -> str:
    digest = hashlib.sha256()
    for item in asked.items:
        digest.update(repr(item).encode())
    return digest.hexdigest()[:16]


class _Teller:
    """Tells a listener what happens, where there is one; progress at most five times a second."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._last = 0.0

    def __call__(self, kind: str, **data: Any) -> None:
        if self._listener is not None:
            self._listener(Event(time.time(), STAGE, kind, data))

    def progress(self, done: int, of: int) -> None:
        if time.monotonic() - self._last > 0.2 or done == of:
            self._last = time.monotonic()
            self("progress", kept=done, wanted=of)
