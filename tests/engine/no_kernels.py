"""A library with the C face of the kernels that takes nothing: what is left is the plan, and PyTorch."""

from verydeep.engine.library import UNSUPPORTED, ConvArguments


class NoKernels:
    """Says of 3x3 convolutions that they would be quickest by Winograd, so that plans are those of real kernels."""

    def vd_isa(self) -> bytes:
        return b"none"

    def vd_conv_method(self, arguments: ConvArguments) -> int:
        is_tileable = (*arguments.kernel, *arguments.stride, *arguments.dilation) == (3, 3, 1, 1, 1, 1)
        return 4 if is_tileable and arguments.groups == 1 else 0

    def vd_conv_packed_bytes(self, c: int, k: int, arguments: ConvArguments) -> int:
        del c, k, arguments
        return -1

    def __getattr__(self, name: str):
        assert name.startswith("vd_")
        return lambda *_: UNSUPPORTED
