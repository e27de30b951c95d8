"""The same model and the same items, scored by upcycle and by lm-evaluation-harness through the task we export.

    python tests/harness.py MODEL GOLD...

prints both numbers and the largest gap between two log-likelihoods. It needs `pip install lm-eval`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import upcycle
from upcycle.evaluation.gold_files import read_gold_set


class Agreement(NamedTuple):
    """Both shares of right choices, and the largest gap between the log-likelihoods of any option."""

    items: int
    ours: float
    theirs: float
    ours_normed: float
    theirs_normed: float
    largest_gap: float


def agreement(model: Path, gold: Path, out: Path) -> Agreement:
    """Score both ways."""
    from lm_eval import simple_evaluate  # pyrefly: ignore[missing-import]
    from lm_eval.tasks import TaskManager  # pyrefly: ignore[missing-import]

    asyncio.run(upcycle.export(gold, "lm-eval", out=out))
    [task] = [file.stem for file in out.glob("*.yaml")]
    found = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model), "dtype": "float32"},
        tasks=[task],
        task_manager=TaskManager(include_path=str(out), include_defaults=False),
        device="cpu",
        batch_size=4,
        log_samples=True,
        bootstrap_iters=0,
    )
    theirs = {
        sample["doc"]["input"]: [float(one[0][0]) for one in sample["resps"]] for sample in found["samples"][task]
    }
    read = read_gold_set(gold)
    result = asyncio.run(upcycle.evaluate(str(model), str(gold), out=out / "ours"))
    asked = {item.id: item.input for item in read.items}
    labels = sorted({item.output for item in read.items})
    gaps = [
        abs(one - other)
        for item in result.scores.items
        for one, other in zip(item.likelihoods or (), theirs[asked[item.id]], strict=True)
    ]
    assert len(gaps) >= len(read.items) * min(2, len(labels))
    numbers = found["results"][task]
    normed = result.scores.estimates.get("per_character", result.scores.main)
    return Agreement(
        len(result.scores.items), result.scores.main.value, numbers["acc,none"], normed.value,
        numbers["acc_norm,none"], max(gaps),
    )  # fmt: skip


if __name__ == "__main__":
    for name in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as folder:
            found = agreement(Path(sys.argv[1]), Path(name), Path(folder) / "task")
        print(name, *(f"{key}={value:.6g}" for key, value in found._asdict().items()))
