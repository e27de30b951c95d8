"""Looking into a run without touching it: `status`, `why`, and what `retry` gives back to be worked again.

Readers open the journal read-only, so they may look while a build is running. `why` also reads a folder that
`upcycle curate` wrote: its answers lie in Parquet files, which hold everything but the calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import ConfigError, RowKind
from upcycle.report.dataset import ORIGIN_COLUMNS, STAGE
from upcycle.run.folder import is_being_written
from upcycle.run.journal import Journal, connect


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        sources: what each source gave and what its rows cost, kept or not: source, kept, usd, tokens.
    """

    path: Path
    running: bool
    wanted: int | None
    kinds: Mapping[str, int]
    spent_usd: float
    tokens: int
    calls: int
    in_flight: int
    stages: tuple[Mapping[str, Any], ...]
    last: Mapping[str, Any] | None
    sources: tuple[Mapping[str, Any], ...] = ()

    @property
    def kept(self) -> int:
        return self.kinds.get("ok", 0)

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path), "kept": self.kept}

    def __repr__(self) -> str:
        state = "running" if self.running else "not running"
        of = f" of {self.wanted:,}" if self.wanted else ""
        lines = [f"{self.path}: {self.kept:,}{of} examples, {state}"]
        lost = {kind: count for kind, count in self.kinds.items() if kind != "ok"}
        if lost:
            lines.append("  dropped  " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(lost.items())))
        calls = f"{self.calls:,} calls"
        if self.in_flight:
            calls += f", {self.in_flight} {'in flight' if self.running else 'cut off'}"
        lines.append(f"  cost     ${self.spent_usd:.4f}, {self.tokens:,} tokens, {calls}")
        for stage in self.stages:
            told = f"{stage['calls']:,} calls, ${stage['spent_micro'] / 1e6:.4f}"
            lines.append(f"           {stage['stage']:<10} {stage['model']}: {told}")
        if self.calls and self.kept:
            each = f"${self.spent_usd / self.kept:.6f}, {self.tokens / self.kept:,.0f} tokens"
            lines.append(f"           per kept example: {each}")
        lines += [
            f"  source   {use['source']}: {use['kept']:,} kept, ${use['usd']:.4f}, {use['tokens']:,} tokens"
            for use in self.sources
        ]
        if self.last:
            lines.append(f"  last     {self.last['stage']}: {self.last['kind']}")
        return "\n".join(lines)


def status(path: str | Path) -> Status:
    """Where the run in this folder stands.

    Raises:
        ConfigError: the folder holds no run.
    """
    path = Path(path)
    with _reading(path) as db:
        kinds = dict(db.execute("SELECT kind, count(*) FROM rows WHERE stage=? GROUP BY kind", (STAGE,)).fetchall())
        cursor = db.execute("SELECT * FROM ledger")
        names = [column[0] for column in cursor.description]
        stages = tuple(dict(zip(names, row, strict=True)) for row in cursor)
        sources = tuple(_sources(db))
        in_flight = db.execute("SELECT count(*) FROM calls WHERE state='in-flight'").fetchone()[0]
        event = db.execute("SELECT at, stage, kind, data FROM events ORDER BY id DESC LIMIT 1").fetchone()
    last = None
    if event:
        last = {"at": event[0], "stage": event[1], "kind": event[2], "data": orjson.loads(event[3])}
    return Status(
        path=path,
        running=is_being_written(path),
        wanted=_wanted(path),
        kinds=kinds,
        spent_usd=sum(stage["spent_micro"] for stage in stages) / 1e6,
        tokens=sum(stage["tokens"] for stage in stages),
        calls=sum(max(stage["attempts"], stage["calls"]) for stage in stages),
        in_flight=in_flight,
        stages=stages,
        last=last,
        sources=sources,
    )


def _sources(db: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    found = db.execute(
        "SELECT json_extract(value, '$.origin.source') AS source, sum(state='kept'),"
        " sum(json_extract(value, '$.origin.cost_micro_usd')), sum(json_extract(value, '$.origin.tokens'))"
        " FROM rows WHERE stage=? GROUP BY source HAVING source IS NOT NULL ORDER BY 2 DESC",
        (STAGE,),
    )
    for source, kept, micro, tokens in found:
        yield {"source": source, "kept": kept, "usd": (micro or 0) / 1e6, "tokens": tokens or 0}


def why(path: str | Path, row: str) -> dict[str, Any]:
    """Everything known of one row: kept or dropped, why, its record, its plan and its calls.

    Of a folder that `upcycle curate` wrote, and of a dataset without its journal, there are no calls; `repeats` is
    the row that a dropped one repeats.

    Args:
        path: a run, a folder that `upcycle curate` wrote, or a run's dataset without `run.db`.
        row: id of an example or a dropped row (or its beginning), or a record as `config/split/number`.

    Raises:
        ConfigError: neither, or no such row.
    """
    path = Path(path)
    if _is_curated(path):
        return _why_curated(path, row)
    with _reading(path) as db:
        found = db.execute(
            "SELECT row, state, kind, value FROM rows WHERE stage=? AND row >= ? AND row < ? LIMIT 2",
            (STAGE, row, row + "\uffff"),
        ).fetchall() or _by_record(db, row)
        _one(path, row, [one[0] for one in found])
        name, state, kind, value = found[0]
        told = orjson.loads(value)
        calls = [_call(db, key) for key in told["origin"]["calls"]]
    return {"id": name, "state": state, "kind": kind, **told, "calls": [call for call in calls if call]}


def _one(path: Path, row: str, ids: Sequence[str]) -> None:
    """Refuse what names no row, or several."""
    if not ids:
        raise ConfigError(f"{path} has no row {row!r}; ids stand in data/, provenance/ and dropped/")
    if len(ids) > 1:
        raise ConfigError(f"{row!r} begins several ids ({ids[0]}, {ids[1]}, ...); give more of it")


def _is_curated(path: Path) -> bool:
    """Whether a folder's answers lie in its files: curated ones may hold a journal too, of what a model was asked."""
    from upcycle.report.curated import FACTS

    return (path / FACTS).is_file() or (not (path / "run.db").is_file() and (path / "provenance").is_dir())


def _why_curated(path: Path, row: str) -> dict[str, Any]:
    """What `why` says of a row in a folder that `curate` wrote.

    Raises:
        ConfigError: no such row, or files that cannot be read.
    """
    kept = _rows(path / "provenance", row)
    found = kept + _rows(path / "dropped", row)
    found = [one for one in found if one["id"] == row] or found
    _one(path, row, [one["id"] for one in found])
    told = {name: value for name, value in found[0].items() if name not in ORIGIN_COLUMNS}
    origin = {"licences": [], **{name: found[0][name] for name in ORIGIN_COLUMNS if name in found[0]}}
    if found[0] in kept:
        shown = _rows(path / "data", told["id"], exactly=True)
        return {"state": "kept", "kind": str(RowKind.OK), **told, **shown[0], "origin": origin, "calls": []}
    repeats = None
    if told["other"]:
        # It was kept when it was compared, and may have been dropped since; gold is in no file of the folder.
        repeated = [one for part in ("data", "dropped") for one in _rows(path / part, told["other"], exactly=True)]
        repeats = {name: repeated[0][name] for name in ("id", "input", "output")} if repeated else None
    return {"state": "dropped", **told, "origin": origin, "repeats": repeats, "calls": []}


def _rows(folder: Path, row: str, *, exactly: bool = False) -> list[dict[str, Any]]:
    """Rows of a folder's Parquet files whose id is `row`, or begins with it, or whose record it names; two a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(file)
        except (OSError, pa.ArrowInvalid) as error:
            raise ConfigError(f"{file} cannot be read: {error}; run `upcycle curate` again") from None
        names = table["id"].to_pylist()
        places = [n for n, name in enumerate(names) if name == row or (not exactly and name.startswith(row))]
        if not places and not exactly and row.count("/") == 2:
            refs = zip(*(table[part].to_pylist() for part in ("config", "split", "record")), strict=True)
            places = [n for n, ref in enumerate(refs) if "/".join(map(str, ref)) == row]
        found += [table.slice(place, 1).to_pylist()[0] for place in places[:2]]
    return found


def _by_record(db: sqlite3.Connection, ref: str) -> list[Any]:
    parts = ref.split("/")
    if len(parts) != 3:
        return []
    return db.execute(
        "SELECT row, state, kind, value FROM rows WHERE stage=? AND json_extract(value, '$.origin.config')=?"
        " AND json_extract(value, '$.origin.split')=? AND json_extract(value, '$.origin.record')=? LIMIT 2",
        (STAGE, *parts),
    ).fetchall()


def _call(db: sqlite3.Connection, key: str) -> dict[str, Any] | None:
    names = ("stage", "model", "state", "request", "response", "usage", "cost_micro", "attempts", "error")
    found = db.execute(f"SELECT {', '.join(names)} FROM calls WHERE key=?", (bytes.fromhex(key),)).fetchone()
    if found is None:
        return None
    call = dict(zip(names, found, strict=True))
    for name in ("request", "response"):
        text = call[name]
        call[name] = text.decode(errors="replace") if isinstance(text, bytes) else text
    return {"key": key, **call}


def retry(path: str | Path, kinds: tuple[str, ...] = ()) -> int:
    """Forget the failed rows of a run (of these kinds, or all), so that the next build works them again.

    Returns how many. The calls of unreadable replies are forgotten too: they would only replay the same reply.

    Raises:
        ConfigError: no run, or an unknown kind.
    """
    path = Path(path)
    known = (RowKind.UNPARSEABLE, RowKind.API_TRANSIENT, RowKind.API_FATAL)
    for kind in kinds:
        if kind not in known:
            raise ConfigError(f"rows of kind {kind!r} do not fail, so they are not retried; one of {', '.join(known)}")
    with _reading(path):
        pass
    from upcycle.run import Run

    with Run(path) as run:
        return _forget(run.journal, kinds or tuple(known))


def _forget(journal: Journal, kinds: tuple[str, ...]) -> int:
    count = 0
    for _, _, kind, value, _ in list(journal.rows(STAGE, "failed")):
        if kind in kinds:
            again = value.get("again")
            keys = value["origin"]["calls"] if again is None else again
            journal.forget_calls([bytes.fromhex(key) for key in keys])
    for kind in kinds:
        count += journal.forget_rows(STAGE, kind=kind, state="failed")
    return count


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not (path / "run.db").is_file():
        raise ConfigError(f"{path} holds no run (there is no run.db in it)")
    db = connect(path / "run.db", read_only=True)
    try:
        db.execute("SELECT 1 FROM meta")
        yield db
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path / 'run.db'} cannot be read: {error}") from None
    finally:
        db.close()


def _wanted(path: Path) -> int | None:
    from upcycle.config import BuildConfig
    from upcycle.yamlfile import load_yaml

    try:
        return load_yaml(path / "config.yaml", BuildConfig).rows
    except ConfigError:
        return None
