"""The plans that the simulated model writes: by task, then by source, the most useful first.

Written by hand, the way a capable model answers `plan.md`: with the steps that prompt lists, and short. Where a source
has two plans, the second does without the columns that the benchmark takes away.
"""

from __future__ import annotations

from typing import Any

Known = dict[str, tuple[dict[str, Any], ...]]


def _plan(prose: str, steps: list[dict[str, Any]], made: str, output: str, *, choices: str | None = None) -> Any:
    return {"prose": prose, "steps": steps, "input": made, "output": output, "choices": choices}


_OPTIONS = {"do": "shuffle-options", "field": "options"}
_MOOD_ASKED = _plan(
    "1. Take the review as it stands. 2. Let a model say whether it is positive or negative.",
    [
        {"do": "filter", "field": "text", "min_chars": 20},
        {
            "do": "llm",
            "into": "verdict",
            "fields": ["text"],
            "ask": "Whether the review is positive or negative about the film.",
            "contract": {"kind": "label", "labels": ["positive", "negative"]},
        },
    ],
    "{text}",
    "{verdict}",
)
_SAID_ASKED: dict[str, Any] = {
    "do": "llm",
    "into": "wording",
    "fields": ["code"],
    "ask": "One sentence that says what the function does, without its name.",
    "contract": {"kind": "text", "max_chars": 160},
}
_SAID = {
    "do": "strip-opening",
    "field": "text",
    "openings": ["Write a function to ", "Write a python function to "],
    "into": "wording",
}
_BECAUSE = {
    "do": "python",
    "fields": ["cause", "effect"],
    "code": (
        "def f(r):\n"
        "    def low(t):\n"
        "        return t if t[:2] == 'I ' else t[:1].lower() + t[1:]\n"
        "    a, b = r['cause'].rstrip(' .'), r['effect'].rstrip(' .')\n"
        "    return {'right': b + ' because ' + low(a) + '.', 'wrong': a + ' because ' + low(b) + '.'}\n"
    ),
    "into": ["right", "wrong"],
}
_WHICH = "Which of the following makes more sense as a cause and its effect?"
_BECAUSE_OPTIONS = [{"do": "options-from", "fields": ["right", "wrong"], "into": "options"}, _OPTIONS]


def _mood(names: dict[str, str]) -> Any:
    return _plan(
        "1. Take the review as it stands. 2. Map the label to positive or negative.",
        [{"do": "map-label", "field": "label", "mapping": names, "into": "verdict"}],
        "{text}",
        "{verdict}",
    )


def _copa(direction: str) -> Any:
    return _plan(
        "1. Find the right choice by its index. 2. Decide which of premise and choice is the cause."
        " 3. Write 'effect because cause' and the same the wrong way round. 4. Shuffle the two.",
        [
            {"do": "options-from", "fields": ["choice1", "choice2"], "into": "both"},
            {"do": "pick-option", "options": "both", "key": "label", "by": "index", "into": "other"},
            {
                "do": "python",
                "fields": ["premise", "other", direction],
                "code": f"{{'cause': r['other'] if r['{direction}'] == 'cause' else r['premise'],"
                f" 'effect': r['premise'] if r['{direction}'] == 'cause' else r['other']}}",
                "into": ["cause", "effect"],
            },
            _BECAUSE,
            *_BECAUSE_OPTIONS,
        ],
        _WHICH,
        "{right}",
        choices="options",
    )


_NUMBER = _plan(
    "1. Take the problem as it stands. 2. Write the answer as a number without a trailing .0.",
    [{"do": "format-number", "field": "answer", "into": "number"}],
    "{question}",
    "{number}",
)

PLANS: dict[str, Known] = {
    "imdb_sentiment": {
        "rotten_tomatoes": (_mood({"0": "negative", "1": "positive"}), _MOOD_ASKED),
        "sst2": (_mood({"negative": "negative", "positive": "positive"}), _MOOD_ASKED),
        "sst5": (
            _mood({"negative": "negative", "very negative": "negative", "positive": "positive",
                   "very positive": "positive"}),
            _MOOD_ASKED,
        ),
    },
    "cause_and_effect": {
        "balanced_copa": (_copa("asks_for"),),
        "copa": (_copa("question"),),
        "ecare_explanation": (
            _plan(
                "1. Write 'effect because cause' and the same the wrong way round. 2. Shuffle the two.",
                [_BECAUSE, *_BECAUSE_OPTIONS],
                _WHICH,
                "{right}",
                choices="options",
            ),
        ),
    },
    "math_word_problems": {
        "multiarith": (_NUMBER,),
        "addsub": (_NUMBER,),
        "singleeq": (_NUMBER,),
        "gsm8k": (
            _plan(
                "1. Take the question. 2. Take the number after ####.",
                [
                    {"do": "after", "field": "answer", "delimiter": "####", "into": "number"},
                    {"do": "format-number", "field": "number"},
                ],
                "{question}",
                "{number}",
            ),
        ),
    },
    "elementary_math_qa": {
        "aqua_rat": (
            _plan(
                "1. Take the letters off the options. 2. Find the right one by its letter. 3. Shuffle the options.",
                [
                    {"do": "strip-options", "field": "options"},
                    {"do": "pick-option", "options": "options", "key": "correct", "by": "letter", "into": "answer"},
                    _OPTIONS,
                ],
                "{question}",
                "{answer}",
                choices="options",
            ),
        ),
        "gsm8k": (
            _plan(
                "1. Take the number after ####. 2. Draw four wrong numbers from other rows. 3. Shuffle.",
                [
                    {"do": "after", "field": "answer", "delimiter": "####", "into": "number"},
                    {"do": "sample-option", "field": "number", "count": 4, "into": "options"},
                    _OPTIONS,
                ],
                "{question}",
                "{number}",
                choices="options",
            ),
        ),
    },
    "describe_python": {
        "mbpp": (
            _plan(
                "1. Cut 'Write a function to' off the text. 2. The rest describes the code.",
                [_SAID, {"do": "filter", "field": "wording", "min_chars": 15, "max_chars": 160}],
                "{code}",
                "{wording}",
            ),
            _plan(
                "1. Take the code as it stands. 2. Let a model say in one sentence what it does.",
                [{"do": "filter", "field": "code", "max_chars": 1200}, _SAID_ASKED],
                "{code}",
                "{wording}",
            ),
        ),
        "humaneval": (
            _plan(
                "1. Put prompt and solution together. 2. Part the docstring from the code. 3. Take its first sentence.",
                [
                    {"do": "join", "fields": ["prompt", "canonical_solution"], "separator": "", "into": "program"},
                    {"do": "docstring-split", "field": "program", "code": "code", "docstring": "docstring"},
                    {"do": "pick-sentence", "field": "docstring", "index": 0, "into": "wording"},
                    {"do": "filter", "field": "wording", "min_chars": 15, "max_chars": 160},
                ],
                "{code}",
                "{wording}",
            ),
        ),
    },
    "code_line_description": {
        "mbpp": (
            _plan(
                "1. Cut 'Write a function to' off the text. 2. Draw three other rows' descriptions as wrong options."
                " 3. Shuffle.",
                [
                    _SAID,
                    {"do": "filter", "field": "wording", "min_chars": 15, "max_chars": 160},
                    {"do": "sample-option", "field": "wording", "count": 3, "into": "options"},
                    _OPTIONS,
                ],
                "{code}",
                "{wording}",
                choices="options",
            ),
            _plan(
                "1. Let a model say what the code does. 2. Let it write three descriptions that are wrong. 3. Shuffle.",
                [
                    {"do": "filter", "field": "code", "max_chars": 1200},
                    _SAID_ASKED,
                    *(
                        {
                            "do": "llm",
                            "into": f"wrong_{number}",
                            "fields": ["code", "wording"],
                            "ask": "A sentence that could describe such code and does not describe this one.",
                            "contract": {"kind": "text", "max_chars": 160},
                        }
                        for number in (1, 2, 3)
                    ),
                    {"do": "options-from", "fields": ["wording", "wrong_1", "wrong_2", "wrong_3"], "into": "options"},
                    _OPTIONS,
                ],
                "{code}",
                "{wording}",
                choices="options",
            ),
        ),
        "humaneval": (
            _plan(
                "1. Part the docstring from the code. 2. Its first sentence is the answer. 3. Draw wrong options.",
                [
                    {"do": "join", "fields": ["prompt", "canonical_solution"], "separator": "", "into": "program"},
                    {"do": "docstring-split", "field": "program", "code": "code", "docstring": "docstring"},
                    {"do": "pick-sentence", "field": "docstring", "index": 0, "into": "wording"},
                    {"do": "filter", "field": "wording", "min_chars": 15, "max_chars": 160},
                    {"do": "sample-option", "field": "wording", "count": 3, "into": "options"},
                    _OPTIONS,
                ],
                "{code}",
                "{wording}",
                choices="options",
            ),
        ),
    },
    "rte": {
        "cb": (
            _plan(
                "1. Put premise and hypothesis together. 2. Neutral and contradiction are not_entailment.",
                [
                    {
                        "do": "map-label",
                        "field": "label",
                        "mapping": {
                            "entailment": "entailment",
                            "neutral": "not_entailment",
                            "contradiction": "not_entailment",
                        },
                        "into": "verdict",
                    }
                ],
                "Premise: {premise}\nHypothesis: {hypothesis}",
                "{verdict}",
            ),
        ),
        "boolq": (
            _plan(
                "1. The premise is the passage's second sentence. 2. Draw the label. 3. Let a model write a hypothesis"
                " to it.",
                [
                    {"do": "pick-sentence", "field": "passage", "index": 1, "into": "premise"},
                    {"do": "filter", "field": "premise", "min_chars": 60, "max_chars": 400},
                    {"do": "draw-label", "labels": ["entailment", "not_entailment"], "into": "label"},
                    {
                        "do": "llm",
                        "into": "hypothesis",
                        "fields": ["premise", "label"],
                        "ask": "A sentence of at most 20 words that the premise entails where the label says so, and"
                        " does not entail otherwise.",
                        "contract": {"kind": "text", "max_chars": 160},
                    },
                ],
                "Premise: {premise}\nHypothesis: {hypothesis}",
                "{label}",
            ),
        ),
    },
    "multi_hop_qa": {
        "strategyqa": (
            _plan(
                "1. Take the explanation, which joins several facts. 2. Let a model ask a question that needs two of"
                " them. 3. Let it give the short answer.",
                [
                    {"do": "filter", "field": "explanation", "min_chars": 60},
                    {
                        "do": "llm",
                        "into": "asked",
                        "fields": ["explanation"],
                        "ask": "A question that needs two of these facts and names neither answer.",
                        "contract": {"kind": "text", "max_chars": 200},
                    },
                    {
                        "do": "llm",
                        "into": "answer",
                        "fields": ["explanation", "asked"],
                        "ask": "Its answer in a few words.",
                        "contract": {"kind": "text", "max_chars": 60},
                    },
                ],
                "{asked}",
                "{answer}",
            ),
        ),
    },
    "implicatures": {
        "dream": (
            _plan(
                "1. Take the first turns of the dialogue. 2. Draw yes or no. 3. Let a model write a question about them"
                " and an answer that says so without the word.",
                [
                    {
                        "do": "python",
                        "fields": ["dialogue"],
                        "code": "' '.join(r['dialogue'][:2])[:240]",
                        "into": "turns",
                    },
                    {"do": "draw-label", "labels": ["yes", "no"], "into": "verdict"},
                    {
                        "do": "llm",
                        "into": "question",
                        "fields": ["turns"],
                        "ask": "A yes-or-no question that one speaker could ask here.",
                        "contract": {"kind": "text", "max_chars": 120},
                    },
                    {
                        "do": "llm",
                        "into": "reply",
                        "fields": ["turns", "verdict", "question"],
                        "ask": "The other's answer, which means the verdict and never says yes or no.",
                        "contract": {"kind": "text", "max_chars": 120},
                    },
                    {"do": "template", "text": "Speaker 1: '{question}' Speaker 2: '{reply}'", "into": "talk"},
                    {"do": "options-from", "texts": ["yes", "no"], "into": "options"},
                    _OPTIONS,
                ],
                "{talk}",
                "{verdict}",
                choices="options",
            ),
        ),
    },
}  # fmt: skip
