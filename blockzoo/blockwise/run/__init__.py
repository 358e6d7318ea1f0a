"""A block-wise run: what it is, its data, its loop, its processes and its folder."""
