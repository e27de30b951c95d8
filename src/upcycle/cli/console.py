"""How events look: a rich progress bar on a terminal, one line every five seconds elsewhere, JSON lines on request.

Everything here goes to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    # Verbs that run nothing, and answer in milliseconds, print too.
    from upcycle.run.folder import Event, Listener

LINE_EVERY = 5.0
"""Seconds between two progress lines where there is no terminal."""


@contextmanager
def events(args: argparse.Namespace) -> Iterator[Listener]:
    """The listener this invocation wants."""
    if args.json:
        yield _as_json
    elif sys.stderr.isatty():
        with _bar() as listener:
            yield listener
    else:
        yield _Lines()


def print_object(value: Any) -> None:
    """The one final JSON object on stdout."""
    sys.stdout.write(
        orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode() + "\n"
    )


def say(text: str) -> None:
    """A line for people on stderr."""
    print(text, file=sys.stderr, flush=True)


def _as_json(event: Event) -> None:
    line = {"at": round(event.at, 3), "stage": event.stage, "kind": event.kind, **event.data}
    sys.stderr.write(orjson.dumps(line, option=orjson.OPT_NON_STR_KEYS, default=str).decode() + "\n")


class _Lines:
    """Events as plain lines; progress at most every five seconds."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self._last = self._last or time.monotonic()  # the first tick only starts the clock
            if time.monotonic() - self._last < LINE_EVERY:
                return
            self._last = time.monotonic()
        if (text := sentence(event)) is not None:
            say(text)


@contextmanager
def _bar() -> Iterator[Listener]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[cost]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        rows: list[Any] = []

        def listener(event: Event) -> None:
            if event.kind == "progress":
                what = _UNITS.get(event.stage, "examples")
                if not rows:
                    rows.append(progress.add_task(what, total=event.data["wanted"], cost=""))
                elif (bar := progress.tasks[0]).description != what or event.data["kept"] < bar.completed:
                    # Another work has begun (the next student of a comparison), whose pace is its own.
                    progress.reset(rows[0], total=event.data["wanted"], description=what)
                progress.update(rows[0], total=event.data["wanted"], completed=event.data["kept"],
                                cost=_cost(event.data).removeprefix(", "))  # fmt: skip
            elif (text := sentence(event)) is not None:
                progress.console.print(text, highlight=False, markup=False)

        yield listener


_UNITS = {"train": "steps", "evaluate": "items"}
_ENDS = {"source exhausted": "used up", "source dropped": "dropped, too few of its rows are good"}


def _counts(data: Mapping[str, Any]) -> str:
    """What became of a source's records; the unreadable ones where there were any."""
    names = ("kept", "skipped", "failed", *(("unreadable",) if data["unreadable"] else ()))
    return ", ".join(f"{name} {data[name]:,}" for name in names)


def _so_far(event: Event) -> str:
    """How far a stage is; training also says how well it goes and how long it takes."""
    data = event.data
    if event.stage != "train":
        return f"{data['kept']:,} of {data['wanted']:,} {_UNITS.get(event.stage, 'examples')}{_cost(data)}"
    loss = "" if data["loss"] is None else f", loss {data['loss']:.3f}"
    left = "" if data["seconds_left"] is None else f", about {data['seconds_left'] / 60:.0f} min left"
    return f"step {data['kept']:,} of {data['wanted']:,}{loss}{left}"


def _cost(data: Mapping[str, Any]) -> str:
    """What was spent so far, where anything was."""
    if not data.get("tokens"):
        return ""
    return f", ${data['usd']:.4f}, {data['tokens']:,} tokens"


_PLAIN = {
    ("model", "chosen"): "model      {name} ({why})",
    ("task", "contract"): "contract   {text}",
    ("sources", "pinned"): "sources    {source} at {revision:.12}",
    ("sources", "source skipped"): "sources    left out {source}: {reason}",
    ("plan", "plan edited"): "plan       {source}: used as edited",
    ("curation", "read"): "read       {count:,} examples of {name}: {read_as}",
    ("compare", "parted"): "compare    {test:,} test items, {train:,} gold rows to train on; {student}, {metric}",
    ("compare", "leg"): "           {done} of {total}: {leg}, {rows:,} rows, seed {seed}: {score:.1%} ({how})",
    ("compare", "left out"): "           left out {leg}: {why}",
    ("train", "read"): "read       {count:,} examples of {name}: {read_as}",
    ("train", "told"): "train      {text}",
    ("evaluate", "read"): "read       {count:,} items of {name}: {read_as}; scored by {metric}",
    ("transform", "source opened"): "transform  {source}",
    ("generate", "grid drawn"): "generate   {text}",
    ("generate", "topics from words"): "generate   topics are words of the task; the planner named none: {why}",
    ("source2synth", "training the intermediate model"): "slice 0    {examples:,} examples; training on them",
    ("source2synth", "comparing"): "source2synth  training on what the filter kept, and on as many at random",
    ("source2synth", "curated"): "slice 1    {text}",
    ("s3", "first set"): "first set  {rows:,} examples, by {by}",
    ("s3", "no reasons"): "           no reasons for {label}: {why}",
    ("s3", "control left out"): "           no comparison with {name}: {why}",
    ("s3", "training"): "train      the student on {rows:,} examples",
    ("s3", "mined"): "round {round}    {errors:,} errors on gold, {new:,} of them new; {wished:,} rows to write",
    ("s3", "warning"): "           {text}",
    ("generate", "stopped"): "           generate stopped: {reason}",
    ("mix", "filled up"): "mix        {method} ended at {kept} of its {share} examples; the others fill up",
}
"""Events whose fields are told as they are."""


def sentence(event: Event) -> str | None:
    """An event as one line for people; None for those only machines want."""
    data = event.data
    if (template := _PLAIN.get((event.stage, event.kind))) is not None:
        return template.format_map(data)
    match event.stage, event.kind:
        case "search", "found":
            found = data["sources"]
            more = f" and {len(found) - 6} more" if len(found) > 6 else ""
            return f"search     {', '.join(found[:6])}{more}" if found else "search     nothing found"
        case "rerank", "ranked":
            order = "none fits" if data["none"] else ", ".join(data["sources"][:6]) or "no source"
            return f"rerank     {order} ({data['votes']} votes, {data['invalid']} invalid)"
        case "pilot", "tried":
            told = f"score {data['score']:.2f}, {'asks the model' if data['paid'] else 'no model'}"
            return f"pilot      {data['source']}: kept {data['kept']} of {data['tried']}, {told}"
        case "plan", "chosen":
            return "plan       " + (
                ", ".join(f"{name} ({score:.2f})" for name, score in data["sources"]) or "no source"
            )
        case "transform", "source exhausted" | "source dropped":
            return f"           {data['source']} {_ENDS[event.kind]}: {_counts(data)}"
        case "source", "record skipped" if data["number"] == 1:  # all of them are in the run's events
            return f"           {data['source']}: cannot read {data['ref']}: {data['why']}"
        case "s3", "examined":
            return f"           {data['select']:.1%} on the select rows; {data['errors']:,} errors on the mine rows"
        case "s3", "round":
            fate = "kept" if data["kept"] else "not kept"
            return f"           {data['added']:,} rows of {data['written']:,}, {fate}: {data['reason']}"
        case "s3", "compared":
            lines = [
                f"{one['name']:36} {one['rows']:>6,} rows {one['score']:6.1%}  {one['words']}" for one in data["table"]
            ]
            return "test       " + "\n           ".join(lines)
        case "train" | "transform" | "evaluate", "progress":
            return f"           {_so_far(event)}"
        case _:
            return None
