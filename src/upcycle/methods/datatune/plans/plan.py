"""A plan: how the records of one source become examples, as a value a person can read and edit.

Saved as `plans/<slug>.yaml`, which is the truth; `to_markdown` and `to_program` are generated from it, to be read and
never run. A plan holds typed steps only, so loading one runs no code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from upcycle.errors import ConfigError
from upcycle.methods.datatune.plans.steps import Llm, Step, places
from upcycle.yamlfile import dump_yaml, parse_yaml


class Plan(BaseModel):
    """How records of one source become examples."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    source: str
    configs: tuple[str, ...] | None = Field(None, description="Only these configurations; all where left out.")
    splits: tuple[str, ...] | None = Field(None, description="Only these splits; all where left out.")
    prose: str = Field("", description="What the plan does, for people.")
    steps: tuple[Step, ...] = ()
    input: str = Field(min_length=1, description='Template over fields, e.g. "{question}".')
    output: str = Field(min_length=1, description="Template over fields.")
    choices: str | None = Field(None, description="List field with the options; they are listed below the input.")
    rationale: str | None = Field(None, description="Template over fields.")

    @model_validator(mode="after")
    def _fields_are_written_once_by_models(self) -> Plan:
        asked = [step.into for step in self.steps if isinstance(step, Llm)]
        if twice := {name for name in asked if asked.count(name) > 1}:
            raise ValueError(f"two llm steps write {min(twice)!r}; give each its own field")
        return self

    @property
    def needs_model(self) -> bool:
        """Whether making an example costs a call."""
        return any(isinstance(step, Llm) for step in self.steps)

    def sha(self) -> str:
        """Digest of what decides the examples; the prose does not."""
        decisive = self.model_dump(mode="json", exclude={"prose"})
        return hashlib.sha256(orjson.dumps(decisive, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def columns(self) -> set[str]:
        """Columns of the source this plan needs."""
        wanted: set[str] = set()
        made: set[str] = set()
        for step in self.steps:
            wanted.update(name for name in step.reads() if name not in made)
            made.update(step.writes())
        templates = (self.input, self.output, self.rationale or "")
        last = [name for text in templates for name in places(text)] + ([self.choices] if self.choices else [])
        return wanted | {name for name in last if name not in made}

    def takes(self, config: str, split: str) -> bool:
        """Whether records of this configuration and split are wanted."""
        return (self.configs is None or config in self.configs) and (self.splits is None or split in self.splits)

    def require(self, columns: Iterable[str]) -> None:
        """Refuse the plan where the source lacks a column it reads.

        Raises:
            ConfigError: a field is neither a column of the source nor written by an earlier step.
        """
        columns = list(columns)
        if missing := sorted(self.columns() - set(columns)):
            raise ConfigError(
                f"the plan for {self.source} reads {missing[0]!r}, which is no column of it and no step writes;"
                f" its columns are {', '.join(columns)}"
            )

    def to_yaml(self) -> str:
        """The plan as a file to keep and edit."""
        values = self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        values["steps"] = [
            {"do": step.do, **step.model_dump(mode="json", exclude_defaults=True, exclude_none=True)}
            for step in self.steps
        ]
        return dump_yaml({name: values[name] for name in type(self).model_fields if name in values})

    @classmethod
    def from_yaml(cls, text: str, *, where: str = "plan") -> Plan:
        """Read a plan.

        Raises:
            ConfigError: not YAML, an unknown key or step, or a wrong type, with the line it stands on.
        """
        return parse_yaml(text, cls, where)

    def to_markdown(self) -> str:
        """The plan for people."""
        lines = [f"# How `{self.source}` becomes examples", ""]
        if self.prose:
            lines += [self.prose, ""]
        for what, names in (("configurations", self.configs), ("splits", self.splits)):
            if names:
                lines += [f"Only the {what} {', '.join(names)}.", ""]
        lines += [f"{number}. {_in_words(step)}" for number, step in enumerate(self.steps, 1)]
        lines += ["", f"Input: `{self.input}`", "", f"Output: `{self.output}`"]
        if self.choices:
            lines += ["", f"Options: `{self.choices}`, one `choice:` line each below the input"]
        if self.rationale:
            lines += ["", f"Rationale: `{self.rationale}`"]
        cost = "Asks a model for each record." if self.needs_model else "Costs no model call."
        return "\n".join([*lines, "", cost, ""])

    def to_program(self) -> str:
        """The plan as Python-like text, to read beside the examples; it is never run."""
        lines = [f'"""{self.source}: generated from the plan, to be read; the .yaml decides."""', "", "", "def row(r):"]
        for step in self.steps:
            told = ", ".join(f"{k}={v!r}" for k, v in step.model_dump(mode="json", exclude_defaults=True).items())
            written = ", ".join(f"r[{name!r}]" for name in step.writes())
            call = f"{step.do.replace('-', '_')}(r, {told})"
            lines.append(f"    {written} = {call}" if written else f"    {call}")
        lines.append(
            f"    input = fill({self.input!r}, r)" + (f" + options(r[{self.choices!r}])" if self.choices else "")
        )
        lines += [f"    output = fill({self.output!r}, r)", "    return input, output", ""]
        return "\n".join(lines)


def _plain_loader() -> Any:
    """YAML in which `no` is a label and 1.0 a text: only numbers without a point and null are anything else."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag.endswith((":null", ":int"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _in_words(step: Step) -> str:
    told = step.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    doc = (type(step).__doc__ or "").split("\n")[0].rstrip(".")
    values = "; ".join(f"{key}: `{_short(value)}`" for key, value in told.items())
    return f"**{step.do}**: {doc}." + (f" ({values})" if values else "")


def _short(value: Any) -> str:
    text = ", ".join(f"{k} = {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) <= 160 else text[:157] + "..."
