"""Shallow students, in numpy alone: TF-IDF with logistic regression, the options of a question, the nearest input."""
