"""log(sum(exp(alpha * x))) / alpha as algebra on states.

A state stands for the elements x seen so far, with scale = alpha * log2(e) > 0:

    maximum         the largest x; -inf where there was none
    ties            the weight of the elements equal to the maximum (their number, without weights)
    offset, exponent   the reference: terms are 2**((x - offset) * scale - exponent)
    rest            the sum of weight * term of all other elements, times FACTOR * 2**BIAS

so that sum(weight * exp(alpha * x)) = exp(alpha * maximum) * (ties + rest / term(maximum)).

(a) The maximum stays out of the sum: [0, -40] gives 4e-18, and [x] gives x.
(b) The exponent is an integer, so moving the reference multiplies by a power of two, exactly.
(c) Where abs(x * scale) >= 2**46 a double cannot hold x * scale to 1/16.  There the offset is the maximum and
    the exponent 0.  Moving the offset rounds, harmlessly: next to such x, terms change by that when x is rounded.
(d) ties and rest are sums of two doubles (Knuth's two_sum), so that 10**7 terms do not drift.
"""

cdef extern from *:
    """
    #define LARGEST_PRODUCT 70368744177664.0   /* 2**46 */
    #define LARGEST_SCALE 8.98846567431158e307   /* 2**1023 */
    #define SMALLEST_ALPHA 1.0261342003245941e-289   /* 2**-960: EXPONENT_MIN / scale must not overflow */
    #define FEW_START 1.0284403483257538e+62   /* 2**206: more than LANES terms together */
    #define LOST 2.409919865102884e-181   /* 2**-600, of terms that vanish below 2**-1023 */
    #define LOG2_E 1.4426950408889634
    #define LOG2_E_ERROR 2.0355273740931033e-17
    """
    double LARGEST_PRODUCT, LARGEST_SCALE, SMALLEST_ALPHA, FEW_START, LOST, LOG2_E, LOG2_E_ERROR

cdef struct LogSumExp:
    vector maximum, offset, exponent, ties, ties_error, rest, rest_error

cdef struct Parameters:
    # abs(alpha) * log2(e), and what rounding it left; where alpha is 1 that is little, and left out for speed
    vector scale, scale_error
    vector unscale           # 1 / scale
    vector alpha             # abs(alpha)
    vector sign              # of alpha
    vector most              # log(number of elements) / abs(alpha), which the result lies above the maximum at most
    bint weighted            # weights are given
    bint scaled              # some alpha is not 1: scale_error and sign count, and logarithms are divided

cdef struct Reference:
    # What turns elements into terms.
    vector maximum, offset, scale, scale_error, shift, low

cdef enum:
    # What a loop over elements must mind; constants where it is called, so that each loop is compiled without the rest.
    # The same bits come out if more is minded than need be, only later.
    TIES = 1            # an element may be the maximum
    SHIFTED = 2         # the offset may differ from 0
    SCALED = 4          # the scale may have an error
    WEIGHTED = 8        # weights are given
    AHEAD = 16          # the next block is to be scanned


cdef inline vector absolute(vector x) noexcept nogil:
    return vmax(x, vsub(vset(0.0), x))


cdef inline LogSumExp empty_state() noexcept nogil:
    cdef LogSumExp s
    cdef vector zero = vset(0.0)
    s.maximum = vset(-INFINITY)
    s.offset = s.exponent = s.ties = s.ties_error = s.rest = s.rest_error = zero
    return s


cdef inline LogSumExp state_at(vector maximum, const Parameters* p) noexcept nogil:
    """The empty state with the reference that suits this maximum."""
    cdef LogSumExp s = empty_state()
    cdef vector t = vmul(maximum, p.scale)
    cdef vmask near = vless(absolute(t), vset(LARGEST_PRODUCT))
    s.maximum = maximum
    s.exponent = vsub(vadd(t, vset(ROUND_INTEGER)), vset(ROUND_INTEGER))
    if not vall(near):
        s.exponent = vselect(near, s.exponent, vset(0.0))
        # The offset stays finite, as terms below +inf must not become NaN; below -inf there are none.
        maximum = vselect(vless(maximum, vset(DOUBLE_MAX)), maximum, vset(DOUBLE_MAX))
        s.offset = vselect(near, s.offset, vselect(vequal(maximum, vset(-INFINITY)), s.offset, maximum))
    return s


cdef void raise_to(LogSumExp* s, vector maximum, const Parameters* p) noexcept nogil:
    """Gives a state the larger of the two maxima; the old one, with its ties, joins the rest."""
    cdef vmask up = vless(s.maximum, maximum)
    cdef LogSumExp t
    cdef vector factor, zero = vset(0.0)
    t = state_at(vselect(up, maximum, s.maximum), p)
    t.exponent = vselect(up, t.exponent, s.exponent)
    t.offset = vselect(up, t.offset, s.offset)
    factor = rescaling(s[0], t, p)
    t.ties = vselect(up, zero, s.ties)
    t.ties_error = vselect(up, zero, s.ties_error)
    t.rest = vmul(s.rest, factor)
    t.rest_error = vmul(s.rest_error, factor)
    add_ties(&t, s.maximum, vselect(up, s.ties, zero), vselect(up, s.ties_error, zero), p)
    s[0] = t


cdef inline void add_ties(LogSumExp* s, vector x, vector ties, vector ties_error, const Parameters* p) noexcept nogil:
    """Adds to the rest the terms of elements equal to x; nothing where there are none."""
    cdef Reference r = reference_of(s[0], p)
    cdef vector f, q, zero = vset(0.0)
    cdef vector power = exp2_terms(vsub(x, r.offset), r.scale, r.scale_error, r.shift, r.low, True, &f, &q)
    cdef vmask none = vequal(ties, zero)
    power = vselect(none, zero, power)
    q = vselect(none, zero, vmul(vmul(vset(HIGHEST), vmul(power, f)), q))
    add_to(&s.rest, &s.rest_error, vmul(power, ties))
    add_to(&s.rest, &s.rest_error, vmul(q, ties))
    s.rest_error = vfma(power, ties_error, s.rest_error)


cdef inline vector rescaling(LogSumExp s, LogSumExp t, const Parameters* p) noexcept nogil:
    """2 to the distance from t's reference down to s's; 1 if s lies higher, as then s is empty."""
    cdef vector zero = vset(0.0), down
    down = vfma(vsub(s.offset, t.offset), p.scale, vsub(s.exponent, t.exponent))
    return exp2_down(vselect(vless(down, zero), down, zero))


cdef inline Reference reference_of(LogSumExp s, const Parameters* p) noexcept nogil:
    cdef Reference r
    r.maximum = s.maximum
    r.offset = s.offset
    r.scale = p.scale
    r.scale_error = p.scale_error
    r.shift = vsub(vset(ROUND_16TH + BIAS), s.exponent)
    r.low = vmax(vmul(vadd(s.exponent, vset(EXPONENT_MIN)), p.unscale), vset(-DOUBLE_MAX))
    return r


cdef inline void add_to(vector* total, vector* total_error, vector x) noexcept nogil:
    cdef vector error
    total[0] = two_sum(total[0], x, &error)
    total_error[0] = vadd(total_error[0], error)


cdef inline void add_term(vector x, const double* weight, const Reference* r, vector* powers, vector* smalls,
                          vector* ties, int minded) noexcept nogil:
    """Adds one element to `powers` and `smalls` or, if it is the maximum, to `ties`."""
    cdef vector power, f, q, product, product_error = vset(0.0), w = vset(1.0)
    cdef vmask tie
    power = exp2_terms(vsub(x, r.offset) if minded & SHIFTED else x, r.scale, r.scale_error, r.shift, r.low,
                       minded & SCALED, &f, &q)
    if minded & WEIGHTED:               # which must not enlarge what counts for nothing
        w = vload(weight)
        power = vselect(vless(vsub(x, r.offset), r.low), vset(0.0), power)
        product = vmul(power, w)
        product_error = vfma1(power, w, vsub(vset(0.0), product))
        power = product
    if minded & TIES:
        tie = vequal(x, r.maximum)
        if minded & WEIGHTED:
            smalls[0] = vfma_unless(tie, product_error, vset(1 / HIGHEST), smalls[0])
        ties[0] = vadd_where(tie, ties[0], w)
        powers[0] = vadd_unless(tie, powers[0], power)
        smalls[0] = vfma_unless(tie, vmul(power, f), q, smalls[0])
    else:
        powers[0] = vadd(powers[0], power)
        smalls[0] = vfma(vmul(power, f), q, smalls[0])


cdef inline void scan_row(vector* top, const double* x, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(VECTORS):
            top[j] = vmax(vload(x + LANES*i + WIDTH*j), top[j])


cdef void add_few(LogSumExp* s, const vector* powers, const vector* smalls, const vector* ties, Py_ssize_t count,
                  int minded) noexcept nogil:
    """Adds lanes one by one, as add_few_rows does for outputs side by side."""
    cdef double power[LANES]
    cdef double small[LANES]
    cdef double tie[LANES]
    cdef vector start = vset(0.0 if minded & WEIGHTED else FEW_START), total = start
    cdef vector total_small = vset(0.0), error = vset(0.0), total_ties = vset(0.0)
    cdef Py_ssize_t j
    for j in range(VECTORS):
        vstore(power + WIDTH*j, powers[j])
        vstore(small + WIDTH*j, smalls[j])
        vstore(tie + WIDTH*j, ties[j])
    for j in range(count):
        add_in_order(&total, &error, vset(power[j]), not minded & WEIGHTED)
        total_small = vadd(total_small, vset(small[j]))
        total_ties = vadd(total_ties, vset(tie[j]))
    add_to(&s.rest, &s.rest_error, vsub(total, start))
    add_to(&s.rest, &s.rest_error, vfma(vset(HIGHEST), total_small, error))
    add_to(&s.ties, &s.ties_error, total_ties)


cdef inline void add_few_rows(LogSumExp* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                              int minded) noexcept nogil:
    """Adds a block of outputs side by side, of at most LANES rows."""
    cdef vector start = vset(0.0 if minded & WEIGHTED else FEW_START), zero = vset(0.0)
    cdef vector power, small, total, total_small, error, ties
    cdef Reference r
    cdef Py_ssize_t i, j, k
    for j in range(vectors):
        r = reference_of(s[j], &p[j])
        total = start
        total_small = error = ties = zero
        for i in range(a.rows):
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            power = small = zero
            add_term(vload(a.x + k), a.weights + k, &r, &power, &small, &ties, minded)
            add_in_order(&total, &error, power, not minded & WEIGHTED)
            total_small = vadd(total_small, small)
        total = vsub(total, start)
        error = vfma(vset(HIGHEST), total_small, error)
        if first:
            s[j].rest = two_sum(total, error, &s[j].rest_error)
            s[j].ties = ties
        else:
            add_to(&s[j].rest, &s[j].rest_error, total)
            add_to(&s[j].rest, &s[j].rest_error, error)
            add_to(&s[j].ties, &s[j].ties_error, ties)


cdef inline void add_row(LogSumExp* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                         const double* tail, vector* top, int minded) noexcept nogil:
    """Adds a block, `rows` rows from `start` on and the tail.

    AHEAD: as much of the next block is scanned into `top`. What is read from memory then comes evenly, in the shade
    of the arithmetic.
    """
    cdef vector powers[VECTORS]
    cdef vector smalls[VECTORS]
    cdef vector ties[VECTORS]
    cdef Reference r = reference_of(s[0], p)
    cdef const double* x = a.x + LANES*start
    cdef const double* w = a.weights + LANES*start
    cdef Py_ssize_t i, j, k
    for j in range(VECTORS):
        powers[j] = smalls[j] = ties[j] = vset(0.0)
    for i in range(rows):
        for j in range(VECTORS):
            k = LANES*i + WIDTH*j
            if minded & AHEAD:
                top[j] = vmax(vload(x + BLOCK + k), top[j])
            add_term(vload(x + k), w + k, &r, &powers[j], &smalls[j], &ties[j], minded)
    if tail != NULL:
        for j in range(VECTORS):
            add_term(vload(tail + WIDTH*j), NULL, &r, &powers[j], &smalls[j], &ties[j], minded & ~WEIGHTED)
    if not minded & AHEAD and rows + (tail != NULL) <= 1:
        add_few(s, powers, smalls, ties, LANES if rows else a.tail_length, minded)
        return
    add_to(&s.rest, &s.rest_error, vset(fold_add(powers)))
    add_to(&s.rest, &s.rest_error, vmul(vset(HIGHEST), vset(fold_add(smalls))))
    if minded & TIES:
        add_to(&s.ties, &s.ties_error, vset(fold_add(ties)))


cdef void add_any_row(LogSumExp* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                      const double* tail, vector* top, bint ahead) noexcept nogil:
    """As add_row, for what is less common: weights, references with an offset, alpha other than 1.

    Only the last of these scans ahead: what has weights is packed, a block a call, and has nothing ahead.
    """
    if a.weights != NULL:
        add_row(s, p, a, start, rows, tail, top, TIES | SHIFTED | SCALED | WEIGHTED)
    elif vfirst(s.offset) != 0:
        add_row(s, p, a, start, rows, tail, top, TIES | SHIFTED | SCALED)
    elif ahead:
        add_row(s, p, a, start, BLOCK_ROWS, NULL, top, TIES | SCALED | AHEAD)
    else:
        add_row(s, p, a, start, rows, tail, top, TIES | SCALED)


cdef void logsumexp_row(void* state, const void* parameters, const Block* a, bint first,
                        double* largest) noexcept nogil:
    """Adds blocks of one output, its lanes along the axis; every element of the vectors in the state is equal."""
    cdef LogSumExp* s = <LogSumExp*>state
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector top[VECTORS]
    cdef const double* tail = NULL
    cdef double maximum = largest[0]
    cdef Py_ssize_t start = 0, rows, left, j
    cdef bint last = False, ahead
    for j in range(VECTORS):
        top[j] = vset(maximum) if a.scanned else vset(-INFINITY)
    if not a.scanned:
        scan_row(top, a.x, min(BLOCK_ROWS, a.rows))
    while not last:
        left = a.rows - start
        rows = min(BLOCK_ROWS, left)
        last = left < BLOCK_ROWS or (left == BLOCK_ROWS and a.tail == NULL)
        if last and a.tail != NULL:
            tail = a.tail
            scan_row(top, tail, 1)
        maximum = fold_max(top)
        for j in range(VECTORS):
            top[j] = vset(-INFINITY)
        if first:
            s[0] = state_at(vset(maximum), p)
            first = False
        elif maximum > vfirst(s.maximum):
            raise_to(s, vset(maximum), p)
        ahead = left >= 2*BLOCK_ROWS
        if a.weights != NULL or p.scaled or vfirst(s.offset) != 0:
            if ahead and vfirst(s.offset) != 0:     # as add_any_row does not
                scan_row(top, a.x + LANES*start + BLOCK, BLOCK_ROWS)
            add_any_row(s, p, a, start, rows, tail, top, ahead)
        elif maximum == vfirst(s.maximum):
            if ahead:
                add_row(s, p, a, start, BLOCK_ROWS, NULL, top, TIES | AHEAD)
            else:
                add_row(s, p, a, start, rows, tail, top, TIES)
        elif ahead:
            add_row(s, p, a, start, BLOCK_ROWS, NULL, top, AHEAD)
        else:
            add_row(s, p, a, start, rows, tail, top, 0)
        start += rows
        if BLOCK_ROWS <= left < 2*BLOCK_ROWS:
            scan_row(top, a.x + LANES*start, left - BLOCK_ROWS)
    if a.ahead != NULL:
        scan_row(top, a.ahead, BLOCK_ROWS)
        largest[0] = fold_max(top)


cdef inline void add_tile(LogSumExp* s, const Parameters* p, const Block* a, Py_ssize_t vectors,
                          int minded) noexcept nogil:
    cdef vector powers[LANES * VECTORS]
    cdef vector smalls[LANES * VECTORS]
    cdef vector ties[LANES * VECTORS]       # weighted; else counts, exact in any order, do without lanes
    cdef vector count[VECTORS]
    cdef Reference r[VECTORS]
    cdef Py_ssize_t i, j, k, lane
    if a.rows <= LANES:
        add_few_rows(s, p, a, vectors, False, minded)
        return
    for j in range(vectors):
        r[j] = reference_of(s[j], &p[j])
        powers[j] = smalls[j] = ties[j] = count[j] = vset(0.0)
    for i in range(LANES):
        for j in range(vectors):
            lane = i*vectors + j
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            powers[lane] = smalls[lane] = ties[lane] = vset(0.0)
            add_term(vload(a.x + k), a.weights + k, &r[j], &powers[lane], &smalls[lane],
                     &ties[lane] if minded & WEIGHTED else &count[j], minded)
    for i in range(LANES, a.rows):
        for j in range(vectors):
            lane = (i % LANES) * vectors + j
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            add_term(vload(a.x + k), a.weights + k, &r[j], &powers[lane], &smalls[lane],
                     &ties[lane] if minded & WEIGHTED else &count[j], minded)
    fold_lanes(powers, LANES, vectors)
    fold_lanes(smalls, LANES, vectors)
    if minded & WEIGHTED:
        fold_lanes(ties, LANES, vectors)
    for j in range(vectors):
        add_to(&s[j].rest, &s[j].rest_error, powers[j])
        add_to(&s[j].rest, &s[j].rest_error, vmul(vset(HIGHEST), smalls[j]))
        add_to(&s[j].ties, &s[j].ties_error, ties[j] if minded & WEIGHTED else count[j])


cdef void logsumexp_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                         bint first) noexcept nogil:
    """Adds a block of up to LANES outputs side by side, each with its own state."""
    cdef LogSumExp* s = <LogSumExp*>states
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector maximum
    cdef bint shifted = False, scaled = False
    cdef Py_ssize_t i, j
    for j in range(vectors):
        maximum = vset(-INFINITY)
        for i in range(a.rows):
            maximum = vmax(vload(a.x + a.stride*i + WIDTH*j), maximum)
        if first:
            s[j] = state_at(maximum, &p[j])
        elif vany(vless(s[j].maximum, maximum)):
            raise_to(&s[j], maximum, &p[j])
        shifted = shifted or vany(vless(vset(0.0), absolute(s[j].offset)))
        scaled = scaled or p[j].scaled
    if a.weights != NULL:
        add_tile(s, p, a, vectors, TIES | SHIFTED | SCALED | WEIGHTED)
    elif shifted:
        add_tile(s, p, a, vectors, TIES | SHIFTED | SCALED)
    elif scaled:
        add_tile(s, p, a, vectors, TIES | SCALED)
    elif vectors == VECTORS:
        add_tile(s, p, a, VECTORS, TIES)
    else:
        add_tile(s, p, a, vectors, TIES)


cdef void logsumexp_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    cdef LogSumExp* s = <LogSumExp*>into
    cdef const LogSumExp* t = <const LogSumExp*>other
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector factor, zero = vset(0.0)
    cdef vmask tie
    raise_to(s, t.maximum, p)
    factor = rescaling(t[0], s[0], p)
    tie = vequal(s.maximum, t.maximum)
    add_to(&s.rest, &s.rest_error, vmul(t.rest, factor))
    s.rest_error = vfma(t.rest_error, factor, s.rest_error)
    add_ties(s, t.maximum, vselect(tie, zero, t.ties), vselect(tie, zero, t.ties_error), p)
    add_to(&s.ties, &s.ties_error, vselect(tie, t.ties, zero))
    s.ties_error = vadd(s.ties_error, vselect(tie, t.ties_error, zero))


cdef inline vector sum_of(const LogSumExp* s, const Parameters* p, vector* error) noexcept nogil:
    """ties + rest / term(maximum), the sum of exp(alpha * (x - maximum)), as the sum of two doubles."""
    cdef vector zero = vset(0.0), inverse, inverse_error, ratio, ratio_error, total
    # 1 / term(maximum) = 2**(exponent - (maximum - offset) * scale - BIAS) / FACTOR
    inverse = exp2_inverse(vsub(s.offset, s.maximum), p.scale, p.scale_error,
                           vadd(s.exponent, vset(ROUND_16TH - BIAS)), &inverse_error)
    ratio = vmul(s.rest, inverse)
    ratio_error = vfma1(s.rest, inverse, vsub(zero, ratio))
    ratio_error = vadd(vfma(s.rest, inverse_error, ratio_error), vmul(s.rest_error, inverse))
    total = two_sum(s.ties, ratio, error)
    error[0] = vadd(error[0], vadd(ratio_error, s.ties_error))
    return total


cdef inline vector divided(vector log, const Parameters* p, vector* error) noexcept nogil:
    """(log + error) / alpha, as the sum of two doubles; 0 where alpha is infinite, which leaves the maximum."""
    cdef vector zero = vset(0.0), infinity = vset(INFINITY), ratio = vdiv(log, p.alpha), ratio_error
    ratio_error = vdiv(vadd(vfma1(vsub(zero, ratio), p.alpha, log), error[0]), p.alpha)
    ratio_error = vselect(vless(absolute(ratio), infinity), ratio_error, zero)
    error[0] = vselect(vless(p.alpha, infinity), ratio_error, zero)
    return ratio


cdef inline vector sign_of(vector x) noexcept nogil:
    """1, -1, or x where it is 0 or NaN."""
    return vselect(vless(vset(0.0), x), vset(1.0), vselect(vless(x, vset(0.0)), vset(-1.0), x))


cdef inline vector result_of(const LogSumExp* s, const Parameters* p, vector log, vector log_error) noexcept nogil:
    """maximum + log, at most maximum + log(n) / alpha, and what infinite maxima and NaN make of it."""
    cdef vector zero = vset(0.0), error, value = two_sum(s.maximum, log, &error), most = vadd(s.maximum, p.most)
    cdef vmask number, finite
    value = vadd(value, vadd(error, log_error))
    value = vselect(vless(most, value), most, value)
    number = vequal(value, value)
    if not vall(number):                # NaN, or an infinity on the way
        finite = vless(absolute(s.maximum), vset(INFINITY))
        value = vselect(number, value, vadd(s.maximum, log))
        value = vselect(finite, value, vfma(s.rest, zero, s.maximum))
        value = vselect(vequal(s.maximum, vset(INFINITY)), vselect(vequal(s.ties, zero), vset(NAN), value), value)
        value = vselect(vequal(value, value), value, vset(NAN))
    return value


cdef inline void finish(const LogSumExp* s, const Parameters* p, Py_ssize_t vectors, double* values, double* signs,
                        double* lost, bint weighted, bint divides) noexcept nogil:
    """maximum + log(sum) / alpha, rounded but once: each step hands on its error.

    Step by step for all vectors, since one vector's steps wait for each other. Not `weighted`: ties are at least 1,
    or the maximum is -inf. Not `divides`: every alpha is 1.
    """
    cdef vector total[VECTORS]
    cdef vector error[VECTORS]
    cdef vector sign[VECTORS]
    cdef vector value
    cdef vmask finite
    cdef Py_ssize_t j
    for j in range(vectors):
        total[j] = sum_of(&s[j], &p[j], &error[j])
    for j in range(vectors):
        sign[j] = vset(1.0)
        if weighted:
            finite = vless(absolute(s[j].maximum), vset(INFINITY))
            total[j] = vselect(finite, fast_two_sum(total[j], error[j], &error[j]), s[j].ties)
            sign[j] = sign_of(total[j])
            total[j] = absolute(total[j])
            error[j] = vmul(error[j], sign[j])
    for j in range(vectors):
        total[j] = log_double(total[j], error[j], weighted, &error[j])
    for j in range(vectors):
        if divides:
            total[j] = divided(total[j], &p[j], &error[j])
        value = result_of(&s[j], &p[j], total[j], error[j])
        vstore(values + WIDTH*j, vadd(vmul(value, p[j].sign), vset(0.0)) if divides else value)     # no -0.0
        sign[j] = vselect(vequal(s[j].maximum, vset(-INFINITY)), vset(0.0), sign[j])
        vstore(signs + WIDTH*j, vselect(vequal(value, value), sign[j], value))
        value = vset(NAN)
        if weighted:
            finite = vless(absolute(s[j].maximum), vset(INFINITY))
            value = vselect(vless(absolute(s[j].rest), vset(LOST)), s[j].maximum, value)
            value = vselect(vequal(s[j].ties, vset(0.0)), value, vset(NAN))
            value = vselect(vless(absolute(s[j].rest), vset(INFINITY)), value, vset(INFINITY))
            value = vselect(vless(absolute(s[j].ties), vset(INFINITY)), value, vset(INFINITY))
            value = vselect(finite, value, vset(NAN))
        vstore(lost + WIDTH*j, value)


cdef inline bint any_scaled(const Parameters* p, Py_ssize_t vectors) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(vectors):
        if p[j].scaled:
            return True
    return False


cdef void logsumexp_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values,
                           double* signs, double* lost) noexcept nogil:
    """The results of states, their signs, and `lost`: the maximum, where its weights cancel and the rest vanished
    beneath it; +inf, where weights made a sum overflow, or there are NaN; else NaN.
    """
    cdef const LogSumExp* s = <const LogSumExp*>states
    cdef const Parameters* p = <const Parameters*>parameters
    if p.weighted:
        finish(s, p, vectors, values, signs, lost, True, True)
    elif any_scaled(p, vectors):
        finish(s, p, vectors, values, signs, lost, False, True)
    else:
        finish(s, p, vectors, values, signs, lost, False, False)


cdef bint logsumexp_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    """The results of outputs side by side, of at most LANES elements each and no weights.

    As tile and finish, but nothing goes through memory. Does nothing and returns false where an element is so
    large that the reference needs an offset.
    """
    cdef const Parameters* p = <const Parameters*>parameters
    cdef LogSumExp s[VECTORS]
    cdef double unused[LANES]
    cdef vector maximum
    cdef Py_ssize_t i, j
    for j in range(vectors):
        maximum = vset(-INFINITY)
        for i in range(a.rows):
            maximum = vmax(vload(a.x + a.stride*i + WIDTH*j), maximum)
        s[j] = state_at(maximum, &p[j])
        if vany(vless(vset(0.0), absolute(s[j].offset))):
            return False
    if any_scaled(p, vectors):
        add_few_rows(s, p, a, vectors, True, TIES | SCALED)
        finish(s, p, vectors, values, unused, unused, False, True)
    else:
        add_few_rows(s, p, a, vectors, True, TIES)
        finish(s, p, vectors, values, unused, unused, False, False)
    return True


cdef void logsumexp_parameters(void* parameters, const double* alpha, double limit) noexcept nogil:
    cdef Parameters* p = <Parameters*>parameters
    cdef vector a = vload(alpha), zero = vset(0.0), one = vset(1.0), log2e = vset(LOG2_E), product, original, error
    cdef vmask infinite
    cdef Py_ssize_t j
    p.alpha = absolute(a)
    p.sign = vselect(vless(a, zero), vset(-1.0), vselect(vequal(a, a), one, a))
    p.most = vselect(vless(p.alpha, vset(INFINITY)), vdiv(vset(log(limit)), p.alpha), zero)
    product = original = vmul(p.alpha, log2e)
    error = vadd(vfma1(p.alpha, log2e, vsub(zero, product)), vmul(p.alpha, vset(LOG2_E_ERROR)))
    product = vselect(vless(product, vset(LARGEST_SCALE)), vadd(product, error), vset(LARGEST_SCALE))
    # Any scale serves where alpha is infinite, since the logarithm is divided by it; a NaN must stay.
    infinite = vequal(p.alpha, vset(INFINITY))
    p.scale = vselect(infinite, one, vselect(vequal(a, a), product, a))
    p.scale_error = vselect(vless(p.scale, vset(LARGEST_SCALE)), vadd(vsub(original, p.scale), error), zero)
    p.scale_error = vselect(infinite, zero, vselect(vequal(p.alpha, one), zero, p.scale_error))
    p.unscale = vdiv(one, p.scale)
    p.weighted = limit == INFINITY
    p.scaled = False
    for j in range(WIDTH):
        p.scaled = p.scaled or alpha[j] != 1


cdef Reduction LOGSUMEXP = Reduction(
    logsumexp_row, logsumexp_tile, logsumexp_short, logsumexp_merge, logsumexp_finish, logsumexp_parameters,
    sizeof(LogSumExp), sizeof(Parameters), -INFINITY, SMALLEST_ALPHA)
