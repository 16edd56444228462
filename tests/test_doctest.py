"""Every public function has examples in its documentation, and they give what they show."""

import doctest

import pytest

import csmooth


@pytest.mark.parametrize("name", [name for name in csmooth.__all__ if callable(getattr(csmooth, name))])
def test_examples(name: str) -> None:
    runner = doctest.DocTestRunner()
    for examples in doctest.DocTestFinder(recurse=False).find(getattr(csmooth, name), name):
        runner.run(examples)
    assert runner.tries > 0
    assert runner.failures == 0
