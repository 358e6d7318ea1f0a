"""Datasets as arrays that carry their shape, classes, mean and std. Listing and loading need no torch."""

from blockzoo.data.images import ImageData, Images
from blockzoo.data.load import load_dataset, load_or_fallback, search_roots

__all__ = ["ImageData", "Images", "load_dataset", "load_or_fallback", "search_roots"]
