"""Make a task's dataset out of existing data. Run again on the same folder, it goes on where it stopped."""

from __future__ import annotations

import argparse

from upcycle.cli.options import build_arguments

HELP = "make a task's dataset out of existing data"


def arguments(verb: argparse.ArgumentParser) -> None:
    build_arguments(verb)


def run(args: argparse.Namespace) -> int:
    from upcycle.build import build
    from upcycle.cli import console
    from upcycle.cli.working import in_run

    report = in_run(args, build)
    if args.json:
        console.print_object(report.facts())
    else:
        print(report)
        if report.kept:
            print(f'  load it  datasets.load_dataset("{report.path}")')
        print(f"  see it   {report.path}/report.html")
    return 0 if report.reached else 1
