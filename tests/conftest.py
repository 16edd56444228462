"""What several test files share; see reference.py for what is not a fixture."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings
from reference import LEVELS, running

# The same examples every time, and no files left behind; a first call may be slow.
settings.register_profile("csmooth", derandomize=True, database=None, deadline=None)
settings.load_profile("csmooth")


@pytest.fixture(scope="module", params=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test once with the kernels of every level that runs here."""
    with running(request.param):
        yield request.param


@pytest.fixture
def floating_point_errors_raise() -> Iterator[None]:
    """No call may emit a warning, whatever NumPy is told to do about floating-point errors."""
    with np.errstate(all="raise"):
        yield
