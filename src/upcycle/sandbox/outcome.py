"""What became of one row: a value, or a failure with its kind and a reason in words."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
"""What a program may be given and may return; numbers are finite and integers fit in 64 bits."""


class Fail(StrEnum):
    """Why a row has no value."""

    RAISED = "raised"
    """The program raised an exception."""
    WRONG_SHAPE = "wrong-shape"
    """It returned something that is not JSON, or is nested too deeply."""
    TOO_BIG = "too-big"
    """The record, or what was returned, is larger than the limit."""
    OUT_OF_TIME = "out-of-time"
    OUT_OF_MEMORY = "out-of-memory"
    RECURSION = "recursion"
    CRASHED = "crashed"
    """The worker process died on it, twice."""
    REFUSED = "refused"
    """The program cannot run here at all, or the record holds what no program can be given."""


COSTLY = (Fail.OUT_OF_TIME, Fail.OUT_OF_MEMORY, Fail.CRASHED)
"""Failures that cost seconds; a program with many of them is given up."""


class Value(NamedTuple):
    """What the program returned for a row."""

    json: JSON


class Failed(NamedTuple):
    """A row without a value.

    Attributes:
        program: the program itself was refused or given up; it is no use to send it more rows.
    """

    kind: Fail
    reason: str
    program: bool = False


Outcome = Value | Failed
