"""What is damaged, one file for each kind of reader; importing this registers all of it."""

from tests.fuzz.entries import datasets, documents, images, models, runs, store, weights

__all__ = ["datasets", "documents", "images", "models", "runs", "store", "weights"]
