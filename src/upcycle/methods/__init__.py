"""The methods that produce examples: plain async functions, no base class."""
