"""Errors of torch that say: there is no memory left."""

from __future__ import annotations

import re

from modelhub.glibc import give_back

_WORDS = re.compile(
    r"out of memory|not enough memory|can't allocate memory|cannot allocate memory"
    r"|failed to allocate|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
    r"|could not create a primitive",
    re.IGNORECASE,
)
"""CUDA's, ROCm's and MPS's; the CPU's (`pytorch/pytorch c10/core/impl/alloc_cpu.cpp`); of cuBLAS
and cuDNN, which say it in their own way (`pytorch/pytorch aten/src/ATen/cuda/Exceptions.h`); of
oneDNN, which finds no room for the code of a convolution (`uxlfoundation/oneDNN
include/oneapi/dnnl/dnnl.hpp`)."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error means that less memory would have helped."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _WORDS.search(str(error)) is not None


def free_leftovers(device: str) -> None:
    """Give back what a failed attempt left in torch's own stock, and in this process'.

    :param device: as torch names it.
    """
    import gc

    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device.startswith("xpu"):
        torch.xpu.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
    give_back()
