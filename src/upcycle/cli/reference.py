"""The command line as a page: `python -m upcycle.cli.reference > docs/command-line.md`; a test holds both together."""

from __future__ import annotations

import argparse
import sys

from upcycle.cli import VERBS, parser

_AFTER = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | done; N reached, even if some sources were skipped |
| 1 | work began and stopped short (N not reached, budget, disk, provider): said which; the same command goes on |
| 2 | nothing began: usage, configuration, no readable source, a run made with other settings |
| 130 | interrupted; `build`, `plan` and whatever asks a model go on with the same command, the others start afresh |
"""


def render() -> str:
    """Markdown of every verb with its arguments."""
    top = parser()
    verbs = next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    parts = ["# The command line", "Generated from the program itself; errors are one sentence on stderr."]
    for name in VERBS:
        verb = verbs.choices[name]
        parts.append(f"## upcycle {name}\n\n{(verb.description or '').strip()}")
        parts.append("| argument | meaning |\n|---|---|\n" + "\n".join(_row(action) for action in verb._actions))
    return "\n\n".join([*parts, _AFTER])


def _row(action: argparse.Action) -> str:
    names = " ".join(f"`{flag}`" for flag in action.option_strings) or f"`{action.metavar or action.dest}`"
    if action.option_strings and action.metavar:
        names += f" {action.metavar}"
    elif action.choices:
        names += f" {'/'.join(map(str, action.choices))}"
    return f"| {names.replace('|', chr(92) + '|')} | {(action.help or '').replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    sys.stdout.write(render())
