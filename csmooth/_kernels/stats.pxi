"""The maximum and the mean, which smoothmax_stats has beside logsumexp and boltzmann.

They need no exponentials, and give what logsumexp for an infinite alpha and logmeanexp for alpha = 0 do: the maximum
its bits. The mean is the quotient of two sums in double-double, of weight * x and of the weights, rounded but once.
"""

cdef struct MaximumState:
    vector maximum              # -inf where there was no element
    vector unknown              # NaN if one was, else 0

cdef struct PlainMeanState:
    vector maximum, minimum, sum, sum_error, weight, weight_error


# The maximum

cdef inline MaximumState no_maximum() noexcept nogil:
    cdef MaximumState s
    s.maximum = vset(-INFINITY)
    s.unknown = vset(0.0)
    return s


cdef inline void raise_by(MaximumState* s, vector x) noexcept nogil:
    s.maximum = vmax(x, s.maximum)
    s.unknown = vselect(vequal(x, x), s.unknown, x)


cdef void maximum_row(void* state, const void* parameters, const Block* a, bint first, double* extremes) noexcept nogil:
    cdef MaximumState* s = <MaximumState*>state
    cdef MaximumState lanes[VECTORS]
    cdef vector top[VECTORS]
    cdef vector unknown[VECTORS]
    cdef Py_ssize_t i, j
    for j in range(VECTORS):
        lanes[j] = no_maximum()
    for i in range(a.rows):
        for j in range(VECTORS):
            raise_by(&lanes[j], vload(a.x + LANES*i + WIDTH*j))
    for j in range(VECTORS):
        if a.tail != NULL:
            raise_by(&lanes[j], vload(a.tail + WIDTH*j))
        top[j] = lanes[j].maximum
        unknown[j] = lanes[j].unknown
    if first:
        s[0] = no_maximum()
    raise_by(s, vset(fold_max(top)))
    s.unknown = vadd(s.unknown, fold_add(unknown))


cdef void maximum_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                       bint first) noexcept nogil:
    cdef MaximumState* s = <MaximumState*>states
    cdef MaximumState t
    cdef Py_ssize_t i, j
    for j in range(vectors):
        t = no_maximum() if first else s[j]
        for i in range(a.rows):
            raise_by(&t, vload(a.x + a.stride*i + WIDTH*j))
        s[j] = t


cdef void maximum_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    cdef MaximumState* s = <MaximumState*>into
    cdef const MaximumState* t = <const MaximumState*>other
    raise_by(s, t.maximum)
    s.unknown = vadd(s.unknown, t.unknown)


cdef void maximum_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values,
                         double* signs, double* lost) noexcept nogil:
    cdef const MaximumState* s = <const MaximumState*>states
    cdef Py_ssize_t j
    for j in range(vectors):
        vstore(values + WIDTH*j, vadd(s[j].maximum, s[j].unknown))      # no -0.0
        vstore(signs + WIDTH*j, vset(1.0))
        vstore(lost + WIDTH*j, vset(NAN))


cdef bint maximum_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    cdef MaximumState s[VECTORS]
    cdef Py_ssize_t j
    maximum_tile(s, parameters, a, vectors, True)
    for j in range(vectors):
        vstore(values + WIDTH*j, vadd(s[j].maximum, s[j].unknown))
    return True


# The mean

cdef inline PlainMeanState no_mean() noexcept nogil:
    cdef PlainMeanState s
    s.maximum = vset(-INFINITY)
    s.minimum = vset(INFINITY)
    s.sum = s.sum_error = s.weight = s.weight_error = vset(0.0)
    return s


cdef inline void add_element(Sum* sum, Sum* weights, vector x, const double* weight, bint weighted) noexcept nogil:
    """Adds x, times its weight if `weighted`."""
    cdef vector zero = vset(0.0), w, error, e
    if weighted:
        w = vload(weight)
        join_one(weights, w)
        x = product(vselect(vequal(w, zero), zero, x), w, &error)
        sum.sum = two_sum(sum.sum, x, &e)
        sum.error = vadd(sum.error, vadd(e, error))
    else:
        join_one(sum, x)


cdef inline void add_block_to_mean(PlainMeanState* s, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                                   const double* tail, const double* tail_weights, bint weighted) noexcept nogil:
    """Adds a block of one output, `rows` rows from `start` on and the tail."""
    cdef Sum sums[VECTORS]
    cdef Sum weights[VECTORS]
    cdef Sum total
    cdef Py_ssize_t i, j, k, count = LANES*rows + (0 if tail == NULL else a.tail_length)
    for j in range(VECTORS):
        sums[j] = weights[j] = no_sum()
    for i in range(start, start + rows):
        for j in range(VECTORS):
            k = LANES*i + WIDTH*j
            add_element(&sums[j], &weights[j], vload(a.x + k), a.weights + k, weighted)
    for j in range(VECTORS if tail != NULL else 0):
        add_element(&sums[j], &weights[j], vload(tail + WIDTH*j), tail_weights + WIDTH*j, True)
    total = in_order(sums, count) if count <= LANES else folded(sums, False)
    join(&s.sum, &s.sum_error, &total)
    if weighted:
        total = in_order(weights, count) if count <= LANES else folded(weights, False)
        join(&s.weight, &s.weight_error, &total)
    else:
        s.weight = vadd(s.weight, vset(<double>count))          # exact


cdef void mean_row(void* state, const void* parameters, const Block* a, bint first, double* extremes) noexcept nogil:
    cdef PlainMeanState* s = <PlainMeanState*>state
    cdef vector top[2 * VECTORS]
    cdef double tail_weights[LANES]
    cdef const double* tail = NULL
    cdef Py_ssize_t done = 0, rows, j
    cdef bint last = False
    if first:
        s[0] = no_mean()
    for j in range(VECTORS):
        top[j] = vset(-INFINITY)
        top[VECTORS + j] = vset(INFINITY)
    set_tail_weights(tail_weights, a.tail_length)
    while not last:
        rows = min(BLOCK_ROWS, a.rows - done)
        last = a.rows - done < BLOCK_ROWS or (a.rows - done == BLOCK_ROWS and a.tail == NULL)
        scan_row(top, a.x + LANES*done, a.weights, rows, MEANS)
        if last and a.tail != NULL:
            tail = a.tail
            scan_row(top, tail, tail_weights, 1, MEANS)
        if a.weights != NULL:
            add_block_to_mean(s, a, done, rows, NULL, NULL, True)
        else:
            add_block_to_mean(s, a, done, rows, tail, tail_weights, False)
        done += rows
    s.maximum = vmax(vset(fold_max(top)), s.maximum)
    s.minimum = vmin(vset(fold_min(top + VECTORS)), s.minimum)


cdef inline void add_tile_to_mean(PlainMeanState* s, const Block* a, Py_ssize_t vectors, bint weighted) noexcept nogil:
    cdef Sum sums[LANES * VECTORS]
    cdef Sum weights[LANES * VECTORS]
    cdef Py_ssize_t i, j, k, lane, lanes = LANES if a.rows > LANES else 1
    for lane in range(lanes * vectors):
        sums[lane] = weights[lane] = no_sum()
    for i in range(a.rows):
        for j in range(vectors):
            k = a.stride*i + WIDTH*j
            lane = i % lanes * vectors + j
            add_element(&sums[lane], &weights[lane], vload(a.x + k), a.weights + k, weighted)
    if lanes > 1:
        fold_sums(sums, vectors, False)
        fold_sums(weights, vectors if weighted else 0, False)
    for j in range(vectors):
        join(&s[j].sum, &s[j].sum_error, &sums[j])
        if weighted:
            join(&s[j].weight, &s[j].weight_error, &weights[j])
        else:
            s[j].weight = vadd(s[j].weight, vset(<double>a.rows))


cdef void mean_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                    bint first) noexcept nogil:
    cdef PlainMeanState* s = <PlainMeanState*>states
    cdef vector minimum
    cdef Py_ssize_t j
    for j in range(vectors):
        if first:
            s[j] = no_mean()
        s[j].maximum = vmax(scan_column(a, WIDTH*j, &minimum, False, MEANS), s[j].maximum)
        s[j].minimum = vmin(minimum, s[j].minimum)
    if a.weights != NULL:
        add_tile_to_mean(s, a, vectors, True)
    else:
        add_tile_to_mean(s, a, vectors, False)


cdef void mean_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    cdef PlainMeanState* s = <PlainMeanState*>into
    cdef const PlainMeanState* t = <const PlainMeanState*>other
    s.maximum = vmax(t.maximum, s.maximum)
    s.minimum = vmin(t.minimum, s.minimum)
    add_pair(&s.sum, &s.sum_error, t.sum, t.sum_error)
    add_pair(&s.weight, &s.weight_error, t.weight, t.weight_error)


cdef inline vector plain_mean_of(const PlainMeanState* s, const Parameters* p) noexcept nogil:
    """sum / weight, and without weights between the extremes; NaN where nothing is left."""
    cdef vector rest, value = quotient(s.sum, s.sum_error, s.weight, s.weight_error, &rest)
    value = joined(value, rest, &rest)
    if not p.weighted:
        value = vselect(vless(s.maximum, value), s.maximum, value)
        value = vselect(vless(value, s.minimum), s.minimum, value)
    return vadd(vselect(vequal(s.weight, vset(0.0)), vset(NAN), value), vset(0.0))      # no -0.0


cdef void mean_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values, double* signs,
                      double* lost) noexcept nogil:
    """`lost`: +inf, where weights made a sum overflow; else NaN."""
    cdef const PlainMeanState* s = <const PlainMeanState*>states
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector infinity = vset(INFINITY), overflow
    cdef Py_ssize_t j
    for j in range(vectors):
        vstore(values + WIDTH*j, plain_mean_of(&s[j], &p[j]))
        vstore(signs + WIDTH*j, vset(1.0))
        overflow = vselect(vless(vadd(vabs(s[j].sum), vabs(s[j].weight)), infinity), vset(NAN), infinity)
        overflow = vselect(vless(vabs(s[j].maximum), infinity), overflow, vset(NAN))
        vstore(lost + WIDTH*j, overflow)


cdef bint mean_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    cdef const Parameters* p = <const Parameters*>parameters
    cdef PlainMeanState s[VECTORS]
    cdef Py_ssize_t j
    mean_tile(s, parameters, a, vectors, True)
    for j in range(vectors):
        vstore(values + WIDTH*j, plain_mean_of(&s[j], &p[j]))
    return True


cdef Reduction MAXIMUM = Reduction(
    maximum_row, maximum_tile, maximum_short, maximum_merge, maximum_finish, exponential_parameters,
    sizeof(MaximumState), sizeof(Parameters), -INFINITY, 0, False, False, -INFINITY, False, False)

cdef Reduction MEAN = Reduction(
    mean_row, mean_tile, mean_short, mean_merge, mean_finish, exponential_parameters,
    sizeof(PlainMeanState), sizeof(Parameters), -INFINITY, 0, False, True, INFINITY, False, False)


cdef inline double own_parameter(const Reduction* r) noexcept nogil:
    """What the maximum and the mean have for a parameter, since they take none; NaN for all others."""
    return INFINITY if r == &MAXIMUM else 1 if r == &MEAN else NAN      # infinite: weights only say what exists
