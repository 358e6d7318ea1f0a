"""Trials, which all lenses train by: from a request to a spec, what is known before, one training, many in a queue."""
