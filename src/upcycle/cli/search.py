"""Rank sources by how well they fit a task; of `hub`, the datasets of the index, whose data is not looked at yet."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from upcycle.cli.options import model_arguments, source_arguments, task_arguments, task_settings

if TYPE_CHECKING:
    from upcycle.sources.index.card_index import Filters, Found

HELP = "rank sources by how well they fit a task"


def arguments(verb: argparse.ArgumentParser) -> None:
    task_arguments(verb)
    source_arguments(verb)
    model_arguments(verb)
    verb.add_argument("-k", "--limit", type=int, default=10, metavar="N", help="how many to show (default: 10)")
    verb.add_argument(
        "--only-language", metavar="CODE", action="append", default=[], help="only sources in this language"
    )
    verb.add_argument("--max-mb", type=float, metavar="MB", help="only sources up to this size")
    verb.add_argument("--min-rows", type=int, metavar="N", help="only sources with at least this many rows")


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.errors import ConfigError
    from upcycle.sources.index.place import HUB

    if args.limit < 1:
        raise ConfigError(f"--limit is {args.limit}; give at least 1")
    opened = [name for name in args.source if name != HUB]
    rows = _opened(args, opened or ["stdlib"]) if opened or not args.source else []
    if HUB in args.source:
        rows += _listed(args)
    if args.json:
        console.print_object({"hits": rows})
    elif not rows:
        print("no source matches")
    else:
        _print_table(rows)
    return 0


def _opened(args: argparse.Namespace, names: list[str]) -> list[dict[str, Any]]:
    """Sources that are opened and looked into."""
    import asyncio

    from upcycle import api

    hits = asyncio.run(
        api.search(
            args.task,
            sources=names,
            examples=task_settings(args)["examples"],
            limit=args.limit,
            licence=args.licence or "any",
            languages=args.only_language,
            max_bytes=int(args.max_mb * 1e6) if args.max_mb else None,
            min_rows=args.min_rows,
        )
    )
    return [
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


def _listed(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Datasets of the index; a sentence is looked for without reading what a task file would need."""
    from upcycle.sources.index.card_index import Filters

    query, shown = _asked(args)
    filters = Filters(
        licence=args.licence or "any",
        languages=tuple(args.only_language),
        least_rows=args.min_rows,
        most_bytes=int(args.max_mb * 1e6) if args.max_mb else None,
    )
    return [
        {
            "source": one.listing.id,
            "score": round(one.score, 3),
            "rows": one.listing.rows,
            "licence": one.listing.licence,
            "languages": list(one.listing.languages),
            "why": f"{one.why}; {one.listing.skip}" if one.listing.skip else one.why,
            "duplicates": list(one.duplicates),
            "parts": dict(one.parts),
            "popularity": one.listing.popularity,
            "revision": one.listing.revision,
        }
        for one in _found(args, query, shown, filters)
    ]


def _found(args: argparse.Namespace, query: str, shown: Sequence[str], filters: Filters) -> list[Found]:
    """What the index finds; a model helps where one is named."""
    from upcycle.sources.index.card_index import CardIndex
    from upcycle.sources.index.place import index_folder
    from upcycle.sources.index.shortlist import shortlist, shortlist_by

    index = CardIndex.open(index_folder())
    wanted: dict[str, Any] = {"demonstrations": shown, "filters": filters, "limit": args.limit}
    if args.model == "none" or (args.model is None and args.base_url is None):
        return shortlist(index, query, **wanted)
    import asyncio

    from upcycle.sources.hub.asking import asked_once

    async def asked() -> list[Found]:
        async with asked_once(args.model, args.base_url) as model:
            return await shortlist_by(model, index, query, **wanted)

    return asyncio.run(asked())


def _asked(args: argparse.Namespace) -> tuple[str, list[str]]:
    """What is looked for, and demonstrations as text."""
    if args.examples is None and not args.task.endswith((".yaml", ".yml", ".json")) and " " in args.task.strip():
        return args.task, []
    from upcycle import api

    task, _ = api.resolve(args.task, examples=task_settings(args)["examples"])
    return task.instruction, [f"{one.input}\n{one.output}" for one in task.demonstrations]


def _print_table(rows: list[dict[str, Any]]) -> None:
    """A line of facts a source, and under it why it stands there, which is too long for a column."""
    lines = [("source", "score", "rows", "licence", "language")]
    lines += [
        (row["source"], f"{row['score']:.3f}", "?" if row["rows"] is None else f"{row['rows']:,}",
         row["licence"] or "not stated", ", ".join(row["languages"]) or "?")
        for row in rows
    ]  # fmt: skip
    name, score, count, licence, _ = (max(map(len, column)) for column in zip(*lines, strict=True))
    width = shutil.get_terminal_size().columns
    for line, why in zip(lines, ["", *(row["why"] for row in rows)], strict=True):
        one, two, three, four, five = line
        print(f"{one:<{name}}  {two:>{score}}  {three:>{count}}  {four:<{licence}}  {five}")
        if why:
            print(textwrap.fill(why, width, initial_indent="  ", subsequent_indent="  "))
