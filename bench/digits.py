"""Makes data/digits_log_joint.npy: log p(x, class) of handwritten digits.  Needs scikit-learn."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from csmooth import logsumexp

FILE = Path(__file__).parent / "data" / "digits_log_joint.npy"


def log_joint() -> NDArray[np.float64]:
    """Joint log densities of 1797 images and 10 classes, shape (1797, 10), under Gaussian naive Bayes."""
    images, labels = load_digits(return_X_y=True)
    model = GaussianNB().fit(images, labels)
    joint = np.ascontiguousarray(model.predict_joint_log_proba(images))
    evidence = logsumexp(joint, axis=1, keepdims=True)
    np.testing.assert_allclose(joint - evidence, model.predict_log_proba(images), rtol=1e-12, atol=1e-11)
    return joint


if __name__ == "__main__":
    np.save(FILE, log_joint())
