"""Weights damaged at random: loaded or refused in one line, in bounded time and memory."""

import pytest
from helpers import fuzz


@pytest.mark.slow
@pytest.mark.fault(
    "Weights",
    "weights damaged at random (300; `--mutations=2000`)",
    "loaded or refused in one line, in bounded time and memory",
)
def test_damaged_weights_are_loaded_or_refused(request):
    count = request.config.getoption("mutations")
    found = fuzz.run("fuzz_weights", count, 0, timeout=120 + count)
    assert sum(found["outcomes"].values()) == count
    kinds = {outcome.rpartition(" ")[0] for outcome in found["outcomes"]}
    assert len(kinds) == min(count, 6)  # every format was damaged
    assert found["seconds"] < 20 and found["megabytes"] < 500
