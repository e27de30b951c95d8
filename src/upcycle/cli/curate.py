"""Run checks over any dataset, and write what they keep and what they drop into a new folder."""

from __future__ import annotations

import argparse

from upcycle.cli.options import columns_of, model_arguments

HELP = "check a dataset and keep what passes"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("dataset", metavar="DATASET", help="a run, a dataset's folder or a file; PATH:SPLIT is one split")
    verb.add_argument("-o", "--out", metavar="DIR", help="folder of the result (default: runs/<name>-curated)")
    verb.add_argument(
        "--check", metavar="NAMES",
        help="checks to run, joined by commas; +NAME adds one to the usual ones (see docs/curation.md)",
    )  # fmt: skip
    verb.add_argument("--task", metavar="TASK", help="a task file, or what the examples are for in a sentence")
    verb.add_argument("-e", "--examples", metavar="FILE", help="demonstrations that no example may copy")
    verb.add_argument("--gold", metavar="FILE", help="evaluation items, any dataset, that no example may repeat")
    verb.add_argument(
        "--columns",
        metavar="ROLE=NAME",
        help="columns, e.g. input=question,output=answer; input=a+b joins two",
    )
    verb.add_argument("--licence", choices=("permissive", "any"), help="licences examples may have (default: any)")
    verb.add_argument("--near", type=float, metavar="X", help="shared wording of near-duplicates (default: 0.8)")
    verb.add_argument("--semantic", type=float, metavar="X", help="cosine of semantic duplicates (default: 0.95)")
    verb.add_argument(
        "--guess", type=float, metavar="X", help="how surely a part may give its label away (artefacts; default: 0.8)"
    )
    verb.add_argument(
        "--even",
        type=float,
        metavar="X",
        help="how often a label may occur beside the rarest (balance; default: 1)",
    )
    verb.add_argument("--judge", type=float, metavar="X", help="share of the examples that is judged (default: 1)")
    verb.add_argument("--tries", type=int, metavar="N", help="answers a model may give (answerable; default: 3)")
    model_arguments(verb)
    verb.add_argument("--budget", metavar="LIMIT", help="the most to spend: 5usd, 200ktok, 1000calls")
    verb.add_argument("--seed", type=int, metavar="N", help="random seed (default: 0)")
    verb.add_argument("-y", "--yes", action="store_true", help="do not ask before a paid model is used")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from upcycle import api
    from upcycle.cli import console
    from upcycle.cli.consent import agree
    from upcycle.cli.working import at_once
    from upcycle.curating import asks_model, checks_of, model_config

    names = ("near", "semantic", "guess", "even", "judge", "tries", "licence", "seed", "base_url", "budget")
    settings = {name: value for name in names if (value := getattr(args, name)) is not None}
    asks = asks_model(checks_of(args.check, settings), args.model)
    if asks:
        asyncio.run(agree(model_config(args.model, settings), yes=args.yes))
    with console.events(args) as listener:
        work = api.curate(
            args.dataset, out=args.out, check=args.check, task=args.task, examples=args.examples, gold=args.gold,
            columns=columns_of(args.columns), model=args.model, listener=listener, **settings,
        )  # fmt: skip
        report = asyncio.run(work) if asks else at_once(work)
    if args.json:
        console.print_object(report.facts())
    else:
        print(report)
        if report.kept:
            print(f'  load it         datasets.load_dataset("{report.path}")')
    return 1 if report.stopped else 0
