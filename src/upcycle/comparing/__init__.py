"""Which data help: the same student trained on each set of rows a task could get, and on the controls beside them."""
