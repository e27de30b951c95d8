"""Rank sources by how well they fit a task."""

from __future__ import annotations

import argparse

from upcycle.cli.options import source_arguments, task_arguments, task_settings

HELP = "rank sources by how well they fit a task"


def arguments(verb: argparse.ArgumentParser) -> None:
    task_arguments(verb)
    source_arguments(verb)
    verb.add_argument("-k", "--limit", type=int, default=10, metavar="N", help="how many to show (default: 10)")
    verb.add_argument(
        "--only-language", metavar="CODE", action="append", default=[], help="only sources in this language"
    )
    verb.add_argument("--max-mb", type=float, metavar="MB", help="only sources up to this size")
    verb.add_argument("--min-rows", type=int, metavar="N", help="only sources with at least this many rows")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from upcycle import api
    from upcycle.cli import console
    from upcycle.errors import ConfigError

    if args.limit < 1:
        raise ConfigError(f"--limit is {args.limit}; give at least 1")
    hits = asyncio.run(
        api.search(
            args.task,
            sources=args.source or ["stdlib"],
            examples=task_settings(args)["examples"],
            limit=args.limit,
            licence=args.licence or "any",
            languages=args.only_language,
            max_bytes=int(args.max_mb * 1e6) if args.max_mb else None,
            min_rows=args.min_rows,
        )
    )
    rows = [
        {
            "source": hit.card.id,
            "score": round(hit.score, 3),
            "rows": hit.card.rows,
            "licence": hit.card.licence,
            "languages": list(hit.card.languages),
            "why": hit.why,
            "duplicates": list(hit.duplicates),
        }
        for hit in hits
    ]
    if args.json:
        console.print_object({"hits": rows})
    elif not rows:
        print("no source matches")
    else:
        _print_table(rows)
    return 0


def _print_table(rows: list[dict]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "score", "rows", "licence", "language", "why"):
        table.add_column(name, justify="right" if name in ("score", "rows") else "left", overflow="fold")
    for row in rows:
        count = "?" if row["rows"] is None else f"{row['rows']:,}"
        table.add_row(row["source"], f"{row['score']:.3f}", count, row["licence"] or "not stated",
                      ", ".join(row["languages"]) or "?", row["why"])  # fmt: skip
    Console(width=None).print(table)
