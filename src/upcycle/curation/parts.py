"""The parts of an input, where the whole-set checks look for them; what they are is in `upcycle/parts.py`."""

from upcycle.parts import cut_into_parts, label_counts, part_names, parts_of

__all__ = ["cut_into_parts", "label_counts", "part_names", "parts_of"]
