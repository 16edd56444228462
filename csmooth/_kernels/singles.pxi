"""Sums and probabilities of float32 in float32: half the bytes and twice as many elements a vector.

A term is power * (1 + q), relative to the reference of exponential.pxi: a power of two, whose sum is exact as a rule,
and a rest, whose errors are small beside it. Both are summed over the rows of a block, lane by lane, then as doubles.
k and the fraction f of x * scale come from x itself, not from its distance to the maximum, so that they are rounded
but once, whatever the size of x.

It suits a block if what has been seen lies within 2**21 / scale of 0, or is -inf; the others are summed as doubles.
"""

cdef extern from *:
    """
    #define ROUND_SINGLE 12582912.0   /* 1.5 * 2**23: to a float it adds nothing but bits below 1 */
    #define LARGEST_SINGLE_PRODUCT 2097152.0   /* 2**21 */
    #define SMALLEST_SINGLE_SCALE 9.313225746154785e-10   /* 2**-30: terms that vanish do so in the logarithm over it */
    #define LARGEST_SINGLE_SCALE 1.2676506002282294e30   /* 2**100 */
    #define TERM_OVER_SINGLE (1.4000010343227465 * 8.711228593176025e40)   /* FACTOR * 2**(BIAS - 64) */
    """
    double ROUND_SINGLE, LARGEST_SINGLE_PRODUCT, SMALLEST_SINGLE_SCALE, LARGEST_SINGLE_SCALE, TERM_OVER_SINGLE

cdef enum:
    # The exponent field of the power at the reference: 2**64, so that float32's smallest results are normal numbers.
    SINGLE_FIELD = 127 + 64
    PACKED = 2048               # floats come as doubles, packed

cdef struct Exponents:
    # Of WIDTH outputs, what their reference is made of
    vector maximum, exponent, scale, scale_error

cdef struct SingleReference:
    # Of twice as many
    svector maximum, scale, scale_error, shift, low


cdef inline vmask suits_singles(vector maximum, vector scale) noexcept nogil:
    cdef vector size = vabs(vmul(maximum, scale)), zero = vset(0.0)
    size = vselect(vequal(maximum, vset(-INFINITY)), zero, size)
    size = vselect(vless(vset(SMALLEST_SINGLE_SCALE), scale), size, vset(INFINITY))
    size = vselect(vless(scale, vset(LARGEST_SINGLE_SCALE)), size, vset(INFINITY))
    return vless(size, vset(LARGEST_SINGLE_PRODUCT))


cdef inline svector rest_of(vector x, vector y, svector narrow) noexcept nogil:
    """What narrowing x and y left."""
    cdef vector[2] wide
    swiden(narrow, wide)
    return snarrow(vsub(x, wide[0]), vsub(y, wide[1]))


cdef inline vector single_shift(const Exponents* e) noexcept nogil:
    return vsub(vset(ROUND_SINGLE + SINGLE_FIELD), e.exponent)


cdef inline vector single_low(const Exponents* e) noexcept nogil:
    """Where terms vanish: the exponent field is 0."""
    return vdiv(vsub(e.exponent, vset(SINGLE_FIELD)), e.scale)


cdef inline SingleReference single_reference(const Exponents* d, const Exponents* e) noexcept nogil:
    cdef SingleReference r
    r.maximum = snarrow(d.maximum, e.maximum)
    r.scale = snarrow(d.scale, e.scale)
    r.scale_error = rest_of(vadd(d.scale, d.scale_error), vadd(e.scale, e.scale_error), r.scale)
    r.shift = snarrow(single_shift(d), single_shift(e))
    r.low = snarrow(single_low(d), single_low(e))
    return r


cdef inline Exponents exponents_of(const State* s, const Parameters* p) noexcept nogil:
    return Exponents(s.maximum, s.exponent, p.scale, p.scale_error)


cdef inline svector single_term(svector x, const SingleReference* r, svector* q) noexcept nogil:
    """2**(x * (scale + scale_error) + shift - ROUND_SINGLE - 127) = power * (1 + q); returns the power.

    0.8 units of 2**-24. 0 where x is `low` or less, NaN for NaN.
    """
    cdef svector t = smax(r.low, x), k = sfma(t, r.scale, r.shift)
    cdef svector f = sfma(t, r.scale_error, sfma(t, r.scale, ssub(r.shift, k)))
    q[0] = sfma(sset(0.00015238004561979324), f, sset(0.0013391136890277267))
    q[0] = sfma(q[0], f, sset(0.009618841111660004))
    q[0] = sfma(q[0], f, sset(0.055503591895103455))
    q[0] = sfma(q[0], f, sset(0.24022644758224487))
    q[0] = sfma(q[0], f, sset(0.6931471824645996))
    q[0] = smul(q[0], f)
    return spower(k)


cdef inline void add_single(svector x, const SingleReference* r, svector* powers, svector* rests, svector* ties,
                            int minded) noexcept nogil:
    """Adds one element to `powers` and `rests` or, if it is the maximum, to `ties`."""
    cdef svector q, power = single_term(x, r, &q)
    cdef smask tie
    if minded & TIES:
        tie = sequal(x, r.maximum)
        ties[0] = sadd_where(tie, ties[0], sset(1.0))
        power = sunless(tie, power)
    powers[0] = sadd(powers[0], power)
    rests[0] = sfma(power, q, rests[0])


cdef inline void sum_singles(svector powers, svector rests, vector* sums) noexcept nogil:
    cdef vector wide[2]
    swiden(powers, sums)
    swiden(rests, wide)
    sums[0] = vadd(sums[0], wide[0])
    sums[1] = vadd(sums[1], wide[1])


# Rows, as in exponential.pxi

cdef inline svector packed(const double* x) noexcept nogil:
    return snarrow(vload(x), vload(x + WIDTH))


cdef inline svector element(const Block* a, Py_ssize_t k, int minded) noexcept nogil:
    return packed(a.x + k) if minded & PACKED else sload(a.singles + k)


cdef inline void scan_singles(svector* top, const float* x, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(SVECTORS):
            top[j] = smax(sload(x + LANES*i + SWIDTH*j), top[j])


cdef inline void add_single_row(State* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                                const double* tail, const SingleReference* r, const float* ahead,
                                Py_ssize_t rows_ahead, svector* top, int minded) noexcept nogil:
    """Adds a block; as add_row."""
    cdef svector powers[SVECTORS]
    cdef svector rests[SVECTORS]
    cdef svector ties[SVECTORS]
    cdef vector sums[VECTORS]
    cdef Py_ssize_t i, j, k, both = min(rows, rows_ahead)
    for j in range(SVECTORS):
        powers[j] = rests[j] = ties[j] = sset(0.0)
    if both:
        prefetch_page(ahead + AHEAD)
    for i in range(both):
        for j in range(SVECTORS):
            k = LANES*i + SWIDTH*j
            prefetch_far(ahead + AHEAD + k)
            top[j] = smax(sload(ahead + k), top[j])
            add_single(element(a, LANES*start + k, minded), r, &powers[j], &rests[j], &ties[j], minded)
    for i in range(both, rows):
        for j in range(SVECTORS):
            add_single(element(a, LANES*(start + i) + SWIDTH*j, minded), r, &powers[j], &rests[j], &ties[j], minded)
    if tail != NULL:
        for j in range(SVECTORS):
            add_single(packed(tail + SWIDTH*j), r, &powers[j], &rests[j], &ties[j], minded)
    for j in range(SVECTORS):
        sum_singles(powers[j], rests[j], &sums[2 * j])
    add_to(&s.sum, &s.sum_error, vmul(fold_add(sums), vset(TERM_OVER_SINGLE)))
    if minded & TIES:
        for j in range(SVECTORS):
            swiden(ties[j], &sums[2 * j])
        add_to(&s.side, &s.side_error, fold_add(sums))


cdef void double_row(State* s, const Parameters* p, const Block* a, bint first, double* extremes,
                     int minded) noexcept nogil:
    if minded & CLOSE and a.terms != NULL:
        exponential_row(s, p, a, first, extremes, TIES | CLOSE | STORED)
    elif minded & CLOSE:
        exponential_row(s, p, a, first, extremes, TIES | CLOSE)
    else:
        exponential_row(s, p, a, first, extremes, TIES)


cdef void add_wide_row(State* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                       const double* tail, bint first, int minded) noexcept nogil:
    """As add_single_row, where single precision does not suit."""
    cdef double x[BLOCK + LANES]
    cdef double unused[2]
    cdef vector pair[2]
    cdef Block block = a[0]
    cdef Py_ssize_t i
    for i in range(SVECTORS * rows):
        swiden(element(a, LANES*start + SWIDTH*i, minded), pair)
        vstore(x + SWIDTH*i, pair[0])
        vstore(x + SWIDTH*i + WIDTH, pair[1])
    block.x = x
    block.rows = rows
    if tail != NULL:
        memcpy(x + LANES*rows, tail, LANES * sizeof(double))
        block.rows += 1
    block.tail = NULL
    block.ahead = NULL
    block.scanned = False
    double_row(s, p, &block, first, unused, minded)


cdef inline void single_row(State* s, const Parameters* p, const Block* a, bint first, double* extremes,
                            int minded, int source) noexcept nogil:
    """`minded`: for what does not suit; `source`: PACKED or 0."""
    cdef svector top[SVECTORS]
    cdef const double* tail = NULL
    cdef const float* ahead
    cdef double maximum
    cdef Exponents e
    cdef SingleReference r
    cdef Py_ssize_t done = 0, rows, rows_ahead, left, i, j
    cdef bint last = False, suits = False, known = False        # whether r is that of the state
    for j in range(SVECTORS):
        top[j] = sset(extremes[0] if a.scanned else -INFINITY)
    for i in range(0 if a.scanned else min(BLOCK_ROWS, a.rows)):
        for j in range(SVECTORS):
            top[j] = smax(element(a, LANES*i + SWIDTH*j, source), top[j])
    while not last:
        left = a.rows - done
        rows = min(BLOCK_ROWS, left)
        last = left < BLOCK_ROWS or (left == BLOCK_ROWS and a.tail == NULL)
        if last and a.tail != NULL:
            tail = a.tail
            for j in range(SVECTORS):
                top[j] = smax(packed(tail + SWIDTH*j), top[j])
        maximum = fold_smax(top)
        for j in range(SVECTORS):
            top[j] = sset(-INFINITY)
        ahead = a.singles + LANES*(done + rows)
        rows_ahead = min(BLOCK_ROWS, left - rows)       # 0 where elements are packed: that is one block
        if last and a.ahead != NULL:
            ahead = <const float*>a.ahead
            rows_ahead = BLOCK_ROWS
        i = min(rows, rows_ahead)
        if not known or maximum > vfirst(s.maximum):
            suits = vall(suits_singles(vset(maximum) if first else vmax(vset(maximum), s.maximum), p.scale))
            if suits and first:
                start(s, vset(maximum), p, TIES)
            elif suits and maximum > vfirst(s.maximum):
                raise_to(s, vset(maximum), p, TIES)
            if suits:
                e = exponents_of(s, p)
                r = single_reference(&e, &e)
            known = suits
        if suits and maximum == vfirst(s.maximum):
            add_single_row(s, p, a, done, rows, tail, &r, ahead, rows_ahead, top, TIES | source)
        elif suits:
            add_single_row(s, p, a, done, rows, tail, &r, ahead, rows_ahead, top, source)
        else:
            add_wide_row(s, p, a, done, rows, tail, first, minded | source)
            i = 0
        if i < BLOCK_ROWS and rows_ahead:       # what add_single_row has not seen to
            prefetch_rows(<const double*>(ahead + AHEAD + LANES*i), (BLOCK_ROWS - i + 1) // 2)
            scan_singles(top, ahead + LANES*i, rows_ahead - i)
        first = False
        done += rows
    if a.ahead != NULL:
        extremes[0] = fold_smax(top)


# Tiles

cdef inline void add_single_tile(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors) noexcept nogil:
    cdef svector powers[LANES * SVECTORS]
    cdef svector rests[LANES * SVECTORS]
    cdef svector ties[SVECTORS]
    cdef vector sums[LANES * VECTORS]
    cdef vector counts[2]
    cdef SingleReference r[SVECTORS]
    cdef Exponents d, e
    cdef Py_ssize_t pairs = (vectors + 1) // 2, i, j, k, lane
    for j in range(pairs):
        k = min(2*j + 1, vectors - 1)
        d = exponents_of(&s[2 * j], &p[2 * j])
        e = exponents_of(&s[k], &p[k])
        r[j] = single_reference(&d, &e)
        ties[j] = sset(0.0)
    for lane in range(LANES * pairs):
        powers[lane] = rests[lane] = sset(0.0)
    for i in range(a.rows):
        for j in range(pairs):
            lane = (i % LANES) * pairs + j
            k = a.stride*i + WIDTH*min(2*j + 1, vectors - 1)
            prefetch_next(a, i, 2 * j)
            add_single(snarrow(vload(a.x + a.stride*i + 2*WIDTH*j), vload(a.x + k)), &r[j], &powers[lane],
                       &rests[lane], &ties[j], TIES)
    for lane in range(LANES * pairs):
        sum_singles(powers[lane], rests[lane], &sums[2 * lane])
    fold_lanes(sums, 2 * pairs)
    for j in range(vectors):
        swiden(ties[j // 2], counts)
        add_to(&s[j].sum, &s[j].sum_error, vmul(sums[j], vset(TERM_OVER_SINGLE)))
        add_to(&s[j].side, &s[j].side_error, counts[j % 2])


cdef void double_tile(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                      int minded) noexcept nogil:
    if minded & CLOSE:
        exponential_tile(s, p, a, vectors, first, TIES | CLOSE)
    else:
        exponential_tile(s, p, a, vectors, first, TIES)


cdef void single_tile(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                      int minded) noexcept nogil:
    """`minded`: for what does not suit."""
    cdef State t[VECTORS]
    cdef vmask suits[VECTORS]
    cdef vector maximum, unused
    cdef bint all_suit = True, any_suits = False
    cdef Py_ssize_t j, field
    for j in range(vectors):
        maximum = scan_column(a, WIDTH*j, &unused, False, 0)
        t[j] = s[j]
        if first:
            start(&t[j], maximum, &p[j], TIES)
        elif vany(vless(s[j].maximum, maximum)):
            raise_to(&t[j], maximum, &p[j], TIES)
        suits[j] = suits_singles(t[j].maximum, p[j].scale)
        all_suit = all_suit and vall(suits[j])
        any_suits = any_suits or vany(suits[j])
    if any_suits:
        add_single_tile(t, p, a, vectors)
    if not all_suit:                    # whatever lies beside an output, it is computed as if alone
        double_tile(s, p, a, vectors, first, minded)
    for j in range(vectors):
        for field in range(<Py_ssize_t>(sizeof(State) // sizeof(vector))):
            (<vector*>&s[j])[field] = vselect(suits[j], (<vector*>&t[j])[field], (<vector*>&s[j])[field])


# What logsumexp and softmax take as their row and tile; `minded`: TIES, and CLOSE for softmax

cdef void add_rows(State* s, const Parameters* p, const Block* a, bint first, double* extremes,
                   int minded) noexcept nogil:
    if not a.single:
        double_row(s, p, a, first, extremes, minded)
    elif a.singles == NULL:
        single_row(s, p, a, first, extremes, minded, PACKED)
    else:
        single_row(s, p, a, first, extremes, minded, 0)


cdef void add_columns(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                      int minded) noexcept nogil:
    if a.single:
        single_tile(s, p, a, vectors, first, minded)
    else:
        double_tile(s, p, a, vectors, first, minded)
