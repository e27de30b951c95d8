"""Write a dataset in another tool's shape: rows, and the configuration that names them."""

from __future__ import annotations

import argparse

HELP = "write a dataset in another tool's shape"
FORMATS = (
    *("trl", "trl-messages", "openai", "alpaca", "sharegpt", "axolotl", "llama-factory", "unsloth", "lm-eval"),
    *("jsonl", "csv"),
)
"""As `report.exporters.FORMATS`, which is too much to import for a help text; a test holds them equal."""


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("dataset", metavar="RUN", help="a run's folder, any labelled dataset, or a file of rows")
    verb.add_argument("--to", metavar="FORMAT", required=True, help=", ".join(FORMATS))
    verb.add_argument(
        "-o", "--out", metavar="DIR", help="a folder that is new or empty (default: exports/<name>/<format>)"
    )
    verb.add_argument("--split", metavar="NAME", help="only this split (default: each in a file of its own)")
    verb.add_argument(
        "--instruction", nargs="?", const=True, default=False, metavar="TEXT",
        help="say what the task is before every input: the run's own sentence, or TEXT",
    )  # fmt: skip
    verb.add_argument("--rationale", action="store_true", help="put the reasoning before the output")
    verb.add_argument("--base-model", metavar="NAME", help="the model named in training configurations")
    verb.add_argument(
        "--columns", metavar="ROLE=NAME,...", help="which column is what, e.g. input=question,output=answer"
    )


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.report.exporters import export
    from upcycle.report.exporters.recipe import BASE_MODEL

    written = export(
        args.dataset,
        args.to,
        args.out,
        split=args.split,
        instruction=args.instruction,
        rationale=args.rationale,
        base_model=args.base_model or BASE_MODEL,
        columns=_columns(args.columns) if args.columns else None,
    )
    if args.json:
        console.print_object(written.facts())
    else:
        print(written)
    return 0


def _columns(text: str) -> dict[str, str]:
    from upcycle.errors import ConfigError

    columns: dict[str, str] = {}
    for part in text.split(","):
        role, found, name = part.partition("=")
        if not found or not name.strip():
            raise ConfigError(f"--columns {text!r} is not like input=question,output=answer")
        columns[role.strip()] = name.strip()
    return columns
