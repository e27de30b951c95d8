"""What runs in the worker beside the program: the loop over rows, and what the program sees instead of some builtins.

Each row's outcome is printed as one line as soon as it is known, so that when a row takes the worker down the finished
rows are not lost and the guilty one is known. Names that begin with `_up_` are ours; `dialect` refuses them.
"""

from __future__ import annotations

MAX_RESULT = 1_000_000
"""Characters of JSON one row may return."""
MAX_DEPTH = 32
"""How deeply lists and dicts may be nested in it."""

VALUE = "="
"""First character of a line that holds a value as JSON; any other line holds [kind, reason]."""

PRELUDE = f"""
import json as _up_json
_up_print, _up_dumps, _up_loads = print, _up_json.dumps, _up_json.loads
_up_str, _up_int, _up_float, _up_bool, _up_list, _up_tuple, _up_dict = str, int, float, bool, list, tuple, dict
_up_len, _up_isinstance, _up_type, _up_recursion = len, isinstance, type, RecursionError
_up_type_error, _up_value_error, _up_base_exception = TypeError, ValueError, BaseException

def _up_wrong(value, depth):
    if value is None or value is True or value is False or _up_isinstance(value, _up_str):
        return None
    if _up_isinstance(value, _up_int):
        return None if -(2**63) <= value < 2**63 else "an integer of more than 64 bits"
    if _up_isinstance(value, _up_float):
        return None if value - value == 0 else "a number that is not finite"
    if depth == 0:
        return "lists or dicts nested deeper than {MAX_DEPTH}"
    if _up_isinstance(value, (_up_list, _up_tuple)):
        for one in value:
            wrong = _up_wrong(one, depth - 1)
            if wrong is not None:
                return wrong
        return None
    if _up_isinstance(value, _up_dict):
        for key, one in value.items():
            if not _up_isinstance(key, _up_str):
                return "a dict with a key that is not text"
            wrong = _up_wrong(one, depth - 1)
            if wrong is not None:
                return wrong
        return None
    return "a value of type " + _up_type(value).__name__

def _up_outcome(row, record):
    try:
        value = row(record)
        try:
            text = _up_dumps(value)
        except (_up_type_error, _up_value_error, _up_recursion):
            text = ""
        if _up_len(text) > {MAX_RESULT}:
            size = _up_str(_up_len(text))
            return "!" + _up_dumps(["too-big", "it returned " + size + " characters; at most {MAX_RESULT}"])
        wrong = _up_wrong(value, {MAX_DEPTH})
        if wrong is None and text:
            return "=" + text
        return "!" + _up_dumps(["wrong-shape", "it returned " + (wrong or "what JSON cannot hold")])
    except _up_recursion:
        return "!" + _up_dumps(["recursion", "it calls itself too deeply"])
    except _up_base_exception as error:
        reason = _up_type(error).__name__ + ": " + _up_str(error)[:300]
        return "!" + _up_dumps(["raised", reason])

def _up_drive(rows, row):
    for record in _up_loads(rows):
        _up_print(_up_outcome(row, record))

def print(*values, **options):
    return None

def _up_missing(name):
    def missing(*values, **options):
        raise NameError("'" + name + "' is not available to a program")
    return missing

id, hash, eval, exec, open = [_up_missing(_up_n) for _up_n in ("id", "hash", "eval", "exec", "open")]
getattr, setattr, delattr = [_up_missing(_up_n) for _up_n in ("getattr", "setattr", "delattr")]
"""
DRIVE = "_up_drive(_up_rows, _up_row)"
ROWS = "_up_rows"
