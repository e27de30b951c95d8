"""The numbers that the training configurations of all trainers share: the paper's (arXiv 2404.14361, section 4).

One table, so that a dataset exported to three trainers is trained the same way by each.
"""

from __future__ import annotations

BASE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model that is tuned where the user names none: small, Apache-2.0, with a chat template."""

EPOCHS = 3
LEARNING_RATE = 1e-4
LORA_RANK = 8
LORA_ALPHA = 16
BATCH = 8
"""Examples a step on one device."""
LENGTH = 2048
"""Tokens an example may have."""
SEED = 0
OUTPUT = "model"
"""Folder of the trained adapter."""
