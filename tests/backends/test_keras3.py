"""A network built for Keras is an ordinary functional model that computes what the description says."""

import pytest

from tests.in_keras import process

OPTIMIZER = "import torch; torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)"


def test_the_model_in_its_own_process():
    print(process.run_tests("test_model.py"))


@pytest.mark.parametrize(
    "program",
    [
        f"import verydeep.backends.keras3; {OPTIMIZER}",  # ended with "LLVM ERROR" where PyTorch is made for GPUs
        "import keras; import verydeep.backends.keras3",
    ],
    ids=["before PyTorch's optimizers", "after TensorFlow"],
)
def test_the_backend_can_be_imported_in_a_process_that(program: str):
    process.run("-c", program)
