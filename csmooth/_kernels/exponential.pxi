"""Sums of exponentials as algebra on states: what logsumexp and boltzmann have in common.

A state stands for the elements x seen so far, with scale = alpha * log2(e) >= 0:

    maximum            the largest x; -inf where there was none
    offset, exponent   the reference: terms are 2**((x - offset) * scale - exponent)
    sum                of weight * term, as the sum of two doubles (Knuth's two_sum), so that 10**7 terms do not drift
    side               for logsumexp the ties: the weight of the elements equal to the maximum (their number, without
                       weights), which stay out of the sum; for boltzmann the moment: the sum of weight * term * x
    mean, weight       for logmeanexp, besides, the sums of weight * (exp(alpha * x) - 1), and of the weights

(a) The largest term out of the sum: [0, -40] gives 4e-18, and [x] gives x. Then terms carry FACTOR * 2**BIAS, as what
    lies far below the maximum still counts.
(b) The exponent is an integer, so moving the reference multiplies by a power of two, exactly.
(c) Where abs(x * scale) >= 2**46 a double cannot hold x * scale to 1/16.  There the offset is the maximum and
    the exponent 0.  Moving the offset rounds, harmlessly: next to such x, terms change by that when x is rounded.
(d) A block's moment is taken about its centre, the element nearest to 0: so it loses no digits where elements are
    alike, and differences from it are exact. In the state it is about 0; the second double sees to that.
    That of at most LANES elements is taken about 0 at once, as the sum of two doubles.
"""

cdef extern from *:
    """
    #define LARGEST_PRODUCT 70368744177664.0   /* 2**46 */
    #define LARGEST_SCALE 8.98846567431158e307   /* 2**1023 */
    #define LOWEST (-LARGEST_SCALE)   /* stands for -inf where differences and products are taken */
    #define FEW_START 64.0
    #define FEW_START_BIASED 1.0284403483257538e62   /* 2**206 */
    #define SMALLEST_ALPHA 1.0261342003245941e-289   /* 2**-960: EXPONENT_MIN / scale must not overflow */
    #define LOG2_E 1.4426950408889634
    #define LOG2_E_ERROR 2.0355273740931033e-17
    """
    double LARGEST_PRODUCT, LARGEST_SCALE, LOWEST, FEW_START, FEW_START_BIASED, SMALLEST_ALPHA, LOG2_E, LOG2_E_ERROR

cdef struct State:
    vector maximum, offset, exponent, sum, sum_error, side, side_error

cdef struct MeanState:
    State state
    vector mean, mean_error, weight, weight_error

cdef struct Parameters:
    # abs(alpha) * log2(e), and what rounding it left; where alpha is 1 that is little, and left out for speed
    vector scale, scale_error
    vector unscale           # 1 / scale
    vector alpha             # abs(alpha)
    vector sign              # of alpha
    vector count             # of elements; infinite with weights
    vector most              # log(count) / abs(alpha), which the result lies above the maximum at most
    bint weighted            # weights are given
    bint scaled              # some alpha is not 1: scale_error and sign count, and logarithms are divided

cdef struct Reference:
    # What turns elements into terms.
    vector maximum, offset, scale, scale_error, shift, low
    vector gone              # with weights, what lies below counts for nothing: low, or -inf where the scale is 0
    vector centre            # of moments
    vector least             # where exp(alpha * x) is 0

cdef struct Few:
    # The sums of at most LANES elements, one by one.
    vector sum, sum_error, small, side, side_error, mean, mean_error, weight, weight_error

cdef enum:
    # What a loop over elements must mind; constants where it is called, so that each loop is compiled without the rest.
    # The same bits come out if more is minded than need be, only later.
    TIES = 1            # an element may be the maximum
    SHIFTED = 2         # the offset may differ from 0
    SCALED = 4          # the scale may have an error, or be 0
    WEIGHTED = 8        # weights are given
    AHEAD = 16          # the next block is to be scanned
    MOMENTS = 32        # the sums are boltzmann's
    MEANS = 64          # the sums are logmeanexp's
    PADDED = 128        # the weights are 0 for what pads a row, else 1
    SHARP = 256         # a softmax may count the maxima alone
    FEW = 512           # the block has at most LANES elements, so that errors do not average out: moments are exact


cdef inline vector absolute(vector x) noexcept nogil:
    return vmax(x, vsub(vset(0.0), x))


cdef inline State empty_state() noexcept nogil:
    cdef State s
    s.maximum = vset(-INFINITY)
    s.offset = s.exponent = s.sum = s.sum_error = s.side = s.side_error = vset(0.0)
    return s


cdef inline State state_at(vector maximum, const Parameters* p) noexcept nogil:
    """The empty state with the reference that suits this maximum."""
    cdef State s = empty_state()
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


cdef inline vector rescaling(const State* s, const State* t, const Parameters* p) noexcept nogil:
    """2 to the distance from t's reference down to s's; 1 if s lies higher, as then s is empty."""
    cdef vector zero = vset(0.0), down
    down = vfma(vsub(s.offset, t.offset), p.scale, vsub(s.exponent, t.exponent))
    return exp2_down(vselect(vless(down, zero), down, zero))


cdef inline Reference reference_of(const State* s, const Parameters* p, int minded) noexcept nogil:
    cdef int bias = 0 if minded & MOMENTS else BIAS
    cdef int least = -1023 if minded & MOMENTS else EXPONENT_MIN    # where terms are 0, or less than any double
    cdef Reference r
    r.maximum = s.maximum
    r.offset = s.offset
    r.scale = p.scale
    r.scale_error = p.scale_error
    r.shift = vsub(vset(ROUND_16TH + bias), s.exponent)
    r.low = vset(-DOUBLE_MAX)
    if minded & MOMENTS:                # unless all lie below
        r.low = vselect(vless(s.maximum, vset(LOWEST)), r.low, vset(LOWEST))
    r.low = vmax(vmul(vadd(s.exponent, vset(least)), p.unscale), r.low)
    r.least = vmax(vmul(vset(-1023.0), p.unscale), vset(LOWEST))
    r.gone = vselect(vequal(p.scale, vset(0.0)), vset(-INFINITY), r.low)
    return r


cdef inline void add_to(vector* total, vector* total_error, vector x) noexcept nogil:
    cdef vector error
    total[0] = two_sum(total[0], x, &error)
    total_error[0] = vadd(total_error[0], error)


cdef void raise_to(State* s, vector maximum, const Parameters* p, bint moments) noexcept nogil:
    """Gives a state the larger of the two maxima; the old one, with its ties, joins the sum."""
    cdef vmask up = vless(s.maximum, maximum)
    cdef vector factor, zero = vset(0.0)
    cdef State t = state_at(vselect(up, maximum, s.maximum), p)
    t.exponent = vselect(up, t.exponent, s.exponent)
    t.offset = vselect(up, t.offset, s.offset)
    factor = rescaling(s, &t, p)
    t.sum = vmul(s.sum, factor)
    t.sum_error = vmul(s.sum_error, factor)
    if moments:
        t.side = vmul(s.side, factor)
        t.side_error = vmul(s.side_error, factor)
    else:
        t.side = vselect(up, zero, s.side)
        t.side_error = vselect(up, zero, s.side_error)
        add_ties(&t, s.maximum, vselect(up, s.side, zero), vselect(up, s.side_error, zero), p)
    s[0] = t


cdef inline void add_ties(State* s, vector x, vector ties, vector ties_error, const Parameters* p) noexcept nogil:
    """Adds to the sum the terms of elements equal to x; nothing where there are none."""
    cdef Reference r = reference_of(s, p, 0)
    cdef vector f, q, zero = vset(0.0)
    cdef vector power = exp2_terms(vmax(r.low, vsub(x, r.offset)), r.scale, r.scale_error, r.shift, True, &f, &q)
    cdef vmask none = vequal(ties, zero)
    power = vselect(none, zero, power)
    q = vselect(none, zero, vmul(vmul(vset(HIGHEST), vmul(power, f)), q))
    add_to(&s.sum, &s.sum_error, vmul(power, ties))
    add_to(&s.sum, &s.sum_error, vmul(q, ties))
    s.sum_error = vfma(power, ties_error, s.sum_error)


cdef inline State* state(State* s, Py_ssize_t j, int minded) noexcept nogil:
    """State j of several."""
    return <State*>(<char*>s + j*<Py_ssize_t>sizeof(MeanState)) if minded & MEANS else s + j


cdef inline void start(State* s, vector maximum, const Parameters* p, int minded) noexcept nogil:
    cdef MeanState* m = <MeanState*>s
    s[0] = state_at(maximum, p)
    if minded & MEANS:
        m.mean = m.mean_error = m.weight = m.weight_error = vset(0.0)


cdef inline void merge(State* s, const State* t, const Parameters* p, bint moments) noexcept nogil:
    cdef vector factor, zero = vset(0.0)
    cdef vmask tie
    raise_to(s, t.maximum, p, moments)
    factor = rescaling(t, s, p)
    tie = vequal(s.maximum, t.maximum)
    add_to(&s.sum, &s.sum_error, vmul(t.sum, factor))
    s.sum_error = vfma(t.sum_error, factor, s.sum_error)
    if moments:
        add_to(&s.side, &s.side_error, vmul(t.side, factor))
        s.side_error = vfma(t.side_error, factor, s.side_error)
    else:
        add_ties(s, t.maximum, vselect(tie, zero, t.side), vselect(tie, zero, t.side_error), p)
        add_to(&s.side, &s.side_error, vselect(tie, t.side, zero))
        s.side_error = vadd(s.side_error, vselect(tie, t.side_error, zero))


# Elements

cdef inline void add_term(vector x, const double* weight, const Reference* r, vector* sums, vector* smalls,
                          vector* sides, vector* means, vector* weights, int minded) noexcept nogil:
    """Adds one element to `sums` and `smalls` or, if it is the maximum, to `sides`; or to `sums` and moments."""
    cdef vector power, f, q, product, product_error = vset(0.0), w = vset(1.0)
    cdef vector distance = vsub(x, r.offset) if minded & SHIFTED else x
    cdef vector t = vmax(r.low, distance)
    cdef vmask tie
    if minded & MOMENTS:
        if minded & SHIFTED:            # the maximum may be infinite
            t = vselect(vequal(t, vset(INFINITY)), vset(0.0), t)
        power = exp2_reduced(t, r.scale, r.scale_error, r.shift, minded & SCALED, False)
        if minded & WEIGHTED:
            power = vmul(vselect(vless(distance, r.gone), vset(0.0), power), vload(weight))
        if minded & SHIFTED:
            t = vselect(vless(vset(-INFINITY), x), x, vset(LOWEST))
        if minded & SCALED:             # nothing vanishes where the scale is 0
            t = vselect(vequal(r.scale, vset(0.0)), x, t)
        if minded & WEIGHTED:
            t = vselect(vequal(power, vset(0.0)), vset(0.0), t)
        sums[0] = vadd(sums[0], power)
        if minded & FEW:                # sides and smalls were 0
            sides[0] = vmul(power, t)
            smalls[0] = vfma1(power, t, vsub(vset(0.0), sides[0]))
        else:
            sides[0] = vfma(power, vsub(t, r.centre), sides[0])
        return
    if minded & MEANS:
        f = exp2_differences(vmax(r.least, x), r.scale, r.scale_error)
        if minded & (WEIGHTED | PADDED):
            means[0] = vfma(vload(weight), f, means[0])
        else:
            means[0] = vadd(means[0], f)
        if minded & WEIGHTED:
            weights[0] = vadd(weights[0], vload(weight))
    power = exp2_terms(t, r.scale, r.scale_error, r.shift, minded & SCALED, &f, &q)
    if minded & WEIGHTED:               # which must not enlarge what counts for nothing
        w = vload(weight)
        power = vselect(vless(distance, r.gone), vset(0.0), power)
        product = vmul(power, w)
        product_error = vfma1(power, w, vsub(vset(0.0), product))
        power = product
    if minded & TIES:
        tie = vequal(x, r.maximum)
        if minded & WEIGHTED:
            smalls[0] = vfma_unless(tie, product_error, vset(1 / HIGHEST), smalls[0])
        sides[0] = vadd_where(tie, sides[0], w)
        sums[0] = vadd_unless(tie, sums[0], power)
        smalls[0] = vfma_unless(tie, vmul(power, f), q, smalls[0])
    else:
        sums[0] = vadd(sums[0], power)
        smalls[0] = vfma(vmul(power, f), q, smalls[0])


cdef inline void add_sums(State* s, vector total, vector total_error, vector side, vector side_error,
                          const Reference* r, bint first, int minded) noexcept nogil:
    """Adds the sums of a block. `first`: to the empty state."""
    cdef vector moment, moment_error
    if minded & MOMENTS:
        moment = vmul(r.centre, total)
        moment_error = vfma(r.centre, total_error, vfma1(r.centre, total, vsub(vset(0.0), moment)))
        add_to(&moment, &moment_error, side)
        side = moment
        side_error = vadd(side_error, moment_error)
    if first:
        s.sum = two_sum(total, total_error, &s.sum_error)
        s.side = side
        s.side_error = side_error
    else:
        add_to(&s.sum, &s.sum_error, total)
        add_to(&s.sum, &s.sum_error, total_error)
        add_to(&s.side, &s.side_error, side)
        s.side_error = vadd(s.side_error, side_error)


cdef inline vector centre_of(vector maximum, vector nearest) noexcept nogil:
    """The element nearest to 0, of which `nearest` is minus the absolute value; 0 if all are infinite.

    It is cut to 11 bits, so that differences are as small, nearly, and exact: multiples of an element's last bit, less
    than the element, of the same sign and less than 2**42 times the centre.
    """
    cdef vector centre = vselect(vless(maximum, vset(0.0)), nearest, vsub(vset(0.0), nearest))
    return vselect(vless(vset(-INFINITY), nearest), vshl(vshr(centre, 42), 42), vset(0.0))


cdef inline Few no_few(int minded) noexcept nogil:
    cdef Few few
    few.sum = few_start(minded)
    few.sum_error = few.small = few.side = few.side_error = vset(0.0)
    few.mean = few.mean_error = few.weight = few.weight_error = vset(0.0)
    return few


cdef inline vector few_start(int minded) noexcept nogil:
    """Where sums of few start: more than LANES terms together, unless there are weights."""
    return vset(0.0 if minded & WEIGHTED else FEW_START if minded & MOMENTS else FEW_START_BIASED)


cdef inline void add_one(Few* few, vector power, vector small, vector side, vector mean, vector weight,
                         int minded) noexcept nogil:
    add_in_order(&few.sum, &few.sum_error, power, not minded & WEIGHTED)
    if minded & MOMENTS:
        add_to(&few.side, &few.side_error, side)
        few.side_error = vadd(few.side_error, small)
    else:
        few.small = vadd(few.small, small)
    if minded & MEANS:
        add_to(&few.mean, &few.mean_error, mean)
        if minded & WEIGHTED:
            add_to(&few.weight, &few.weight_error, weight)


cdef inline void add_means(State* s, vector mean, vector mean_error, vector weight, vector weight_error,
                           int minded) noexcept nogil:
    """Adds the sums of a block that only logmeanexp has."""
    cdef MeanState* m = <MeanState*>s
    if minded & MEANS:
        add_to(&m.mean, &m.mean_error, mean)
        m.mean_error = vadd(m.mean_error, mean_error)
        if minded & WEIGHTED:
            add_to(&m.weight, &m.weight_error, weight)
            m.weight_error = vadd(m.weight_error, weight_error)


cdef inline void add_few(State* s, const Few* few, const Reference* r, bint first, int minded) noexcept nogil:
    cdef vector total = vsub(few.sum, few_start(minded))
    add_sums(s, total, vfma(vset(HIGHEST), few.small, few.sum_error), few.side, few.side_error, r, first, minded)
    add_means(s, few.mean, few.mean_error, few.weight, few.weight_error, minded)


# Rows: blocks of one output, its lanes along the axis; every element of the vectors in the state is equal

cdef inline void scan_row(vector* top, const double* x, Py_ssize_t rows, int minded) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(VECTORS):
            top[j] = vmax(vload(x + LANES*i + WIDTH*j), top[j])
            if minded & MOMENTS:
                top[VECTORS + j] = vmax(vior(vload(x + LANES*i + WIDTH*j), vset(-0.0)), top[VECTORS + j])


cdef inline void add_row(State* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                         const double* tail, vector centre, vector* top, int minded) noexcept nogil:
    """Adds a block, `rows` rows from `start` on and the tail.

    AHEAD: as much of the next block is scanned into `top`. What is read from memory then comes evenly, in the shade
    of the arithmetic.
    """
    cdef vector sums[VECTORS]
    cdef vector smalls[VECTORS]
    cdef vector sides[VECTORS]
    cdef vector means[VECTORS]
    cdef vector weights[VECTORS]
    cdef double ones[LANES]
    cdef Reference r = reference_of(s, p, minded)
    cdef const double* x = a.x + LANES*start
    cdef const double* w = a.weights + LANES*start
    cdef double total, total_error, moment, moment_error
    cdef Py_ssize_t i, j, k
    r.centre = centre
    for j in range(VECTORS):
        sums[j] = smalls[j] = sides[j] = means[j] = weights[j] = vset(0.0)
    if minded & MOMENTS and not minded & AHEAD and rows + (tail != NULL) <= 1:
        if tail != NULL:
            x = tail
        r.centre = vset(0.0)
        for j in range(VECTORS):
            add_term(vload(x + WIDTH*j), w + WIDTH*j, &r, &sums[j], &smalls[j], &sides[j], &means[j], &weights[j],
                     minded | FEW)
        add_few_lanes(s, sums, smalls, sides, means, weights, LANES if rows else a.tail_length, &r, minded)
        return
    for i in range(rows):
        for j in range(VECTORS):
            k = LANES*i + WIDTH*j
            if minded & AHEAD:
                top[j] = vmax(vload(x + BLOCK + k), top[j])
                if minded & MOMENTS:
                    top[VECTORS + j] = vmax(vior(vload(x + BLOCK + k), vset(-0.0)), top[VECTORS + j])
            add_term(vload(x + k), w + k, &r, &sums[j], &smalls[j], &sides[j], &means[j], &weights[j], minded)
    if tail != NULL:
        if minded & MEANS:
            for i in range(LANES):
                ones[i] = i < a.tail_length
        for j in range(VECTORS):
            add_term(vload(tail + WIDTH*j), &ones[WIDTH * j], &r, &sums[j], &smalls[j], &sides[j], &means[j],
                     &weights[j], (minded & ~WEIGHTED) | PADDED)
    if not minded & AHEAD and rows + (tail != NULL) <= 1:
        add_few_lanes(s, sums, smalls, sides, means, weights, LANES if rows else a.tail_length, &r, minded)
        return
    if minded & MOMENTS:
        total = fold_closely(sums, &total_error)
        moment = fold_closely(sides, &moment_error)
        add_sums(s, vset(total), vset(total_error), vset(moment), vset(moment_error), &r, False, minded)
    else:
        add_to(&s.sum, &s.sum_error, vset(fold_add(sums)))
        add_to(&s.sum, &s.sum_error, vmul(vset(HIGHEST), vset(fold_add(smalls))))
        if minded & TIES:
            add_to(&s.side, &s.side_error, vset(fold_add(sides)))
    if minded & MEANS:
        total = fold_closely(means, &total_error)
        moment = fold_closely(weights, &moment_error)
        add_means(s, vset(total), vset(total_error), vset(moment), vset(moment_error), minded)


cdef void add_few_lanes(State* s, const vector* sums, const vector* smalls, const vector* sides, const vector* means,
                        const vector* weights, Py_ssize_t count, const Reference* r, int minded) noexcept nogil:
    """Adds lanes one by one, as add_few_rows does for outputs side by side."""
    cdef double sum[LANES]
    cdef double small[LANES]
    cdef double side[LANES]
    cdef double mean[LANES]
    cdef double weight[LANES]
    cdef Few few = no_few(minded)
    cdef Py_ssize_t j
    for j in range(VECTORS):
        vstore(sum + WIDTH*j, sums[j])
        vstore(small + WIDTH*j, smalls[j])
        vstore(side + WIDTH*j, sides[j])
        vstore(mean + WIDTH*j, means[j])
        vstore(weight + WIDTH*j, weights[j])
    for j in range(count):
        add_one(&few, vset(sum[j]), vset(small[j]), vset(side[j]), vset(mean[j]), vset(weight[j]), minded)
        if not minded & MOMENTS:
            few.side = vadd(few.side, vset(side[j]))
    add_few(s, &few, r, False, minded)


cdef void add_any_row(State* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                      const double* tail, vector centre, vector* top, bint ahead, int minded) noexcept nogil:
    """As add_row, for what is less common: weights, references with an offset, alpha other than 1.

    Only the last of these scans ahead: what has weights is packed, a block a call, and has nothing ahead.
    """
    if a.weights != NULL:
        add_row(s, p, a, start, rows, tail, centre, top, minded | SHIFTED | SCALED | WEIGHTED)
    elif vfirst(s.offset) != 0:
        add_row(s, p, a, start, rows, tail, centre, top, minded | SHIFTED | SCALED)
    elif ahead:
        add_row(s, p, a, start, BLOCK_ROWS, NULL, centre, top, minded | SCALED | AHEAD)
    else:
        add_row(s, p, a, start, rows, tail, centre, top, minded | SCALED)


cdef inline void exponential_row(State* s, const Parameters* p, const Block* a, bint first, double* extremes,
                                 int minded) noexcept nogil:
    """`minded`: TIES or MOMENTS."""
    cdef vector top[2 * VECTORS]     # the largest elements, and those nearest to 0
    cdef const double* tail = NULL
    cdef vector centre = vset(0.0)
    cdef double maximum
    cdef Py_ssize_t done = 0, rows, left, j
    cdef bint last = False, ahead
    for j in range(VECTORS):
        top[j] = vset(extremes[0]) if a.scanned else vset(-INFINITY)
        if minded & MOMENTS:
            top[VECTORS + j] = vset(extremes[1]) if a.scanned else vset(-INFINITY)
    if not a.scanned:
        scan_row(top, a.x, min(BLOCK_ROWS, a.rows), minded)
    while not last:
        left = a.rows - done
        rows = min(BLOCK_ROWS, left)
        last = left < BLOCK_ROWS or (left == BLOCK_ROWS and a.tail == NULL)
        if last and a.tail != NULL:
            tail = a.tail
            scan_row(top, tail, 1, minded)
        maximum = fold_max(top)
        if minded & MOMENTS:
            centre = centre_of(vset(maximum), vset(fold_max(top + VECTORS)))
        for j in range(VECTORS):
            top[j] = top[VECTORS + j] = vset(-INFINITY)
        if first:
            start(s, vset(maximum), p, minded)
            first = False
        elif maximum > vfirst(s.maximum):
            raise_to(s, vset(maximum), p, minded & MOMENTS)
        ahead = left >= 2*BLOCK_ROWS
        if a.weights != NULL or p.scaled or vfirst(s.offset) != 0:
            if ahead and vfirst(s.offset) != 0:     # as add_any_row does not
                scan_row(top, a.x + LANES*done + BLOCK, BLOCK_ROWS, minded)
            add_any_row(s, p, a, done, rows, tail, centre, top, ahead, minded)
        elif minded & (MOMENTS | MEANS) or maximum == vfirst(s.maximum):
            if ahead:
                add_row(s, p, a, done, BLOCK_ROWS, NULL, centre, top, minded | AHEAD)
            else:
                add_row(s, p, a, done, rows, tail, centre, top, minded)
        elif ahead:
            add_row(s, p, a, done, BLOCK_ROWS, NULL, centre, top, AHEAD)
        else:
            add_row(s, p, a, done, rows, tail, centre, top, 0)
        done += rows
        if BLOCK_ROWS <= left < 2*BLOCK_ROWS:
            scan_row(top, a.x + LANES*done, left - BLOCK_ROWS, minded)
    if a.ahead != NULL:
        scan_row(top, a.ahead, BLOCK_ROWS, minded)
        extremes[0] = fold_max(top)
        if minded & MOMENTS:
            extremes[1] = fold_max(top + VECTORS)


# Tiles: a block of up to LANES outputs side by side, each with its own state

cdef inline vector scan_column(const Block* a, Py_ssize_t column, vector* centre, int minded) noexcept nogil:
    """The maxima of WIDTH outputs of a block, and the centres of their moments."""
    cdef vector x, maximum = vset(-INFINITY), nearest = vset(-INFINITY)
    cdef Py_ssize_t i
    for i in range(a.rows):
        x = vload(a.x + a.stride*i + column)
        maximum = vmax(x, maximum)
        if minded & MOMENTS:
            nearest = vmax(vior(x, vset(-0.0)), nearest)
    centre[0] = centre_of(maximum, nearest)
    return maximum


cdef inline void add_tile(State* s, const Parameters* p, const Block* a, const vector* centre, Py_ssize_t vectors,
                          int minded) noexcept nogil:
    cdef vector sums[LANES * VECTORS]
    cdef vector smalls[LANES * VECTORS]
    cdef vector sides[LANES * VECTORS]
    cdef vector means[LANES * VECTORS]
    cdef vector weights[LANES * VECTORS]
    cdef vector sums_error[VECTORS]
    cdef vector sides_error[VECTORS]
    cdef vector count[VECTORS]              # of ties without weights, exact in any order: they do without lanes
    cdef Reference r[VECTORS]
    cdef bint counts = not minded & (WEIGHTED | MOMENTS)
    cdef State* t
    cdef Py_ssize_t i, j, k, lane
    if a.rows <= LANES:
        add_few_rows(s, p, a, vectors, False, minded)
        return
    for j in range(vectors):
        r[j] = reference_of(state(s, j, minded), &p[j], minded)
        r[j].centre = centre[j]
        count[j] = vset(0.0)
    for i in range(LANES):
        for j in range(vectors):
            lane = i*vectors + j
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            sums[lane] = smalls[lane] = sides[lane] = vset(0.0)
            if minded & MEANS:
                means[lane] = weights[lane] = vset(0.0)
            add_term(vload(a.x + k), a.weights + k, &r[j], &sums[lane], &smalls[lane],
                     &count[j] if counts else &sides[lane], &means[lane], &weights[lane], minded)
    for i in range(LANES, a.rows):
        for j in range(vectors):
            lane = (i % LANES) * vectors + j
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            add_term(vload(a.x + k), a.weights + k, &r[j], &sums[lane], &smalls[lane],
                     &count[j] if counts else &sides[lane], &means[lane], &weights[lane], minded)
    if minded & MOMENTS:
        fold_lanes_closely(sums, vectors, sums_error)
        fold_lanes_closely(sides, vectors, sides_error)
        for j in range(vectors):
            add_sums(&s[j], sums[j], sums_error[j], sides[j], sides_error[j], &r[j], False, minded)
        return
    fold_lanes(sums, vectors)
    fold_lanes(smalls, vectors)
    if not counts:
        fold_lanes(sides, vectors)
    for j in range(vectors):
        t = state(s, j, minded)
        add_to(&t.sum, &t.sum_error, sums[j])
        add_to(&t.sum, &t.sum_error, vmul(vset(HIGHEST), smalls[j]))
        add_to(&t.side, &t.side_error, count[j] if counts else sides[j])
    if minded & MEANS:
        fold_lanes_closely(means, vectors, sums_error)
        fold_lanes_closely(weights, vectors, sides_error)
        for j in range(vectors):
            add_means(state(s, j, minded), means[j], sums_error[j], weights[j], sides_error[j], minded)


cdef inline void add_few_rows(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                              int minded) noexcept nogil:
    """Adds a block of at most LANES rows."""
    cdef vector power, small, side, mean, weight, zero = vset(0.0)
    cdef Few few
    cdef Reference r
    cdef Py_ssize_t i, j, k
    for j in range(vectors):
        r = reference_of(state(s, j, minded), &p[j], minded)
        r.centre = zero
        few = no_few(minded)
        for i in range(a.rows):
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            power = small = side = mean = weight = zero
            add_term(vload(a.x + k), a.weights + k, &r, &power, &small, &side if minded & MOMENTS else &few.side,
                     &mean, &weight, minded | FEW)
            add_one(&few, power, small, side, mean, weight, minded)
        add_few(state(s, j, minded), &few, &r, first, minded)


cdef inline void exponential_tile(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                                  int minded) noexcept nogil:
    """`minded`: TIES or MOMENTS."""
    cdef vector centre[VECTORS]
    cdef vector maximum
    cdef State* t
    cdef bint shifted = False, scaled = False
    cdef Py_ssize_t j
    for j in range(vectors):
        maximum = scan_column(a, WIDTH*j, &centre[j], minded)
        t = state(s, j, minded)
        if first:
            start(t, maximum, &p[j], minded)
        elif vany(vless(t.maximum, maximum)):
            raise_to(t, maximum, &p[j], minded & MOMENTS)
        shifted = shifted or vany(vless(vset(0.0), absolute(t.offset)))
        scaled = scaled or p[j].scaled
    if a.weights != NULL:
        add_tile(s, p, a, centre, vectors, minded | SHIFTED | SCALED | WEIGHTED)
    elif shifted:
        add_tile(s, p, a, centre, vectors, minded | SHIFTED | SCALED)
    elif scaled:
        add_tile(s, p, a, centre, vectors, minded | SCALED)
    elif vectors == VECTORS:
        add_tile(s, p, a, centre, VECTORS, minded)
    else:
        add_tile(s, p, a, centre, vectors, minded)


cdef inline bint any_scaled(const Parameters* p, Py_ssize_t vectors) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(vectors):
        if p[j].scaled:
            return True
    return False


cdef inline bint few_states(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint scaled,
                            int minded) noexcept nogil:
    """The states of outputs side by side, of at most LANES elements each and no weights.

    Does nothing and returns false where an element is so large that the reference needs an offset.
    """
    cdef vector unused
    cdef Py_ssize_t j
    for j in range(vectors):
        s[j] = state_at(scan_column(a, WIDTH*j, &unused, 0), &p[j])
        if vany(vless(vset(0.0), absolute(s[j].offset))):
            return False
    if scaled:
        add_few_rows(s, p, a, vectors, True, minded | SCALED)
    else:
        add_few_rows(s, p, a, vectors, True, minded)
    return True


cdef void exponential_parameters(void* parameters, const double* alpha, double limit) noexcept nogil:
    cdef Parameters* p = <Parameters*>parameters
    cdef vector a = vload(alpha), zero = vset(0.0), one = vset(1.0), log2e = vset(LOG2_E), product, original, error
    cdef vmask infinite
    cdef Py_ssize_t j
    p.alpha = absolute(a)
    p.sign = vselect(vless(a, zero), vset(-1.0), vselect(vequal(a, a), one, a))
    p.count = vset(limit)
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
