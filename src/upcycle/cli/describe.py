"""Describe datasets side by side: how varied, long, unique, balanced and hard their examples are.

A dataset is a run, a folder, or a JSONL, CSV, Parquet or BIG-bench file; PATH:SPLIT names one split. Nothing is asked
of a model unless one is named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from upcycle.cli.options import columns_argument, columns_of

if TYPE_CHECKING:
    from upcycle.analysis.describe import Description

HELP = "describe datasets side by side"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("datasets", metavar="DATASET", nargs="*", help="a run, a dataset's folder, or a file; PATH:SPLIT")
    verb.add_argument("--gold", metavar="DATASET", help="one more, which the others are measured against")
    columns_argument(verb)
    verb.add_argument(
        "--limit", type=int, metavar="N", help="most examples of a set that are measured, 0 for all (default: 20000)"
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of what is drawn (default: 0)")
    verb.add_argument("--model", metavar="M", help="a model that rates difficulty from 1 to 5 (default: none is asked)")
    verb.add_argument("--base-url", metavar="URL", help="address of an OpenAI-compatible server")
    verb.add_argument("--budget", metavar="LIMIT", help="the most to spend: 5usd, 200ktok, 1000calls")
    verb.add_argument("--rated", type=int, metavar="N", help="examples of each set the model rates (default: 200)")
    verb.add_argument("--task", metavar="TEXT", help="what the model is told the task is (default: as the sets say it)")
    verb.add_argument("-o", "--out", metavar="DIR", help="where the calls are kept (default: runs/describe-MODEL)")


def run(args: argparse.Namespace) -> int:
    from upcycle import api
    from upcycle.cli import console
    from upcycle.cli.working import at_once

    limit = {} if args.limit is None else {"limit": args.limit or None}
    rated = {} if args.rated is None else {"rated": args.rated}
    work = api.describe(
        *args.datasets, gold=args.gold, columns=columns_of(args.columns), seed=args.seed, model=args.model,
        base_url=args.base_url, budget=args.budget, task=args.task, out=args.out,
        tell=None if args.json else console.say, **limit, **rated,
    )  # fmt: skip
    found = at_once(work)
    if args.json:
        console.print_object(found.facts())
    else:
        _print_table(found.sets, found.gold)
    return 0


def _print_table(sets: Sequence[Description], gold: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for one in sets:
        table.add_column(one.name + (" (gold)" if one.name == gold else ""), justify="right", overflow="fold")
    for name, cell in _LINES:
        cells = [cell(one) if one.measured else ("0" if name == "examples" else "") for one in sets]
        if any(cells):
            table.add_row(name, *cells)
    # In a file or a pipe nothing has to be folded.
    Console(width=None if sys.stdout.isatty() else 40 + 40 * len(sets)).print(table)
    for one in sets:
        for note in one.notes:
            print(f"{one.name}: {note}")
        if one.closest and one.closest[0].score >= 0.7:
            near = one.closest[0]
            print(f"{one.name}: most alike ({near.score:.2f}) are {near.id} and {near.other}: {_cut(near.text)}")
    for by in dict.fromkeys(one.difficulty.by for one in sets if one.difficulty):
        print(f"difficulty: {by}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"


def _shares(shares: Mapping[str, float], most: int = 4) -> str:
    some = sorted(shares.items(), key=lambda item: -item[1])
    more = f" +{len(some) - most}" if len(some) > most else ""
    return ", ".join(f"{_cut(name)} {share:.0%}" for name, share in some[:most]) + more


def _labels(one: Description) -> str:
    total = sum(one.labels.values())
    return _shares({name: count / total for name, count in one.labels.items()}) if total else ""


def _positions(one: Description) -> str:
    total = sum(one.positions.values())
    names = {"0": "none"}
    return ", ".join(f"{names.get(place, place)} {count / total:.0%}" for place, count in one.positions.items())


def _difficulty(one: Description) -> str:
    if one.difficulty is None:
        return ""
    unrated = f", {one.difficulty.unrated} unrated" if one.difficulty.unrated else ""
    return " ".join(f"{share:.0%}" for share in one.difficulty.shares) + f" ({one.difficulty.mean:.1f}{unrated})"


def _matched(threshold: str) -> Callable[[Description], str]:
    return lambda one: f"{one.matched.unique[threshold]:.1%}" if one.matched else ""


def _same_size(one: Description) -> str:
    return f"{one.matched.examples:,} of {one.matched.tokens}" if one.matched else ""


_LINES: tuple[tuple[str, Callable[[Description], str]], ...] = (
    ("examples", lambda one: f"{one.rows:,}"),
    ("measured", lambda one: f"{one.measured:,}" if one.measured < one.rows else ""),
    ("left out", lambda one: f"{one.skipped:,}" if one.skipped else ""),
    ("tokens per input", lambda one: f"{one.tokens.mean:.1f}"),
    ("  median, 95 %", lambda one: f"{one.tokens.median:.0f}, {one.tokens.p95:.0f}"),
    ("tokens per output", lambda one: f"{one.output_tokens.mean:.1f}"),
    ("unique bigrams per input", lambda one: f"{one.bigrams:.1f}"),
    ("  in the first 100 tokens", lambda one: f"{one.bigrams_first:.1f}"),
    ("unique at ROUGE-L 0.7", lambda one: f"{one.uniqueness['0.7']:.1%}"),
    ("  0.8", lambda one: f"{one.uniqueness['0.8']:.1%}"),
    ("  0.9", lambda one: f"{one.uniqueness['0.9']:.1%}"),
    ("repeated word for word", lambda one: f"{one.repeated:.1%}"),
    ("cut to one size", _same_size),
    ("  unique bigrams per input", lambda one: f"{one.matched.bigrams:.1f}" if one.matched else ""),
    ("  unique at ROUGE-L 0.7", _matched("0.7")),
    ("  0.8", _matched("0.8")),
    ("  0.9", _matched("0.9")),
    ("most common opening", lambda one: f'"{one.opening.text}" {one.opening.share:.1%}'),
    ("outputs that differ", lambda one: f"{one.outputs:,}"),
    ("labels", _labels),
    ("entropy of outputs, bits", lambda one: f"{one.label_bits:.2f}"),
    ("output is option number", _positions),
    ("languages", lambda one: _shares(one.languages, 3)),
    ("difficulty 1 to 5 (mean)", _difficulty),
    ("lies where these lie, too", lambda one: _shares(one.covers)),
)
