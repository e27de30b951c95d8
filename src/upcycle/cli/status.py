"""Show where a run stands: rows, drops, cost; also while it is running."""

from __future__ import annotations

import argparse

HELP = "show where a run stands"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run_dir", metavar="RUN", help="the run's folder")


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.look import status

    found = status(args.run_dir)
    if args.json:
        console.print_object(found.facts())
    else:
        print(found)
    return 0
