"""Sources: data that exist, read record by record, and the catalog that ranks them for a task.

`card` describes a source, `readers` read one file of any kind, `flatten` makes one flat row of nested fields, `folder`
finds the datasets of a folder, `python_functions` are sources every machine has, `licences` says what a licence
permits, `words` cuts text into search terms, `catalog` ranks.
"""
