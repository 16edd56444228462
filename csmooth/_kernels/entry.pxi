"""From Python to a problem: operands are set, dimensions sorted and merged where strides allow, the way is chosen.

Most calls end with one outer and one inner dimension.
"""

cdef extern from "numpy/ndarraytypes.h":
    int NPY_HALF, NPY_USERDEF

cdef enum:
    STREAMED = 1 << 21          # results, 16 MiB of doubles: from there on no cache is likely to keep them


cdef void set_operand(Problem* p, int operand, cnp.ndarray array, int inner_dims) noexcept:
    cdef Operand* a = &p.operands[operand]
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(array)
    cdef int type_number = cnp.PyArray_TYPE(array)
    cdef int k
    a.data = cnp.PyArray_BYTES(array)
    a.swapped = cnp.PyArray_ISBYTESWAPPED(array)
    if type_number == cnp.NPY_DOUBLE:
        a.kind = FLOAT64
    elif type_number == cnp.NPY_FLOAT:
        a.kind = FLOAT32
    elif type_number == NPY_HALF:
        a.kind = FLOAT16
    elif type_number >= NPY_USERDEF:    # the one that is let in
        a.kind = BFLOAT16
    elif cnp.PyTypeNum_ISSIGNED(type_number):
        a.kind = INT8 if size == 1 else INT16 if size == 2 else INT32 if size == 4 else INT64
    else:
        a.kind = UINT8 if size == 1 else UINT16 if size == 2 else UINT32 if size == 4 else UINT64
    for k in range(p.outer.count):
        p.outer.strides[operand][k] = cnp.PyArray_STRIDE(array, k)
    for k in range(p.inner.count):      # 0 where the operand has no inner dimensions: it stands still there
        p.inner.strides[operand][k] = cnp.PyArray_STRIDE(array, p.outer.count + k) if k < inner_dims else 0


cdef void move_dimension(Dimensions* d, int to, int source) noexcept nogil:
    cdef int operand
    d.shape[to] = d.shape[source]
    for operand in range(OPERANDS):
        d.strides[operand][to] = d.strides[operand][source]


cdef void sort_dimensions(Dimensions* d) noexcept nogil:
    """Puts the shortest strides of A last, as results do not depend on the order of outputs."""
    cdef int i, j
    for i in range(1, d.count):
        move_dimension(d, MAX_DIMS, i)
        j = i
        while j > 0 and distance(d.strides[A][j - 1]) < distance(d.strides[A][MAX_DIMS]):
            move_dimension(d, j, j - 1)
            j -= 1
        move_dimension(d, j, MAX_DIMS)


cdef void merge_dimensions(const Problem* p, Dimensions* d) noexcept nogil:
    """Joins neighbours that every operand walks through as through one; drops those of length 1."""
    cdef int i, operand, kept = 0
    cdef bint joins
    for i in range(d.count):
        if d.shape[i] == 1:
            continue
        joins = kept > 0
        for operand in range(OPERANDS):
            if joins and p.operands[operand].data != NULL:
                joins = d.strides[operand][kept - 1] == d.strides[operand][i] * d.shape[i]
        if joins:
            d.shape[i] *= d.shape[kept - 1]
            kept -= 1
        move_dimension(d, kept, i)
        kept += 1
    d.count = kept


cdef bint has_small_parameter(const Problem* p) noexcept nogil:
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef Py_ssize_t output
    cdef double value
    for output in range(p.outputs):
        read(&value, 1, parameter, parameter.data + offset(&p.outer, PARAMETER, output), 0, 1, 0, 1)
        if -p.reduction.smallest_parameter < value < p.reduction.smallest_parameter:
            return True
    return False


cdef void set_problem(Problem* p, const Reduction* reduction, int outer_dims, cnp.ndarray a, weights, where, mask,
                      weights_mask, parameter, initial):
    cdef int k, inner_dims = cnp.PyArray_NDIM(a) - outer_dims
    p.reduction = reduction
    p.outer.count = outer_dims
    p.inner.count = inner_dims
    p.outputs = p.length = 1
    for k in range(outer_dims):
        p.outer.shape[k] = cnp.PyArray_DIM(a, k)
        p.outputs *= p.outer.shape[k]
    for k in range(inner_dims):
        p.inner.shape[k] = cnp.PyArray_DIM(a, outer_dims + k)
        p.length *= p.inner.shape[k]
    for k in range(OPERANDS):
        p.operands[k].data = NULL
    set_operand(p, A, a, inner_dims)
    if weights is not None:
        set_operand(p, WEIGHTS, weights, inner_dims)
    if where is not None:
        set_operand(p, WHERE, where, inner_dims)
    if mask is not None:
        set_operand(p, MASK, mask, inner_dims)
    if weights_mask is not None:
        set_operand(p, WEIGHTS_MASK, weights_mask, inner_dims)
    p.parameter = 0
    if isinstance(parameter, float):
        p.parameter = parameter
        p.weighted = abs(p.parameter) < reduction.smallest_parameter
    else:
        set_operand(p, PARAMETER, parameter, 0)
        p.weighted = has_small_parameter(p)
    p.weighted = p.weighted or weights is not None
    p.single = False
    p.has_initial = initial is not None
    p.initial = initial if p.has_initial else 0


cdef inline bint sums_singles(const Problem* p) noexcept nogil:
    """Whether floats are summed as such; up to LANES of them, as doubles, are right to the last bit."""
    return (p.reduction.sums_singles and p.operands[A].kind == FLOAT32 and p.length > LANES
            and p.operands[WEIGHTS].data == NULL)


cdef void arrange(Problem* p) noexcept nogil:
    """Sorts and merges dimensions, and chooses between rows and tiles."""
    sort_dimensions(&p.outer)
    merge_dimensions(p, &p.outer)
    merge_dimensions(p, &p.inner)
    p.by_rows = p.length > LANES if p.outputs == 1 else (
        (p.reduction.uniform and p.operands[PARAMETER].data != NULL)
        or p.length > SHORT and distance(last_stride(&p.inner, A)) <= distance(last_stride(&p.outer, A)))
    if not (p.parameter >= p.reduction.counts_below or p.weighted):       # what pads rows would count, too
        p.weighted = (p.operands[WHERE].data != NULL or p.operands[MASK].data != NULL
                      or p.operands[WEIGHTS_MASK].data != NULL
                      or (p.by_rows and not (takes_directly(p) and p.parameter > 0)))
    p.single = sums_singles(p)
    p.streams = p.outputs * p.length >= STREAMED


cdef reduce_arrays(const Reduction* reduction, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask,
                   parameter, initial, cnp.ndarray out, sign, int workers):
    """Reduces the dimensions of `a` after the first `outer_dims` into `out`, which has only those.

    a, weights: numbers; where, mask, weights_mask: bool; all of one shape. parameter: a number, or an array of the
    shape of out. initial: a number. weights, where, masks, initial, sign: or None. out, sign: floats of
    at most 64 bits. workers: the number of threads.
    """
    cdef Problem p
    set_problem(&p, reduction, outer_dims, a, weights, where, mask, weights_mask, parameter, initial)
    set_operand(&p, OUT, out, 0)
    if sign is not None:
        set_operand(&p, SIGN, sign, 0)
    arrange(&p)
    do_all(NULL, &p, workers)


cdef map_arrays(const Mapping* m, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, parameter,
                initial, cnp.ndarray results, out, sign, slope, int workers):
    """Writes what a map makes of `a` into `results`, which has its shape, and may be `a` itself.

    As reduce_arrays for the other arguments; out and slope may be None.
    """
    cdef Problem p
    set_problem(&p, m.reduction, outer_dims, a, weights, where, mask, weights_mask, parameter, initial)
    set_operand(&p, RESULTS, results, cnp.PyArray_NDIM(a) - outer_dims)
    if out is not None:
        set_operand(&p, OUT, out, 0)
    if sign is not None:
        set_operand(&p, SIGN, sign, 0)
    if slope is not None:
        set_operand(&p, SLOPE, slope, 0)
    arrange(&p)
    do_all(m, &p, workers)


cdef reduce_all_of(const Reduction* reduction, cnp.ndarray a, double parameter):
    """The reduction of all elements as a scalar; None unless there are some, native floats that lie side by side, and
    the parameter is positive and not tiny."""
    cdef Problem p
    cdef int operand, type_number = cnp.PyArray_TYPE(a)
    cdef double value                       # or a float, in its first bytes
    if (type_number != cnp.NPY_DOUBLE and type_number != cnp.NPY_FLOAT) or not cnp.PyArray_ISCARRAY_RO(a):
        return None
    if cnp.PyArray_SIZE(a) == 0 or not parameter >= reduction.smallest_parameter or parameter == 0:
        return None
    if type_number != cnp.NPY_DOUBLE and not parameter >= reduction.counts_below:       # packed, with weights
        return None
    p.reduction = reduction
    p.outer.count = 0
    p.inner.count = 1
    p.inner.shape[0] = p.length = cnp.PyArray_SIZE(a)
    p.inner.strides[A][0] = cnp.PyArray_ITEMSIZE(a)
    for operand in range(OPERANDS):
        p.operands[operand].data = NULL
    p.operands[A] = Operand(cnp.PyArray_BYTES(a), FLOAT64 if type_number == cnp.NPY_DOUBLE else FLOAT32, False)
    p.operands[OUT] = Operand(<char*>&value, p.operands[A].kind, False)
    p.outputs = 1
    p.parameter = parameter
    p.weighted = p.has_initial = False
    p.by_rows = p.length > LANES
    p.single = sums_singles(&p)
    if p.length >= SHARED:
        do_all(NULL, &p, default_workers("", None))
    elif p.length > BLOCK:                  # releasing the lock pays
        with nogil:
            reduce_all(&p)
    else:
        reduce_all(&p)
    return cnp.PyArray_ToScalar(&value, a)
