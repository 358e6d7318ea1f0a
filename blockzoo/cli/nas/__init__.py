"""nas: the macro search space as a benchmark: files, queries, training, search

Examples:
    blockzoo nas info mini
    blockzoo nas search --algorithm random evolution --seeds 10
"""
