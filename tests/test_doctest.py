"""The examples in docstrings give what they show."""

import doctest
from collections.abc import Callable
from typing import Any

import pytest

import csmooth

PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (csmooth, csmooth.grad, csmooth.hvp)
    for name in module.__all__
    if callable(getattr(module, name))
}


@pytest.mark.parametrize("function", PUBLIC.values(), ids=PUBLIC)
def test_examples(function: Callable[..., Any]) -> None:
    runner = doctest.DocTestRunner()
    for examples in doctest.DocTestFinder(recurse=False).find(function, function.__name__):
        runner.run(examples)
    assert runner.tries > 0
    assert runner.failures == 0
