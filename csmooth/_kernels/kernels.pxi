"""All kernels, compiled once per level; whoever imports one level's module has all its functions."""

include "float16.pxi"
include "layout.pxi"
include "reduce.pxi"
include "exponential.pxi"
include "singles.pxi"
include "logsumexp.pxi"
include "boltzmann.pxi"
include "logmeanexp.pxi"
include "powers.pxi"
include "map.pxi"
include "softmax.pxi"
include "gradients.pxi"
include "stats.pxi"
include "helpers.pxi"
include "share.pxi"
include "together.pxi"
include "entry.pxi"
include "states.pxi"
include "stream.pxi"

cdef extern from "_vector.h":
    const char* VECTOR_NAME

vector_name = VECTOR_NAME.decode()
BLOCK_LENGTH = BLOCK

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
    if name == "maximum":
        return &MAXIMUM
    if name == "mean":
        return &MEAN
    raise ValueError(name)


def reduce(str name, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, parameter, initial,
           cnp.ndarray out, sign, int workers=1):
    reduce_arrays(reduction_named(name), outer_dims, a, weights, where, mask, weights_mask, parameter, initial, out,
                  sign, workers)


def reduce_together(list tasks, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, initial,
                    int workers=1):
    """Several reductions of the same elements, weights and masks, that are read but once."""
    reduce_arrays_together(tasks, outer_dims, a, weights, where, mask, weights_mask, initial, workers)


def reduce_bare(str name, a, parameter, axis, b, keepdims, where, out, workers, others=False):
    """The reduction of an array or list of native numbers, without keywords but one axis and a number as parameter.

    None for all else, and for what is wrong: that is for others to say.
    """
    if b is None and keepdims is False and where is True and out is None and workers is None and not others:
        return reduce_bare_array(reduction_named(name), a, parameter, axis)
    return None


cdef const Mapping* map_named(str name) except NULL:
    if name == "softmax":
        return &SOFTMAX_MAP
    if name == "log_softmax":
        return &LOG_SOFTMAX_MAP
    if name == "logsumexp":
        return &LOGSUMEXP_GRADIENT
    if name == "logmeanexp":
        return &LOGMEANEXP_GRADIENT
    if name == "boltzmann":
        return &BOLTZMANN_GRADIENT
    if name == "pnorm":
        return &PNORM_GRADIENT
    if name == "pnorm_slope":
        return &PNORM_SLOPE
    if name == "pmean":
        return &PMEAN_GRADIENT
    if name == "pmean_slope":
        return &PMEAN_SLOPE
    raise ValueError(name)


def map(str name, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, parameter, initial,
        cnp.ndarray results, out, sign, slope, int workers=1):
    """The softmax, its logarithm, or the gradient of a reduction."""
    map_arrays(map_named(name), outer_dims, a, weights, where, mask, weights_mask, parameter, initial, results, out,
               sign, slope, workers)


def map_given(str name, int outer_dims, cnp.ndarray a, where, mask, parameter, cnp.ndarray states,
              cnp.ndarray results, int workers=1):
    """As map, with the states of the reduction, which stand for other elements, too."""
    map_with_states(map_named(name), outer_dims, a, where, mask, parameter, states, results, workers)


def map_bare(str name, a, parameter, axis, where, out, workers):
    """As reduce_bare, for maps."""
    if where is True and out is None and workers is None:
        return map_bare_array(map_named(name), a, parameter, axis)
    return None
