"""Say why a row is in the dataset, or why it is not: its record, its plan, its calls, the check that dropped it."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "say why a row is there, or why not"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run_dir", metavar="RUN", help="the folder of a run, or one that curate wrote")
    verb.add_argument("row", metavar="ID", help="id of a row (or its beginning), or a record as config/split/number")


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.look import why

    found = why(args.run_dir, args.row)
    if args.json:
        console.print_object(found)
    else:
        print("\n".join(_lines(found)))
    return 0


def _lines(found: dict[str, Any]) -> list[str]:
    origin = found["origin"]
    lines = [f"{found['id']}  {found['state']}"]
    if found["state"] != "kept":
        lines.append(f"  why      {found['kind']} in {found['stage']}: {found['reason']}")
        lines += _repeated(found)
    if origin["method"] == "existing":
        lines.append(f"  record   {origin['record'] or found['id']} of {origin['source']}")
    elif origin["source"] is None:
        of = "cell" if origin["round"] is None else f"round {origin['round']}, from"
        lines.append(f"  written  by {origin['model']}, {origin['method']} {of} {origin['record']}")
    else:
        record = "/".join(part for part in (origin["config"], origin["split"], origin["record"]) if part)
        lines.append(f"  record   {record} of {origin['source']} at {(origin['revision'] or '')[:12]}")
        licences = ", ".join(origin["licences"]) or "not stated"
        plan = f"plan     {origin['plan'][:12]}  licence" if origin["plan"] else "licence "
        lines.append(f"  {plan} {licences}")
    lines += _texts(found)
    for call in found["calls"]:
        asked = f"{call['stage']}: {call['model']} {call['state']}, ${call['cost_micro'] / 1e6:.6f}"
        lines.append(f"  call     {call['key'][:12]} {asked}")
        lines.append("           " + str(call["response"] or call["error"])[:400].replace("\n", "\n           "))
    return lines


def _repeated(found: dict[str, Any]) -> list[str]:
    """The row that a dropped one repeats, how nearly, and its text where the folder holds it."""
    if not found.get("other"):
        return [] if found.get("score") is None else [f"  score    {found['score']:.3g}"]
    score = "" if found.get("score") is None else f", score {found['score']:.3g}"
    of = [f"  of       {found['other']}{score}"]
    return of + [f"  {line}" for line in _texts(found["repeats"])] if found.get("repeats") else of


def _texts(row: dict[str, Any]) -> list[str]:
    shown = [name for name in ("input", "output", "rationale") if row.get(name)]
    return [f"  {name:<8} " + str(row[name]).replace("\n", "\n           ") for name in shown]
