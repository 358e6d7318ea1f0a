"""Curvature of the loss: of every network block, and between every two of them."""
