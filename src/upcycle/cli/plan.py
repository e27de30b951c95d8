"""Choose sources, write plans, pilot them on a few records and estimate the price; nothing more is spent.

The plans are in the run's folder and may be edited; `upcycle build` on the same folder goes on from them.
"""

from __future__ import annotations

import argparse

from upcycle.cli.options import build_arguments, build_settings

HELP = "choose sources, write and pilot plans, estimate the price"


def arguments(verb: argparse.ArgumentParser) -> None:
    build_arguments(verb)


def run(args: argparse.Namespace) -> int:
    import asyncio

    from upcycle import api
    from upcycle.cli import console
    from upcycle.cli.consent import agree
    from upcycle.plan_report import plan as make_plans

    task, config = api.resolve(args.task, **build_settings(args))
    asyncio.run(agree(config, yes=args.yes))
    with console.events(args) as listener, api.open_run(task, config, args.out, listener) as opened:
        opened.tell("task", "contract", text=task.contract.described())
        report = asyncio.run(make_plans(task, config, opened))
    if args.json:
        console.print_object(report.facts())
    else:
        print(report)
    return 0
