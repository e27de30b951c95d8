"""`report.html`: one self-contained page of a run, or of several side by side, that opens without a network.

In: runs and datasets. Out: one HTML file. The decision: data, style and script are all inside it, as plain text and
compressed blocks, and its content security policy lets nothing run but that script and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import upcycle
from upcycle.errors import ConfigError
from upcycle.records import Example, Origin
from upcycle.report import likeness, measured, packing
from upcycle.report.described import described_difficulty
from upcycle.report.gathered import Gathered, gather
from upcycle.report.source_records import SourceRecords, read_again
from upcycle.run import write_text
from upcycle.sources.examples import read_examples
from upcycle.sources.source import Source

PAGE = "report.html"
MOST_ROWS = 100_000
"""Rows of each kind (kept, dropped) one page holds, all its datasets together; beyond that, a sample of so many."""
BUILD_ROWS = 5_000
"""Rows on the page that a build writes at its end, so that its last second stays one; `upcycle report` takes more."""
_BUILD_RECORDS = 200_000
_SCRIPTS = ("blocks.js", "dom.js", "charts.js", "rows.js", "list.js", "detail.js", "browser.js", "comparison.js",
            "pairs.js", "map.js", "sections.js", "rounds.js", "main.js")  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A page that was written: where, how large, and how many rows of each dataset are on it."""

    path: Path
    bytes: int
    datasets: Sequence[Mapping[str, Any]]

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path)}

    def __repr__(self) -> str:
        lines = [f"{self.path}  {self.bytes / 1e6:.1f} MB"]
        for one in self.datasets:
            told = f"{one['shown']:,} of {one['kept']:,}" if one["shown"] < one["kept"] else f"{one['kept']:,}"
            lines.append(f"  {one['name']}: {told} example{'' if told == '1' else 's'}, {one['dropped']:,} dropped")
            lines.extend(f"    {source}: {why}" for source, why in one["missing"].items())
        return "\n".join(lines)


def make_report(
    *runs: str | Path,
    out: str | Path | None = None,
    sources: Sequence[str] = (),
    gold: str | Path | None = None,
    rows: int = MOST_ROWS,
    described: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Page:
    """Write the report of a run or dataset, or of several side by side.

    Args:
        out: the file; where not given, `report.html` in the run's folder, `NAME-report.html` here for a dataset that
            is no run, `comparison.html` here for several.
        sources: where the source records are read from; where not given, as the run's own settings name them.
        gold: the evaluation items rows were kept away from, any dataset, to show what came too close to which; only
            these items go into the page.
        rows: most examples (and most dropped rows) on the page, all datasets together.
        described: what `upcycle describe --json` printed of these datasets; its difficulty, by a model where one rated
            it, is shown in place of the one by words.
        tell: is told what is being done, since much of it may take a minute.

    Raises:
        ConfigError: nothing named, or a page that cannot be written.
        SourceError: no dataset can be read there.
    """
    if not runs:
        raise ConfigError("no run was named; give the folder of a run or a dataset")
    if rows < 1:
        raise ConfigError(f"a page of {rows} rows shows nothing; give at least 1")
    paths = [Path(run).expanduser() for run in runs]
    each = max(1, rows // len(paths))
    target, tell = _target(paths, out), tell or (lambda text: None)
    tell(f"reading    {', '.join(map(str, paths))}")
    gathered = [gather(path, rows=each) for path in paths]
    records = [read_again(_origins(one), sources or one.sources, near=one.path) for one in gathered]
    items = read_examples(gold).examples if gold is not None else ()
    rated = described_difficulty(described, _names(gathered)) if described is not None else {}
    tell(f"comparing  {sum(len(one.kept) for one in gathered):,} examples with each other")
    alike = _alike(gathered, rated)
    tell(f"writing    {target}")
    return _write(target, gathered, records, alike, items)


def write_page(path: Path, *, sources: Sequence[Source], outcome: Mapping[str, Any]) -> Page:
    """The page of a build that is about to end: what is quick to know, and a sample of rows where there are many.

    Args:
        sources: the build's, open.
        outcome: the facts of its report.
    """
    gathered = gather(path, rows=BUILD_ROWS, outcome=outcome)
    records = read_again(_origins(gathered), gathered.sources, opened=sources, limit=_BUILD_RECORDS)
    return _write(path / PAGE, [gathered], [records])


def write_gathered(target: Path, gathered: Sequence[Gathered], *, comparison: Mapping[str, Any]) -> Page:
    """The page of a comparison: its table, above what is quick to know of the datasets its legs drew from."""
    return _write(target, gathered, [SourceRecords() for _ in gathered], comparison=comparison)


class _Alike(NamedTuple):
    """What was measured between examples: per dataset, and the map of all."""

    unique: Sequence[likeness.Uniqueness | None]
    difficulty: Mapping[str, Any] = {}
    rule: str = ""
    points: Mapping[str, Any] | None = None


def _alike(gathered: Sequence[Gathered], rated: Mapping[str, Any]) -> _Alike:
    names, kept = _names(gathered), [one.kept for one in gathered]
    texts, rule = likeness.compared_texts(kept)
    return _Alike(
        [likeness.uniqueness(some) for some in texts],
        rated or likeness.difficulty(dict(zip(names, kept, strict=True))),
        rule,
        likeness.placed(dict(zip(names, texts, strict=True)), kept),
    )


def _target(paths: Sequence[Path], out: str | Path | None) -> Path:
    if out is not None:
        target = Path(out).expanduser()
        if target.is_dir():
            return target / PAGE
        if target.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(f"{out} is not an HTML file or a folder; write it like report.html")
        return target
    if len(paths) > 1:
        return Path("comparison.html")
    # Into a folder we made, but not into somebody else's dataset.
    ours = any((paths[0] / name).is_file() for name in ("run.db", "curation.json"))
    return paths[0] / PAGE if ours else Path(f"{paths[0].resolve().stem}-{PAGE}")


def _origins(one: Gathered) -> Iterator[Origin]:
    yield from (example.origin for example in one.kept)
    yield from (dropped.origin for dropped in one.dropped)


def _write(
    target: Path,
    gathered: Sequence[Gathered],
    records: Sequence[SourceRecords],
    alike: _Alike | None = None,
    gold: Sequence[Example] = (),
    comparison: Mapping[str, Any] | None = None,
) -> Page:
    blocks: dict[str, str] = {}
    datasets = [
        packing.dataset(
            f"d{number}", name, one, found, blocks, unique=alike.unique[number] if alike else None, gold=gold
        )
        for number, (name, one, found) in enumerate(zip(_names(gathered), gathered, records, strict=True))
    ]
    facts = {
        "version": upcycle.__version__,
        "datasets": datasets,
        "lengths": measured.lengths([one.kept for one in gathered]),
        "measured": alike is not None,
        "rule": alike.rule if alike else "",
        "difficulty": alike.difficulty if alike else {},
        "comparison": comparison,
        "mapped": alike is not None and alike.points is not None,
    }
    blocks["facts"] = packing.packed(facts)
    if alike is not None and alike.points is not None:
        blocks["map"] = packing.packed(alike.points)
    title = " and ".join(one["name"] for one in datasets) if len(datasets) < 4 else f"{len(datasets)} datasets"
    title = title if comparison is None else f"What helps {comparison['task']}"
    text = page(f"{title} · upcycle", blocks)
    try:
        write_text(target, text)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written ({error.strerror}); give another place with -o") from None
    told = [
        {"name": one["name"], "kept": one["kept"], "shown": one["rows"]["kept"]["count"], "dropped": one["dropped"],
         "missing": one["missing"]}
        for one in datasets
    ]  # fmt: skip
    return Page(target, len(text.encode()), told)


def _names(gathered: Sequence[Gathered]) -> list[str]:
    """Names of the datasets, told apart by their folders where they are the same."""
    names = [one.name for one in gathered]
    return [
        name if names.count(name) == 1 else f"{one.path.resolve().parent.name}/{name}"
        for name, one in zip(names, gathered, strict=True)
    ]


# -- the file ------------------------------------------------------------------------------------------------------


def page(title: str, blocks: Mapping[str, str]) -> str:
    """The HTML of a page with these data blocks; its policy lets nothing run but the script written into it here."""
    folder = Path(__file__).parent / "html"
    style = (folder / "style.css").read_text(encoding="utf-8")
    script = "\n".join(_inlined(folder / name) for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    parts = {
        "TITLE": html.escape(title),
        "POLICY": f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:;"
        " base-uri 'none'; form-action 'none'",
        "STYLE": style,
        "SCRIPT": script,
        "DATA": "\n".join(map(_data, blocks, blocks.values())),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], template)


def _data(name: str, text: str) -> str:
    return f'<script type="text/plain" id="data-{name}">{text}</script>'


_MODULE_LINES = re.compile(r"^import .*;\n|^export (?=(?:async )?function|const|class)", re.MULTILINE)


def _inlined(path: Path) -> str:
    """A module's code without its imports and exports: all modules share the one script's scope."""
    return f"// {path.name}\n{_MODULE_LINES.sub('', path.read_text(encoding='utf-8'))}\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
