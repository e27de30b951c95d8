"""One worker process and the session it serves: load a program, feed it rows, say how it ended.

The interpreter is pydantic-monty, written in Rust: it has no files, network, environment or way to import ours, and its
limits on time, memory and recursion cannot be caught from inside. Clock and random numbers are frozen as well, so that
what the check of programs might miss still gives the same result twice.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from upcycle.errors import ConfigError
from upcycle.sandbox.inside import DRIVE, PRELUDE, ROWS, VALUE
from upcycle.sandbox.outcome import Fail, Failed, Outcome, Value

_OUTPUT = 32 << 20  # what one feed may print before it ends early
_SESSIONS = 1000  # after which a process is replaced
_RECURSION = 400
_SUSPENSIONS = 2000  # names that are nowhere defined are asked of us, one by one
_ADDRESS = " at 0x"
_UNSUPPORTED = "does not yet support "
_ENDLESS = "suspension limit"
_ODD_EXCEPTION = "exceptions can only be called with"
_FROZEN = datetime(2000, 1, 1)
_REASONS = {
    TimeoutError: Fail.OUT_OF_TIME,
    MemoryError: Fail.OUT_OF_MEMORY,
    RecursionError: Fail.RECURSION,
}


def start(workers: int) -> Any:
    """An entered pool of at most `workers` processes, tried once.

    Raises:
        ConfigError: pydantic-monty is not installed, or its worker does not start. Nothing runs programs instead.
    """
    try:
        import pydantic_monty as monty
    except ImportError:
        raise ConfigError(
            "generated Python runs only in a sandbox, and pydantic-monty is not installed; "
            "run: pip install pydantic-monty"
        ) from None
    try:
        pool = monty.Monty(
            min_processes=1, max_processes=workers, max_checkouts_per_worker=_SESSIONS, feed_duration_limit_grace=1.0
        ).__enter__()
        with pool.checkout() as session:
            works = session.feed_run("1 + 1") == 2
    except (RuntimeError, OSError, monty.MontyError) as error:
        raise ConfigError(f"the sandbox for generated Python cannot start ({error}); no program was run") from None
    if not works:
        raise ConfigError("the sandbox for generated Python does not answer as it should; no program was run")
    return pool


class Worker:
    """A session in a worker process; used by one thread, `kill` by any."""

    def __init__(self, pool: Any, row_seconds: float, memory: int) -> None:
        self._pool = pool
        self._seconds = row_seconds
        self._memory = memory
        self._session: Any = None
        self._source: str | None = None
        self._pid: int | None = None  # while a feed is under way
        self._wanted = True
        self._lock = threading.Lock()

    def load(self, source: str) -> Failed | None:
        """Make `source` the program; Failed, with the reason, where it does not load."""
        if self._session is not None and self._source == source:
            return None
        failed: Failed | None = None
        for _ in range(2):  # a crash may come from a signal that was meant for somebody else
            self.close()
            self._open()
            failed = self._feed(PRELUDE, {}, None) or self._feed(source, {}, None)
            if failed is None:
                self._source = source
                return None
            if failed.kind is not Fail.CRASHED:
                break
        assert failed is not None
        return Failed(Fail.REFUSED, f"the program does not load: {failed.reason}", program=True)

    def feed(self, lines: Sequence[bytes]) -> tuple[list[Outcome], Failed | None]:
        """Outcomes of the records in order, and how the program ended where it did not reach the last."""
        from pydantic_monty import CollectString

        output = CollectString(max_bytes=_OUTPUT)
        rows = b"[" + b",".join(lines) + b"]"
        death = self._feed(DRIVE, {ROWS: rows.decode()}, output)
        text = output.output
        said = text.split("\n")[:-1]
        if len(said) > len(lines) or (death is None and len(said) < len(lines)):
            self.close()
            return [], Failed(Fail.CRASHED, "it answered for other records than its own")
        if _ADDRESS in text:
            return [_addressless(one, line) for one, line in zip(said, lines, strict=False)], death
        return list(map(_outcome, said)), death

    def close(self) -> None:
        """Give the process back."""
        session, self._session, self._source = self._session, None, None
        if session is not None:
            session.__exit__(None, None, None)

    def begin(self) -> None:
        """Be of use again after a `kill`."""
        with self._lock:
            self._wanted = True

    def kill(self) -> None:
        """End what it is at, and begin nothing more."""
        with self._lock:
            self._wanted = False
            if self._pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)

    def _open(self) -> None:
        limits = {
            "max_feed_duration_secs": self._seconds,
            "max_memory": self._memory,
            "max_recursion_depth": _RECURSION,
            "max_suspensions": _SUSPENSIONS,
        }
        policy = {"datetime": _FROZEN, "sleep": "zero", "random_start": {"seed": 0}}
        from pydantic_monty import MontyError

        session = self._pool.checkout(limits=limits, os_policy=policy, print_flush_interval=0.05)
        try:
            session.__enter__()
        except (MontyError, RuntimeError, OSError) as error:
            raise ConfigError(f"the sandbox's worker could not be started again ({error}); run again") from None
        self._session = session
        if sys.platform == "linux":
            _cap(session.worker_pid, self._memory)

    def _feed(self, source: str, inputs: dict[str, Any], output: Any) -> Failed | None:
        from pydantic_monty import MontyError

        session = self._session
        with self._lock:
            if not self._wanted:
                return Failed(Fail.CRASHED, "it was stopped")
            self._pid = session.worker_pid
        try:
            session.feed_run(source, inputs=inputs, print_callback=output)
        except MontyError as error:
            death = self._death(error)
        else:
            return None
        finally:
            with self._lock:
                self._pid = None
        self.close()  # after a limit was hit, nothing is promised about what the session holds
        return death

    def _death(self, error: Any) -> Failed:
        from pydantic_monty import MontyCrashedError, MontyRuntimeError

        if isinstance(error, MontyCrashedError):
            kind = Fail.OUT_OF_TIME if error.timed_out else Fail.CRASHED
        elif isinstance(error, MontyRuntimeError):
            inner = error.exception()
            kind = next((kind for one, kind in _REASONS.items() if isinstance(inner, one)), Fail.RAISED)
            if _ENDLESS in str(inner):
                return Failed(Fail.OUT_OF_TIME, "it asked for names that are not defined, again and again")
        else:
            kind = Fail.RAISED
        match kind:
            case Fail.OUT_OF_TIME:
                return Failed(kind, f"it ran longer than {self._seconds:g} s")
            case Fail.OUT_OF_MEMORY:
                return Failed(kind, f"it needed more than {self._memory >> 20} MB")
            case Fail.CRASHED:
                return Failed(kind, "the interpreter died of it")
        return Failed(kind, _words(error))


def _words(error: Any) -> str:
    text = (error.display("type-msg") if hasattr(error, "display") else str(error)).splitlines()[0]
    frames = error.traceback() if hasattr(error, "traceback") else []
    where = f"line {frames[-1].line}: " if frames else ""
    if _UNSUPPORTED in text:
        return f"{where}{text.partition(_UNSUPPORTED)[2]} cannot be used in a program"
    if _ODD_EXCEPTION in text:
        return f"{where}it raised an exception with something else than one text"
    return where + text[:300]


def _outcome(said: str) -> Outcome:
    try:
        value = orjson.loads(said[1:])
    except orjson.JSONDecodeError as error:
        return Failed(Fail.WRONG_SHAPE, f"it returned what cannot be read back: {error}")
    if said[0] == VALUE:
        return Value(value)
    kind, reason = value
    return Failed(Fail(kind), reason)


def _addressless(said: str, line: bytes) -> Outcome:
    # "<list_iterator object at 0x50>" is the text of an object; the number in it depends on what ran before.
    if _ADDRESS in said and _ADDRESS.encode() not in line:
        return Failed(Fail.WRONG_SHAPE, "it used the text of an object (<... at 0x...>) instead of a value")
    return _outcome(said)


def _cap(pid: int | None, memory: int) -> None:
    """A second bound, kept by the system, on what the interpreter does not count."""
    import resource

    if pid is None:
        return
    with suppress(OSError, ValueError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (2 * memory + (1 << 30), hard))
