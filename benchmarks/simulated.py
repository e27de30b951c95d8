"""The model that `programs.py` runs against: it plans, ranks and writes as a capable model would, and errs by a seed.

It sees nothing but the prompt. What it knows of the world is a memory of the hub's records (so that it can label a
review about as well as a model can) and plans written by hand, one for each task and source that it thinks useful. What
it gets wrong is drawn from the prompt and a seed: two rows in a hundred left out, wrong or unreadable, one label in
twenty untrue, one draft in five no good.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from known_plans import PLANS
from upcycle.contract import without_options
from upcycle.llm.model import Request
from upcycle.methods.datatune.plans.operation import EMPTY, Pool
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made, Program, compile_plan
from upcycle.records import Record
from upcycle.sandbox import Sandbox
from upcycle.sources.source import Source, open_sources
from upcycle.task import Task
from upcycle.testing import RefusalError

Fields = dict[str, Any]

_ROW = re.compile(r'<record id="(\d+)">(.*?)</record>', re.DOTALL)
_DATASET = re.compile(r'<dataset id="(d\d+)">\n(.+?): (?:\d|unknown)')
_ASKED = re.compile(r'^- ("[^"]+"): ', re.MULTILINE)
_WRONG_ROWS, _UNTRUE_LABELS, _BAD_DRAFTS, _SKIPPED = 0.02, 0.05, 0.2, 0.01
_EXPANDED = (
    "An input is a short text in English that gives everything that is needed to answer, written the way the examples"
    " write it: the material comes first, without any remark on where it was found, and where there are options they"
    " are listed below it. The output holds the answer and nothing else: no explanation, no quotation marks around it,"
    " no words such as 'the answer is'. It is right when somebody who reads only the input and knows the subject would"
    " give the same answer, and wrong when it needs facts that the input lacks, when a second answer would be as good,"
    " or when it merely repeats words of the input. Inputs differ in subject, wording and length, and no answer is much"
    " more frequent than another."
)


class Simulated:
    """A script for `FakeServer`: one text for each request, the same for the same request.

    Args:
        tasks: those it may be asked about; a prompt shows which by its instruction.
        hub: folder of the sources it remembers.
    """

    def __init__(self, tasks: Sequence[Task], hub: Path, *, seed: int = 0) -> None:
        self._tasks = {task.instruction: task for task in tasks}
        self._sources = {source.card.id: source for source in open_sources([str(hub)])[0]}
        self._ids = {source.card.name: name for name, source in self._sources.items()}
        self._seed = seed
        self.broken: list[str] = []
        self._sandbox = Sandbox()
        self._programs: dict[tuple[str, str], tuple[Program, Pool]] = {}
        self._memory = _Memory(self._sources)

    def close(self) -> None:
        """End the sandbox in which it executes plans."""
        self._sandbox.close()

    def __call__(self, request: Request) -> str:
        prompt = "\n".join(message["content"] for message in request.messages)
        random = Random(f"{self._seed}/{request.sample}/{zlib.crc32(prompt.encode())}")
        task = next(task for told, task in self._tasks.items() if f"Task: {told}\n" in prompt)
        roles: dict[str, Callable[[Task, str, Random], str]] = {
            "You choose data for training": self._rerank,
            "Explain this task to somebody": lambda task, prompt, random: _EXPANDED,
            "Give every column one role": self._roles,
            "Write a plan that turns the rows": self._plan,
            "You write fields for rows": self._rows,
        }
        answer = next(answer for words, answer in roles.items() if words in prompt)
        try:
            return answer(task, prompt, random)
        except (KeyError, ValueError, AssertionError, TypeError, StopIteration) as error:
            self.broken.append(f"{type(error).__name__}: {error}")
            raise RefusalError(400, f"the simulated model broke: {self.broken[-1]}") from error

    # -- planning ------------------------------------------------------------------------------------------------

    def _rerank(self, task: Task, prompt: str, random: Random) -> str:
        shown = {self._ids.get(name, name): number for number, name in _DATASET.findall(prompt)}
        ranking = [shown[name] for name in PLANS[task.name] if name in shown]
        if len(ranking) > 1 and random.random() < 0.3:
            ranking[:2] = ranking[1::-1]
        others = [number for number in shown.values() if number not in ranking]
        ranking += random.sample(others, min(1, len(others)))
        if random.random() < 0.3:
            ranking.append("d99")
        return json.dumps({"ranking": ranking, "none": False})

    def _roles(self, task: Task, prompt: str, random: Random) -> str:
        columns = re.search(r"^Columns: (.*)$", prompt, re.MULTILINE)
        assert columns is not None
        return json.dumps({"roles": {name: _role(name) for name in columns[1].split(", ")}})

    def _plan(self, task: Task, prompt: str, random: Random) -> str:
        named = re.search(r"^Dataset (.+?): ", prompt, re.MULTILINE)
        columns = re.search(r"^Columns \(with their role\): (.*)$", prompt, re.MULTILINE)
        assert named is not None
        assert columns is not None
        there = re.findall(r"([^\s,]+) \(\w+\)", columns[1])
        plan = self._known(task, self._ids.get(named[1], named[1]), there)
        if plan is None:
            return json.dumps(_anything(there))
        draw = random.random()
        if draw < _BAD_DRAFTS / 2:
            # A column that is not there: refused, and asked again with the reason.
            return json.dumps({**plan, "steps": [{"do": "filter", "field": "body", "min_chars": 3}, *plan["steps"]]})
        if draw < _BAD_DRAFTS:
            return json.dumps({**plan, "steps": [_turned(step) for step in plan["steps"]]})
        # No two drafts are the same words.
        first = {"do": "filter", "field": there[0], "min_chars": random.choice((1, 2))}
        return json.dumps({**plan, "steps": [first, *plan["steps"]]})

    def _known(self, task: Task, source: str, columns: Sequence[str]) -> dict[str, Any] | None:
        """The plan it would write for this source; with some columns gone, the one that does without them."""
        for plan in PLANS[task.name].get(source, ()):
            if Plan.model_validate({**plan, "source": source}).columns() <= set(columns):
                return plan
        return None

    # -- rows ----------------------------------------------------------------------------------------------------

    def _rows(self, task: Task, prompt: str, random: Random) -> str:
        names = [json.loads(name) for name in _ASKED.findall(prompt)]
        whole = "made_output" in names
        reply: dict[str, Any] = {}
        for key, text in _ROW.findall(prompt):
            fields = json.loads(text)
            if random.random() < _SKIPPED:
                reply[key] = {"skip": "no right value can be written for it"}
                continue
            found = self._whole(task, names, fields) if whole else self._written(task, names, fields)
            reply[key] = found or {"skip": "the record holds nothing for this task"}
            if random.random() < _WRONG_ROWS:
                reply[key] = {**reply[key], names[-1]: ""}
        if len(reply) > 1 and random.random() < _WRONG_ROWS:
            reply.pop(random.choice(list(reply)))
        text = json.dumps(reply, ensure_ascii=False)
        return text[: len(text) * 2 // 3] if random.random() < _WRONG_ROWS / 2 else text

    def _written(self, task: Task, names: Sequence[str], fields: Fields) -> dict[str, str]:
        values = {name: self._memory.value(task, name, fields) for name in names}
        return values if all(values.values()) else {}

    def _whole(self, task: Task, names: Sequence[str], fields: Fields) -> dict[str, str]:
        """The plan executed on one record: what its program makes, the fields of a model written as ever."""
        for source in PLANS[task.name]:
            plan = self._known(task, source, list(fields))
            if plan is None:
                continue
            program, pool = self._program(task, source, plan)
            rows = program.start([Record(source, "default", "shown", "0", fields)], pool, self._sandbox)
            for step in program.llm_steps:
                for row in (row for row in rows if row.ended is None):
                    row.values[step.into] = self._memory.value(task, step.into, row.values)
            made = [end for _, end in program.finish(rows, pool, self._sandbox) if isinstance(end, Made)]
            if made:
                written = _as_fields(made[0])
                return {name: written[name] for name in names} if set(names) <= set(written) else {}
        return {}

    def _program(self, task: Task, source: str, plan: dict[str, Any]) -> tuple[Program, Pool]:
        key = (task.name, json.dumps(plan))
        if key not in self._programs:
            program = compile_plan(Plan.model_validate({**plan, "source": source}), seed=self._seed)
            known = self._sources.get(source)
            pool = program.fill(known.records(), self._sandbox) if known and program.needs_pool else EMPTY
            self._programs[key] = program, pool
        return self._programs[key]


class _Memory:
    """What it has read: the labels of reviews, what functions do."""

    def __init__(self, sources: dict[str, Source]) -> None:
        self._moods: dict[str, str] = {}
        self._says: dict[str, str] = {}
        for name, said in (("rotten_tomatoes", {"0": "negative", "1": "positive"}), ("sst2", {}), ("sst5", {})):
            for record in sources[name].records() if name in sources else ():
                label = str(record.fields["label"])
                self._moods[_key(record.fields["text"])] = said.get(label, label)
        for record in sources["mbpp"].records() if "mbpp" in sources else ():
            text = re.sub(r"^Write a (python )?function (to )?", "", str(record.fields["text"]))
            self._says[_key(record.fields["code"])] = text[:1].upper() + text[1:]
        self._sayings = sorted(set(self._says.values()))

    def value(self, task: Task, name: str, fields: Fields) -> str:
        """One field that a model is asked for; "" where it cannot say."""
        draw = Random(json.dumps(fields, sort_keys=True, default=str) + name.rstrip("0123456789"))
        match task.name, name:
            case "imdb_sentiment", "verdict":
                mood = self._moods.get(_key(fields["text"]), draw.choice(("positive", "negative")))
                said = "positive" if "positive" in mood else "negative"
                return said if draw.random() >= _UNTRUE_LABELS else {"positive": "negative"}.get(said, "positive")
            case _, "wording":
                return self._says.get(_key(fields["code"]), "Do what its name says with the values it is given.")
            case _, ("wrong_1" | "wrong_2" | "wrong_3"):
                return draw.sample(self._sayings, 3)[int(name[-1]) - 1]
            case "rte", "hypothesis":
                return _hypothesis(str(fields["premise"]), str(fields["label"]))
            case "multi_hop_qa", "asked":
                words = str(fields["explanation"]).split()
                return f"What do {' '.join(words[:6]).rstrip('.,')} and {' '.join(words[-4:]).rstrip('.')} share?"
            case "multi_hop_qa", "answer":
                words = re.findall(r"[A-Z]\w+|\w{7,}", str(fields["explanation"])) or ["nothing"]
                return " ".join(dict.fromkeys(draw.choices(words, k=2)))
            case "implicatures", "question":
                words = " ".join(re.findall(r"\w+", str(fields["turns"]))[2:11])
                return f"Would you say that {words} is right?"
            case "implicatures", "reply":
                words = " ".join(re.findall(r"\w+", str(fields["turns"]))[-8:])
                told = "That goes without saying" if fields["verdict"] == "yes" else "Ask somebody who cares"
                return f"{told}, {words}."
        return ""


def _hypothesis(premise: str, label: str) -> str:
    words = premise.rstrip(" .").split()
    if label == "entailment":
        return " ".join(words[: min(12, max(6, len(words) // 2))]).rstrip(",;") + "."
    return "It is said that " + " ".join(reversed(words[:8])).rstrip(",;") + "."


def _as_fields(made: Made) -> dict[str, str]:
    wrong = [option for option in made.choices or () if option != made.output]
    fields = {"made_input": without_options(made.input), "made_output": made.output}
    return fields | {f"wrong_{number}": option for number, option in enumerate(wrong, 1)}


def _turned(step: dict[str, Any]) -> dict[str, Any]:
    """A step gone wrong: labels the other way round, the wrong key, the wrong end of a text."""
    match step["do"]:
        case "map-label":
            names = list(step["mapping"])
            turned = dict(zip(names, reversed(step["mapping"].values()), strict=True))
            return {**step, "mapping": turned}
        case "pick-option":
            return {**step, "by": "number"}
        case "format-number":
            return {**step, "field": "question"}
        case "llm" if "labels" not in step.get("contract", {}):
            return {**step, "contract": {"kind": "number"}}
    return step


def _anything(columns: Sequence[str]) -> dict[str, Any]:
    """A plan for a source it has no use for: a model is to make all of it up."""
    shown = list(columns[:3])
    return {
        "prose": "1. Read the row. 2. Write an input for the task from it. 3. Write the right output.",
        "steps": [
            {"do": "llm", "into": "text", "fields": shown, "ask": "An input for the task, about what the row says."},
            {"do": "llm", "into": "result", "fields": ["text", *shown], "ask": "The right output for that input."},
        ],
        "input": "{text}",
        "output": "{result}",
    }


def _role(name: str) -> str:
    if re.search(r"label|answer|correct|key|decision|verdict", name, re.IGNORECASE):
        return "label"
    return "unusable" if re.search(r"(^|_)id(x)?$|index|split|version|start|end", name) else "material"


def _key(text: object) -> str:
    return " ".join(str(text).split())[:80]
