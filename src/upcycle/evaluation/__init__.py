"""Evaluation: gold read as it is published, metrics with intervals, and every prediction kept for who wants to look."""
