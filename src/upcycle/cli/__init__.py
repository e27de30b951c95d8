"""The command line: one file per verb, each of which parses, calls one function and prints.

argparse, because it starts in 20 ms where the libraries that build on it take ten times that; a verb's module imports
the rest of upcycle only when it runs. Errors are one sentence on stderr, with a traceback only under --debug.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import upcycle
from upcycle.errors import UpcycleError

VERBS = (
    *("init", "build", "index", "search", "plan", "status", "report", "describe"),
    *("train", "evaluate", "compare", "curate", "why", "retry", "export", "push", "models", "doctor"),
)

_GO_ON = ("build", "plan", "index", "train", "compare")
"""Verbs that keep what they did whatever they were asked; the others keep the calls to a model, where they make any."""


class _Parser(argparse.ArgumentParser):
    """argparse in one sentence and with our exit code."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"upcycle: {message}; see `{self.prog} --help`\n")


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, or as much of it as understands one verb: the others' flags take time to lay out."""
    top = _Parser(prog="upcycle", description=upcycle.__doc__)
    top.add_argument("--version", action="version", version=f"upcycle {upcycle.__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for name in (only,) if only in VERBS else VERBS:
        module = import_module(f"upcycle.cli.{name}")
        verb = verbs.add_parser(name, help=module.HELP, description=module.__doc__)
        module.arguments(verb)
        verb.add_argument("--json", action="store_true", help="events as JSON lines on stderr, one object on stdout")
        verb.add_argument("--debug", action="store_true", help="show the traceback of an error")
        verb.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0 done, 1 stopped short, 2 nothing began, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    top = parser(given[0] if given else None)
    args = top.parse_args(given)
    if args.verb is None:
        top.print_help()
        return 2
    try:
        return int(args.run(args))
    except UpcycleError as error:
        if args.debug:
            raise
        print(f"upcycle: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        goes_on = args.verb in _GO_ON or getattr(args, "model", None) not in (None, "none")
        then = "goes on where it stopped" if goes_on else "starts afresh"
        print(f"\nupcycle: interrupted; the same command {then}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def entry() -> None:
    """What the `upcycle` script calls."""
    # A build makes many small values that live long and hold no cycles; at its default the collector walks them all
    # every few hundred, which costs a tenth of the process.
    gc.set_threshold(50_000, 20, 20)
    # numpy, which pyarrow loads, only copies here; by default it starts a thread per core the moment it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Looking for plugins reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.exit(main())
