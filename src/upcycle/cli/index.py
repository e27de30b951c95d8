"""Make the index that `--source hub` searches: `build --hub` asks a Hub, `import FILE` reads a dump of cards, `update`
asks for what changed. Alone, it says what the index holds.

Killed at any time, the same command goes on where it stopped, and what was searched before stays in use meanwhile.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upcycle.indexing import IndexReport
    from upcycle.sources.index.store import Told

HELP = "make or update the index of datasets that --source hub searches"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("action", nargs="?", choices=("show", "build", "update", "import"), default="show")
    verb.add_argument("file", nargs="?", metavar="FILE", help="import: a dump of cards, Parquet or JSONL")
    verb.add_argument("--hub", action="store_true", help="build: list the datasets of the Hub")
    verb.add_argument("--endpoint", metavar="URL", help="address of the Hub (default: HF_ENDPOINT, or huggingface.co)")
    verb.add_argument("--most", type=int, metavar="N", help="build: only the N most used datasets (default: all)")
    verb.add_argument("--cards", type=int, metavar="N", help="read the whole cards of the N most used (default: 1000)")
    verb.add_argument(
        "--rows", type=int, nargs="?", const=500, metavar="N",
        help="ask the datasets server for columns, types and first rows of the N most used (default: none; 500)",
    )  # fmt: skip
    verb.add_argument(
        "--rows-endpoint", metavar="URL",
        help="address of the datasets server (default: UPCYCLE_ROWS_ENDPOINT, or huggingface.co's)",
    )  # fmt: skip
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
    return 1 if report.stopped else 0


def _work(args: argparse.Namespace) -> IndexReport:
    from upcycle import indexing
    from upcycle.errors import ConfigError

    folder = Path(args.index).expanduser() if args.index else None
    _checked(args)
    if args.action == "show":
        return indexing.show_index(folder)
    told = _told(json=args.json)
    if args.action == "import":
        if args.file is None:
            raise ConfigError("say which dump to import: upcycle index import FILE")
        file = Path(args.file).expanduser()
        return indexing.import_index(file, folder=folder, encoder=args.encoder, fresh=args.fresh, told=told)
    about: dict[str, Any] = {
        "folder": folder, "endpoint": args.endpoint, "rows_endpoint": args.rows_endpoint, "rows": args.rows or 0,
        "cards": indexing.CARDS if args.cards is None else args.cards, "encoder": args.encoder, "told": told,
    }  # fmt: skip
    if args.action == "update":
        return indexing.update_index(**about)
    return indexing.build_index(most=args.most, fresh=args.fresh, **about)


def _checked(args: argparse.Namespace) -> None:
    """Refuse what was asked of another action than the one given."""
    from upcycle.errors import ConfigError

    if args.action == "build" and not args.hub:
        raise ConfigError("say what to list: upcycle index build --hub; or read a dump: upcycle index import FILE")
    if args.action != "import" and args.file is not None:
        raise ConfigError(f"{args.action} takes no file ({args.file}); a dump is read by: upcycle index import FILE")
    if args.action == "update" and (args.fresh or args.most):
        raise ConfigError("update asks for what changed; --fresh and --most are for: upcycle index build --hub")
    for name in ("most", "cards", "rows"):
        if (value := getattr(args, name)) is not None and value < (1 if name == "most" else 0):
            raise ConfigError(f"--{name} is {value}; give a number of datasets")


_DONE = {
    "listed": "listed", "cards": "cards read", "rows": "looked into by the datasets server", "words": "words written",
    "vectors": "vectors written",
}  # fmt: skip


def _told(*, json: bool) -> Told:
    """Progress on stderr: a line every five seconds and at each end, or JSON lines."""
    from upcycle.cli import console

    last: dict[str, float] = {}

    def told(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - last.setdefault("", now) < console.LINE_EVERY and done != total:
            return
        last[""] = now
        if json:
            console.say(f'{{"stage": "index", "kind": "progress", "what": "{what}", "done": {done}, "of": {total}}}')
        else:
            console.say(f"index      {done:,}{f' of {total:,}' if total else ''} {_DONE.get(what, what)}")

    return told
