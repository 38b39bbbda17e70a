"""A network built for Keras is an ordinary functional model that computes what the description says."""

from tests.in_keras import process


def test_the_model_in_its_own_process():
    print(process.run_tests("test_model.py"))
