"""Running out of memory while a model answers: less is asked at once, and nothing is lost.

In: row numbers and a function that answers some of them. The decision: a lot that does not fit is halved where it
happens, since what fits depends on the longest rows, and the next lot may fit whole.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from upcycle.errors import UpcycleError


def halved(lot: list[int], work: Callable[[list[int]], None]) -> None:
    """Do `work` for a lot of rows, in halves where it does not fit into memory.

    Args:
        work: keeps what it found itself; of a lot that failed it is asked again.

    Raises:
        UpcycleError: not even one row fits.
    """
    try:
        work(lot)
        return
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(lot) == 1:
            raise UpcycleError(
                "there is not enough memory to ask the model even one item; take a smaller model or shorter inputs"
            ) from error
    give_back()
    half = len(lot) // 2
    halved(lot[:half], work)
    halved(lot[half:], work)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a CPU or on a GPU (torch words it in four ways)."""
    told = ("out of memory", "can't allocate memory", "Cannot allocate memory", "not enough memory")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(one in str(error) for one in told)
    )


def give_back() -> None:
    """Give back what torch holds without using it."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
