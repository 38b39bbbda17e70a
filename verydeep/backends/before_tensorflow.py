"""Triton, which PyTorch's optimizers load, before TensorFlow: both carry LLVM, and the other order ends the process.

Seen with TensorFlow 2.21 and Triton 3.9: "LLVM ERROR: inconsistency in registered CommandLine options".
"""

import sys
from contextlib import suppress

if "tensorflow" not in sys.modules:
    with suppress(ImportError):  # PyTorch for CPUs alone comes without it
        import triton._C.libtriton  # noqa: F401
