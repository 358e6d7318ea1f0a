"""Ways to make a network ready to be timed, one per file."""
