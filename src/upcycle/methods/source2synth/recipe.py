"""A recipe: a new task or domain by swapping three things in one YAML file, and optionally an executor.

The three are the source (cut into units as `tables` or `documents` are), the topic prompt and the construction prompt;
the executor runs or checks what was constructed against its unit (Source2Synth, arXiv 2409.08239, appendices C and D).
A recipe holds no code: executors are upcycle's own, by name, so that a recipe from elsewhere can be tried without
reading it first. Prompts are Markdown, in the file or beside it; `{{unit}}`, `{{task}}`, `{{topics}}`, and in the
second one `{{topic}}`, stand for values.

    name: spreadsheet_functions
    ground: tables                       # or documents
    topics: [minimum, maximum, median]   # optional, shown as {{topics}}
    topic: prompts/topic.md              # or the text itself
    construction: prompts/function.md
    fields: {question: what the function does, function: the Python function}
    output: function                     # the field that is the example's output; "truth": what the executor found
    rationale: topic                     # optional: a field, "topic" or "truth"
    executor: python                     # python, citation, or left out
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from upcycle.config import Source2Synth
from upcycle.errors import ConfigError, RowError, RowKind
from upcycle.llm.model import Request
from upcycle.llm.replies import Reply
from upcycle.methods.prompts import show_task
from upcycle.methods.source2synth.application import Blank, Executor, Ground, Grounded, Truth, Unit, Writer
from upcycle.methods.source2synth.matching import soft_match
from upcycle.records import Dropped
from upcycle.yamlfile import load_yaml

_VALUE = re.compile(r"\{\{(\w+)\}\}")
_TOPIC_VALUES = {"unit", "task", "topics"}
_TOPIC_TOKENS = 150
_TEMPERATURE = 0.7  # of both calls: units alike must not bring questions alike
_QUESTION = "question"
_NEEDS = {"python": ("tables", ("function",)), "citation": ("documents", ("answer", "quote"))}
"""The ground each executor works on, and the fields of a construction that it reads."""


class Recipe(BaseModel):
    """What a recipe file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    about: str = ""
    ground: Literal["tables", "documents"]
    topic: str = Field(min_length=1, description="Prompt that asks for one topic of a unit; text or a file beside it.")
    construction: str = Field(min_length=1, description="Prompt that asks for the fields; text or a file beside it.")
    topics: tuple[str, ...] = ()
    fields: dict[str, str] = Field(min_length=1, description="What the construction reply holds, in words.")
    output: str = "truth"
    rationale: str | None = None
    executor: Literal["python", "citation"] | None = None
    chars: int = Field(6000, ge=200, le=100_000, description="Most characters of a unit that a prompt shows.")
    max_tokens: Annotated[int, Field(ge=50, le=8000)] = 700

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if _QUESTION not in self.fields:
            raise ValueError("fields needs a field named question: it is the example's input")
        for role, known in (("output", {*self.fields, "truth"}), ("rationale", {*self.fields, "topic", "truth"})):
            name = getattr(self, role)
            if name is not None and name not in known:
                raise ValueError(f"{role} {name!r} is none of the fields; take one of {', '.join(sorted(known))}")
        if "truth" in (self.output, self.rationale) and self.executor is None:
            raise ValueError("truth is what an executor finds, and none is named; name one, or an output field")
        return self


def open_recipe(path: Path, sources: Sequence[str], settings: Source2Synth) -> RecipeApplication:
    """The application a recipe file describes.

    Raises:
        ConfigError: no such file, a wrong key with its line, a prompt that asks for a value nobody gives.
        SourceError: nothing of the sources can be read.
    """
    if not path.is_file():
        raise ConfigError(
            f"source2synth knows no application {str(path)!r} and there is no such file; take tables, documents, or the"
            " path of a recipe"
        )
    recipe = load_yaml(path, Recipe)
    _check_executor(path, recipe)
    topic = _prompt(path, "topic", _given(settings.topic_prompt, recipe.topic), _TOPIC_VALUES)
    given = _given(settings.construction_prompt, recipe.construction)
    construction = _prompt(path, "construction", given, {*_TOPIC_VALUES, "topic"})
    return RecipeApplication(recipe, topic, construction, _ground(recipe.ground, sources), _executor(recipe.executor))


def _check_executor(path: Path, recipe: Recipe) -> None:
    """Refuse, before anything is paid, what the executor could never run."""
    if recipe.executor is None:
        return
    ground, needed = _NEEDS[recipe.executor]
    if recipe.ground != ground:
        raise ConfigError(
            f"{path}: executor {recipe.executor} works on ground: {ground}, and the ground is {recipe.ground}"
        )
    if missing := [name for name in needed if name not in recipe.fields]:
        raise ConfigError(f"{path}: executor {recipe.executor} needs a field named {missing[0]}, and fields has none")


def _given(other: str | None, own: str) -> str:
    # What the settings name lies where they say, what the recipe names lies beside it.
    return own if other is None else str(Path(other).absolute())


def _prompt(path: Path, key: str, given: str, known: set[str]) -> str:
    text = given
    if "\n" not in given and given.endswith(".md"):
        try:
            text = (path.parent / given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {key}: the prompt {given} cannot be read ({error})") from None
    unknown = sorted(set(_VALUE.findall(text)) - known)
    if unknown:
        values = ", ".join(sorted(known))
        raise ConfigError(f"{path}: {key}: nobody gives a value for {{{{{unknown[0]}}}}}; there are {values}")
    if "unit" not in _VALUE.findall(text):
        raise ConfigError(f"{path}: {key}: the prompt never shows its source; put {{{{unit}}}} where it is to stand")
    return text.strip()


def _ground(name: str, sources: Sequence[str]) -> Ground:
    if name == "tables":
        from upcycle.methods.source2synth.tables import open_ground as open_tables

        return open_tables(sources)
    from upcycle.methods.source2synth.documents import open_ground as open_documents

    return open_documents(sources)


def _executor(name: str | None) -> Executor | None:
    match name:
        case "python":
            from upcycle.methods.source2synth.functions import PythonExecutor

            return PythonExecutor()
        case "citation":
            from upcycle.methods.source2synth.citations import CitationExecutor

            return CitationExecutor()
        case _:
            return None


class RecipeApplication:
    """An application made of a recipe's parts."""

    def __init__(
        self, recipe: Recipe, topic: str, construction: str, ground: Ground, executor: Executor | None = None
    ) -> None:
        self.name = recipe.name
        self._recipe, self._topic, self._construction = recipe, topic, construction
        self._ground, self._executor = ground, executor

    def units(self, seed: int) -> Iterator[Unit | Dropped]:
        """The units of the source."""
        return self._ground.units(seed)

    async def construct(self, unit: Unit, writer: Writer) -> list[Grounded | Dropped]:
        """Topic, construction, truth; `writer.wanted` times, each with a topic of its own."""
        shown = self._ground.shown(unit, self._recipe.chars)
        results: list[Grounded | Dropped] = []
        seen: list[str] = []
        for number in range(writer.wanted):
            try:
                results.append(await self._made(unit, writer, shown, number, seen))
            except RowError as error:  # what was made of this unit before stays
                results.append(writer.dropped(str(error), error.kind))
        return results

    async def _made(self, unit: Unit, writer: Writer, shown: str, number: int, seen: list[str]) -> Grounded | Dropped:
        """One example; `seen` are the topics of this unit so far."""
        values = {
            "unit": f"<unit>\n{shown.replace('</unit', '< /unit')}\n</unit>",
            "task": show_task(writer.task),
            "topics": ", ".join(self._recipe.topics),
        }
        topic = await writer.ask(self._request(_filled(self._topic, values), number, _TOPIC_TOKENS))
        said = " ".join(str(topic.value).split())
        if said in seen:
            return writer.dropped("the topic of an earlier example of this unit")
        seen.append(said)
        prompt = _filled(self._construction, {**values, "topic": said})
        made = await writer.ask(self._request(prompt, number, self._recipe.max_tokens, self._schema()))
        return await self._checked(unit, writer, shown, said, made)

    async def right(self, grounded: Grounded, said: str, unit: Unit) -> bool:
        """By the executor where there is one, else by the soft rules."""
        if self._executor is not None:
            return await self._executor.same(unit, grounded, said)
        return soft_match(said, grounded.answer)

    def blank(self, grounded: Grounded) -> Blank | None:
        """Recipes blank nothing."""
        return None

    async def rebuild(self, grounded: Grounded, said: str, writer: Writer) -> Grounded | Dropped:
        """Never called: nothing is blanked."""
        raise NotImplementedError(f"{self.name} blanks nothing, so there is nothing to rebuild")

    async def close(self) -> None:
        """End the executor's workers."""
        if self._executor is not None:
            await self._executor.close()

    async def _checked(self, unit: Unit, writer: Writer, shown: str, topic: str, reply: Reply) -> Grounded | Dropped:
        made: Mapping[str, str] = {key: str(value).strip() for key, value in reply.value.items()}
        question = made[_QUESTION]
        truth = await self._executor.truth(unit, made) if self._executor is not None else Truth("")
        if truth.answer is None:
            return writer.dropped(truth.reason, RowKind.PROGRAM, question=question)
        found = {**made, "topic": topic, "truth": truth.answer}
        answer = found[self._recipe.output]
        if not question or not answer:
            return writer.dropped("the question or the answer is empty", RowKind.CONTRACT, question=question)
        return writer.grounded(
            question,
            answer,
            context=shown,
            rationale=found[self._recipe.rationale] if self._recipe.rationale else None,
            kind=self.name,
            details={**made, "topic": topic, "truth": truth.answer},
        )

    def _request(self, prompt: str, number: int, tokens: int, schema: dict[str, Any] | None = None) -> Request:
        stage = "topic" if schema is None else "construct"
        return Request(
            ({"role": "user", "content": prompt},), stage, tokens, _TEMPERATURE, schema=schema, sample=number
        )

    def _schema(self) -> dict[str, Any]:
        fields = self._recipe.fields
        return {
            "type": "object",
            "properties": {key: {"type": "string", "description": what} for key, what in fields.items()},
            "required": list(fields),
            "additionalProperties": False,
        }


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VALUE.sub(lambda match: values[match[1]], text)
