"""A run is a directory. `Run` opens it, holds its lock, and gives the stages their journal, ledger and events.

    runs/<name>/
      task.yaml config.yaml   what was asked, resolved
      run.db run.lock         the journal, and who writes it
      plans/                  what turned records into examples
      data/ provenance/ dropped/ README.md

A run made with other settings is refused with what changed; nothing is overwritten. More rows, a larger budget and
another concurrency are not other settings.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from upcycle.budget import Budget
from upcycle.errors import NO_ROOM, ConfigError, StaleRunError, boundary
from upcycle.run.journal import Journal
from upcycle.run.ledger import Ledger


class Event(NamedTuple):
    """Something that happened in a run: when (seconds since the epoch), in which stage, what, with which fields."""

    at: float
    stage: str
    kind: str
    data: Mapping[str, Any]


Listener = Callable[[Event], None]
"""Is told of every event as it happens; the engine itself never prints."""


class Run:
    """An open run directory; use it as a context manager."""

    def __init__(self, path: Path, *, budget: Budget | None = None, listener: Listener | None = None) -> None:
        self.path = path
        self._listener = listener
        with boundary(f"{path}"):
            _make_folder(path)
        self._lock = _lock(path / "run.lock")
        try:
            self.journal = Journal(path / "run.db")
        except BaseException:
            self._lock.close()
            raise
        self.kept = 0
        """Examples kept so far in this process."""
        self.ended: dict[str, str] = {}
        """Why each method that ended before its share was reached did so, in a clause."""
        self.notes: list[str] = []
        """Lines for people that the report shows, in the words of the methods that have something to say."""
        spent = self.journal.spent()
        self.ledger = Ledger(budget or Budget(), micro=spent.micro, tokens=spent.tokens, calls=spent.calls)

    @classmethod
    def open(
        cls, path: Path, settings: Mapping[str, Any], *, budget: Budget | None = None, listener: Listener | None = None
    ) -> Run:
        """Open or create the run for these settings.

        Raises:
            StaleRunError: the directory holds a run with other settings (named), or another process is writing it.
            ConfigError: the path is a file, or a folder that holds something other than a run.
        """
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file; give a folder for the run")
        if path.is_dir() and any(path.iterdir()) and not (path / "run.db").exists():
            raise ConfigError(f"{path} exists and is not a run; give another folder with -o")
        now = _plain(settings)
        run = cls(path, budget=budget, listener=listener)
        try:
            run._same_settings(now)
        except BaseException:
            run.close()
            raise
        return run

    def _same_settings(self, now: Mapping[str, Any]) -> None:
        found = self.journal.meta("settings")
        if found is None or not self.journal.holds_work():
            # An attempt that came to nothing (a misspelled source, no model) must not occupy the folder.
            self.journal.set_meta("settings", orjson.dumps(now).decode())
            return
        before = orjson.loads(found)
        changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        if changed:
            what = "; ".join(f"{key}: {_short(before.get(key))} -> {_short(now.get(key))}" for key in changed[:5])
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise StaleRunError(
                f"{self.path} was made with other settings ({what}{more}); nothing was overwritten:"
                " give another folder with -o, or the earlier settings to go on"
            )

    def tell(self, stage: str, kind: str, *, keep: bool = True, **data: Any) -> None:
        """Announce an event; `keep=False` for the ones too frequent to remember (progress ticks)."""
        if keep:
            self.journal.event(stage, kind, **data)
        if self._listener is not None:
            self._listener(Event(time.time(), stage, kind, data))

    def close(self) -> None:
        """Commit, close the journal and give the lock back."""
        try:
            self.journal.close()
        finally:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_text(path: Path, text: str) -> None:
    """Write a text file whole and rename it into place, so that it is never half there."""
    with boundary(str(path)):
        _make_folder(path.parent)
        part = path.with_name(path.name + ".part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def is_being_written(path: Path) -> bool:
    """Whether another process holds the lock of the run in this folder."""
    try:
        with (path / "run.lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    return False


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise  # it is no matter of the place: `boundary` says to free some space
        raise ConfigError(f"{path} cannot be made a folder ({error.strerror}); give another place") from None


def _lock(path: Path) -> Any:
    with boundary(str(path)):
        try:
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise ConfigError(f"{path.parent} cannot be written to ({error.strerror}); give another place") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise StaleRunError(f"{path.parent} is being written by process {owner}; wait for it or stop it") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are kept, flat.

    Raises:
        ConfigError: a name among them is not UTF-8, so that nothing could keep it.
    """
    plain: dict[str, Any] = {}
    for key, value in sorted(_flat(settings).items()):
        try:
            plain[key] = orjson.loads(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str))
        except orjson.JSONEncodeError as error:
            if "UTF-8" not in str(error):
                raise
            raise ConfigError(
                f"{key} holds a name that is not UTF-8 text, which a run cannot keep; rename it, or name a folder above"
            ) from None
    return plain


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
