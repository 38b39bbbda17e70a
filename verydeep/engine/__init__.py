"""Fast inference on a CPU: a network lowered to fused steps, which run in compiled kernels or else in PyTorch."""
