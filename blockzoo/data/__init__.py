"""Datasets as arrays that carry their shape, classes, mean and std. Listing and loading need no torch."""

from blockzoo.core.places import cache_folder
from blockzoo.data.images import ImageData, Images
from blockzoo.data.load import load_dataset, load_or_fallback
from blockzoo.data.places import DatasetNotFound, search_roots

__all__ = [
    "DatasetNotFound",
    "ImageData",
    "Images",
    "cache_folder",
    "load_dataset",
    "load_or_fallback",
    "search_roots",
]
