"""Rows of one set that repeat each other: exactly, nearly, in meaning, or with another output."""
