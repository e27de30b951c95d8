"""Encoders as students: labels of texts and pairs, and spans of a context."""
