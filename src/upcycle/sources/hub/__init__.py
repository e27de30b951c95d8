"""Datasets on a Hugging Face Hub as sources: crawled into an index, found there, read row by row at one commit."""
