"""List the models that run without a server, or fetch the weights of one."""

from __future__ import annotations

import argparse

HELP = "list or fetch embedded models"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("action", nargs="?", choices=("list", "fetch"), default="list")
    verb.add_argument("name", nargs="?", metavar="NAME", help="smollm2 or minilm")


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.errors import ConfigError
    from upcycle.llm import weights

    if args.action == "fetch":
        if not args.name:
            raise ConfigError(f"say which model to fetch: {', '.join(weights.WEIGHTS)}")
        path = weights.fetch(args.name)
        if args.json:
            console.print_object({"name": args.name, "path": str(path)})
        else:
            print(f"{args.name} is at {path}")
        return 0
    rows = [
        {"name": name, "installed": weights.installed(name), "what": known.what}
        for name, known in weights.WEIGHTS.items()
    ]
    if args.json:
        console.print_object({"models": rows})
    else:
        for row in rows:
            print(f"{row['name']:<10} {'here' if row['installed'] else 'not fetched':<12} {row['what']}")
    return 0
