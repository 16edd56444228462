"""States outside of kernels: those of pieces of an array, which are merged elsewhere, as Dask does.

An array of states has the dimensions of the outputs, then one for the fields of a state, which are doubles.
"""

cdef void set_states(Problem* p, cnp.ndarray states) noexcept:
    set_operand(p, STATE, states, 0)


def state_length(str name):
    """How many doubles a state has."""
    return reduction_named(name).state_size // (WIDTH * sizeof(double))


def reduce_to_states(tuple names, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, parameter,
                     list states, int workers=1):
    """As reduce_together for reductions with the same parameter, but for states in place of results."""
    cdef Problem p[TOGETHER]
    cdef Py_ssize_t k
    for k, name in enumerate(names):
        set_problem(&p[k], reduction_named(name), outer_dims, a, weights, where, mask, weights_mask, parameter, None)
        set_states(&p[k], states[k])
        arrange(&p[k])
    p[0].together = len(names)
    do_all(NULL, p, workers)


cdef void set_line(Problem* p, const Reduction* reduction, cnp.ndarray states, parameter):
    """A problem without elements, of outputs in one dimension."""
    begin(p, reduction)
    p.inner.count = 0
    p.outer.count = 1
    p.outer.shape[0] = p.outputs = cnp.PyArray_DIM(states, 0)
    p.length = 0
    p.by_rows = True
    p.limit = INFINITY
    set_states(p, states)
    give_parameter(p, parameter)


def join_states(str name, list parts, parameter, cnp.ndarray out):
    """Merges arrays of states of outputs in one dimension, in their order. The parameter: a number or an array."""
    cdef const Reduction* r = reduction_named(name)
    cdef Problem p, q
    cdef Scratch s
    cdef char* memory
    cdef Py_ssize_t output, count
    set_line(&p, r, out, parameter)
    memory = scratch(&p, &s, NULL, 2 * r.state_size)
    if memory == NULL:
        raise MemoryError
    try:
        for output in range(0, p.outputs, 256):
            count = min(PANEL, p.outputs - output)
            set_parameters(&p, &s, output, count)
            for k, part in enumerate(parts):
                set_line(&q, r, part, parameter)
                take_states(&q, s.superblock_states if k else s.states, output, count)
                if k:
                    merge_outputs(&p, &s, s.superblock_states, count)
            give_states(&p, s.states, output, count)
    finally:
        free(memory)


cdef void merge_outputs(const Problem* p, Scratch* s, const char* states, Py_ssize_t count) noexcept nogil:
    """As merge_panel, with 2 states of scratch, also where parameters must be alike and are not."""
    cdef const Reduction* r = p.reduction
    cdef char* into = s.extra
    cdef char* other = into + r.state_size
    cdef char* group
    cdef Py_ssize_t j
    if not (r.uniform and p.operands[PARAMETER].data != NULL):
        merge_panel(p, s, states, count)
        return
    for j in range(count):
        group = s.states + j // WIDTH * r.state_size
        spread_lane(<double*>into, <double*>group, j % WIDTH, r.state_size)
        spread_lane(<double*>other, <const double*>(states + j // WIDTH * r.state_size), j % WIDTH, r.state_size)
        r.merge(into, other, parameters_of(p, s, j))
        set_lane(<double*>group, j % WIDTH, <double*>into, r.state_size)


def finish_states(str name, cnp.ndarray states, parameter, double limit, bint weighted, cnp.ndarray out, sign):
    """The results of states of outputs in one dimension, and their signs, unless None.

    limit: how many elements they stand for, infinite with weights; weighted: weights were given.
    """
    cdef Problem p, q
    cdef Scratch s
    cdef char* memory
    cdef Py_ssize_t output, count
    set_line(&q, reduction_named(name), states, parameter)
    p = q
    p.operands[STATE].data = NULL
    p.limit = limit
    p.weighted = p.weighted or weighted
    set_operand(&p, OUT, out, 0)
    if sign is not None:
        set_operand(&p, SIGN, sign, 0)
    memory = scratch(&p, &s, NULL, 0)
    if memory == NULL:
        raise MemoryError
    with nogil:
        for output in range(0, p.outputs, 256):
            count = min(PANEL, p.outputs - output)
            set_parameters(&p, &s, output, count)
            take_states(&q, s.states, output, count)
            finish_panel(&p, &s, output, count, False)
    free(memory)


cdef map_with_states(const Mapping* m, int outer_dims, cnp.ndarray a, where, mask, parameter, cnp.ndarray states,
                     cnp.ndarray results, int workers):
    """As map_arrays, with the states."""
    cdef Problem p
    set_problem(&p, m.reduction, outer_dims, a, None, where, mask, None, parameter, None)
    set_operand(&p, RESULTS, results, cnp.PyArray_NDIM(a) - outer_dims)
    set_states(&p, states)
    arrange(&p)
    do_all(m, &p, workers)
