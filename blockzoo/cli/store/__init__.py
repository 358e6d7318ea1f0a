"""store: whether a results folder is sound, and what to do where it is not

Examples:
    blockzoo store check results
    blockzoo store merge laptop server --output results
"""
