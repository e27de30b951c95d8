"""What a person sees on a terminal while work goes on."""

from __future__ import annotations

import argparse
import io
import sys

import pytest

from upcycle.cli import console
from upcycle.run import Event


class Terminal(io.StringIO):
    """Remembers what is written to it, and says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([("transform", 40, 80)], ("examples", "40/80")),
        ([("transform", 80, 80), ("train", 1, 9)], ("steps", "1/9")),
        ([("transform", 80, 80), ("train", 9, 9), ("train", 2, 7)], ("steps", "2/7")),
        ([("train", 9, 9), ("evaluate", 5, 7)], ("items", "5/7")),
    ],
)
def test_the_bar_is_that_of_the_work_under_way_whatever_went_before(
    events: list[tuple[str, int, int]], shown: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with console.events(argparse.Namespace(json=False)) as listener:
        for stage, done, of in events:
            listener(Event(0.0, stage, "progress", {"kept": done, "wanted": of, "loss": None, "seconds_left": 1.0}))
    last = [line for line in screen.getvalue().splitlines() if "/" in line][-1]
    assert all(one in last for one in shown), last
