"""Exporters: a dataset in the shape another tool wants, one format a file, all written by the same few lines.

In: a run's folder, any labelled dataset, a file of rows. Out: a folder that appears whole or not at all, with one data
file a split, the tool's own configuration beside it, and a README that says how to use it. The decision: rows are
streamed from file to file, and nothing in the output depends on the time or the machine, so that exporting twice gives
the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upcycle.errors import ConfigError, StaleRunError, boundary
from upcycle.report.exporters import recipe
from upcycle.report.exporters.alpaca import ALPACA
from upcycle.report.exporters.axolotl import AXOLOTL
from upcycle.report.exporters.format import Beside, Format, Seen, write_rows
from upcycle.report.exporters.llama_factory import LLAMA_FACTORY
from upcycle.report.exporters.lm_eval import LM_EVAL
from upcycle.report.exporters.openai import OPENAI
from upcycle.report.exporters.plain import CSV, JSONL
from upcycle.report.exporters.sharegpt import SHAREGPT
from upcycle.report.exporters.template import Template
from upcycle.report.exporters.trl import TRL, TRL_MESSAGES
from upcycle.report.exporters.unsloth import UNSLOTH
from upcycle.report.licence import NOT_ADVICE, judge_licences
from upcycle.run.folder import is_being_written
from upcycle.sources.examples import OpenExamples, Skipped, open_examples
from upcycle.sources.reading import Columns
from upcycle.task import slug

FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (*(TRL, TRL_MESSAGES, OPENAI, ALPACA, SHAREGPT, AXOLOTL, LLAMA_FACTORY, UNSLOTH, LM_EVAL, JSONL, CSV),)
}
"""Every format by its name."""

_SCORED = ("test", "validation", "train")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the folder.
        rows: split to number of rows.
        files: names of the files in it.
        warnings: what the format's consumer may stumble over, a sentence each.
        skipped: rows that could not be read, counted.
    """

    path: Path
    format: str
    rows: Mapping[str, int]
    files: Sequence[str]
    warnings: Sequence[str] = ()
    skipped: int = 0

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path)}

    def __repr__(self) -> str:
        rows = ", ".join(f"{split} {count:,}" for split, count in self.rows.items())
        lines = [f"{self.path}: {self.format}, {rows}", f"  files    {', '.join(self.files)}"]
        return "\n".join([*lines, *(f"  warning  {warning}" for warning in self.warnings)])


def export(
    path: str | Path,
    to: str,
    out: str | Path | None = None,
    *,
    split: str | None = None,
    instruction: bool | str = False,
    rationale: bool = False,
    base_model: str = recipe.BASE_MODEL,
    columns: Columns | None = None,
) -> Exported:
    """Write a dataset in another tool's shape.

    Args:
        path: a run's folder, a dataset's folder, or a file of rows (see `sources.examples`).
        to: one of `FORMATS`.
        out: a folder that is not there yet, or is empty; `exports/<name>/<format>` where not given.
        split: only this one; all, each in a file of its own, where not given.
        instruction: put the task's sentence before every input (True: the one the run was made for).
        rationale: put the reasoning before the output.
        base_model: the model named in training configurations.
        columns: which column is the input and which the output, where their names do not say it.

    Raises:
        ConfigError: unknown format, a folder that holds something, no examples, no instruction known.
        SourceError: nothing to read there, or no such split.
        StaleRunError: the run is still being written.
        DiskError: no room; nothing is left behind.
    """
    if to not in FORMATS:
        raise ConfigError(f"format {to!r} is not there; known formats: {', '.join(FORMATS)}")
    found, chosen, name = _opened(path, split, columns)
    template = Template(_instruction(found, instruction), rationale)
    target = Path(out) if out is not None else Path("exports") / name / to
    skipped: list[Skipped] = list(found.left_out)
    with whole_folder(target) as part:
        job = _Job(FORMATS[to], found, template, skipped)
        data = {one: job.write(part, one) for one in chosen}
        data = {one: file for one, file in data.items() if job.seen.rows.get(one)}
        if not data:
            raise ConfigError(f"{path} holds no examples{_first_of(skipped)}; there is nothing to export")
        scored = split or next((one for one in _SCORED if one in data), next(iter(data)))
        beside = Beside(name, target, data, job.seen, template, base_model, _task(path), scored)
        texts = dict(job.format.beside(beside)) if job.format.beside else {}
        texts["README.md"] = _readme(beside, job.format)
        for file, text in texts.items():
            (part / file).write_text(text, encoding="utf-8")
    rows = {one: job.seen.rows[one] for one in data}
    return Exported(target, to, rows, (*data.values(), *texts), tuple(_warnings(beside, job, skipped)), len(skipped))


def _opened(path: str | Path, split: str | None, columns: Columns | None) -> tuple[OpenExamples, tuple[str, ...], str]:
    """The dataset, the splits to write, and a name for files."""
    if is_being_written(_folder(path)):
        raise StaleRunError(f"{path} is still being written; export it when the build is done")
    found = open_examples(path, columns=columns)
    _, named = found.named(split)
    return found, (named,) if named else found.splits, slug(found.name)


def _folder(path: str | Path) -> Path:
    """The folder or file itself, where a split was named with it (`PATH:SPLIT`)."""
    whole = Path(path).expanduser()
    return whole if whole.exists() else Path(str(path).rpartition(":")[0] or path).expanduser()


def _instruction(found: OpenExamples, wanted: bool | str) -> str | None:
    if isinstance(wanted, str):
        if not wanted.strip():
            raise ConfigError("the instruction is empty; give a sentence that says what the model must do")
        return wanted.strip()
    if wanted and not found.instruction:
        raise ConfigError(f"{found.name} does not say what its task is; give the instruction itself as text")
    return found.instruction if wanted else None


class _Job:
    """One export under way: writes split after split and counts what goes through."""

    def __init__(self, format: Format, found: OpenExamples, template: Template, skipped: list[Skipped]) -> None:  # noqa: A002 (the user's word)
        self.format, self._found, self._template = format, found, template
        self._skipped = skipped
        self.seen = Seen()

    def write(self, folder: Path, split: str) -> str:
        """Write a split; returns the name of its file, which is gone again where the split is empty."""
        name = f"{split}.{self.format.kind}"
        write_rows(folder / name, self.format.kind, self._rows(split))
        if not self.seen.rows.get(split):
            (folder / name).unlink()
        return name

    def _rows(self, split: str) -> Iterator[Mapping[str, Any]]:
        row, template = self.format.row, self._template
        for example in self._found.rows(split, self._skip):
            self.seen.add(split, example, template.completion(example))
            yield row(example, template)

    def _skip(self, where: str, why: str) -> None:
        self._skipped.append(Skipped(where, why))


def _warnings(beside: Beside, job: _Job, skipped: Sequence[Skipped]) -> Iterator[str]:
    if skipped:
        yield f"{len(skipped):,} rows could not be read and are not there{_first_of(skipped)}"
    if beside.template.rationale and job.seen.rationales < job.seen.total:
        without = job.seen.total - job.seen.rationales
        yield f"{without:,} of {job.seen.total:,} rows have no rationale; theirs is the output alone"
    if job.format.warn:
        yield from job.format.warn(beside)


def _first_of(skipped: Sequence[Skipped]) -> str:
    return f" (the first: {skipped[0].where}: {skipped[0].why})" if skipped else ""


def _task(path: str | Path) -> Mapping[str, Any]:
    import yaml

    try:
        task = yaml.safe_load((_folder(path) / "task.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return task if isinstance(task, dict) else {}


def _readme(beside: Beside, format: Format) -> str:  # noqa: A002 (the user's word)
    rows = ", ".join(f"{split} {count:,}" for split, count in beside.seen.rows.items())
    verdict = judge_licences(beside.seen.licences)
    listed = "".join(f"\n- {licence or 'not stated'}: {count:,} rows" for licence, count in verdict.rows.items())
    return (
        f"# {beside.name}, for {format.name}\n\n{format.says[:1].upper()}{format.says[1:]}: {rows}."
        f" Made by `upcycle export`.\n\n## Use\n\n{format.use(beside)}\n\n"
        f"## Licences\n\n{verdict.reason} {NOT_ADVICE}\n{listed}\n"
    )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into that becomes `out` when all went well, and is gone otherwise.

    Raises:
        ConfigError: `out` is a file, or holds something, or cannot be made.
        DiskError: no room.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; give a folder with -o")
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} exists and is not empty; nothing was overwritten: give another folder with -o")
    part = out.with_name(f".{out.name}.part")
    try:
        with boundary(str(out)):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            part.replace(out)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ConfigError(f"{out} cannot be made a folder ({error.strerror}); give another place with -o") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
