"""What a run leaves for people and for other tools: the dataset on disk and its card."""
