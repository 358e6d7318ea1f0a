"""store: whether a results folder is sound, and what to do where it is not"""
