"""The process a student is trained in: reads what to learn from its standard input, answers on its standard output.

Started once a run, so that a library that takes seconds to import is imported once. It ends with the process that
started it, whatever that one died of, and leaves Ctrl-C to it.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.config import Training
from upcycle.errors import UpcycleError
from upcycle.evaluation.gold import GoldItem
from upcycle.records import Example


class Learn(NamedTuple):
    """One student's life: trained on examples, then asked every item."""

    fit: Callable[..., Any]
    evaluate: Callable[..., Any]
    examples: tuple[Example, ...]
    training: Training
    items: tuple[GoldItem, ...]
    metric: str
    folder: Path | None
    seed: int


def learn(work: Learn) -> list[tuple[str, str, float, float]]:
    """(id, said, right, near) of every item, in their order; `near` is F1 where the metric knows it, else `right`."""
    predictor = work.fit(work.examples, work.training, folder=work.folder, seed=work.seed)
    scores = work.evaluate(predictor, work.items, work.metric, seed=work.seed)
    return [(one.id, one.said, float(one.right), float(one.measures.get("f1", one.right))) for one in scores.items]


def main() -> None:
    """Learn until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    # What a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    asked = sys.stdin.buffer
    sys.path[:] = pickle.load(asked)  # noqa: S301 - from the process that started this one
    while True:
        try:
            work = pickle.load(asked)  # noqa: S301 - likewise
        except EOFError:
            return
        answer: object
        try:
            answer = learn(work)
        except UpcycleError as error:
            answer = error
        answers.write(pickle.dumps(answer))
        answers.flush()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
