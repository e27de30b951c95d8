"""What is known of a source: its card, and how a Hugging Face style `README.md` is read into one.

In: the text of a README with YAML front matter (or none). Out: `FrontMatter`, plain values for `Card` to be built of.
The decision: YAML is read with every scalar kept as text, because YAML 1.1 turns the language code `no` into False and
the class name `1e3` into a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from upcycle.errors import SourceError


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a source's records, after flattening.

    Attributes:
        dtype: "string", "int", "float", "bool", "label", "list[string]", ..., "null".
        labels: class names of a label column, in the order of their integers.
        description: what the card says of it, "" if nothing.
    """

    name: str
    dtype: str
    labels: tuple[str, ...] | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """A split and the files it lies in (relative to the source's folder); rows None where counting is dear."""

    name: str
    files: tuple[str, ...]
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration: a variant of a dataset with its own splits ("default" where there is one only)."""

    name: str
    splits: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a source before it is read.

    Attributes:
        id: short name, unique among the sources opened together.
        text: body of the README, "" if there is none.
        licence: as stated, None if it is not; `licences.licence_class` judges it.
        languages: codes as stated ("en", "code"); empty where the card says none.
        rows: None where counting is dear; `bytes` are bytes on disk, None where there is no file.
        revision: digest of the data, changes when they do.
    """

    id: str
    name: str
    text: str
    licence: str | None
    languages: tuple[str, ...]
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    configs: tuple[Config, ...]
    columns: tuple[Column, ...]
    rows: int | None
    bytes: int | None
    revision: str
    path: str | None


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """A README taken apart; everything empty where there is none.

    Attributes:
        data_files: per configuration, per split (None where the front matter names none), the globs.
        labels: per configuration ("" for all), per flat column, the class names.
        rows: per configuration ("" for all) and split, the number of rows the card states.
        columns: descriptions of columns found in the body.
    """

    name: str | None = None
    text: str = ""
    licence: str | None = None
    languages: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    data_files: Mapping[str, Mapping[str | None, tuple[str, ...]]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    rows: Mapping[tuple[str, str], int] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


def read_front_matter(text: str) -> FrontMatter:
    """Take a README apart.

    Raises:
        SourceError: the front matter is not YAML, or not a mapping.
    """
    header, body = _cut(text.removeprefix("\ufeff"))
    meta = _mapping(header)
    infos = [info for info in _list(meta.get("dataset_info")) if isinstance(info, dict)]
    return FrontMatter(
        name=_text(meta.get("pretty_name")) or _heading(body),
        text=body.strip(),
        licence=_licence(meta),
        languages=_texts(meta.get("language")) or _texts(meta.get("languages")),
        categories=_texts(meta.get("task_categories")) + _texts(meta.get("task_ids")),
        tags=_texts(meta.get("tags")),
        data_files=_configs(meta),
        labels={_text(info.get("config_name")) or "": dict(_labels(info.get("features"), "")) for info in infos},
        rows={
            (_text(info.get("config_name")) or "", name): int(number)
            for info in infos
            for split in _list(info.get("splits"))
            if isinstance(split, dict)
            and (name := _text(split.get("name")))
            and (number := _text(split.get("num_examples")) or "").isdigit()
        },
        columns=described_columns(body),
    )


def _cut(text: str) -> tuple[str, str]:
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        return "", text
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return "".join(lines[1:number]), "".join(lines[number + 1 :])
    return "", text


def _mapping(header: str) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        meta = yaml.load(header, Loader=loader)  # noqa: S506 (BaseLoader builds text, lists and dicts only)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 2})" if mark else ""
        raise SourceError(f"its front matter is not valid YAML{where}; the data were read without it") from error
    if meta in (None, ""):
        return {}
    if not isinstance(meta, dict):
        raise SourceError("its front matter is not a mapping of keys to values; the data were read without it")
    return meta


def _list(value: Any) -> list[Any]:
    if value in (None, "", "null", "~"):
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() not in ("", "null", "~") else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for item in _list(value) if (text := _text(item)))


def _licence(meta: dict[str, Any]) -> str | None:
    stated = _texts(meta.get("license")) or _texts(meta.get("licence")) or _texts(meta.get("licenses"))
    if stated in ((), ("other",)):
        return _text(meta.get("license_name")) or (stated[0] if stated else None)
    return " and ".join(stated)


def _configs(meta: dict[str, Any]) -> dict[str, dict[str | None, tuple[str, ...]]]:
    entries = [entry for entry in _list(meta.get("configs")) if isinstance(entry, dict)]
    if not entries and "data_files" in meta:
        entries = [meta]
    configs: dict[str, dict[str | None, tuple[str, ...]]] = {}
    for entry in entries:
        folder = _text(entry.get("data_dir"))
        globs = dict(_globs(entry.get("data_files")))
        if folder:
            prefix = folder.strip("/")
            globs = {split: tuple(f"{prefix}/{glob}" for glob in found) for split, found in globs.items()}
            globs = globs or {None: (f"{prefix}/**",)}
        if globs:
            configs[_text(entry.get("config_name")) or "default"] = globs
    return configs


def _globs(value: Any) -> Iterator[tuple[str | None, tuple[str, ...]]]:
    """A glob, a list of globs, globs per split, or a list of {split, path}: four spellings of the same."""
    if isinstance(value, dict):
        yield from ((str(split), _texts(found)) for split, found in value.items())
        return
    bare: list[str] = []
    per_split: dict[str | None, list[str]] = {}
    for item in _list(value):
        if isinstance(item, dict):
            per_split.setdefault(_text(item.get("split")), []).extend(_texts(item.get("path")))
        elif text := _text(item):
            bare.append(text)
    if bare:
        per_split.setdefault(None, []).extend(bare)
    yield from ((split, tuple(found)) for split, found in per_split.items())


def _labels(features: Any, prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Class names by flat column name, wherever `class_label` stands inside a feature."""
    for feature in _list(features):
        if isinstance(feature, dict) and (name := _text(feature.get("name"))):
            for key in ("dtype", "sequence", "list", "struct"):
                yield from _labels_in(feature.get(key), prefix + name)


def _labels_in(inner: Any, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(inner, list):
        yield from _labels(inner, f"{name}.")
    elif isinstance(inner, dict):
        if "class_label" in inner:
            stated = inner["class_label"]
            if names := label_names(stated.get("names") if isinstance(stated, dict) else None):
                yield name, names
        else:
            for key in ("dtype", "sequence", "list", "struct"):
                yield from _labels_in(inner.get(key), name)


def label_names(names: Any) -> tuple[str, ...]:
    """Class names in the order of their integers, from a list or a `{'0': name}` mapping; () where neither fits."""
    if isinstance(names, list):
        return tuple(str(name) for name in names)
    if isinstance(names, dict) and all(str(key).isdigit() for key in names):
        numbered = {int(key): str(name) for key, name in names.items()}
        if sorted(numbered) == list(range(len(numbered))):
            return tuple(numbered[number] for number in range(len(numbered)))
    return ()


def _heading(body: str) -> str | None:
    found = re.search(r"^#\s+(.+)$", body, flags=re.MULTILINE)
    return found.group(1).strip() if found else None


_COLUMNS_HEADING = re.compile(r"^#+\s*.*\b(columns|data fields|fields|features)\b", re.IGNORECASE)
_COLUMN_ITEM = re.compile(
    r"^\s*[-*+]\s+(?:`([^`]+)`|\*\*([^*]+)\*\*|([\w.\-]+))\s*(?:\([^)]*\))?\s*[:\u2013\u2014-]\s*(.+)$"
)
_COLUMN_ROW = re.compile(r"^\|\s*`?([\w.\-]+)`?\s*\|(.+)\|\s*$")


def described_columns(body: str) -> dict[str, str]:
    """What the body says of columns: list items or table rows under a heading that speaks of columns or fields."""
    found: dict[str, str] = {}
    inside = False
    for line in body.splitlines():
        if line.startswith("#"):
            inside = bool(_COLUMNS_HEADING.match(line))
        elif inside and (item := _COLUMN_ITEM.match(line)):
            name = next(group for group in item.groups()[:3] if group)
            found.setdefault(name.strip().strip("`:"), item.group(4).strip())
        elif inside and (row := _COLUMN_ROW.match(line)) and set(row.group(2)) - set("-: |"):
            found.setdefault(row.group(1), row.group(2).replace("|", " ").strip())
    return found
