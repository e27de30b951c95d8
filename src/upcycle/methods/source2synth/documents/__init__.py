"""Documents as an application of Source2Synth: multi-hop questions (arXiv 2409.08239, section 4.1).

A unit is a document. With a model, questions are written as in the paper (`written`); without one they come from set
phrases (`templated`). Imputation blanks Q1: it is written again from the merged question, Q2, the entity and the first
document, and merged again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from upcycle.config import Source2Synth
from upcycle.errors import ConfigError, RowKind
from upcycle.methods.source2synth.application import Blank, Grounded, Unit, Writer
from upcycle.methods.source2synth.documents.asking import Prompts
from upcycle.methods.source2synth.documents.checks import leak
from upcycle.methods.source2synth.documents.finished import hop_of, is_answer, plain
from upcycle.methods.source2synth.documents.ground import DocumentGround, open_ground
from upcycle.methods.source2synth.documents.lines import labelled
from upcycle.methods.source2synth.documents.templated import (
    bridge_questions,
    comparison_questions,
    merged_by_words,
)
from upcycle.methods.source2synth.documents.written import NOWHERE, Draft, merged
from upcycle.records import Dropped
from upcycle.sources.documents import Document, occurs

__all__ = ["KINDS", "DocumentGround", "Documents", "open_documents", "open_ground"]

KINDS = {"bridge": 80.0, "comparison": 20.0}
"""Question types and their weights where the settings name none: about HotpotQA's."""


def open_documents(sources: Sequence[str | Path], settings: Source2Synth, *, folder: Path | None = None) -> Documents:
    """The application over these documents.

    Args:
        sources: folders of Markdown, HTML or text, files of titled paragraphs, MediaWiki dumps.
        folder: where what was read is kept, so that a run goes on without reading it again; else a temporary one.

    Raises:
        SourceError: a path that is not there, or holds no document.
        ConfigError: question types that are none, or a prompt file that cannot be used.
    """
    unknown = set(settings.kinds) - set(KINDS)
    if unknown:
        raise ConfigError(
            f"source2synth.kinds: {min(unknown)!r} is no question type of documents; known: bridge, comparison"
        )
    prompts = Prompts(settings)
    return Documents(open_ground(sources, folder), settings, prompts)


class Documents:
    """Multi-hop questions over documents; see `application.Application`."""

    name = "documents"

    def __init__(self, ground: DocumentGround, settings: Source2Synth, prompts: Prompts) -> None:
        self.store, self._ground, self._settings, self._prompts = ground.store, ground, settings, prompts

    def units(self, seed: int) -> Iterator[Unit | Dropped]:
        """Documents in the seed's order, after what could not be read."""
        return self._ground.units(seed)

    async def construct(self, unit: Unit, writer: Writer) -> list[Grounded | Dropped]:
        """Up to `writer.wanted` questions that begin with this document."""
        document: Document = unit.value
        if writer.model is None:
            return self._from_phrases(document, writer)
        draft = Draft(writer, self.store, self._prompts, document, self._settings.hops, self._settings.probe)
        made: list[Grounded | Dropped] = []
        for kind in self._kinds(writer):
            made.append(await draft.write(kind))
            if isinstance(made[-1], Dropped) and made[-1].reason == NOWHERE:
                break
        return made

    async def right(self, grounded: Grounded, said: str, unit: Unit) -> bool:
        """Whether a reply comes to the answer; of a comparison, without naming both."""
        return is_answer(said, grounded.answer, grounded.details.get("other"))

    def blank(self, grounded: Grounded) -> Blank | None:
        """Q1 left out (Source2Synth, section 4.1.2); a comparison has no such part."""
        if grounded.kind != "bridge":
            return None
        first, second = grounded.details["hops"][:2]
        values = {
            "document_one": str(grounded.details["document_one"]).replace("</", "< /"),
            "question": grounded.question,
            "question_two": second["question"],
            "entity": first["answer"],
        }
        return Blank(self._prompts.text("impute", values), f"Question: {first['question']}")

    async def rebuild(self, grounded: Grounded, said: str, writer: Writer) -> Grounded | Dropped:
        """The example with another Q1, merged again; by a model where there is one, else by quoting Q1."""
        rebuilt = labelled(said, ["Question"]).get("Question", "")
        hops = [hop_of(one) for one in grounded.details["hops"]]
        if not rebuilt.endswith("?"):
            return writer.dropped("the rebuilt first question is no question", RowKind.UNPARSEABLE)
        if any(occurs(name, rebuilt) for name in (hops[0].answer, *hops[0].names)):
            return writer.dropped("the rebuilt first question contains the linking entity")
        question = rebuilt
        for before, hop in itertools.pairwise(hops):
            if writer.model is None:
                question = merged_by_words(question, hop.question, before.answer)
            else:
                names = (before.answer, *before.names)
                question = await merged(writer, self._prompts, question, hop.question, before.answer, names)
        chain = [replace(hops[0], question=rebuilt), *hops[1:]]
        if reason := leak(question, chain):
            return writer.dropped(f"after rebuilding, {reason}", question=question, answer=grounded.answer)
        details: dict[str, Any] = {**grounded.details, "hops": [plain(hop) for hop in chain]}
        rationale = "\n".join(f"{hop.question} {hop.answer}." for hop in chain)
        return writer.grounded(
            question, grounded.answer, context=grounded.context, rationale=rationale, kind=grounded.kind,
            units=grounded.units, details=details,
        )  # fmt: skip

    async def close(self) -> None:
        """Close the store."""
        self.store.close()

    def _from_phrases(self, document: Document, writer: Writer) -> list[Grounded | Dropped]:
        kinds = [kind for kind in KINDS if self._weights().get(kind)]
        streams = {
            "bridge": lambda: bridge_questions(writer, self.store, document, hops=self._settings.hops),
            "comparison": lambda: comparison_questions(writer, self.store, document),
        }
        shares = self._kinds(writer)
        made: list[Grounded | Dropped] = []
        for kind in kinds:
            wanted, kept = shares.count(kind), 0
            for result in streams[kind]() if wanted else ():
                made.append(result)
                kept += isinstance(result, Grounded)
                if kept >= wanted:
                    break
        return made

    def _weights(self) -> dict[str, float]:
        return self._settings.kinds or KINDS

    def _kinds(self, writer: Writer) -> list[str]:
        """The type of each question wanted, drawn by weight."""
        weights = self._weights()
        return writer.rng.choices(list(weights), list(weights.values()), k=writer.wanted)
