"""Choose sources, write plans, pilot them on a few records and estimate the price; nothing more is spent.

The plans are in the run's folder and may be edited; `upcycle build` on the same folder goes on from them.
"""

from __future__ import annotations

import argparse

from upcycle.cli.options import build_arguments

HELP = "choose sources, write and pilot plans, estimate the price"


def arguments(verb: argparse.ArgumentParser) -> None:
    build_arguments(verb)


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.cli.working import in_run
    from upcycle.plan_report import plan

    report = in_run(args, plan)
    if args.json:
        console.print_object(report.facts())
    else:
        print(report)
    return 0
