"""Numbers that scripts of golden values and the tests in C++ make alike."""
import numpy
import torch


def noise(count, key):
    """Elements 0.. of stream `key`, in [-1, 1): a 32-bit integer hash, exact in any language."""
    mask = numpy.uint64(0xFFFFFFFF)
    h = numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(2654435761)
    h = (h + numpy.uint64(key + 1) * numpy.uint64(2246822519)) & mask
    for shift, factor in ((16, 2246822507), (13, 3266489909)):
        h = ((h ^ (h >> numpy.uint64(shift))) * numpy.uint64(factor)) & mask
    h ^= h >> numpy.uint64(16)
    return torch.from_numpy(h.astype(numpy.float64) / 2.0**31 - 1)
