"""Datasets in files: which files are which dataset, and one reader a kind of file, here or elsewhere."""
