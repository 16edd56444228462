"""From Python to a problem: operands are set, dimensions sorted and merged where strides allow, the way is chosen.

Most calls end with one outer and one inner dimension.
"""

from cpython.long cimport PyLong_AsLongAndOverflow

cdef extern from "numpy/ndarraytypes.h":
    int NPY_HALF, NPY_USERDEF

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewLikeArray(cnp.ndarray prototype, cnp.NPY_ORDER order, void* dtype, int subok)
    object PyArray_Scalar(void* data, cnp.dtype dtype, object base)

cdef enum:
    EVERY = -1                  # dimension
    OTHER = -2
    STREAMED = 1 << 21          # results, 16 MiB of doubles: from there on no cache is likely to keep them


cdef Kind kind_of(cnp.ndarray array) noexcept:
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(array)
    cdef int type_number = cnp.PyArray_TYPE(array)
    if type_number == cnp.NPY_DOUBLE:
        return FLOAT64
    if type_number == cnp.NPY_FLOAT:
        return FLOAT32
    if type_number == NPY_HALF:
        return FLOAT16
    if type_number >= NPY_USERDEF:      # the one that is let in
        return BFLOAT16
    if cnp.PyTypeNum_ISSIGNED(type_number):
        return INT8 if size == 1 else INT16 if size == 2 else INT32 if size == 4 else INT64
    return UINT8 if size == 1 else UINT16 if size == 2 else UINT32 if size == 4 else UINT64


cdef void set_operand(Problem* p, int operand, cnp.ndarray array, int inner_dims) noexcept:
    cdef int k
    p.operands[operand] = Operand(cnp.PyArray_BYTES(array), kind_of(array), cnp.PyArray_ISBYTESWAPPED(array))
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
        if kept < i:
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


cdef void begin(Problem* p, const Reduction* reduction) noexcept:
    """A problem without operands."""
    cdef int operand
    p.together = 1
    p.reduction = reduction
    p.single = p.has_initial = p.weighted = False
    for operand in range(OPERANDS):
        p.operands[operand].data = NULL


cdef inline Py_ssize_t product_of(const Dimensions* d) noexcept:
    cdef Py_ssize_t product = 1
    cdef int k
    for k in range(d.count):
        product *= d.shape[k]
    return product


cdef void set_parameter(Problem* p, double parameter) noexcept:
    """A number for all outputs, or what the reduction has in its place."""
    cdef double own = own_parameter(p.reduction)
    p.parameter = parameter if own != own else own
    p.weighted = abs(p.parameter) < p.reduction.smallest_parameter


cdef void give_parameter(Problem* p, parameter):
    """A float, or an array of doubles of the shape of the outputs."""
    cdef double own = own_parameter(p.reduction)
    if own == own or isinstance(parameter, float):
        set_parameter(p, own if own == own else parameter)
    else:
        p.parameter = 0
        set_operand(p, PARAMETER, parameter, 0)
        p.weighted = has_small_parameter(p)


cdef void set_problem(Problem* p, const Reduction* reduction, int outer_dims, cnp.ndarray a, weights, where, mask,
                      weights_mask, parameter, initial):
    cdef int k, inner_dims = cnp.PyArray_NDIM(a) - outer_dims
    begin(p, reduction)
    p.outer.count = outer_dims
    p.inner.count = inner_dims
    for k in range(outer_dims):
        p.outer.shape[k] = cnp.PyArray_DIM(a, k)
    for k in range(inner_dims):
        p.inner.shape[k] = cnp.PyArray_DIM(a, outer_dims + k)
    p.outputs = product_of(&p.outer)
    p.length = product_of(&p.inner)
    set_operand(p, A, a, inner_dims)
    if weights is not None:
        set_operand(p, WEIGHTS, weights, inner_dims)
    if where is not None:
        set_operand(p, WHERE, where, inner_dims)
    if mask is not None:
        set_operand(p, MASK, mask, inner_dims)
    if weights_mask is not None:
        set_operand(p, WEIGHTS_MASK, weights_mask, inner_dims)
    give_parameter(p, parameter)
    p.weighted = p.weighted or weights is not None
    if initial is not None:
        p.has_initial = True
        p.initial = initial


cdef inline bint sums_singles(const Problem* p) noexcept nogil:
    """Whether floats are summed as such; up to LANES of them, as doubles, are right to the last bit."""
    return (p.reduction.sums_singles and p.operands[A].kind == FLOAT32 and p.length > LANES
            and p.operands[WEIGHTS].data == NULL)


cdef void arrange(Problem* p) noexcept nogil:
    """Sorts and merges dimensions, and chooses between rows and tiles."""
    sort_dimensions(&p.outer)
    choose(p)


cdef void choose(Problem* p) noexcept nogil:
    """As arrange, with the outputs in their order."""
    p.limit = INFINITY if p.operands[WEIGHTS].data != NULL else <double>(p.length + p.has_initial)
    merge_dimensions(p, &p.outer)
    merge_dimensions(p, &p.inner)
    p.by_rows = p.length > LANES if p.outputs == 1 else (
        (p.reduction.uniform and p.operands[PARAMETER].data != NULL)
        or p.length > SHORT and distance(last_stride(&p.inner, A)) <= distance(last_stride(&p.outer, A)))
    if not (p.parameter >= p.reduction.counts_below or p.weighted):       # what is left out would count, too
        p.weighted = (p.operands[WHERE].data != NULL or p.operands[MASK].data != NULL
                      or p.operands[WEIGHTS_MASK].data != NULL or (p.by_rows and not p.parameter > 0))
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
    set_reduction(&p, reduction, outer_dims, a, weights, where, mask, weights_mask, parameter, initial, out, sign)
    do_all(NULL, &p, workers)


cdef void set_reduction(Problem* p, const Reduction* reduction, int outer_dims, cnp.ndarray a, weights, where, mask,
                        weights_mask, parameter, initial, cnp.ndarray out, sign):
    set_problem(p, reduction, outer_dims, a, weights, where, mask, weights_mask, parameter, initial)
    set_operand(p, OUT, out, 0)
    if sign is not None:
        set_operand(p, SIGN, sign, 0)
    arrange(p)


cdef reduce_arrays_together(list tasks, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask, initial,
                            int workers):
    """As reduce_arrays for each task, which is a tuple: the reduction's name, parameter, out, sign.

    Parameters are numbers, or arrays for all reductions that ask for the way of rows then.
    """
    cdef Problem* p = <Problem*>malloc(TOGETHER * sizeof(Problem))
    cdef Py_ssize_t first, k
    if p == NULL:
        raise MemoryError
    try:
        for first in range(0, len(tasks), 8):           # TOGETHER
            for k, (name, parameter, out, sign) in enumerate(tasks[first:first + TOGETHER]):
                set_reduction(&p[k], reduction_named(name), outer_dims, a, weights, where, mask, weights_mask,
                              parameter, initial, out, sign)
            p.together = <int>min(TOGETHER, len(tasks) - first)
            do_all(NULL, p, workers)
    finally:
        free(p)


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


# Bare calls: an array, at most an axis and a number beside it. Nothing in Python need check or arrange it

cdef int dimension_of(axis, int ndim) except? OTHER:
    """Which dimension is reduced, or EVERY; OTHER for what this does not judge."""
    cdef int overflow
    cdef long k
    if axis is None:
        return EVERY
    if type(axis) is not int:
        return OTHER
    k = PyLong_AsLongAndOverflow(axis, &overflow)
    if overflow or not -ndim <= k < ndim:
        return OTHER
    return k + ndim if k < 0 else k


cdef double number_of(parameter) except? 0:
    """The parameter, or 0 for what this does not judge."""
    cdef int overflow
    cdef long k
    if type(parameter) is float:
        return parameter
    if type(parameter) is not int:
        return 0
    k = PyLong_AsLongAndOverflow(parameter, &overflow)
    return 0 if overflow else <double>k


cdef bint begins_with_number(a) except -1:
    """Whether this is a list or tuple, or several in each other, whose first element is a number."""
    first = a
    while (type(first) is list or type(first) is tuple) and first:
        first = first[0]
    return first is not a and (type(first) is float or type(first) is int)


cdef cnp.ndarray bare_array(a):
    """An array of native numbers that is not empty, or what NumPy makes of a list of numbers; None for all else."""
    cdef int type_number
    if type(a) is not cnp.ndarray:
        if not begins_with_number(a):
            return None
        try:
            a = cnp.PyArray_FROM_O(a)
        except ValueError:              # of lists of unequal lengths: the error is to name function and argument
            return None
    type_number = cnp.PyArray_TYPE(a)
    if type_number != cnp.NPY_DOUBLE and type_number != cnp.NPY_FLOAT and not cnp.PyTypeNum_ISINTEGER(type_number):
        return None
    return a if cnp.PyArray_SIZE(a) > 0 and cnp.PyArray_ISNOTSWAPPED(a) else None


cdef void set_turned(Problem* p, int operand, cnp.ndarray array, int dimension) noexcept:
    """As set_operand, with the shape, for an array whose reduced dimension need not come last."""
    cdef Dimensions* d
    cdef int k
    p.operands[operand] = Operand(cnp.PyArray_BYTES(array), kind_of(array), False)
    p.outer.count = p.inner.count = 0
    for k in range(cnp.PyArray_NDIM(array)):
        d = &p.inner if dimension == EVERY or k == dimension else &p.outer
        d.shape[d.count] = cnp.PyArray_DIM(array, k)
        d.strides[operand][d.count] = cnp.PyArray_STRIDE(array, k)
        d.count += 1


cdef int set_bare(Problem* p, const Reduction* reduction, cnp.ndarray a, parameter, axis) except? OTHER:
    """Sets what is reduced, and returns the dimension; OTHER for what is not bare. A parameter of 0 may be an error."""
    cdef double number = number_of(parameter)
    cdef int dimension = OTHER
    if a is not None and abs(number) > 0:
        dimension = dimension_of(axis, cnp.PyArray_NDIM(a))
    if dimension != OTHER:
        begin(p, reduction)
        set_turned(p, A, a, dimension)
        p.outputs = product_of(&p.outer)
        p.length = product_of(&p.inner)
        set_parameter(p, number)
    return dimension


cdef int do_bare(const Mapping* m, Problem* p) except -1:
    """As do_all, with the default number of workers."""
    arrange(p)
    return do_all(m, p, default_workers("", None) if p.outputs * p.length >= SHARED else 1)


cdef reduce_bare_array(const Reduction* reduction, array_like, parameter, axis):
    """What the walk through Python gives for these arguments alone; None: not all are bare."""
    cdef Problem p
    cdef double value                       # or a float, in its first bytes
    cdef int type_number
    cdef cnp.ndarray a = bare_array(array_like), out = None
    if set_bare(&p, reduction, a, parameter, axis) == OTHER:
        return None
    type_number = cnp.NPY_FLOAT if p.operands[A].kind == FLOAT32 else cnp.NPY_DOUBLE
    if p.outer.count == 0:
        p.operands[OUT] = Operand(<char*>&value, FLOAT32 if p.operands[A].kind == FLOAT32 else FLOAT64, False)
    else:
        out = cnp.PyArray_EMPTY(p.outer.count, <cnp.npy_intp*>&p.outer.shape[0], type_number, 0)
        set_operand(&p, OUT, out, 0)
    do_bare(NULL, &p)
    return PyArray_Scalar(&value, cnp.PyArray_DescrFromType(type_number), None) if out is None else out


cdef map_bare_array(const Mapping* m, array_like, parameter, axis):
    """As reduce_bare_array, for maps of arrays of floats that have dimensions."""
    cdef Problem p
    cdef cnp.ndarray a = bare_array(array_like), results
    cdef int dimension = set_bare(&p, m.reduction, a, parameter, axis)
    if dimension == OTHER or cnp.PyArray_NDIM(a) == 0 or cnp.PyTypeNum_ISINTEGER(cnp.PyArray_TYPE(a)):
        return None
    results = PyArray_NewLikeArray(a, cnp.NPY_KEEPORDER, NULL, 0)
    set_turned(&p, RESULTS, results, dimension)
    do_bare(m, &p)
    return results
