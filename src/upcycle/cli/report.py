"""Write `report.html`: everything about a run, or several runs and datasets side by side, in one page."""

from __future__ import annotations

import argparse

HELP = "write a page that shows a run, or several side by side"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "runs", metavar="RUN", nargs="+", help="a run's folder, or any dataset; several are shown side by side"
    )
    verb.add_argument(
        "-o", "--out", metavar="FILE", help="the page (default: report.html in the run; comparison.html for several)"
    )
    verb.add_argument(
        "--source", metavar="DIR|stdlib", action="append", default=[],
        help="where source records are read from (default: as the run names them); may be repeated",
    )  # fmt: skip
    verb.add_argument(
        "--gold", metavar="FILE", help="evaluation items, any dataset: shows them beside the rows that came too close"
    )
    verb.add_argument(
        "--described", metavar="FILE", help="what `upcycle describe --json` printed of them: its difficulty is shown"
    )
    verb.add_argument("-n", "--rows", type=int, metavar="N", help="most rows on the page (default: 100000)")


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.report.page import MOST_ROWS, make_report

    page = make_report(
        *args.runs,
        out=args.out,
        sources=args.source,
        gold=args.gold,
        rows=MOST_ROWS if args.rows is None else args.rows,
        described=args.described,
        tell=None if args.json else console.say,
    )
    if args.json:
        console.print_object(page.facts())
    else:
        print(page)
    return 0
