"""Make a task's dataset out of existing data. Run again on the same folder, it goes on where it stopped."""

from __future__ import annotations

import argparse

from upcycle.cli.options import build_arguments, build_settings

HELP = "make a task's dataset out of existing data"


def arguments(verb: argparse.ArgumentParser) -> None:
    build_arguments(verb)


def run(args: argparse.Namespace) -> int:
    import asyncio

    from upcycle import api
    from upcycle.build import build
    from upcycle.cli import console
    from upcycle.cli.consent import agree

    task, config = api.resolve(args.task, **build_settings(args))
    asyncio.run(agree(config, yes=args.yes))
    with console.events(args) as listener, api.open_run(task, config, args.out, listener) as opened:
        opened.tell("task", "contract", text=task.contract.described())
        report = asyncio.run(build(task, config, opened))
    if args.json:
        console.print_object(report.facts())
    else:
        print(report)
        if report.kept:
            print(f'  load it  datasets.load_dataset("{report.path}")')
    return 0 if report.reached else 1
