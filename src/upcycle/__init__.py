"""upcycle makes the training set a task needs out of data that already exist."""

__version__ = "0.1.0"
