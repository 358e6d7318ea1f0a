"""nas: a macro search space of 91,125 networks, 300 of them trained, a model of the rest: files, training, search

Examples:
    blockzoo nas info mini
    blockzoo nas search --algorithm random evolution --seeds 10
"""
