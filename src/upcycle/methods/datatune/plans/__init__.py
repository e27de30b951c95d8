"""Plans: typed steps as a file people can edit, and the program that runs them.

`steps` says what a step is told, `plan` is the file, `program` compiles it, `operations` are its steps' functions over
`values`; `actions` and `solutions` (which works out what `arithmetic` reads) are what two of them know about words and
worked answers.
"""
