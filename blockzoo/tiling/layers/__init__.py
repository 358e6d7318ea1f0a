"""Layers whose tiles do not see each other, and networks converted to them."""
