"""YAML (and JSON) files into pydantic models, with the line of whatever is wrong.

PyYAML reads YAML 1.1, where `no`, `on`, `12:30` and `1_000` are not what people mean: here only true/false, plain
integers and floats, and null are special, and everything else stays text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from upcycle.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader that leaves YAML 1.1's surprises as text."""


_PlainLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|false|False)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+0123456789."),
    ("null", r"^(?:~|null|Null|)$", ["~", "n", "N", ""]),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def load_yaml(path: Path, model: type[M]) -> M:
    """Read one model from a file.

    Raises:
        ConfigError: unreadable, not YAML, an unknown key or a wrong type; says the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; give a task file, or the task in a sentence") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text ({error})") from None
    return parse_yaml(text, model, str(path))


def parse_yaml(text: str, model: type[M], name: str) -> M:
    """Like `load_yaml`, from text; `name` stands in front of the line in errors."""
    try:
        node = yaml.compose(text, Loader=_PlainLoader)
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ConfigError(f"{where}: not valid YAML ({said})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: expected keys and values, found {type(content).__name__}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_sentence(error, node, model, name)) from None


def dump_yaml(content: dict[str, Any]) -> str:
    """YAML text in the order given, long strings as blocks; what `load_yaml` reads back."""
    return yaml.dump(content, Dumper=_BlockDumper, sort_keys=False, allow_unicode=True, width=110)


class _BlockDumper(yaml.SafeDumper):
    """SafeDumper that writes multi-line text as a block, so that people can edit it."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # A block cannot hold trailing spaces before a line break; those stay quoted.
    style = "|" if "\n" in text and not re.search(r"[ \t]\n|\r|^\s", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_BlockDumper.add_representer(str, _text)
# What the loader above would read as a number must be quoted, beside what YAML 1.1 would.
for _first, _resolvers in _PlainLoader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _resolvers:
        _BlockDumper.add_implicit_resolver(_tag, _pattern, [_first])


def _sentence(error: ValidationError, node: Any, model: type[BaseModel], name: str) -> str:
    # A union reports every member; the one that got furthest into the file is the one that was meant.
    found = [(one, _locate(node, one["loc"])) for one in error.errors()]
    problem, place = max(found, key=lambda one: one[1].depth)
    line, path = place.line, place.path
    where = f"{name}:{line}" if line else name
    others = sum(_goes_with(place.members, other.members) for _, other in found) - 1
    more = f" (and {others} more)" if others else ""
    if problem["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) if len(problem["loc"]) == 1 else ""
        hint = f"; known keys: {known}" if known else ""
        return f"{where}: unknown key {path!r}{hint}{more}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {path or 'the file'}: {message}{more}"


class _Place(NamedTuple):
    line: int | None
    path: str
    depth: int
    members: dict[str, str]
    """Dotted path to the union's member that was tried there."""


def _goes_with(members: dict[str, str], others: dict[str, str]) -> bool:
    """Whether two problems can both be: another member of a union failing is no second mistake of the writer."""
    return all(others.get(path, member) == member for path, member in members.items())


def _locate(node: Any, loc: tuple[int | str, ...]) -> _Place:
    """Line of the deepest part of `loc` that stands in the file, its dotted path, and how many parts stand there."""
    depth = 0
    members: dict[str, str] = {}
    line = node.start_mark.line + 1 if node else None
    parts: list[str] = []
    for part in loc:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    found, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            # Names of union members that pydantic puts into the path do not stand in the file; what is missing neither.
            if isinstance(node, yaml.MappingNode) and part == loc[-1] and "[" not in str(part):
                parts.append(str(part))
            else:
                members[".".join(parts)] = str(part)
            continue
        node = found
        depth += 1
        parts.append(str(part))
    return _Place(line, ".".join(parts), depth, members)
