"""What can go wrong, drawn once.

    UpcycleError                 one sentence for the user, never a traceback
    ├── ConfigError          2   a task file, a flag, a plan, an unknown model, no price under a money budget
    ├── SourceError          2   a source that cannot be read (raised to the user only when none is left)
    ├── StaleRunError        2   the run directory was made with other settings, or is in use
    ├── BudgetExceededError  1   the next call could cost more than what is left
    ├── ProviderError        1   the server refused for good (bad key, unknown model), or too many rows failed
    ├── DiskError            1   the disk or a file-size limit is full; the run resumes when there is room
    └── RowError             -   one row's failure with its kind; recorded as data, never leaves the runner

Exit codes: 0 done; 1 work began and stopped short, resumable; 2 nothing began; 130 interrupted, resumable.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class UpcycleError(Exception):
    """Base of every error a user can meet. Its text is one sentence that says what to do."""

    exit_code: int = 1


class ConfigError(UpcycleError):
    """What was asked cannot be done as asked; nothing began."""

    exit_code = 2


class SourceError(UpcycleError):
    """A source cannot be read. The others go on; it reaches the user when no source is left."""

    exit_code = 2


class StaleRunError(UpcycleError):
    """The run directory belongs to other settings or to another running process; nothing was overwritten."""

    exit_code = 2


class BudgetExceededError(UpcycleError):
    """The next call could cost more than the budget still holds; everything finished is saved."""


class ProviderError(UpcycleError):
    """The model's server refused for good, in its own words; everything finished is saved."""


class DiskError(UpcycleError):
    """Writing failed because the disk (or a size limit) is full; everything committed is saved."""


class RowKind(StrEnum):
    """How a row ended. Every kind but `ok` is kept with its reason."""

    OK = "ok"
    SKIPPED = "skipped"
    PROGRAM = "program"
    UNPARSEABLE = "unparseable"
    CONTRACT = "contract"
    LANGUAGE = "language"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    CONTAMINATED = "contaminated"
    LICENCE = "licence"
    BALANCE = "balance"
    ARTEFACT = "artefact"
    JUDGED = "judged"
    UNANSWERED = "unanswered"
    UNHELPFUL = "unhelpful"
    API_TRANSIENT = "api-transient"
    API_FATAL = "api-fatal"


class RowError(UpcycleError):
    """One row failed. The runner records it and goes on.

    Attributes:
        kind: why, one of `RowKind`.
        calls: keys of the calls that led here, so that a retry can ask them afresh.
    """

    def __init__(self, kind: RowKind, reason: str, *, calls: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.kind = kind
        self.calls = calls


NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
"""What the system says where the disk, or a limit on what may be written, is full."""


@contextmanager
def boundary(what: str) -> Iterator[None]:
    """Turn a full disk, met anywhere below, into one `DiskError` sentence.

    Args:
        what: what was being written, for the sentence ("the journal", "data/train-00000...").
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskError(
                f"no room left while writing {what}: {error.strerror}; free some space and run again"
            ) from error
        raise
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or "disk I/O error" in text:
            raise DiskError(f"no room left while writing {what}: {text}; free some space and run again") from error
        raise
