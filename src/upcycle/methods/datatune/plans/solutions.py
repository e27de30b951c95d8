"""Whether a record's worked solution contradicts its answer: another option named, a wrong sum, another result.

Answers in published datasets are wrong more often than a training set can bear, and where a worked solution stands
beside the answer the two can be compared at no cost. A solution that cannot be followed is not held against the record;
one that contradicts it is.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from upcycle.methods.datatune.plans.values import same

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBERS = re.compile(rf"(?<![\w.])(?:{_NUMBER})(?!\w*\^)")
_TERM = rf"[(\s]*(?:{_NUMBER})\s*[)\s]*"
# Looked for ahead, so that what one sum ends with may open the next: "24*15=360, 360-323=37".
_SUM = re.compile(rf"(?<![\d.,])(?=((?:{_TERM}[-+*/x×÷–])+{_TERM})=\s*[$£€]?\s*({_NUMBER}))")
_OPERATORS = str.maketrans({"x": "*", "×": "*", "÷": "/", "–": "-", ",": None})
_GOES_ON = frozenset("+-*/×÷–^x(%√π:")
_OPEN = _GOES_ON | frozenset(").")
_VERDICT = re.compile(
    r"(?i)\b(?:answer|ans|option|choice|correct)\b\W{0,8}(?:is|:|=|option|choice)?\W{0,6}\(?([A-H])\b(?![’'])"
)
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_PICTURE = re.compile(
    r"(?i)\b(figure|diagram|graph|table|picture|chart)\b|\bmust be true\b|\bnone of (these|the above)\b|^\s*I\.",
    re.MULTILINE,
)


def contradiction(question: str, answer: str, solution: str, letter: str = "") -> str | None:
    """Why the worked solution does not bear out the answer, or None."""
    if _PICTURE.search(question) or _PICTURE.search(answer):
        return "the question needs more than its text"
    said = _VERDICT.findall(solution)
    if letter and said and said[-1].upper() != letter.upper():
        return f"the solution ends in option {said[-1]}"
    told = _values(solution)
    if not told:
        return "the solution holds no numbers"
    wanted = _values(answer)
    if (wanted and not wanted <= told) or (not wanted and same(answer) not in same(solution)):
        return "the solution does not arrive at the answer"
    return _wrong_sum(solution) or _wrong_root(solution)


_THEN = r"\s*[,.;\n=>]+\s*"
_MULTIPLE = re.compile(
    rf"(?<![\w.*/+-])({_NUMBER})\s?([a-z])\s*=\s*({_NUMBER}){_THEN}\2\s*=\s*({_NUMBER})\s*(?![\w/*.+-])"
)
_TURNED = re.compile(rf"(?<![\w.*/+-])({_NUMBER})\s*=\s*({_NUMBER})\s?([a-z]){_THEN}({_NUMBER})\s*=\s*\3\b")


def _wrong_root(solution: str) -> str | None:
    """A false step from "8x = 120" to "x = 10"."""
    plain = solution.replace(",", "")
    steps = [(m[1], m[3], m[4]) for m in _MULTIPLE.finditer(plain)]
    steps += [(m[2], m[1], m[4]) for m in _TURNED.finditer(plain)]
    for factor, product, root in steps:
        if not _near(Fraction(factor) * Fraction(root), Fraction(product)):
            return f"its step from {factor}x = {product} to x = {root} is wrong"
    return None


def _values(text: str) -> set[Fraction]:
    found = {Fraction(number.replace(",", "")) for number in _NUMBERS.findall(text)}
    lowered = text.casefold()
    return found | {Fraction(value) for value, word in enumerate(_WORDS) if re.search(rf"\b{word}\b", lowered)}


def _wrong_sum(solution: str) -> str | None:
    for found in _SUM.finditer(solution):
        before, after = solution[: found.start()].rstrip(" ")[-1:], solution[found.end(2) :].lstrip(" ")[:1]
        # A piece of a longer expression says nothing: "3 + 2*4 = 6 + 5".
        if before in _OPEN or before.isalnum() or after in _GOES_ON or after.isalpha():
            continue
        value = _evaluated(found[1])
        if value is not None and not _near(value, Fraction(found[2].replace(",", ""))):
            return f"its sum {' '.join(found[1].split())} = {found[2]} is wrong"
    return None


def _near(value: Fraction, said: Fraction) -> bool:
    slack = max(abs(value) * Fraction(2, 100), Fraction(1, 2) if abs(value) > 20 else Fraction(6, 100))
    return any(abs(value * scale - said) <= slack * scale for scale in (1, 100, Fraction(1, 100)))


_ARITHMETIC: Mapping[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _evaluated(text: str) -> Fraction | None:
    plain = text.translate(_OPERATORS).strip()
    spare = plain.count("(") - plain.count(")")
    plain = plain[spare:] if spare > 0 and plain.startswith("(" * spare) else plain
    plain = plain[:spare] if spare < 0 and plain.endswith(")" * -spare) else plain
    try:
        return _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return Fraction(str(node.value))
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _ARITHMETIC[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("no plain arithmetic")
