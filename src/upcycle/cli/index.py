"""Make the index that `--source hub` searches: `build --hub` asks a Hub, `import FILE` reads a dump of cards, `update`
asks for what changed. Alone, it says what the index holds.

Killed at any time, the same command goes on where it stopped, and what was searched before stays in use meanwhile.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make or update the index of datasets that --source hub searches"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("action", nargs="?", choices=("show", "build", "update", "import"), default="show")
    verb.add_argument("file", nargs="?", metavar="FILE", help="import: a dump of cards, Parquet or JSONL")
    verb.add_argument(
        "--encoder", choices=("auto", "minilm", "static", "none"), default="auto",
        help="what meaning is compared with (default: minilm up to 20,000 datasets where fetched, else static)",
    )  # fmt: skip
    verb.add_argument("--fresh", action="store_true", help="forget what was known before")
    verb.add_argument("--index", metavar="DIR", help="the index's folder (default: in the cache, or UPCYCLE_INDEX)")


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console

    report = _work(args)
    if args.json:
        console.print_object(report.facts())
    else:
        print(report)
    return 0


def _work(args: argparse.Namespace):
    from upcycle import indexing
    from upcycle.errors import ConfigError

    folder = Path(args.index).expanduser() if args.index else None
    if args.action == "show":
        return indexing.show_index(folder)
    if args.file is None:
        raise ConfigError("say which dump to import: upcycle index import FILE")
    return indexing.import_index(Path(args.file).expanduser(), folder=folder, encoder=args.encoder, fresh=args.fresh)
