"""Checks that judge an example: each is a function of one example that returns a verdict."""
