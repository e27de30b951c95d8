"""`croissant.json`: the dataset for machines, as Croissant 1.1 JSON-LD (core, responsible AI, provenance).

In: what a run came to, and its parquet files. Out: one JSON-LD document with every file's size and digest, every column
of every configuration and split, what the rows were made of, and how. The Hub makes a core of its own from the rows;
what it cannot know (`rai:*`, `prov:wasDerivedFrom`, each source's licence) is the reason for this file.
Specification: http://mlcommons.org/croissant/1.1 and http://mlcommons.org/croissant/RAI/1.0.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

import upcycle
from upcycle.report.licence import LicenceVerdict, judge_licences, licences_of
from upcycle.report.summary import Report
from upcycle.run import Run, write_text
from upcycle.task import Task

if TYPE_CHECKING:
    import pyarrow as pa

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
_CONFIGS = (("default", "data"), ("provenance", "provenance"), ("dropped", "dropped"))
_SPLITS = ("train", "validation", "test")
_CHUNK = 1 << 20

CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "prov": "http://www.w3.org/ns/prov#",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context of Croissant 1.1, with the provenance vocabulary."""

_MEANS = {
    "id": "Stable across resumes and machines.",
    "input": "What the model is given.",
    "output": "What the model must say.",
    "rationale": "The reasoning kept with the example, where there is one.",
    "choices": "The options of a multiple-choice input, in the order in which it lists them.",
    "method": "How the row was made.",
    "source": "Id of the dataset the row was made of; empty where a model wrote it from nothing.",
    "weight": "How much the row counts in training, where that was set.",
    "licences": "Licences of the sources the row was made of, as they state them.",
    "reason": "Why the row is not in the dataset.",
}


def write_croissant(task: Task, run: Run, report: Report) -> None:
    """Write `croissant.json` into the run; rows that a dataset does not have are not described."""
    text = orjson.dumps(describe_dataset(task, run.path, report), option=orjson.OPT_INDENT_2).decode()
    write_text(run.path / "croissant.json", text + "\n")


def describe_dataset(task: Task, path: Path, report: Report) -> dict[str, Any]:
    """The document as plain values.

    Args:
        path: the run's folder, whose parquet files are whole.
    """
    verdict = judge_licences(rows_by_licence(report))
    return {
        **_head(task.name, path, [task.language] if task.language else []),
        "description": f"{task.instruction} {report.kept:,} examples made by upcycle out of existing data.",
        "citeAs": f"{task.name}, made by upcycle {upcycle.__version__} of: {_cited(report)}",
        **_licence(verdict),
        "keywords": ["synthetic", "upcycle", task.contract.kind.value],
        **_responsible(task, report, verdict.reason),
        "prov:wasDerivedFrom": [_entity(use.source, use.revision, use.licences) for use in report.sources],
        **_rows(path),
    }


def describe_curated(
    path: Path, name: str, *, kept: int, languages: Sequence[str], done: Sequence[str]
) -> dict[str, Any]:
    """The document of a dataset that was curated, as plain values.

    Args:
        path: its folder, whose parquet files are whole.
        name: what was curated.
        done: what each check did, a sentence each.
    """
    verdict = judge_licences(licences_of(path))
    return {
        **_head(f"{name}, curated", path, languages),
        "description": f"{kept:,} examples of {name}, kept by upcycle.",
        "citeAs": f"{name}, curated by upcycle {upcycle.__version__}",
        **_licence(verdict),
        "keywords": ["upcycle"],
        "rai:dataPreprocessingProtocol": list(done),
        "rai:dataLimitations": "Rows are as right as those of the dataset they were taken from.",
        "rai:dataReleaseMaintenancePlan": verdict.reason,
        "prov:wasDerivedFrom": [_entity(name, None, tuple(verdict.rows))],
        **_rows(path),
    }


def _head(name: str, path: Path, languages: Sequence[str]) -> dict[str, Any]:
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": name,
        "version": upcycle.__version__,
        "datePublished": _written(_files(path)),
        "creator": {"@type": "sc:Organization", "name": "upcycle"},
        **({"inLanguage": languages[0] if len(languages) == 1 else list(languages)} if languages else {}),
        "isLiveDataset": False,
    }


def _licence(verdict: LicenceVerdict) -> dict[str, Any]:
    return {"license": [_address(licence) for licence in verdict.rows]} if verdict.rows else {}


def _entity(source: str, revision: str | None, licences: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": "prov:Entity",
        "prov:label": source,
        **({"sc:version": revision} if revision else {}),
        "sc:license": [_address(licence) for licence in licences] or ["not stated"],
    }


def _rows(path: Path) -> dict[str, Any]:
    files = _files(path)
    return {
        "distribution": list(_distribution(path, files)),
        "recordSet": [_record_set(config, split, found) for (config, split), found in files.items()],
    }


def rows_by_licence(report: Report) -> dict[str, int]:
    """Rows by licence as the report's sources state them; rows without a source are not counted."""
    rows: dict[str, int] = {}
    for use in report.sources:
        licence = " and ".join(use.licences)
        rows[licence] = rows.get(licence, 0) + use.kept
    return rows


def _written(files: Mapping[tuple[str, str], Sequence[Path]]) -> str:
    """The day the rows were written, in UTC."""
    at = max((file.stat().st_mtime for found in files.values() for file in found), default=time.time())
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _cited(report: Report) -> str:
    return ", ".join(use.source for use in report.sources) or "nothing but a model's words"


def _files(path: Path) -> dict[tuple[str, str], list[Path]]:
    """Parquet files by configuration and split, the usual splits first."""
    found: dict[tuple[str, str], list[Path]] = {}
    for config, folder in _CONFIGS:
        files = sorted((path / folder).glob("*-*.parquet"))
        names = dict.fromkeys(file.name.partition("-")[0] for file in files)
        for split in sorted(names, key=lambda name: (_SPLITS.index(name) if name in _SPLITS else len(_SPLITS), name)):
            found[config, split] = [file for file in files if file.name.partition("-")[0] == split]
    return found


def _distribution(path: Path, files: Mapping[tuple[str, str], Sequence[Path]]) -> Iterator[dict[str, Any]]:
    """Every file with its digest, and one set of files where a split has several."""
    for (config, split), found in files.items():
        for file in found:
            name = file.relative_to(path).as_posix()
            yield {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "contentSize": f"{file.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": _sha256(file),
            }
        if len(found) > 1:
            yield {
                "@type": "cr:FileSet",
                "@id": f"{config}-{split}",
                "name": f"{config}-{split}",
                "encodingFormat": "application/x-parquet",
                "includes": f"{found[0].parent.name}/{split}-*.parquet",
            }


def _record_set(config: str, split: str, files: Sequence[Path]) -> dict[str, Any]:
    import pyarrow.parquet as pq

    name = f"{config}/{split}"
    source = {"fileObject": {"@id": f"{files[0].parent.name}/{files[0].name}"}} if len(files) == 1 else {}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/id"},
        "field": [
            _field(name, column, source or {"fileSet": {"@id": f"{config}-{split}"}})
            for column in pq.read_schema(files[0])
        ],
    }


def _field(records: str, column: pa.Field, source: Mapping[str, Any]) -> dict[str, Any]:
    import pyarrow as pa

    listed = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    kind = column.type.value_type if listed else column.type
    known = "sc:Float" if pa.types.is_floating(kind) else "sc:Integer" if pa.types.is_integer(kind) else "sc:Text"
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": column.name,
        **({"description": _MEANS[column.name]} if column.name in _MEANS else {}),
        "dataType": known,
        **({"isArray": True, "arrayShape": "-1"} if listed else {}),
        "source": {**source, "extract": {"column": column.name}},
    }


def _responsible(task: Task, report: Report, licence: str) -> dict[str, Any]:
    """The `rai:*` properties that can be said truthfully of a made dataset."""
    models = sorted({str(stage["model"]) for stage in report.stages if stage.get("calls")})
    made = ", ".join(f"{method} {count:,}" for method, count in report.methods.items()) or "none"
    dropped = ", ".join(f"{kind} {count:,}" for kind, count in report.dropped.items()) or "nothing"
    gold = f"compared with {len(task.gold):,} evaluation items" if task.gold else "no evaluation items were given"
    return {
        "rai:dataCollection": f"Made by upcycle {upcycle.__version__}. Rows by method: {made}.",
        "rai:dataCollectionType": ["Secondary data analysis", "Software collection"],
        "rai:dataPreprocessingProtocol": [
            f"Contract of every output: {task.contract.described()}.",
            f"Dropped: {dropped}. Contamination: {gold}.",
        ],
        **({"rai:machineAnnotationTools": models} if models else {}),
        "rai:dataUseCases": f"Training a model for one task: {task.instruction}",
        "rai:dataLimitations": (
            "Rows are as right as their sources, and fields a model wrote as right as that model;"
            " a test set of one's own decides whether they help."
        ),
        "rai:dataBiases": "What the sources are biased to; how much each of them gave is in the card.",
        "rai:personalSensitiveInformation": "Not looked for; what the sources hold may be here.",
        "rai:dataReleaseMaintenancePlan": licence,
    }


_PLACES = {
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "mit": "https://spdx.org/licenses/MIT",
    "apache-2.0": "https://spdx.org/licenses/Apache-2.0",
    "bsd-2-clause": "https://spdx.org/licenses/BSD-2-Clause",
    "bsd-3-clause": "https://spdx.org/licenses/BSD-3-Clause",
    "odc-by": "https://spdx.org/licenses/ODC-By-1.0",
    "odbl": "https://spdx.org/licenses/ODbL-1.0",
}
_CREATIVE = re.compile(r"cc-(by(?:-[a-z]+)*)-(\d\.\d)")


def _address(licence: str) -> str:
    """Where the licence can be read; its name where that is not known."""
    name = licence.strip().lower().replace(" ", "-")
    if found := _CREATIVE.fullmatch(name):
        return f"https://creativecommons.org/licenses/{found[1]}/{found[2]}/"
    return _PLACES.get(name, licence or "not stated")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
