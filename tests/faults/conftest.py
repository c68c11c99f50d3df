"""What the tests of weights share."""

import pytest
from helpers.fuzz_weights import write_all


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A tiny network and the folder of its weights in every format."""
    folder = tmp_path_factory.mktemp("weights")
    return write_all(folder), folder
