"""All kernels, compiled once per level; whoever imports one level's module has all its functions."""

include "layout.pxi"
include "reduce.pxi"
include "entry.pxi"
include "logsumexp.pxi"

cdef extern from "_vector.h":
    const char* VECTOR_NAME

vector_name = VECTOR_NAME.decode()


def logsumexp(int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, alpha, initial, cnp.ndarray out,
              sign):
    reduce_arrays(&LOGSUMEXP, outer_dims, a, weights, where, mask, weights_mask, alpha, initial, out, sign)


def logsumexp_of_all(cnp.ndarray a):
    return reduce_vector(&LOGSUMEXP, a, 1.0)
