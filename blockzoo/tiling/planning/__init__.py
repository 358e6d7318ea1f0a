"""Which operations run tile by tile, in which tiles, and what that costs. No tensors, but to try a plan once."""
