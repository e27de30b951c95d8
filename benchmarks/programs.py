"""What a compiled plan saves: tokens per kept example, beside the same model executing the plan on every record.

    python benchmarks/programs.py [--rows 500] [--task NAME] [--data DIR] [--json]

Both legs ask one served model (`simulated.py`) and are counted by that server's usage, four characters a token. The
first is `upcycle build`, with all that it asked: ranking, explaining, roles, drafts, votes, pilots, rows, rows done
again. The second is the product's own executor (the model is shown task, plan and one record, and writes the whole
example), one record a call, over records of the same source; its planning is not counted, which favours it.

Some tasks find the answer in a column; in the lines marked "taken away" that column was taken out of the sources first,
so that a model has to write what it held (`tokens_ratio_taken_away`). Then: how fast a program is that needs no model,
whether it makes the same examples whatever the workers, the blocks and the kills, and where right options stand
(`program_speed.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import program_speed
from bench import Line, arguments, finish, kept_rows
from simulated import Simulated
from six_tasks import read_task
from upcycle.build import build
from upcycle.config import BuildConfig, make_config, one_model
from upcycle.curation.checks import checks_for
from upcycle.llm.roles import open_models
from upcycle.methods.datatune.compile import executor
from upcycle.methods.datatune.pilot import Setting
from upcycle.methods.datatune.remember import Choice, remembered
from upcycle.methods.datatune.transform import Transform, shuffled
from upcycle.records import Example, Record
from upcycle.report.summary import Report
from upcycle.run import Run
from upcycle.sandbox import Sandbox
from upcycle.sources.source import open_sources
from upcycle.task import Task
from upcycle.testing import FakeServer

MODEL = "simulated"
PAPER_TOKENS = 2_500
"""What the paper's executor takes for a row (about 2,000 tokens of prompt, 500 of reasoning and reply)."""
PER_RECORD = 60
REARRANGING, ELSEWHERE = 0.10, 0.30

Part = tuple[list[Line], dict[str, Any]]
"""Lines of the table, and the facts they show."""


class Case(NamedTuple):
    """One line of the table.

    Attributes:
        rearranging: fields are re-arranged, and at most one of under 40 tokens is written by a model.
        gone: columns taken away from sources; a source with "*" is left out whole.
    """

    name: str
    task: str
    rearranging: bool
    gone: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  a constant, and never changed

    @property
    def told(self) -> str:
        return f"{self.name}{' (taken away)' if self.gone else ''}"


CASES = (
    Case("describe_python", "describe_python", rearranging=True),
    Case("code_line_description", "code_line_description", rearranging=True),
    Case("elementary_math_qa", "elementary_math_qa", rearranging=True),
    Case("cause_and_effect", "cause_and_effect", rearranging=True),
    Case("imdb_sentiment", "imdb_sentiment", rearranging=True),
    Case("math_word_problems", "math_word_problems", rearranging=True),
    Case("rte", "rte", rearranging=True),
    Case(
        "imdb_sentiment, no label",
        "imdb_sentiment",
        rearranging=True,
        gone=dict.fromkeys(("rotten_tomatoes", "sst2", "sst5"), ("label",)),
    ),
    Case(
        "describe_python, no text",
        "describe_python",
        rearranging=True,
        gone={"mbpp": ("text", "test_list"), "humaneval": ("*",)},
    ),
    Case(
        "code_line_description, no text",
        "code_line_description",
        rearranging=False,
        gone={"mbpp": ("text", "test_list"), "humaneval": ("*",)},
    ),
    Case("implicatures", "implicatures", rearranging=False),
    Case("multi_hop_qa", "multi_hop_qa", rearranging=False),
)


class Outcome(NamedTuple):
    """Both legs of one case; tokens are per kept example."""

    case: Case
    kept: int
    tokens: float
    calls: int
    by_code: float
    alone_tokens: float
    alone_kept: int
    stages: dict[str, int]

    @property
    def ratio(self) -> float:
        return self.tokens / self.alone_tokens

    def line(self) -> Line:
        most = REARRANGING if self.case.rearranging else ELSEWHERE
        told = (
            f"{self.tokens:6.0f} / {self.alone_tokens:5.0f} = {self.ratio:6.1%}   {self.kept:4} kept,"
            f" {self.calls:4} calls, {self.by_code:4.0%} by code; of the paper's {PAPER_TOKENS:,}:"
            f" {self.tokens / PAPER_TOKENS:5.1%}"
        )
        return Line(self.case.told, told, f"<= {most:.0%}", self.ratio <= most)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--task", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--data", type=Path, default=_data())
    parser.add_argument("--records", type=int, default=40_000, help="records a program is timed on")
    parser.add_argument("--stages", action="store_true", help="say where the tokens went")
    args = parser.parse_args()
    if not (args.data / "hub").is_dir():
        sys.exit(f"{args.data} holds no hub/ folder; set UPCYCLE_DATA or give --data")
    lines, facts = tokens_compared([case for case in CASES if not args.task or case.name in args.task], args)
    if not args.task:
        for part in (speed_measured(args.records), positions_measured(args.data)):
            lines += part[0]
            facts |= part[1]
    title = f"Tokens per kept example, -n {args.rows}: upcycle build / its model alone, one record a call; and programs"
    return finish(title, lines, facts, as_json=args.json)


def tokens_compared(cases: Sequence[Case], args: argparse.Namespace) -> Part:
    """The table of `measured`, and where the tokens went."""
    outcomes = measured(cases, args)
    if args.stages:
        for one in outcomes:
            print(f"{one.case.told}: {', '.join(f'{stage} {count:,}' for stage, count in one.stages.items())}")
    facts: dict[str, Any] = {
        "tokens_ratio": {one.case.name: round(one.ratio, 4) for one in outcomes if not one.case.gone},
        "rearranging": [one.case.name for one in outcomes if one.case.rearranging and not one.case.gone],
        "tokens_ratio_taken_away": {one.case.name: round(one.ratio, 4) for one in outcomes if one.case.gone},
        "tokens_per_example": {one.case.name: round(one.tokens, 1) for one in outcomes},
        "tokens_per_example_alone": {one.case.name: round(one.alone_tokens, 1) for one in outcomes},
        "kept": {one.case.name: one.kept for one in outcomes},
        "by_code": {one.case.name: round(one.by_code, 4) for one in outcomes},
    }
    return [one.line() for one in outcomes], facts


def speed_measured(records: int) -> Part:
    found = program_speed.speed(records)
    reached, asked = found.python[2], program_speed.ASKED
    with tempfile.TemporaryDirectory() as name:
        same = program_speed.survives_a_kill(Path(name))
    facts = {
        "records_per_s": reached,
        "records_per_s_1": found.python[1],
        "records_per_s_pure": found.pure,
        "same_examples": found.same,
        "same_after_kill": same,
    }
    lines = [
        Line("code in the sandbox, 2 workers", f"{reached:,} records/s", f">= {asked:,}/s", reached >= asked),
        Line("code in the sandbox, 1 worker", f"{found.python[1]:,} records/s"),
        Line("typed steps alone", f"{found.pure:,} records/s", f">= {asked:,}/s", found.pure >= asked),
        Line("same examples: 1 or 2 workers, any block", _told(found.same), "yes", found.same),
        Line("same dataset: killed (-9) and run again", _told(same), "yes", same),
    ]
    return lines, facts


def _told(good: bool) -> str:
    return "yes" if good else "no"


def positions_measured(data: Path) -> Part:
    """Where right options stand in 1,000 examples of two tasks, and how even the labels of a third are."""
    found: dict[str, float] = {}
    counted: dict[str, int] = {}
    for name in ("cause_and_effect", "code_line_description"):
        rows = _free(name, data, program_speed.POSITIONS)
        found[name] = program_speed.position_p([(row["input"], row["output"]) for row in rows])
        counted[name] = len(rows)
    labels = Counter(row["output"] for row in _free("imdb_sentiment", data, program_speed.POSITIONS))
    shares = {label: round(count / labels.total(), 4) for label, count in sorted(labels.items())}
    least, asked = min(found.values()), program_speed.ASKED_P
    told = ", ".join(f"{name} {p:.3f} of {counted[name]:,}" for name, p in found.items())
    lines = [
        Line("p of the right options' positions", told, f"> {asked}", least > asked),
        Line("labels of imdb_sentiment", ", ".join(f"{label} {share:.1%}" for label, share in shares.items())),
    ]
    return lines, {"position_p": round(least, 4), "position_ps": found, "label_shares": shares}


def _free(name: str, data: Path, rows: int) -> list[dict[str, Any]]:
    """Examples made without a model, from the hub and Python's own library."""
    task = read_task(data / "tasks" / name / "task.json")
    config = make_config({"rows": rows, "sources": (str(data / "hub"), "stdlib"), "model": one_model("none")})
    with tempfile.TemporaryDirectory() as folder:
        with Run.open(Path(folder) / "run", config.identity()) as run:
            asyncio.run(build(task, config, run))
        return kept_rows(Path(folder) / "run")


def _data() -> Path:
    return Path(os.environ.get("UPCYCLE_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))


def measured(cases: Sequence[Case], args: argparse.Namespace) -> list[Outcome]:
    """Both legs of every case, against one model that has read the hub."""
    tasks = {name: read_task(args.data / "tasks" / name / "task.json") for name in {case.task for case in cases}}
    model = Simulated(list(tasks.values()), args.data / "hub")
    outcomes = []
    try:
        for case in cases:
            with tempfile.TemporaryDirectory() as name:
                sources = prepared(case, args.data / "hub", Path(name) / "hub")
                out = Path(name) / "run"
                outcomes.append(asyncio.run(compared(case, tasks[case.task], sources, out, model, args.rows)))
            print(outcomes[-1].line().what, outcomes[-1].line().measured, file=sys.stderr, flush=True)
    finally:
        model.close()
    return outcomes


def prepared(case: Case, hub: Path, folder: Path) -> tuple[str, ...]:
    """The sources of a case: the hub itself, or its folders with some columns taken away from some."""
    if not case.gone:
        return (str(hub),)
    folder.mkdir()
    for one in sorted(hub.iterdir()):
        gone = case.gone.get(one.name, ())
        if not gone:
            (folder / one.name).symlink_to(one)
        elif "*" not in gone:
            _without(one, folder / one.name, gone)
    return (str(folder),)


def _without(source: Path, folder: Path, gone: Sequence[str]) -> None:
    opened, _ = open_sources([str(source)])
    folder.mkdir()
    # The card stays, less what it says of columns that are no longer there.
    shutil.copyfile(source / "README.md", folder / "README.md")
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for record in opened[0].records():
            kept = {name: value for name, value in record.fields.items() if name not in gone}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")


async def compared(case: Case, task: Task, sources: tuple[str, ...], out: Path, model: Simulated, rows: int) -> Outcome:
    """Both legs of one case."""
    async with FakeServer(model, models=(MODEL,)) as server:
        config = make_config(
            {
                "rows": rows,
                "sources": sources,
                "model": {**one_model(f"openai/{MODEL}"), "judge": "none", "base_url": server.url},
            }
        )
        with Run.open(out, config.identity()) as run:
            report = await build(task, config, run)
            spent = server.stats()
            assert not model.broken, f"the simulated model broke: {model.broken[:3]}"
            by_code = _by_code(run)
            choice = remembered(json.loads(run.journal.meta("chosen") or "{}"), open_sources(list(sources))[0], run)
        kept, tokens = await alone(task, config, choice, report, out.with_name("alone"), server)
    assert spent["tokens"] == report.tokens, "what the run wrote down is what the server counted"
    stages = {str(stage["stage"]): int(stage["tokens"]) for stage in report.stages}
    return Outcome(
        case,
        report.kept,
        spent["tokens"] / max(1, report.kept),
        spent["paid"],
        by_code,
        tokens / max(1, kept),
        kept,
        stages,
    )


def _by_code(run: Run) -> float:
    """Share of the kept examples for which no model was asked."""
    calls = [bool(value["origin"]["calls"]) for *_, value, _ in run.journal.rows("transform", "kept")]
    return 1 - sum(calls) / max(1, len(calls))


async def alone(
    task: Task, config: BuildConfig, choice: Choice, report: Report, out: Path, server: FakeServer
) -> tuple[int, int]:
    """Kept examples and tokens where the model executes the plan of the most used source, one record a call."""
    most = max(report.sources, key=lambda use: use.kept).source
    chosen = next(one for one in choice.chosen if one.source.card.id == most)
    before = server.stats()["tokens"]
    with Run(out) as run, Sandbox() as sandbox:
        async with open_models(config, run) as models:
            setting = Setting(task, choice.expanded, models.executor, sandbox, config.seed, 1)
            worker = executor(chosen.source.card, chosen.plan, setting)
            assert worker is not None
            transform = Transform(worker, chosen.source.card, task=task, check=checks_for(task), batch=1)
            kept = await _kept(transform, shuffled(chosen.source.records(), config.seed))
    return kept, server.stats()["tokens"] - before


async def _kept(transform: Transform, records: Iterable[Record]) -> int:
    """Keep as many examples as are wanted of the model alone; how many there were."""
    kept = 0

    def needed() -> int:
        return PER_RECORD - kept

    async for result in transform.rows(records, needed=needed, at_once=8):
        kept += isinstance(result, Example)
    return kept


if __name__ == "__main__":
    sys.exit(main())
