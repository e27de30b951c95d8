"""Language models as students: prompts, LoRA, answers, and how likely each option is."""
