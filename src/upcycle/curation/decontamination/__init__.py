"""Rows that repeat what a student is evaluated on, or what every prompt shows: word for word or in other words."""
