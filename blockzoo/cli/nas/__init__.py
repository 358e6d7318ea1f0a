"""nas: the macro search space as a benchmark: files, queries, training, search"""
