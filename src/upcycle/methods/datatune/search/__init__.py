"""The planner that needs no model: plans are searched for.

`wanted` reads the demonstrations, `columns` the source, `candidates` (with `options` and `glossary`) enumerates plans,
`scores` measures them by the `shapes` of what they make, `searching` is what stages call.
"""
