"""Data sets and the loader."""
from ._exciton import (
    Augment, Batch, DataLoader, Dataset, array_dataset, decode_image, open_dataset, register_dataset, source_dataset)

__all__ = [
    "Augment", "Batch", "DataLoader", "Dataset", "array_dataset", "decode_image", "open_dataset", "register_dataset",
    "source_dataset"]
