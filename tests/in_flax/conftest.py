"""These tests run in a process of their own, which other tests start (`process.run_tests`), and nowhere else.

JAX has threads, and a process with threads must not be forked, as PyTorch's loaders do it in other tests.
"""

import os

if "VERYDEEP_IN_FLAX" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
