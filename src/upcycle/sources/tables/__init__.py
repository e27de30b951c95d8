"""Tables that questions are asked of, and the files and folders they are read from."""
