"""The MXNet backend's own tests, tests/in_mxnet/test_gluon.py, in MXNet's environment."""

from tests.in_mxnet import environment


def test_what_mxnet_builds_is_an_ordinary_gluon_model():
    print(environment.run_tests("test_gluon.py"))
