"""All kernels, compiled once per level; whoever imports one level's module has all its functions."""

include "float16.pxi"
include "layout.pxi"
include "reduce.pxi"
include "exponential.pxi"
include "logsumexp.pxi"
include "boltzmann.pxi"
include "logmeanexp.pxi"
include "powers.pxi"
include "softmax.pxi"
include "map.pxi"
include "entry.pxi"

cdef extern from "_vector.h":
    const char* VECTOR_NAME

vector_name = VECTOR_NAME.decode()

cdef const Reduction* reduction_named(str name) except NULL:
    if name == "logsumexp":
        return &LOGSUMEXP
    if name == "boltzmann":
        return &BOLTZMANN
    if name == "logmeanexp":
        return &LOGMEANEXP
    if name == "pnorm":
        return &PNORM
    if name == "pmean":
        return &PMEAN
    raise ValueError(name)


def reduce(str name, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, parameter, initial,
           cnp.ndarray out, sign):
    reduce_arrays(reduction_named(name), outer_dims, a, weights, where, mask, weights_mask, parameter, initial, out,
                  sign)


def reduce_vector(str name, cnp.ndarray a, double parameter):
    """None, unless the elements are native floats that lie side by side."""
    return reduce_all_of(reduction_named(name), a, parameter)


def softmax(int outer_dims, cnp.ndarray a, where, mask, parameter, cnp.ndarray out, bint logarithm):
    map_arrays(outer_dims, a, where, mask, parameter, out, logarithm)
