"""What a dataset is like: uniqueness, variety, lengths, balance, difficulty, and where it lies beside others."""
