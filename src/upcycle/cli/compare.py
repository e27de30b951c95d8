"""Train the same student on each set of rows a task could get, and say which is better and which is not.

The legs: few-shot prompting, existing data as they are, transformed and generated rows, both together, each with
checks over the whole set, gold, random rows, and always the same answer. Every leg has as many rows, several seeds and
the same test items. What is finished is kept: run again, it goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from upcycle.cli.options import model_arguments, source_arguments, task_arguments, task_settings

if TYPE_CHECKING:
    from upcycle.comparing.result import ComparedLegs, Line

HELP = "train on each set of rows a task could get, and say which is better"


def arguments(verb: argparse.ArgumentParser) -> None:
    task_arguments(verb)
    source_arguments(verb)
    verb.add_argument("-o", "--out", metavar="DIR", help="the comparison's folder (default: runs/<task name>-compare)")
    verb.add_argument("-n", "--rows", type=int, metavar="N", help="rows of each leg (default: 1000, 200 if not TF-IDF)")
    verb.add_argument("--seeds", type=int, metavar="N", help="draws and trainings of each leg (default: 3)")
    verb.add_argument("--student", metavar="S", help="tfidf, minilm, smollm2, or a model's folder (default: tfidf)")
    verb.add_argument("--epochs", type=float, metavar="N", help="passes over the rows (default: 3)")
    verb.add_argument("--curve", metavar="SHARES", help="smaller sizes as shares of the rows (TF-IDF: 0.25,0.5)")
    verb.add_argument(
        "--existing", metavar="DATASET", action="append", help="use this dataset as it is; may be repeated"
    )
    verb.add_argument("--baseline", metavar="LEG", help="what the others are held against")
    verb.add_argument("--gold-share", type=float, metavar="X", help="share of the gold to train on (default: 0.3)")
    verb.add_argument("--label-usd", type=float, metavar="X", help="what a label written by a person costs (0.10)")
    model_arguments(verb)
    verb.add_argument("--budget", metavar="LIMIT", help="the most to spend, all builds together in dollars: 5usd")
    verb.add_argument("--prices", metavar="FILE", help="a prices.yaml for models nobody lists")
    verb.add_argument("--seed", type=int, metavar="N", help="the first seed (default: 0)")
    verb.add_argument("-y", "--yes", action="store_true", help="do not ask before a paid model is used")


def run(args: argparse.Namespace) -> int:
    import asyncio  # here, for every verb's module is read before any verb runs

    from upcycle import api
    from upcycle.cli import console
    from upcycle.cli.consent import agree
    from upcycle.cli.working import at_once

    settings = _settings(args)
    _, config = api.resolve(args.task, **settings)
    asyncio.run(agree(config, yes=args.yes))
    with console.events(args) as listener:
        found = at_once(api.compare(args.task, out=args.out, listener=listener, **settings))
    if args.json:
        console.print_object(found.facts())
    else:
        show(found)
    return 0


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    compare = {name: getattr(args, name) for name in ("rows", "seeds", "baseline", "gold_share", "label_usd")}
    compare["existing"] = tuple(args.existing) if args.existing else None
    compare["curve"] = _curve(args.curve) if args.curve is not None else None
    training = {name: getattr(args, name) for name in ("student", "epochs")}
    settings: dict[str, Any] = {key: getattr(args, key) for key in ("licence", "budget", "prices", "seed")}
    settings |= {**task_settings(args), "sources": tuple(args.source) or None}
    if args.model or args.base_url:
        roles = dict.fromkeys(("planner", "executor", "judge"), args.model) if args.model else {}
        settings["model"] = {**roles, **({"base_url": args.base_url} if args.base_url else {})}
    settings = {key: value for key, value in settings.items() if value is not None}
    for name, given in (("compare", compare), ("training", training)):
        if known := {key: value for key, value in given.items() if value is not None}:
            settings[name] = known
    return settings


def _curve(text: str) -> tuple[float, ...]:
    from upcycle.errors import ConfigError

    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"--curve {text!r} is not like 0.25,0.5") from None


def show(found: ComparedLegs) -> None:
    """The table, the sizes, the money, what was left out, and what can be said."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    print(
        f"{found.task}: {found.metric} on {found.items:,} test items; student {found.student},"
        f" {found.rows:,} rows a leg, {found.seeds} seed{'s' if found.seeds > 1 else ''}\n"
    )
    console.print(_table(found))
    if (sizes := _sizes(found)) is not None:
        print()
        console.print(sizes)
    print()
    _say("what can be said", found.said())
    _say("for the same money", [money(found)])
    _say("left out", [f"{one.leg}: {one.why}" for one in found.left_out])
    _say("to know", found.notes)
    before = f", {found.found:,} were finished before" if found.found else ""
    print(f"{found.trained:,} students trained in {found.seconds:,.0f} s{before}")
    print(f"see it   {found.path}/report.html")


def _table(found: ComparedLegs) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ("leg", "rows", "score", "95 %", "seeds ±", f"against {found.baseline}", "", "cost", "per point")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number in (0, 6) else "right", no_wrap=True)
    for line in found.lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> list[str]:
    gap = line.versus
    trains = line.kind not in ("constant", "prompt")
    return [
        line.name,
        f"{line.rows:,}" if trains else "–",
        f"{100 * line.value:.1f}",
        f"{100 * line.low:.1f} to {100 * line.high:.1f}",
        f"{100 * line.spread:.1f}" if line.spread is not None else "–",
        f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})" if gap else "baseline",
        ("*" if gap.significant else "n.s.") if gap else "",
        _dollars(line.usd) if trains else "–",
        (_dollars(line.usd_per_point) if line.usd_per_point is not None else "no gain") if trains else "–",
    ]


def _sizes(found: ComparedLegs) -> Any:
    """Scores at each size: the learning curve of every leg."""
    from rich.table import Table

    sizes = sorted({point.rows for line in found.lines for point in line.points})
    if len(sizes) < 2:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rows", no_wrap=True)
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    for line in found.lines:
        if line.points:
            known = {point.rows: f"{100 * point.value:.1f}" for point in line.points}
            table.add_row(line.name, *(known.get(size, "") for size in sizes))
    return table


def money(found: ComparedLegs) -> str:
    """The second view: what the same money buys of each leg."""
    if found.usd <= 0:
        return (
            "no leg of made or existing rows cost anything, so there is no gold for it:"
            f" at {_dollars(found.label_usd)} a label, as many rows of it cost {_dollars(found.label_usd * found.rows)}"
        )
    bought = [
        f"{line.name} {line.money.rows:,} rows, {100 * line.money.value:.1f}"
        f" ({100 * line.money.low:.1f} to {100 * line.money.high:.1f})"
        for line in found.lines
        if line.money is not None
    ]
    none = [line.name for line in found.lines if line.points and line.money is None and line.kind != "control"]
    told = f"{_dollars(found.usd)} buys: {'; '.join(bought)}"
    return told + (f"; too few rows to train on of {', '.join(none)}" if none else "")


def _dollars(value: float) -> str:
    return "$0" if value == 0 else f"${value:,.2f}" if value >= 0.1 else f"${value:.4f}"


def _say(title: str, sentences: Sequence[str]) -> None:
    if sentences:
        print("\n".join([f"{title}:", *(f"  {sentence}" for sentence in sentences)]))
