"""Which files of a folder are which dataset, configuration and split.

In: a folder or a file. Out: one `Layout` per dataset, and what was left out with the reason. A folder is one dataset if
its README names data files or has front matter, or if its files are named after splits; otherwise each group of files
is a dataset and each subfolder is looked at in turn. The decision: every file is opened once here (`readers.probe`), so
that an empty, binary or corrupt one is named before any work begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from upcycle.errors import SourceError
from upcycle.sources.card import FrontMatter, read_front_matter
from upcycle.sources.files.opened import READABLE, kind_of, stem_of
from upcycle.sources.files.readers import probe

Files = dict[str, dict[str, tuple[Path, ...]]]
"""Configuration to split to files."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One dataset as it lies on disk."""

    id: str
    root: Path
    files: Files
    front: FrontMatter
    readme: Path | None = None

    def paths(self) -> frozenset[Path]:
        """All its data files, resolved: the same files are the same dataset however they were named."""
        return frozenset(
            path.resolve() for splits in self.files.values() for files in splits.values() for path in files
        )


class LeftOut(NamedTuple):
    """Something that was not read, and why."""

    name: str
    why: str


_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
_SPLIT = re.compile(rf"(?:^|(?<=[-_. ]))({'|'.join(_SPLITS)})(?=$|[-_. ])", re.IGNORECASE)
_SHARD = re.compile(r"[-_.](\d+-of-\d+|0\d+|\d{3,})(?=$|[-_.])")
_ORDER = {"train": 0, "validation": 1, "test": 2}
_NOT_DATA = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "package.json", "croissant.json"}
)
_SAVED = ("dataset_dict.json", "state.json")
_DEEPEST = 5


def discover(path: Path) -> tuple[list[Layout], list[LeftOut]]:
    """Datasets under a path that exists, those of a folder in the order of their names."""
    left_out: list[LeftOut] = []
    if path.is_dir():
        found = list(_in_folder(path, path, left_out, 0))
    elif kind_of(path) is None:
        left_out.append(LeftOut(str(path), f"it is not a kind of file that can be read ({READABLE})"))
        found = []
    else:
        key, split = place(PurePosixPath(stem_of(path)))
        found = [Layout(key or path.parent.resolve().name, path.parent, {"default": {split: (path,)}}, FrontMatter())]
    whole = [kept for layout in found if (kept := _readable(layout, left_out))]
    return whole, left_out


def one_dataset(folder: Path, name: str) -> tuple[Layout, list[LeftOut]]:
    """All of a folder as one dataset, by its card or by the names of its files, none of which is opened.

    A folder that holds no file of rows gives a layout without files.
    """
    left_out: list[LeftOut] = []
    readme = folder / "README.md"
    front = _front(readme if readme.is_file() else None, left_out)
    files = dict(_named(folder, front, left_out)) if front.data_files else {}
    if not files:
        files = _grouped(folder, _walk(folder, left_out, 0))
        files = {"default": files[next(iter(files))]} if len(files) == 1 else files
    return Layout(name, folder, files, front), left_out


def place(stem: PurePosixPath) -> tuple[str, str]:
    """Group and split a file belongs to by its path without extension: `data/train-00000-of-00002` is ("", "train")."""
    split = "train"
    rest: list[str] = []
    for part in stem.parts:
        name = _SHARD.sub("", part)
        if found := _SPLIT.search(name):
            split = _SPLITS[found.group(1).lower()]
            name = name[: found.start()].rstrip("-_. ") + name[found.end() :]
        elif name == "data":
            name = ""
        if name := name.strip("-_. "):
            rest.append(name)
    return "/".join(rest), split


def _in_folder(folder: Path, root: Path, left_out: list[LeftOut], depth: int) -> Iterator[Layout]:
    entries = _entries(folder, left_out)
    readme = next((entry for entry in entries if entry.name.lower() == "readme.md"), None)
    front = _front(readme, left_out)
    name = folder.relative_to(root).as_posix() if folder != root else folder.resolve().name
    if front.data_files and (files := dict(_named(folder, front, left_out))):
        yield Layout(name, folder, files, front, readme)
        return
    direct = [entry for entry in entries if _is_data(entry)]
    below = [entry for entry in entries if entry.is_dir()]
    if _is_one(entries, direct, below, front) and (inside := list(_walk(folder, left_out, 0))):
        yield Layout(name, folder, _grouped(folder, inside), front, readme)
        return
    groups = _grouped(folder, direct)
    for key, splits in groups.items():
        alone = len(groups) == 1 and not below
        label = name if alone or key == "default" else key if folder == root else f"{name}/{key}"
        yield Layout(label, folder, {"default": splits}, front if alone else FrontMatter(), readme if alone else None)
    for entry in below if depth < _DEEPEST else ():
        yield from _in_folder(entry, root, left_out, depth + 1)


def _entries(folder: Path, left_out: list[LeftOut]) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__")))
    except OSError as error:
        left_out.append(LeftOut(str(folder), f"it cannot be read ({error.strerror})"))
        return []


def _is_one(entries: list[Path], direct: list[Path], below: list[Path], front: FrontMatter) -> bool:
    """Whether everything in the folder is one dataset, although no card says which file is what."""
    stated = front.licence or front.languages or front.categories or front.tags or front.labels
    if stated or any(entry.name in _SAVED for entry in entries):
        return True
    names = {entry.name.lower() for entry in below}
    return not direct and bool(names) and names <= {"data", *_SPLITS}


def _front(readme: Path | None, left_out: list[LeftOut]) -> FrontMatter:
    if readme is None:
        return FrontMatter()
    try:
        text = readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        left_out.append(LeftOut(str(readme), "it is not readable UTF-8 text; the data were read without it"))
        return FrontMatter()
    try:
        return read_front_matter(text)
    except SourceError as error:
        left_out.append(LeftOut(str(readme), str(error)))
        return FrontMatter(text=text)


def _is_data(path: Path) -> bool:
    return path.is_file() and kind_of(path) is not None and path.name not in _NOT_DATA


def _walk(folder: Path, left_out: list[LeftOut], depth: int) -> Iterator[Path]:
    for entry in _entries(folder, left_out):
        if entry.is_dir() and depth < _DEEPEST:
            yield from _walk(entry, left_out, depth + 1)
        elif _is_data(entry):
            yield entry


def _grouped(folder: Path, files: Iterable[Path]) -> Files:
    groups: dict[str, dict[str, list[Path]]] = {}
    for path in files:
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        key, split = place(relative.with_name(stem_of(path)))
        groups.setdefault(key or "default", {}).setdefault(split, []).append(path)
    return {key: _ordered(splits) for key, splits in groups.items()}


def _ordered(splits: dict[str, list[Path]]) -> dict[str, tuple[Path, ...]]:
    names = sorted(splits, key=lambda name: (_ORDER.get(name, 3), name))
    return {name: tuple(splits[name]) for name in names}


def _named(
    folder: Path, front: FrontMatter, left_out: list[LeftOut]
) -> Iterator[tuple[str, dict[str, tuple[Path, ...]]]]:
    """Files that the card names, by configuration."""
    for config, splits in front.data_files.items():
        found: dict[str, list[Path]] = {}
        for split, globs in splits.items():
            for glob in globs:
                files = _matching(folder, glob, left_out)
                for path in files:
                    relative = PurePosixPath(path.relative_to(folder).as_posix())
                    guessed = place(relative.with_name(stem_of(path)))[1] if glob.endswith("**") else "train"
                    into = found.setdefault(split or guessed, [])
                    if path not in into:
                        into.append(path)
        if found:
            yield config, _ordered(found) if None in splits else {name: tuple(files) for name, files in found.items()}


def _matching(folder: Path, glob: str, left_out: list[LeftOut]) -> list[Path]:
    name = f"{folder}/{glob}"
    if "://" in glob or PurePosixPath(glob).is_absolute() or ".." in PurePosixPath(glob).parts:
        left_out.append(LeftOut(name, "its card names data outside its own folder, which is not read"))
        return []
    exact = folder / glob
    if exact.is_file():
        found = [exact]
    elif exact.is_dir():
        found = list(_walk(exact, left_out, 0))
    else:
        pattern = f"{glob}/*" if glob.endswith("**") else glob
        found = sorted(path for path in folder.glob(pattern.removeprefix("./")) if path.is_file())
        if glob.endswith("**"):
            found = [path for path in found if _is_data(path)]
    if not found:
        left_out.append(LeftOut(name, "its card names it, but there is no such file"))
    return found


def _readable(layout: Layout, left_out: list[LeftOut]) -> Layout | None:
    files: Files = {}
    for config, splits in layout.files.items():
        kept: dict[str, tuple[Path, ...]] = {}
        for split, paths in splits.items():
            whys = {path: probe(path) for path in paths}
            left_out.extend(LeftOut(str(path), why) for path, why in whys.items() if why)
            if good := tuple(path for path, why in whys.items() if not why):
                kept[split] = good
        if kept:
            files[config] = kept
    if not files:
        return None
    only = next(iter(files)) if len(files) == 1 and not layout.front.data_files else None
    return replace(layout, files={"default": files[only]} if only else files)
