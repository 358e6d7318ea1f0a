"""A network as a list of operations, each of which says what it reads; traced from a module."""
