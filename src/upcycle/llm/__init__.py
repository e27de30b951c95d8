"""The one door to language models: `choose` and `open_model` in `connect`, `ask` in `replies`."""
