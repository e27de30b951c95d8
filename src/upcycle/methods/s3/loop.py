"""The steps of the loop, in the order `s3` calls them; each is a few lines over the modules beside it.

A step reads what came before it and the journal, and every draw has a seed, so a run that was killed goes on by being
run again: calls are answered from the journal, exams are read from it, and the same rows come out.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from upcycle.config import S3, Generate
from upcycle.curation.check import Check
from upcycle.errors import BudgetExceededError, ConfigError, ProviderError, RowError, RowKind
from upcycle.llm.model import Model
from upcycle.methods.generate.ending import Ending
from upcycle.methods.generate.writing import Failure
from upcycle.methods.s3 import controls, rounds
from upcycle.methods.s3.cleaning import bare
from upcycle.methods.s3.history import History, cluster_facts, exam_facts, pairs
from upcycle.methods.s3.judging import METHOD, Batch, judged
from upcycle.methods.s3.looks import FLOOR, Look, copy_check, look
from upcycle.methods.s3.patterns import Cluster, clusters, named
from upcycle.methods.s3.rounds import Error, Found, Gate
from upcycle.methods.s3.shape import Shape
from upcycle.methods.s3.student import Exam, Student
from upcycle.methods.s3.writing import Wish, Writer
from upcycle.records import Dropped, Example
from upcycle.run import Run
from upcycle.task import Task

REASONS = 20
"""Reasons the list of a label holds; the paper's number is not published."""


class Plan(NamedTuple):
    """What a round goes by."""

    found: Found
    errors: Sequence[Error]
    clusters: Sequence[Cluster]
    wishes: Sequence[Wish]


class Loop:
    """One run of the method: what is kept so far, and the steps that add to it.

    Attributes:
        kept: the training set: the first set and the rows of every round that was kept.
        number: the round under way; 0 is the first set.
        ended: why no further round is begun; "" while one may be.
    """

    def __init__(
        self,
        task: Task,
        settings: S3,
        *,
        shape: Shape,
        student: Student,
        writer: Writer,
        namer: Model,
        check: Check,
        history: History,
        run: Run,
        needed: Callable[[], int],
        seed: int,
        at_once: int,
    ) -> None:
        self.task, self.settings, self.shape, self.gold = task, settings, shape, student.gold
        self.student, self.history = student, history
        self.kept: list[Example] = []
        self.number, self.ended = 0, ""
        self._writer, self._namer, self._run, self._needed = writer, namer, run, needed
        self._check, self._copies = check, copy_check(student.gold, shape)
        self._seed, self._at_once = seed, at_once
        self._first: list[Example] = []
        self._exams: list[Exam] = []
        self._extrapolated: set[str] = set()
        self._first_cost: dict[str, int] = {}

    # -- the first set -----------------------------------------------------------------------------------------------

    async def first_set(self, before: Sequence[Example]) -> AsyncGenerator[Example | Dropped, None]:
        """The rows before any round: another method's, else rows with reasons or contexts, else extrapolated gold."""
        self.kept = list(before)
        if not before:
            room, how = self._needed(), self.settings.extrapolate
            target = room if how in ("off", "gold") else max(1, round(room * self.settings.first))
            batch = Batch()
            async with aclosing(
                self._written(await self._first_wishes(), lambda: target - len(batch.kept), batch)
            ) as rows:
                async for result in rows:
                    yield result
            self.kept = batch.kept
            self._first_cost = {"cost_micro": batch.cost_micro, "tokens": batch.tokens}
            if batch.stopped is not None:
                raise batch.stopped
            if batch.reason:
                self.end(f"writing the first set ended early: {batch.reason}")
        self._first = list(self.kept)
        self._tell("first set", rows=len(self.kept), by=self.kept[0].origin.method if self.kept else METHOD)

    async def _first_wishes(self, control: str = "") -> Iterator[Wish]:
        if self.settings.extrapolate == "gold" or control == "gold":
            return rounds.gold_wishes(self.shape, self.gold, seed=self._seed, control=control)
        return rounds.first_wishes(
            self.shape, self.gold, await self._reasons(), shown=self.settings.rationales,
            balance=self.settings.balance, seed=self._seed, control=control,
        )  # fmt: skip

    async def _reasons(self) -> dict[str, list[str]]:
        """A list of reasons for each label; texts that stand for themselves only, as in the paper."""
        if self.shape.kind != "single" or not self.settings.rationales:
            return {}
        found: dict[str, list[str]] = {}
        for label in self.shape.labels or ():
            try:
                named_reasons = (await self._writer.reasons(label, REASONS)).value["reasons"]
            except RowError as error:
                self._tell("no reasons", label=label, why=str(error))
                continue
            different = list(dict.fromkeys(filter(None, (bare(one) for one in named_reasons))))
            if len(different) < self.settings.rationales:  # the same few beside every row would make the rows alike
                self._tell("no reasons", label=label, why=f"only {len(different)} different ones were named")
                continue
            found[label] = different
        return found

    async def learn_first(self) -> None:
        """Train on the first set and examine."""
        if not self.kept:
            self.end(self.ended or "the first set came out empty")
            return
        exam = await self._examined(self.kept)
        self._exams.append(exam)
        self.history.first = {**exam_facts(exam), **self._first_cost, "look": self._look(self._first, ()).facts()}
        self._tell(
            "examined", round=0, rows=exam.rows, select=exam.on_select(), errors=len(rounds.mined(self.gold, exam))
        )
        if not self.settings.reset and not self.student.goes_on:
            text = f"reset is off, which changes nothing: {self.student.name} comes to the same wherever it starts"
            self._tell("warning", text=text)
        if self.settings.extrapolate in ("off", "gold"):
            self.end(f"extrapolate is {self.settings.extrapolate}, so there are no rounds")
        self.history.write()

    # -- a round -----------------------------------------------------------------------------------------------------

    def goes_on(self, waiting: int = 0) -> bool:
        """Whether another round is to be begun, where so many kept rows are still to be handed on."""
        if not self.ended and self.number >= self.settings.rounds:
            self.end(f"all {self.number} rounds are done")
        if not self.ended and self._needed() <= waiting:
            self.end("the rows asked for are there")
        return not self.ended

    async def plan(self) -> Plan | None:
        """Mine errors and say what is to be written because of them; None where there is nothing to go on with."""
        self.number += 1
        settings, gold = self.settings, self.gold
        errors = rounds.mined(gold, self._exams[-1])
        found = rounds.look_through(errors, self._extrapolated, gold, plain=settings.plain)
        if not settings.plain:
            self.history.came_back(found.again, self.number)
        if found.reason:
            self.end(found.reason)
            return None
        chosen: Sequence[Error] = found.fresh
        if settings.extrapolate == "random":
            chosen = rounds.random_errors(gold, len(found.fresh), self._seed, self.number)
        together = clusters(found.fresh, self.shape, gold, seed=self._seed)
        patterns: dict[str, str] = {}
        if settings.extrapolate == "patterns":
            together = await named(together, self.task, self.shape, gold, self._namer)
            patterns = {name: one.pattern for one in together for name in one.ids() if one.pattern}
            chosen = [error for error in found.fresh if error.row.id in patterns]
            if not chosen:
                self.end("no pattern of the errors could be named")
                return None
        room = self._needed()
        if settings.per_error is None:
            room = -(-room // (settings.rounds - self.number + 1))
        wishes = rounds.wishes_of(chosen, self.number, room, settings=settings, shape=self.shape, gold=gold,
                                  patterns=patterns, seed=self._seed)  # fmt: skip
        self._tell("mined", round=self.number, errors=len(errors), new=len(found.fresh), again=len(found.again),
                   clusters=len(together), wished=len(wishes))  # fmt: skip
        return Plan(found, chosen, together, wishes)

    async def write(self, plan: Plan) -> Batch:
        """The round's rows, judged one by one; what ends it early is in the batch."""
        batch = Batch()
        async with aclosing(self._written(iter(plan.wishes), lambda: len(plan.wishes), batch)) as rows:
            async for _ in rows:
                pass
        return batch

    async def judge(self, plan: Plan, batch: Batch) -> list[Example | Dropped]:
        """Train on everything with the round's rows, and keep them if that helps; rows, kept or not, in either case."""
        seen = self._look(batch.kept, self._first)
        after: Exam | None = None
        verdict: Gate | None = None
        reason = seen.refused
        if not batch.kept:
            reason = batch.reason or "none of its rows could be used"
        elif not reason:
            start = None if self.settings.reset else self._exams[-1]
            after = await self._examined([*self.kept, *batch.kept], start)
            verdict = rounds.gate(self.gold.select, self._exams[-1].select, after.select, self.settings)
            reason = verdict.reason
        self._note(plan, batch, seen, after, verdict, reason)
        if after is None or verdict is None or not verdict.kept:
            self.end(f"round {self.number} was not kept: {reason}")
            self.history.write()
            return [*batch.dropped, *(self._unhelpful(example, reason) for example in batch.kept)]
        self._exams.append(after)
        self.kept += batch.kept
        self._extrapolated |= {error.row.id for error in plan.errors}
        if batch.reason:
            self.end(batch.reason)
        self.history.write()
        return [*batch.dropped, *batch.kept]

    def _unhelpful(self, example: Example, reason: str) -> Dropped:
        return Dropped(
            example.id, example.origin, METHOD, RowKind.UNHELPFUL, f"round {self.number}: {reason}",
            input=example.input, output=example.output,
        )  # fmt: skip

    def _note(
        self, plan: Plan, batch: Batch, seen: Look, after: Exam | None, verdict: Gate | None, reason: str
    ) -> None:
        before = self._exams[-1]
        facts: dict[str, Any] = {
            "round": self.number,
            "errors": len(plan.found.fresh) + len(plan.found.again) * (not self.settings.plain),
            "fresh": len(plan.found.fresh),
            "again": len(plan.found.again),
            "written": len(batch.kept) + len(batch.dropped),
            "added": len(batch.kept),
            "dropped": batch.lost(),
            "cost_micro": batch.cost_micro,
            "tokens": batch.tokens,
            "kept": verdict is not None and verdict.kept,
            "reason": reason,
            "before": exam_facts(before),
            "after": exam_facts(after) if after is not None else None,
            "difference": list(verdict.difference[:3]) if verdict is not None else None,
            "confusion": [rounds.confusion(self.gold, one) for one in (before, after) if one and self.shape.labels],
            "clusters": cluster_facts(plan.clusters, after),
            "look": seen.facts(),
            "examples": pairs(plan.errors, batch.kept),
        }
        self.history.rounds.append(facts)
        self._tell("round", **{name: facts[name] for name in ("round", "added", "written", "kept", "reason")})
        for warning in seen.warnings:
            self._tell("warning", round=self.number, text=warning)

    # -- the end -----------------------------------------------------------------------------------------------------

    def end(self, reason: str) -> None:
        """No further round is begun."""
        self.ended = self.history.ended = reason
        self._run.ended[METHOD] = reason

    async def compare(self) -> None:
        """Open the test rows, once, and hold the set against its controls."""
        if not self._exams or not self.gold.test:
            self.history.write()
            return
        whole = self.student.open_test(self._exams[-1])
        table = [controls.line("S3: the whole set", len(self.kept), whole)]
        if len(self._exams) > 1:
            first = self.student.open_test(self._exams[0])
            table.append(controls.line("the first set alone", len(self._first), first, whole))
            drawn = await controls.same_size(self.student, self._first, self.kept, self._seed)
            table.append(controls.line("the first set, as many rows of each", len(self._first), first,
                                       self.student.open_test(drawn)))  # fmt: skip
        for name in self.settings.controls:
            table += await self._control(name, whole)
        if self.student.shown is None:
            for name, rows in controls.with_gold(self._first, self.kept, self.gold, self._seed):
                exam = await self.student.exam(rows, keep=False)
                table.append(controls.line(name, len(rows), self.student.open_test(exam), whole))
        self.history.table = table
        if self.student.quick and self.shape.labels:
            self.history.curve = await controls.curve(self.student, self.gold, self.kept, self._seed)
        self.history.write()
        self._run.tell(METHOD, "compared", table=[{**one.facts(), "words": one.words()} for one in table])

    async def _control(self, name: str, whole: Sequence[Any]) -> list[controls.Line]:
        """A set of equal size that is written for the comparison only."""
        count = len(self.kept) - len(self._first)
        if name != "gold" and count <= 0:
            return []
        batch = Batch()
        if name == "random":
            some = rounds.random_errors(self.gold, len(self.gold.mine), self._seed, 0)
            settings = self.settings.model_copy(update={"per_error": -(-2 * count // len(some))})
            wishes = iter(rounds.wishes_of(some, 1, 2 * count, settings=settings, shape=self.shape, gold=self.gold,
                                           patterns={}, seed=self._seed, control=name))  # fmt: skip
        else:
            wishes = await self._first_wishes(name)
            count = len(self.kept) if name == "gold" else count
        async with aclosing(self._written(wishes, lambda: count - len(batch.kept), batch)) as rows:
            async for _ in rows:
                pass
        if batch.stopped is not None:  # a comparison is not worth the set it is of
            self._tell("control left out", name=name, why=str(batch.stopped))
            return []
        made = batch.kept if name == "gold" else [*self._first, *batch.kept]
        if not made:
            return []
        exam = await self.student.exam(made, keep=False)
        told = {"seed": "more of the first set instead", "random": "rows like random gold instead",
                "gold": "rows like any gold, nothing else"}[name]  # fmt: skip
        return [controls.line(told, len(made), self.student.open_test(exam), whole)]

    # -- shared ------------------------------------------------------------------------------------------------------

    async def _written(
        self, wishes: Iterator[Wish], needed: Callable[[], int], batch: Batch
    ) -> AsyncGenerator[Example | Dropped, None]:
        """Rows written and judged, one after the other, into the batch, which also says why it ended early."""
        ending = Ending(Generate())
        try:
            async with aclosing(self._writer.rows(wishes, at_once=self._at_once, needed=needed)) as rows:
                async for written in rows:
                    if needed() <= 0:
                        break
                    result = judged(written, model=self._writer.model.name, copies=self._copies, check=self._check,
                                    seed=self._seed)  # fmt: skip
                    batch.add(result)
                    ending.row(RowKind.OK if isinstance(result, Example) else result.kind)
                    ending.call([written.made] if isinstance(written.made, Failure) else [], 1)
                    yield result
                    if ending.failure is not None or ending.reason:
                        break
        except (BudgetExceededError, ProviderError) as error:
            batch.stopped = error
        batch.stopped = batch.stopped or ending.failure
        batch.reason = ending.reason

    async def _examined(self, rows: Sequence[Example], start: Exam | None = None) -> Exam:
        self._tell("training", rows=len(rows), round=self.number)
        began, trained = time.monotonic(), self.student.trained
        try:
            exam = await self.student.exam(rows, start=start)
        except ConfigError as error:
            # Nothing can be trained here, but rows were written and paid for: the run stops, and they are kept.
            raise ProviderError(f"the small model cannot be trained: {error}") from error
        self._tell("trained", rows=len(rows), round=self.number, known=self.student.trained == trained,
                   seconds=round(time.monotonic() - began, 2))  # fmt: skip
        return exam

    def _look(self, rows: Sequence[Example], first: Sequence[Example]) -> Look:
        return look(rows, self.shape, first=first, floor=0.0 if self.settings.plain else FLOOR, seed=self._seed)

    def _tell(self, kind: str, **data: Any) -> None:
        self._run.tell(METHOD, kind, **data)
