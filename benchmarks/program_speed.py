"""How fast a compiled program without a model is, whether its examples depend on workers, blocks or kills, and whether
the positions of right options are uniform; printed by `programs.py`.
"""

from __future__ import annotations

import json
import math
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import UPCYCLE, kept_rows
from sandbox import records as made_up
from upcycle.contract import listed_options
from upcycle.methods.datatune.batches import BLOCK
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made, Program, compile_plan
from upcycle.records import Record
from upcycle.sandbox import Sandbox

ASKED = 20_000
ASKED_P = 0.01
POSITIONS = 1_000
_KILLED = 3_000

_PURE: dict[str, Any] = {
    "source": "notes",
    "steps": [
        {"do": "filter", "field": "text", "min_chars": 20, "max_chars": 2000},
        {"do": "map-label", "field": "label", "mapping": {"0": "negative", "1": "positive"}, "into": "verdict"},
        {"do": "template", "text": "Note {id}: {text}", "into": "told"},
    ],
    "input": "{told}",
    "output": "{verdict}",
}
_CODE: dict[str, Any] = {
    **_PURE,
    "steps": [
        *_PURE["steps"][:2],
        {
            "do": "python",
            "fields": ["id", "text"],
            "code": (
                "import re\n\n\ndef f(r):\n"
                "    text = re.sub(r'\\s+', ' ', r['text']).strip()\n"
                "    head, _, rest = text.partition('.')\n"
                "    return f\"Note {r['id']}: {head}: {len(rest.split(' '))} words\"\n"
            ),
            "into": "told",
        },
    ],
}


class Speed(NamedTuple):
    """Records a second, by plan and workers, and whether all examples were the same."""

    python: dict[int, int]
    pure: int
    same: bool


def speed(count: int) -> Speed:
    """The median of three passes each, in blocks as a build reads them, sandbox included."""
    rows = [Record("notes", "default", "train", str(row["id"]), row) for row in made_up(count)]
    coded = compile_plan(Plan.model_validate(_CODE), seed=0)
    pure = compile_plan(Plan.model_validate(_PURE), seed=0)
    rates: dict[int, int] = {}
    seen: list[list[Made | None]] = []
    for workers in (1, 2):
        with Sandbox(workers=workers) as sandbox:
            worked(coded, rows[:BLOCK], sandbox)  # its workers have started
            rates[workers] = _rate(lambda s=sandbox: worked(coded, rows, s), count)
            seen += [worked(coded, rows[:5000], sandbox, block) for block in (1, 100, BLOCK, 5000)]
    with Sandbox() as sandbox:
        free = _rate(lambda: worked(pure, rows, sandbox), count)
    return Speed(rates, free, all(one == seen[0] for one in seen))


def worked(program: Program, rows: Sequence[Record], sandbox: Sandbox, block: int = BLOCK) -> list[Made | None]:
    """What became of every record."""
    ended: list[Made | None] = []
    for at in range(0, len(rows), block):
        found = program.finish(program.start(rows[at : at + block], sandbox=sandbox), sandbox=sandbox)
        ended += [end if isinstance(end, Made) else None for _, end in found]
    return ended


def _rate(work: Callable[[], object], count: int) -> int:
    seconds: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return round(count / statistics.median(seconds))


def survives_a_kill(folder: Path) -> bool:
    """Whether a build that is killed and started again ends with the dataset of one that was not."""
    with (folder / "notes.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in made_up(2 * _KILLED))
    (folder / "plan.yaml").write_text(json.dumps({**_CODE, "source": "notes"}), encoding="utf-8")
    flags = ["-n", str(_KILLED), "--source", str(folder / "notes.jsonl"), "--plan", str(folder / "plan.yaml")]
    command = [*UPCYCLE, "build", "Say how the note sounds", *flags, "--model", "none", "-o"]
    subprocess.run([*command, str(folder / "whole")], check=True, capture_output=True)
    process = subprocess.Popen([*command, str(folder / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and _kept_so_far(folder / "killed") < _KILLED // 10:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    began = not (folder / "killed" / "data").exists()
    subprocess.run([*command, str(folder / "killed")], check=True, capture_output=True)
    return began and kept_rows(folder / "whole") == kept_rows(folder / "killed")


def _kept_so_far(run: Path) -> int:
    import sqlite3

    if not (run / "run.db").exists():
        return 0
    try:
        with sqlite3.connect(f"file:{run / 'run.db'}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM rows").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def position_p(examples: Sequence[tuple[str, str]]) -> float:
    """Probability of right options standing at least as unevenly as they do, were every place as likely (chi-square).

    Args:
        examples: inputs that list their options, and outputs; only those with the most frequent number of options
            are looked at.
    """
    listed = [(listed_options(text), output) for text, output in examples]
    size = Counter(len(options) for options, _ in listed).most_common(1)[0][0]
    places = Counter(options.index(output) for options, output in listed if len(options) == size)
    expected = places.total() / size
    statistic = sum((places[place] - expected) ** 2 / expected for place in range(size))
    return chi_square_tail(statistic, size - 1)


def chi_square_tail(statistic: float, degrees: int) -> float:
    """P(chi-square with `degrees` degrees of freedom >= statistic), by the recurrence of the incomplete gamma."""
    half = statistic / 2
    if degrees % 2:
        tail, shape = math.erfc(math.sqrt(half)), 0.5
    else:
        tail, shape = math.exp(-half), 1.0
    while shape < degrees / 2:
        tail += math.exp(shape * math.log(half) - half - math.lgamma(shape + 1)) if half else 0.0
        shape += 1
    return min(1.0, tail)
