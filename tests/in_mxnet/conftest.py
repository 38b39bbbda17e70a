"""These tests run in MXNet's environment, where other tests call them (`environment.run_tests`), and nowhere else."""

from importlib.util import find_spec

if find_spec("mxnet") is None:
    collect_ignore_glob = ["test_*.py"]
