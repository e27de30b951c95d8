"""The shape every check has: a function of one example that answers keep or drop, with reason and score."""

from __future__ import annotations

from collections.abc import Callable

from upcycle.records import Example, Verdict

Check = Callable[[Example], Verdict]
"""Judges one example. A check that remembers what it kept serves one stream of examples, from first to last."""

KEEP = Verdict(keep=True)
