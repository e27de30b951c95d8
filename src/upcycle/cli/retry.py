"""Forget a run's failed rows, so that the next `upcycle build` on the same folder works them again."""

from __future__ import annotations

import argparse

HELP = "give failed rows another try"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run_dir", metavar="RUN", help="the run's folder")
    verb.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="KIND",
        help="unparseable, api-transient or api-fatal (default: all)",
    )


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.look import retry

    count = retry(args.run_dir, tuple(args.kind))
    if args.json:
        console.print_object({"forgotten": count})
    else:
        print(f"{count:,} failed rows will be worked again by the next `upcycle build ... -o {args.run_dir}`")
    return 0
