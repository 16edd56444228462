"""The examples in the documentation give what they show."""

import doctest
from types import ModuleType

import pytest

from csmooth import _reductions, _softmax


@pytest.mark.parametrize("module", [_reductions, _softmax], ids=lambda module: module.__name__)
def test_examples(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0
