"""Pictures damaged at random: decoded or refused in one line, in bounded time and memory."""

import pytest
from helpers import fuzz


@pytest.mark.slow
@pytest.mark.fault(
    "Pictures",
    "pictures damaged at random (300; `--mutations=10000`)",
    "decoded or refused in one line, in bounded time and memory",
)
def test_damaged_pictures_are_decoded_or_refused(request):
    count = request.config.getoption("mutations")
    found = fuzz.run("fuzz_pictures", count, 0, timeout=120 + count)
    assert sum(found["outcomes"].values()) == count
    assert set(found["outcomes"]) <= {
        "ok",
        "is empty",
        "is corrupt or cut short",
        "is not a JPEG, PNG, GIF, BMP or WebP picture",
        "is an animated WebP; save one picture of it",
        "announces more than 89 megapixels",
    }
    assert 0.1 < found["outcomes"]["ok"] / count < 0.9  # both ways are gone
    # 89 megapixels: decoded, cropped, and the coefficients of a progressive JPEG.
    assert found["seconds"] < 20 and found["megabytes"] < 1500
