"""These tests run in a process of their own, which other tests start (`process.run_tests`), and nowhere else.

TensorFlow and PyTorch do not live well together: after TensorFlow's import PyTorch warns of CUDA, and its optimizers
can end the process (see verydeep/backends/before_tensorflow.py). And Keras chooses its engine once in a process.
"""

import os

import pytest

if "KERAS_BACKEND" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pass what Keras 3.15 and TensorFlow 2.21 say with NumPy 2."""
    words = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(words))
