"""Sums of exponentials as algebra on states: what logsumexp and boltzmann have in common.

A state stands for the elements x seen so far, with scale = alpha * log2(e) >= 0:

    maximum            the largest x; -inf where there was none
    offset, exponent   the reference: terms are 2**((x - offset) * scale - exponent)
    sum                of weight * term, as the sum of two doubles (Knuth's two_sum), so that 10**7 terms do not drift
    side               for logsumexp the ties: the weight of the elements equal to the maximum (their number, without
                       weights), which stay out of the sum; for boltzmann the moment: the sum of weight * term * x
    line, near, far    for logmeanexp, the sums of (e), of which the sum above is another

(a) The largest term out of the sum: [0, -40] gives 4e-18, and [x] gives x. Then terms carry FACTOR * 2**BIAS, as what
    lies far below the maximum still counts.
(b) The exponent is an integer, so moving the reference multiplies by a power of two, exactly.
(c) Where abs(x * scale) >= 2**46 a double cannot hold x * scale to 1/16.  There the offset is the maximum and
    the exponent 0.  Moving the offset rounds, harmlessly: next to such x, terms change by that when x is rounded.
(d) A block's moment is taken about its centre, the first bits of the element nearest to 0, unless their signs differ:
    so it loses no digits where elements are alike, and differences from it are as good as exact. Without weights, and
    near the maximum of all, the centre is the block's maximum from HIGH on, as the mean lies at most log(BLOCK) / alpha
    below that; and where the maximum turns out to have much of the sum. In the state the moment is about 0; the second
    double sees to that. At most LANES elements, all for gradients, and all that have weights, of which any may have
    most of the sum, have their moment about 0 at once, as the sum of two doubles. With moments terms carry FACTOR *
    2**(MOMENT_BIAS - lowered), so that moments do not overflow.
(e) Near 0, where abs(x * scale) <= 0.49, exp(alpha * x) is 1 + alpha * x + curve. The weights of these elements are
    summed, and their lines, weight * x, about a centre as in (d), which are all that counts if alpha is tiny. Far
    elements have only a curve, their exponential. So the rounding errors of curves are small beside alpha * x, and the
    sums make up both that of exp(alpha * x) and, with the weights of far elements, that of exp(alpha * x) - 1.
"""

cdef extern from *:
    """
    #define CLOSE_START 4.113761393303015e+62   /* 2**208 */
    #define LARGEST_PRODUCT 70368744177664.0   /* 2**46 */
    #define LARGEST_SCALE 8.98846567431158e307   /* 2**1023 */
    #define FEW_START 64.0
    #define FEW_START_OF_MOMENTS 7.378697629483821e19   /* 2**66 */
    #define FEW_START_BIASED 1.0284403483257538e62   /* 2**206 */
    #define LARGE_ELEMENT 8.452712498170644e270   /* 2**900 */
    #define SMALL_SCALE 1.1830521861667747e-271   /* 2**-900 */
    #define TERM 1.152921504606847e18   /* 2**60, MOMENT_BIAS of an exponent */
    #define SMALLEST_ALPHA 1.0261342003245941e-289   /* 2**-960: EXPONENT_MIN / scale must not overflow */
    """
    double CLOSE_START, LARGEST_PRODUCT, LARGEST_SCALE, FEW_START, FEW_START_BIASED, FEW_START_OF_MOMENTS
    double LARGE_ELEMENT, SMALL_SCALE, SMALLEST_ALPHA, TERM

cdef enum:
    # With moments: enough for means as small as the least double
    MOMENT_BIAS = 60
    HIGH = 8                    # log2(BLOCK), of maximum * scale
    BEHIND = 2                  # as far below the maximum, terms count for a quarter of it
    LOWERED = 64                # below 1, for the largest elements, of which up to 2**53 may be summed

cdef struct State:
    vector maximum, offset, exponent, sum, sum_error, side, side_error

cdef struct MeanState:
    State state
    vector minimum              # the least x
    vector line, line_error, near, near_error, far, far_error

cdef enum:
    # The sums of a block of logmeanexp: of lines and curves, each in two parts, of the weights of far elements; with
    # weights also of those of near elements; if they are given, and not 0 or 1, also of what rounding left of these.
    LINE, LINE_ERROR, CURVE, CURVE_SMALL, FAR, NEAR, FAR_ERROR, NEAR_ERROR, MEANS_SUMMED

cdef struct Parameters:
    # abs(alpha) * log2(e), and what rounding it left; where alpha is 1 that is little, and left out for speed
    vector scale, scale_error
    vector unscale           # 1 / scale
    vector alpha             # abs(alpha)
    vector sign              # of alpha
    vector count             # of elements; infinite with weights
    vector near              # the largest element that is near 0
    vector most              # log(count) / abs(alpha), which the result lies above the maximum at most
    bint weighted            # weights are given
    bint scaled              # some alpha is not 1: scale_error and sign count, and logarithms are divided

cdef struct Reference:
    # What turns elements into terms.
    vector maximum, offset, scale, scale_error, shift, low
    vector gone              # with weights, what lies below counts for nothing: low, or -inf where the scale is 0
    vector centre            # of moments, or of lines
    vector flat              # CLAMPED, with moments: every term where the scale is 0, a power of two
    vector near              # as in the parameters; -1 if there is an offset, below which all near elements vanish
    vector one               # what exp(0) is relative to the reference, if any element is near

cdef struct Few:
    # The sums of at most LANES elements, one by one; `sum` starts at `start`.
    vector start, sum, sum_error, small, side, side_error
    vector mean[MEANS_SUMMED]
    vector mean_error[MEANS_SUMMED]

cdef enum:
    # What a loop over elements must mind; constants where it is called, so that each loop is compiled without the rest.
    # The same bits come out if more is minded than need be, only later; but for WEIGHTED_MEANS.
    TIES = 1            # an element may be the maximum
    SHIFTED = 2         # the offset may differ from 0
    SCALED = 4          # the scale may have an error, or be 0
    WEIGHTED = 8        # weights are given
    MOMENTS = 32        # the sums are boltzmann's
    MEANS = 64          # the sums are logmeanexp's
    PADDED = 128        # the weights are 0 for what pads a row, else 1
    SPECIAL = 256       # a softmax may have special cases
    CLOSE = 512         # sums keep what rounding leaves, as softmax (whose weights are 0 or 1) and gradients need
    WEIGHTED_MEANS = 1024        # weights of logmeanexp are given: what rounding leaves is summed, too
    PAIRS = 4096        # two elements without weights, of which one is the maximum
    CENTRED = 8192      # the centre of moments may differ from 0
    CLAMPED = 16384     # with moments, elements may lie so low that they count for nothing, or the scale be 0
    STORED = 32768      # neither with moments nor with means: terms are stored


cdef inline State empty_state() noexcept nogil:
    cdef State s
    s.maximum = vset(-INFINITY)
    s.offset = s.exponent = s.sum = s.sum_error = s.side = s.side_error = vset(0.0)
    return s


cdef inline vector lowered(vector maximum, const Parameters* p) noexcept nogil:
    """What exponents are larger by, with moments: elements from LARGE_ELEMENT on can only count if the maximum or, as
    long as their mean does not overflow, the scale says so."""
    cdef vector by = vselect(vless(p.scale, vset(SMALL_SCALE)), vset(MOMENT_BIAS), vset(0.0))
    return vselect(vless(vabs(maximum), vset(LARGE_ELEMENT)), by, vset(MOMENT_BIAS + LOWERED))


cdef inline State state_at(vector maximum, const Parameters* p, bint moments) noexcept nogil:
    """The empty state with the reference that suits this maximum."""
    cdef State s = empty_state()
    cdef vector t = vmul(maximum, p.scale)
    cdef vmask near = vless(vabs(t), vset(LARGEST_PRODUCT))
    s.maximum = maximum
    s.exponent = vsub(vadd(t, vset(ROUND_INTEGER)), vset(ROUND_INTEGER))
    if not vall(near):
        s.exponent = vselect(near, s.exponent, vset(0.0))
        # The offset stays finite, as terms below +inf must not become NaN; below -inf there are none.
        maximum = vselect(vless(maximum, vset(DOUBLE_MAX)), maximum, vset(DOUBLE_MAX))
        s.offset = vselect(near, s.offset, vselect(vequal(maximum, vset(-INFINITY)), s.offset, maximum))
    if moments:
        s.exponent = vadd(s.exponent, lowered(maximum, p))
    return s


cdef inline vector rescaling(const State* s, const State* t, const Parameters* p, bint moments) noexcept nogil:
    """2 to the distance from t's reference down to s's; 1 if s lies higher, as then s is empty."""
    cdef vector zero = vset(0.0), down, up
    down = vfma(vsub(s.offset, t.offset), p.scale, vsub(s.exponent, t.exponent))
    if moments:                         # or only lowered by more
        up = vselect(vless(zero, down), vmin(down, vset(MOMENT_BIAS + LOWERED)), zero)
        return vdiv(exp2_down(vselect(vless(down, zero), down, zero)), exp2_down(vsub(zero, up)))
    return exp2_down(vselect(vless(down, zero), down, zero))


cdef inline vector one_of(const State* s) noexcept nogil:
    """2**-exponent, where that is at most 1, as it is if any element is near; 0 if there is an offset."""
    cdef vector zero = vset(0.0), one = exp2_down(vselect(vless(zero, s.exponent), vsub(zero, s.exponent), zero))
    return vselect(vequal(s.offset, zero), one, zero)


cdef inline Reference reference_of(const State* s, const Parameters* p, int minded) noexcept nogil:
    cdef bint biased = not minded & (MOMENTS | MEANS)
    cdef int bias = BIAS if biased else MOMENT_BIAS if minded & MOMENTS else 0
    # Where terms are less than any double, or all but, or 0
    cdef int least = EXPONENT_MIN if biased else -1021 - MOMENT_BIAS if minded & MOMENTS else -1023
    cdef vector low
    cdef Reference r
    r.maximum = s.maximum
    r.offset = s.offset
    r.scale = p.scale
    r.scale_error = p.scale_error
    r.shift = vsub(vset(ROUND_16TH + bias), s.exponent)
    r.low = vset(-DOUBLE_MAX)
    low = vmul(vadd(s.exponent, vset(least)), p.unscale)
    r.low = low if biased and not minded & (SCALED | SHIFTED) else vmax(low, r.low)       # where nothing overflows
    r.gone = vselect(vequal(p.scale, vset(0.0)), vset(-INFINITY), r.low)
    r.near = r.one = r.flat = vset(0.0)
    if minded & MOMENTS and minded & CLAMPED:
        r.flat = exp2_down(vsub(vset(MOMENT_BIAS), s.exponent))
    if minded & MEANS:
        r.near = vselect(vequal(p.scale, vset(0.0)), p.near, vselect(vequal(s.offset, vset(0.0)), p.near, vset(-1.0)))
        r.one = one_of(s)
    return r


cdef inline void add_to(vector* total, vector* total_error, vector x) noexcept nogil:
    cdef vector error
    total[0] = two_sum(total[0], x, &error)
    total_error[0] = vadd(total_error[0], error)


cdef void raise_to(State* s, vector maximum, const Parameters* p, int minded) noexcept nogil:
    """Gives a state the larger of the two maxima; the old one, with its ties, joins the sum."""
    cdef vmask up = vless(s.maximum, maximum)
    cdef vector factor, zero = vset(0.0)
    cdef State t = state_at(vselect(up, maximum, s.maximum), p, minded & MOMENTS)
    t.exponent = vselect(up, t.exponent, s.exponent)
    t.offset = vselect(up, t.offset, s.offset)
    factor = rescaling(s, &t, p, minded & MOMENTS)
    t.sum = vmul(s.sum, factor)
    t.sum_error = vmul(s.sum_error, factor)
    if not minded & TIES:
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
    q = vselect(none, zero, vmul(vmul(power, f), q))
    add_to(&s.sum, &s.sum_error, vmul(power, ties))
    add_to(&s.sum, &s.sum_error, vmul(q, ties))
    s.sum_error = vfma(power, ties_error, s.sum_error)


cdef inline State* state(State* s, Py_ssize_t j, int minded) noexcept nogil:
    """State j of several."""
    return <State*>(<char*>s + j*<Py_ssize_t>sizeof(MeanState)) if minded & MEANS else s + j


cdef inline void start(State* s, vector maximum, const Parameters* p, int minded) noexcept nogil:
    cdef MeanState* m = <MeanState*>s
    s[0] = state_at(maximum, p, minded & MOMENTS)
    if minded & MEANS:
        m.minimum = vset(INFINITY)
        m.line = m.line_error = m.near = m.near_error = m.far = m.far_error = vset(0.0)


cdef inline void merge(State* s, const State* t, const Parameters* p, int minded) noexcept nogil:
    cdef vector factor, zero = vset(0.0)
    cdef vmask tie
    raise_to(s, t.maximum, p, minded)
    factor = rescaling(t, s, p, minded & MOMENTS)
    tie = vequal(s.maximum, t.maximum)
    add_to(&s.sum, &s.sum_error, vmul(t.sum, factor))
    s.sum_error = vfma(t.sum_error, factor, s.sum_error)
    if not minded & TIES:
        add_to(&s.side, &s.side_error, vmul(t.side, factor))
        s.side_error = vfma(t.side_error, factor, s.side_error)
    else:
        add_ties(s, t.maximum, vselect(tie, zero, t.side), vselect(tie, zero, t.side_error), p)
        add_to(&s.side, &s.side_error, vselect(tie, t.side, zero))
        s.side_error = vadd(s.side_error, vselect(tie, t.side_error, zero))


# Elements

cdef inline void add_mean(vector x, const double* weight, const Reference* r, vector* means, Py_ssize_t step,
                          int minded) noexcept nogil:
    """Adds one element to the sums of logmeanexp: `means` and each `step`-th vector after it."""
    cdef vector zero = vset(0.0), w = vset(1.0), product, line, curve, small, error
    cdef vector distance = vsub(x, r.offset) if minded & SHIFTED else x, t = vmax(r.low, distance)
    cdef vmask far = vless(r.near, vabs(x)), gone
    if minded & SHIFTED:                # the maximum may be infinite
        t = vselect(vequal(t, vset(INFINITY)), zero, t)
    curve = exp2_curve(t, r.scale, r.scale_error, r.shift, r.one, far, &small)
    line = vselect(far, zero, vsub(x, r.centre))
    if minded & (WEIGHTED | PADDED):
        w = vload(weight)
    if minded & WEIGHTED:
        gone = vless(distance, r.low)   # infinitely, where alpha is tiny
        curve = vselect(gone, zero, curve)
        small = vselect(gone, zero, small)
        line = vselect(vequal(w, zero), zero, line)
    if minded & WEIGHTED_MEANS:
        product = vmul(w, line)
        add_to(&means[LINE * step], &means[LINE_ERROR * step], product)
        means[LINE_ERROR * step] = vadd(means[LINE_ERROR * step], vfma1(w, line, vsub(zero, product)))
        product = vmul(w, curve)
        small = vfma(w, small, vfma1(w, curve, vsub(zero, product)))
        add_to(&means[CURVE * step], &means[CURVE_SMALL * step], product)
        means[CURVE_SMALL * step] = vadd(means[CURVE_SMALL * step], small)
        add_to(&means[FAR * step], &means[FAR_ERROR * step], vselect(far, w, zero))
        add_to(&means[NEAR * step], &means[NEAR_ERROR * step], vselect(far, zero, w))
        return
    if minded & (WEIGHTED | PADDED):    # 0 or 1
        line = vmul(w, line)
        curve = vmul(w, curve)
        small = vmul(w, small)
    add_to(&means[LINE * step], &means[LINE_ERROR * step], line)
    means[CURVE * step] = fast_two_sum(means[CURVE * step], curve, &error)
    means[CURVE_SMALL * step] = vadd(means[CURVE_SMALL * step], vadd(small, error))
    means[FAR * step] = vadd_where(far, means[FAR * step], w)
    if minded & WEIGHTED:
        means[NEAR * step] = vadd_unless(far, means[NEAR * step], w)


cdef inline void add_term(vector x, const double* weight, const Reference* r, vector* sums, vector* smalls,
                          vector* sides, vector* means, Py_ssize_t step, double* term, int minded) noexcept nogil:
    """Adds one element to `sums` and `smalls` or, if it is the maximum, to `sides`; or to `sums` and moments; or means.

    CLOSE: `smalls` also take what rounding left of `sums`, and `means` what it left of moments. Without moments `sums`
    start at CLOSE_START, so that they are larger than a term, and multiples of 2**156: less CLOSE_START, the 256 terms
    of a block, each below 2**201, add up exactly.
    """
    cdef vector power, f, q, product, total, small, product_error = vset(0.0), w = vset(1.0)
    cdef vector distance = vsub(x, r.offset) if minded & SHIFTED else x
    cdef vector t = distance if minded & MOMENTS and not minded & CLAMPED else vmax(r.low, distance)
    cdef vmask tie
    if minded & MEANS:
        add_mean(x, weight, r, means, step, minded)
        return
    if minded & MOMENTS:
        if minded & SHIFTED:            # the maximum may be infinite
            t = vselect(vequal(t, vset(INFINITY)), vset(0.0), t)
        power = exp2_terms(t, r.scale, r.scale_error, r.shift, minded & SCALED, &f, &q)
        power = vfma(power, vmul(f, q), power)
        if minded & CLAMPED:
            power = vselect(vless(distance, r.gone), vset(0.0), vselect(vequal(r.scale, vset(0.0)), r.flat, power))
        if minded & WEIGHTED:
            power = vmul(power, vload(weight))
        if minded & CLAMPED:
            x = vselect(vequal(power, vset(0.0)), r.centre, x)
        if minded & CLOSE:
            product = vmul(power, x)
            add_to(sums, smalls, power)
            add_to(sides, means, product)
            means[0] = vadd(means[0], vfma1(power, x, vsub(vset(0.0), product)))
            return
        sums[0] = vadd(sums[0], power)
        sides[0] = vfma(power, vsub(x, r.centre) if minded & CENTRED else x, sides[0])
        return
    power = exp2_terms(t, r.scale, r.scale_error, r.shift, minded & SCALED, &f, &q)
    if minded & WEIGHTED:               # which must not enlarge what counts for nothing
        w = vload(weight)
        power = vselect(vless(distance, r.gone), vset(0.0), power)
        product = vmul(power, w)
        product_error = vfma1(power, w, vsub(vset(0.0), product))
        power = product
    small = vmul(power, f)
    if minded & STORED:
        vstore(term, vfma(small, q, power))
    if minded & TIES:
        tie = vequal(x, r.maximum)
        if minded & WEIGHTED:
            smalls[0] = vadd_unless(tie, smalls[0], product_error)
        sides[0] = vadd_where(tie, sides[0], w)
        total = vadd_unless(tie, sums[0], power)
        if minded & CLOSE:
            smalls[0] = vadd_unless(tie, smalls[0], vsub(power, vsub(total, sums[0])))
        sums[0] = total
        smalls[0] = vfma_unless(tie, small, q, smalls[0])
    else:
        total = vadd(sums[0], power)
        if minded & CLOSE:
            smalls[0] = vadd(smalls[0], vsub(power, vsub(total, sums[0])))
        sums[0] = total
        smalls[0] = vfma(small, q, smalls[0])


cdef inline void add_sums(State* s, vector total, vector total_error, vector side, vector side_error,
                          const Reference* r, bint first, int minded) noexcept nogil:
    """Adds the sums of a block; unless CENTRED, the centre is 0.

    `first`: to the empty state, and without weights, so that the error is small.
    """
    cdef vector moment, moment_error
    if minded & MOMENTS and minded & CENTRED:
        moment = vmul(r.centre, total)
        moment_error = vfma(r.centre, total_error, vfma1(r.centre, total, vsub(vset(0.0), moment)))
        add_to(&moment, &moment_error, side)
        side = moment
        side_error = vadd(side_error, moment_error)
    if first:
        s.sum = fast_two_sum(total, total_error, &s.sum_error)
        s.side = side
        s.side_error = side_error
    else:
        add_to(&s.sum, &s.sum_error, total)
        add_to(&s.sum, &s.sum_error, total_error)
        add_to(&s.side, &s.side_error, side)
        s.side_error = vadd(s.side_error, side_error)


cdef inline bint any_clamped(vector minimum, vector low, const Parameters* p) noexcept nogil:
    return vany(vless(minimum, low)) or vany(vequal(p.scale, vset(0.0)))


cdef inline vector centre_of(vector maximum, vector minimum) noexcept nogil:
    """The element nearest to 0; 0 if some are positive and some negative, or it is infinite."""
    cdef vector zero = vset(0.0), centre = vselect(vless(zero, minimum), minimum, zero)
    centre = vselect(vless(maximum, zero), maximum, centre)
    return vselect(vless(vabs(centre), vset(INFINITY)), centre, zero)


cdef inline vector cut(vector x) noexcept nogil:
    """The first 11 bits."""
    return vshl(vshr(x, 42), 42)


cdef inline vector centre_of_moment(vector maximum, vector minimum, vector behind, const Parameters* p) noexcept nogil:
    """Cut, so that differences from the element nearest to 0 are as small, nearly, and exact: multiples of an element's
    last bit, less than the element, of the same sign and less than 2**42 times the centre.

    `behind`: how far the maximum is below that of all elements, times the scale.
    """
    cdef vmask high = vless(vset(HIGH), vmul(maximum, p.scale)), counts = vless(behind, vset(BEHIND))
    cdef vector centre = centre_of(maximum, minimum)
    if p.weighted:                  # exact sums have none
        return cut(centre)
    return cut(vselect(high, vselect(counts, vselect(vless(maximum, vset(LARGE_ELEMENT)), maximum, centre), centre),
                       centre))


cdef inline vector least_sum(vector maximum, vector centre, vector behind, const Parameters* p,
                             Py_ssize_t count) noexcept nogil:
    """Of a block's terms, if their largest may be most of it and the centre is not near it; else -inf.

    A smaller sum is so unequal that the rounding errors of the largest moment do not average out: it has one for each
    row that follows. About the maximum that moment is nearly 0.
    """
    cdef vector none = vset(-INFINITY), least = vset((4 if count > 4*LANES else 2) * (FACTOR * TERM))
    least = vselect(vless(vset(1.0), behind), none, none if p.weighted else least)
    least = vselect(vequal(lowered(maximum, p), vset(0.0)), least, none)
    return vselect(vequal(centre, cut(maximum)), none, least)


cdef inline vector centre_of_line(vector near, vector maximum, vector minimum) noexcept nogil:
    """0 unless all are near."""
    cdef vector size = vmax(maximum, vsub(vset(0.0), minimum))
    return vselect(vless(size, near), centre_of(maximum, minimum), vset(0.0))


cdef inline void set_tail_weights(double* weights, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(LANES):
        weights[i] = i < length


cdef inline Few no_few(vector maximum, const Parameters* p, int minded) noexcept nogil:
    """Starts above what LANES terms are together, unless weights are given; those that leave elements out are 1."""
    cdef Few few
    cdef Py_ssize_t i
    few.start = vset(FEW_START_OF_MOMENTS if minded & MOMENTS else FEW_START_BIASED)
    if minded & MOMENTS and minded & (SHIFTED | SCALED):
        few.start = vmul(few.start, exp2_down(vsub(vset(0.0), lowered(maximum, p))))
    if minded & WEIGHTED and p.weighted:
        few.start = vset(0.0)
    few.sum = few.start
    few.sum_error = few.small = few.side = few.side_error = vset(0.0)
    for i in range(means_summed(minded)):
        few.mean[i] = few.mean_error[i] = vset(0.0)
    return few


cdef inline Py_ssize_t means_summed(int minded) noexcept nogil:
    return ((1 if minded & MOMENTS and minded & CLOSE else 0) if not minded & MEANS else
            MEANS_SUMMED if minded & WEIGHTED_MEANS else NEAR + 1 if minded & WEIGHTED else NEAR)


cdef inline vector mean_start(int part, int minded) noexcept nogil:
    """Where sums of lanes start: those of curves above all that they may add up to, unless weights are given."""
    return vset(FEW_START if part == CURVE and not minded & WEIGHTED_MEANS else 0.0)


cdef inline void add_one(Few* few, vector power, vector small, vector side, const vector* mean,
                         int minded) noexcept nogil:
    cdef Py_ssize_t i
    if minded & MEANS:
        for i in range(means_summed(minded)):
            add_to(&few.mean[i], &few.mean_error[i], mean[i])
        return
    add_in_order(&few.sum, &few.sum_error, power, not minded & WEIGHTED)
    if minded & MOMENTS:
        add_to(&few.side, &few.side_error, side)
        if minded & CLOSE:
            few.side_error = vadd(few.side_error, mean[0])
    else:
        few.small = vadd(few.small, small)


cdef inline void add_pair(vector* total, vector* total_error, vector x, vector x_error) noexcept nogil:
    add_to(total, total_error, x)
    total_error[0] = vadd(total_error[0], x_error)


cdef inline void add_means(State* s, const vector* sum, const vector* error, Py_ssize_t count, const Reference* r,
                           int minded) noexcept nogil:
    """Adds the sums of a block of `count` elements, for logmeanexp."""
    cdef MeanState* m = <MeanState*>s
    cdef vector near = vsub(vset(<double>count), sum[FAR]), near_error = vset(0.0), moment, moment_error
    cdef vector line_error = vadd(error[LINE], sum[LINE_ERROR]), far_error = error[FAR]
    if minded & WEIGHTED:
        near = sum[NEAR]
        near_error = error[NEAR]
    if minded & WEIGHTED_MEANS:
        far_error = vadd(far_error, sum[FAR_ERROR])
        near_error = vadd(near_error, sum[NEAR_ERROR])
    moment = vmul(r.centre, near)
    moment_error = vfma(r.centre, near_error, vfma1(r.centre, near, vsub(vset(0.0), moment)))
    add_pair(&m.near, &m.near_error, near, near_error)
    add_pair(&m.far, &m.far_error, sum[FAR], far_error)
    add_pair(&m.line, &m.line_error, moment, moment_error)
    add_pair(&m.line, &m.line_error, sum[LINE], line_error)
    add_pair(&s.sum, &s.sum_error, sum[CURVE], error[CURVE])
    add_pair(&s.sum, &s.sum_error, sum[CURVE_SMALL], error[CURVE_SMALL])


cdef inline void add_few(State* s, const Few* few, Py_ssize_t count, const Reference* r, bint first,
                         int minded) noexcept nogil:
    cdef vector total
    if minded & MEANS:
        add_means(s, few.mean, few.mean_error, count, r, minded)
        return
    total = vsub(few.sum, few.start)
    add_sums(s, total, vadd(few.small, few.sum_error), few.side, few.side_error, r, first, minded)


# Rows: blocks of one output, its lanes along the axis; every element of the vectors in the state is equal

cdef inline void scan_row(vector* top, const double* x, const double* weights, Py_ssize_t rows,
                          int minded) noexcept nogil:
    """Raises `top` to the maxima, and lowers what follows it to the minima, without absent elements."""
    cdef vector least
    cdef Py_ssize_t i, j, k
    for i in range(rows):
        for j in range(VECTORS):
            k = LANES*i + WIDTH*j
            top[j] = vmax(vload(x + k), top[j])
            if minded & (MOMENTS | MEANS):
                least = vmin(vload(x + k), top[VECTORS + j])
                if weights != NULL:
                    least = vselect(vequal(vload(weights + k), vset(0.0)), top[VECTORS + j], least)
                top[VECTORS + j] = least


cdef double least_that_counts(const Block* a, Py_ssize_t start, Py_ssize_t rows, const double* tail,
                              double low) noexcept nogil:
    """The least element of a block that is not below `low`; inf if there is none."""
    cdef vector least[VECTORS]
    cdef const double* x
    cdef vector lowest = vset(low)
    cdef Py_ssize_t i, j
    for j in range(VECTORS):
        least[j] = vset(INFINITY)
        for i in range(rows + (tail != NULL)):
            x = a.x + LANES*(start + i) if i < rows else tail
            least[j] = vselect(vless(vload(x + WIDTH*j), lowest), least[j], vmin(vload(x + WIDTH*j), least[j]))
    return fold_min(least)


cdef inline void add_one_row(State* s, const Parameters* p, const Block* a, Py_ssize_t start, const double* tail,
                             int minded) noexcept nogil:
    """Adds a block of one row, or of a tail alone, lane by lane.

    Not within add_row, whose arrays would lie in memory if another function saw them: 1.15 x the time of its loop.
    """
    cdef vector sums[VECTORS]
    cdef vector smalls[VECTORS]
    cdef vector sides[VECTORS]
    cdef vector means[MEANS_SUMMED * VECTORS]
    cdef double tail_weights[LANES]
    cdef Reference r = reference_of(s, p, minded)
    cdef Py_ssize_t i, j, k
    r.centre = vset(0.0)                # exact sums are better off without one
    if tail != NULL and minded & MEANS:
        set_tail_weights(tail_weights, a.tail_length)
    for j in range(VECTORS):
        k = LANES*start + WIDTH*j
        sums[j] = smalls[j] = sides[j] = vset(0.0)
        for i in range(means_summed(minded)):
            means[i*VECTORS + j] = vset(0.0)
        if tail == NULL:
            add_term(vload(a.x + k), a.weights + k, &r, &sums[j], &smalls[j], &sides[j], &means[j], VECTORS,
                     a.terms + k, minded)
        else:
            add_term(vload(tail + WIDTH*j), &tail_weights[WIDTH * j], &r, &sums[j], &smalls[j], &sides[j], &means[j],
                     VECTORS, a.terms + k, (minded & ~WEIGHTED) | (CLAMPED if minded & MOMENTS else PADDED))
    add_few_lanes(s, p, sums, smalls, sides, means if means_summed(minded) else NULL,
                  LANES if tail == NULL else a.tail_length, &r, minded)


cdef inline bint add_row(State* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                         const double* tail, vector centre, double dominated, const double* ahead,
                         Py_ssize_t rows_ahead, vector* top, int minded) noexcept nogil:
    """Adds a block, `rows` rows from `start` on and the tail; with moments, unless its sum is below `dominated`.

    With each vector one of the rows `ahead` is scanned into `top`, and what lies further ahead prefetched: so
    what is read from memory comes evenly, in the shade of the arithmetic. (Row by row it came in bursts: 1.3 x the
    time.)
    """
    cdef vector sums[VECTORS]
    cdef vector smalls[VECTORS]
    cdef vector sides[VECTORS]
    cdef vector means[MEANS_SUMMED * VECTORS]
    cdef vector mean[MEANS_SUMMED]
    cdef vector mean_error[MEANS_SUMMED]
    cdef double tail_weights[LANES]
    cdef Reference r = reference_of(s, p, minded)
    cdef const double* x = a.x + LANES*start
    cdef const double* w = a.weights + LANES*start
    cdef double* terms = a.terms + LANES*start
    cdef vector total, total_error, moment, moment_error
    cdef Py_ssize_t i, j, k, both, count = LANES*rows + (0 if tail == NULL else a.tail_length)
    cdef vector initial = vset(CLOSE_START if minded & CLOSE and not minded & MOMENTS else 0.0)
    r.centre = centre
    if rows + (tail != NULL) <= 1:
        scan_row(top, ahead, NULL, min(rows, rows_ahead), minded)
        add_one_row(s, p, a, start, tail, minded | CLOSE if minded & MOMENTS else minded)
        return True
    if minded & MOMENTS and minded & CLOSE:
        r.centre = vset(0.0)
    for j in range(VECTORS):
        sums[j] = initial
        smalls[j] = sides[j] = vset(0.0)
        for i in range(means_summed(minded)):
            means[i*VECTORS + j] = mean_start(<int>i, minded)
    both = min(rows, rows_ahead)
    if both:
        prefetch_page(ahead + AHEAD)
    for i in range(both):
        for j in range(VECTORS):
            k = LANES*i + WIDTH*j
            top[j] = vmax(vload(ahead + k), top[j])
            prefetch_far(ahead + AHEAD + k)
            if minded & (MOMENTS | MEANS):
                top[VECTORS + j] = vmin(vload(ahead + k), top[VECTORS + j])
            add_term(vload(x + k), w + k, &r, &sums[j], &smalls[j], &sides[j], &means[j], VECTORS, terms + k, minded)
    for i in range(both, rows):
        for j in range(VECTORS):
            k = LANES*i + WIDTH*j
            add_term(vload(x + k), w + k, &r, &sums[j], &smalls[j], &sides[j], &means[j], VECTORS, terms + k, minded)
    if tail != NULL:
        if minded & MEANS:
            set_tail_weights(tail_weights, a.tail_length)
        for j in range(VECTORS):
            add_term(vload(tail + WIDTH*j), &tail_weights[WIDTH * j], &r, &sums[j], &smalls[j], &sides[j], &means[j],
                     VECTORS, terms + LANES*rows + WIDTH*j,
                     (minded & ~WEIGHTED) | (CLAMPED if minded & MOMENTS else PADDED))
    if minded & MEANS:
        for i in range(means_summed(minded)):
            for j in range(VECTORS):
                means[i*VECTORS + j] = vsub(means[i*VECTORS + j], mean_start(<int>i, minded))
            mean[i] = fold_closely(means + i*VECTORS, &mean_error[i],
                                   i in (LINE, CURVE) or minded & WEIGHTED_MEANS)
        add_means(s, mean, mean_error, count, &r, minded)
    elif minded & MOMENTS:
        total = fold_closely(sums, &total_error, minded & CLOSE)
        if vfirst(total) < dominated:
            return False
        moment = fold_closely(sides, &moment_error, minded & CLOSE)
        if minded & CLOSE:
            total_error = vadd(total_error, fold_add(smalls))
            moment_error = vadd(moment_error, fold_add(means))
        add_sums(s, total, total_error, moment, moment_error, &r, False, minded)
    else:
        if minded & CLOSE:
            for j in range(VECTORS):
                sums[j] = vsub(sums[j], initial)
        add_to(&s.sum, &s.sum_error, fold_add(sums))
        add_to(&s.sum, &s.sum_error, fold_add(smalls))
        if minded & TIES:
            add_to(&s.side, &s.side_error, fold_add(sides))
    return True


cdef void add_few_lanes(State* s, const Parameters* p, const vector* sums, const vector* smalls, const vector* sides,
                        const vector* means, Py_ssize_t count, const Reference* r, int minded) noexcept nogil:
    """Adds lanes one by one, as add_few_rows does for outputs side by side."""
    cdef double sum[LANES]
    cdef double small[LANES]
    cdef double side[LANES]
    cdef double lanes[MEANS_SUMMED * LANES]
    cdef vector mean[MEANS_SUMMED]
    cdef Few few = no_few(s.maximum, p, minded)
    cdef Py_ssize_t i, j
    for j in range(VECTORS):
        vstore(sum + WIDTH*j, sums[j])
        vstore(small + WIDTH*j, smalls[j])
        vstore(side + WIDTH*j, sides[j])
        for i in range(means_summed(minded)):
            vstore(lanes + LANES*i + WIDTH*j, means[i*VECTORS + j])
    for j in range(count):
        for i in range(means_summed(minded)):
            mean[i] = vset(lanes[LANES*i + j])
        add_one(&few, vset(sum[j]), vset(small[j]), vset(side[j]), mean, minded)
        if minded & TIES:
            few.side = vadd(few.side, vset(side[j]))
    add_few(s, &few, count, r, False, minded)


cdef bint add_any_row(State* s, const Parameters* p, const Block* a, Py_ssize_t start, Py_ssize_t rows,
                      const double* tail, vector centre, double dominated, const double* ahead, Py_ssize_t rows_ahead,
                      vector* top, bint clamped, int minded) noexcept nogil:
    """As add_row, for what is less common: weights, references with an offset, alpha other than 1."""
    if a.weights != NULL and minded & MEANS and p.weighted:
        minded |= SHIFTED | SCALED | WEIGHTED | WEIGHTED_MEANS
        return add_row(s, p, a, start, rows, tail, centre, dominated, ahead, rows_ahead, top, minded)
    elif a.weights != NULL:
        minded |= SHIFTED | SCALED | WEIGHTED | CENTRED | CLAMPED
        if minded & MOMENTS and p.weighted:
            return add_row(s, p, a, start, rows, tail, centre, dominated, ahead, rows_ahead, top, minded | CLOSE)
        return add_row(s, p, a, start, rows, tail, centre, dominated, ahead, rows_ahead, top, minded)
    elif vfirst(s.offset) != 0 or clamped:
        minded |= SHIFTED | SCALED | CENTRED | CLAMPED
        return add_row(s, p, a, start, rows, tail, centre, dominated, ahead, rows_ahead, top, minded)
    else:
        return add_row(s, p, a, start, rows, tail, centre, dominated, ahead, rows_ahead, top, minded | SCALED | CENTRED)


cdef inline void exponential_row(State* s, const Parameters* p, const Block* a, bint first, double* extremes,
                                 int minded) noexcept nogil:
    """`minded`: TIES or MOMENTS, and CLOSE for softmax and gradients, and STORED if terms are wanted; or MEANS."""
    cdef MeanState* m = <MeanState*>s
    cdef vector top[2 * VECTORS]     # the largest elements, and the least
    cdef vector seen[2 * VECTORS]    # a copy for add_any_row: what another function sees lies in memory
    cdef double tail_weights[LANES]
    cdef const double* tail = NULL
    cdef vector behind, centre = vset(0.0)
    cdef double maximum, minimum, low, dominated = -INFINITY
    cdef const double* ahead
    cdef Py_ssize_t done = 0, rows, rows_ahead, both, left, j
    cdef bint last = False, clamped = False, added
    for j in range(VECTORS):
        top[j] = vset(extremes[0]) if a.scanned else vset(-INFINITY)
        if minded & (MOMENTS | MEANS):
            top[VECTORS + j] = vset(extremes[1]) if a.scanned else vset(INFINITY)
    if not a.scanned:
        scan_row(top, a.x, a.weights, min(BLOCK_ROWS, a.rows), minded)
    while not last:
        left = a.rows - done
        rows = min(BLOCK_ROWS, left)
        last = left < BLOCK_ROWS or (left == BLOCK_ROWS and a.tail == NULL)
        if last and a.tail != NULL:
            tail = a.tail
            if minded & (MOMENTS | MEANS):
                set_tail_weights(tail_weights, a.tail_length)
            scan_row(top, tail, tail_weights, 1, minded)
        maximum = fold_max(top)
        if minded & (MOMENTS | MEANS):
            minimum = fold_min(top + VECTORS)
        for j in range(VECTORS):
            top[j] = vset(-INFINITY)
            top[VECTORS + j] = vset(INFINITY)
        if minded & STORED and a.meanwhile != NULL:
            a.meanwhile(a.given)
        if first:
            start(s, vset(maximum), p, minded)
            first = False
        elif maximum > vfirst(s.maximum):
            raise_to(s, vset(maximum), p, minded)
        if minded & MEANS:
            centre = centre_of_line(p.near, vset(maximum), vset(minimum))
            m.minimum = vmin(vset(minimum), m.minimum)
        if minded & MOMENTS:
            low = vfirst(vadd(s.offset, reference_of(s, p, minded).low))
            clamped = any_clamped(vset(minimum), vset(low), p)
            if clamped:
                minimum = least_that_counts(a, done, rows, tail, low)
            behind = vmul(vsub(s.maximum, vset(maximum)), p.scale)
            centre = centre_of_moment(vset(maximum), vset(minimum), behind, p)
            if not minded & CLOSE:
                dominated = vfirst(least_sum(vset(maximum), centre, behind, p,
                                             LANES*rows + (0 if tail == NULL else a.tail_length)))
        ahead = a.x + LANES*(done + rows)
        rows_ahead = min(BLOCK_ROWS, left - rows)
        if last and a.ahead != NULL:
            ahead = a.ahead
            rows_ahead = BLOCK_ROWS
        if minded & STORED:
            a.exponents[done // BLOCK_ROWS] = NAN
            if not p.scaled and vfirst(s.offset) == 0:
                a.exponents[done // BLOCK_ROWS] = vfirst(s.exponent)
        added = False
        while not added:
            if a.weights != NULL or p.scaled or vfirst(s.offset) != 0 or clamped:
                for j in range(2 * VECTORS):
                    seen[j] = top[j]
                added = add_any_row(s, p, a, done, rows, tail, centre, dominated, ahead, rows_ahead, seen, clamped,
                                    minded & ~STORED)
                for j in range(2 * VECTORS):
                    top[j] = seen[j]
            elif minded & MOMENTS and vfirst(centre) != 0:
                added = add_row(s, p, a, done, rows, tail, centre, dominated, ahead, rows_ahead, top, minded | CENTRED)
            elif minded & (MOMENTS | MEANS) or maximum == vfirst(s.maximum):
                added = add_row(s, p, a, done, rows, tail, centre, dominated, ahead, rows_ahead, top, minded)
            else:
                added = add_row(s, p, a, done, rows, tail, centre, dominated, ahead, rows_ahead, top, minded & ~TIES)
            if not minded & MOMENTS:
                break
            centre = cut(vset(maximum))
            dominated = -INFINITY
        both = min(rows, rows_ahead)
        if both < BLOCK_ROWS and rows_ahead:    # what add_row has not seen to
            prefetch_rows(ahead + AHEAD + LANES*both, BLOCK_ROWS - both)
            scan_row(top, ahead + LANES*both, NULL, rows_ahead - both, minded)
        done += rows
    if a.ahead != NULL:
        extremes[0] = fold_max(top)
        if minded & (MOMENTS | MEANS):
            extremes[1] = fold_min(top + VECTORS)


# Tiles: a block of up to LANES outputs side by side, each with its own state

cdef inline void scan_at(const Block* a, Py_ssize_t k, vector* maximum, vector* minimum, int minded) noexcept nogil:
    """Raises the maxima of WIDTH outputs to the elements at `k`, and lowers the minima, without absent elements."""
    cdef vector x = vload(a.x + k), least
    maximum[0] = vmax(x, maximum[0])
    if minded & (MOMENTS | MEANS):
        least = vmin(x, minimum[0])
        if a.weights != NULL:
            least = vselect(vequal(vload(a.weights + k), vset(0.0)), minimum[0], least)
        minimum[0] = least


cdef inline vector scan_column(const Block* a, Py_ssize_t column, vector* minimum, bint few,
                               int minded) noexcept nogil:
    """The maxima of WIDTH outputs of a block; and the minima. Unless rows are few, four chains of them: one alone,
    each maximum waiting for the last, would take half the time of the sums."""
    cdef vector top[4]
    cdef vector bottom[4]
    cdef Py_ssize_t i, j, whole = 0 if few else a.rows // 4
    for j in range(4):
        top[j] = vset(-INFINITY)
        bottom[j] = vset(INFINITY)
    for i in range(whole):
        for j in range(4):
            scan_at(a, a.stride*(4*i + j) + column, &top[j], &bottom[j], minded)
    for i in range(4*whole, a.rows):
        scan_at(a, a.stride*i + column, &top[0], &bottom[0], minded)
    for j in range(1, 4 if whole else 1):
        top[0] = vmax(top[0], top[j])
        bottom[0] = vmin(bottom[0], bottom[j])
    minimum[0] = bottom[0]
    return top[0]


cdef inline vector least_of_column(const Block* a, Py_ssize_t column, vector low) noexcept nogil:
    """As least_that_counts."""
    cdef vector x, least = vset(INFINITY)
    cdef Py_ssize_t i
    for i in range(a.rows):
        x = vload(a.x + a.stride*i + column)
        least = vselect(vless(x, low), least, vmin(x, least))
    return least


cdef inline void add_tile(State* s, const Parameters* p, const Block* a, const vector* centre,
                          const vector* dominated, vector* refused, Py_ssize_t vectors, int minded) noexcept nogil:
    """Adds a block of each output; with moments, but for vectors with sums below `dominated`, not 0 in `refused`."""
    cdef vector sums[LANES * VECTORS]
    cdef vector smalls[LANES * VECTORS]
    cdef vector sides[LANES * VECTORS]
    cdef vector means[MEANS_SUMMED * LANES * VECTORS]
    cdef vector mean[MEANS_SUMMED * VECTORS]
    cdef vector mean_error[MEANS_SUMMED * VECTORS]
    cdef vector sums_error[VECTORS]
    cdef vector sides_error[VECTORS]
    cdef vector count[VECTORS]              # of ties without weights, exact in any order: they do without lanes
    cdef Reference r[VECTORS]
    cdef bint counts = minded & TIES and not minded & WEIGHTED
    cdef vector initial = vset(CLOSE_START if minded & CLOSE and not minded & MOMENTS else 0.0)
    cdef State* t
    cdef Py_ssize_t i, j, k, lane, part
    if a.rows <= LANES:
        add_few_rows(s, p, a, vectors, False, minded | CLOSE if minded & MOMENTS else minded & ~CLOSE)
        return
    for j in range(vectors):
        r[j] = reference_of(state(s, j, minded), &p[j], minded)
        r[j].centre = vset(0.0) if minded & MOMENTS and minded & CLOSE else centre[j]
        count[j] = vset(0.0)
    for i in range(LANES):
        for j in range(vectors):
            lane = i*vectors + j
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            sums[lane] = initial
            smalls[lane] = sides[lane] = vset(0.0)
            for part in range(means_summed(minded)):
                means[part*LANES*VECTORS + lane] = mean_start(<int>part, minded)
            add_term(vload(a.x + k), a.weights + k, &r[j], &sums[lane], &smalls[lane],
                     &count[j] if counts else &sides[lane], &means[lane], LANES * VECTORS, NULL, minded)
    for i in range(LANES, a.rows):
        for j in range(vectors):
            lane = (i % LANES) * vectors + j
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            add_term(vload(a.x + k), a.weights + k, &r[j], &sums[lane], &smalls[lane],
                     &count[j] if counts else &sides[lane], &means[lane], LANES * VECTORS, NULL, minded)
    if minded & MEANS:
        for part in range(means_summed(minded)):
            for lane in range(LANES * vectors):
                means[part*LANES*VECTORS + lane] = vsub(means[part*LANES*VECTORS + lane],
                                                        mean_start(<int>part, minded))
            fold_lanes_closely(means + part*LANES*VECTORS, vectors, sums_error,
                               part in (LINE, CURVE) or minded & WEIGHTED_MEANS)
            for j in range(vectors):
                mean[j*MEANS_SUMMED + part] = means[part*LANES*VECTORS + j]
                mean_error[j*MEANS_SUMMED + part] = sums_error[j]
        for j in range(vectors):
            add_means(state(s, j, minded), mean + j*MEANS_SUMMED, mean_error + j*MEANS_SUMMED, a.rows, &r[j], minded)
        return
    if minded & MOMENTS:
        fold_lanes_closely(sums, vectors, sums_error, minded & CLOSE)
        fold_lanes_closely(sides, vectors, sides_error, minded & CLOSE)
        if minded & CLOSE:
            fold_lanes(smalls, vectors)
            fold_lanes(means, vectors)
            for j in range(vectors):
                sums_error[j] = vadd(sums_error[j], smalls[j])
                sides_error[j] = vadd(sides_error[j], means[j])
        for j in range(vectors):
            refused[j] = vset(0.0)
            if not minded & CLOSE:
                refused[j] = vselect(vless(sums[j], dominated[j]), vset(1.0), refused[j])
            if not vany(vless(vset(0.0), refused[j])):
                add_sums(&s[j], sums[j], sums_error[j], sides[j], sides_error[j], &r[j], False, minded)
        return
    if minded & CLOSE:
        for lane in range(LANES * vectors):
            sums[lane] = vsub(sums[lane], initial)
    fold_lanes(sums, vectors)
    fold_lanes(smalls, vectors)
    if not counts:
        fold_lanes(sides, vectors)
    for j in range(vectors):
        t = state(s, j, minded)
        add_to(&t.sum, &t.sum_error, sums[j])
        add_to(&t.sum, &t.sum_error, smalls[j])
        add_to(&t.side, &t.side_error, count[j] if counts else sides[j])


cdef inline void add_few_rows(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                              int minded) noexcept nogil:
    """Adds a block of at most LANES rows."""
    cdef vector mean[MEANS_SUMMED]
    cdef vector power, small, side, smaller, zero = vset(0.0)
    cdef Few few
    cdef Reference r
    cdef Py_ssize_t i, j, k, part
    for j in range(vectors):
        r = reference_of(state(s, j, minded), &p[j], minded)
        r.centre = smaller = zero
        few = no_few(r.maximum, &p[j], minded)
        if minded & PAIRS:              # the larger is a tie; which comes first does not matter
            smaller = vload(a.x + WIDTH*j)
            smaller = vselect(vequal(smaller, r.maximum), vload(a.x + a.stride + WIDTH*j), smaller)
            few.side = vset(1.0)
        for i in range(1 if minded & PAIRS else 0, 2 if minded & PAIRS else a.rows):
            k = a.stride*i + WIDTH*j
            prefetch_next(a, i, j)
            power = small = side = zero
            for part in range(means_summed(minded)):
                mean[part] = zero
            add_term(smaller if minded & PAIRS else vload(a.x + k), a.weights + k, &r, &power, &small,
                     &few.side if minded & TIES else &side, mean, 1, NULL, minded)
            add_one(&few, power, small, side, mean, minded)
        add_few(state(s, j, minded), &few, a.rows, &r, first, minded)


cdef inline void exponential_tile(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint first,
                                  int minded) noexcept nogil:
    """`minded`: TIES or MOMENTS, and CLOSE for softmax and gradients, or MEANS."""
    cdef vector centre[VECTORS]
    cdef vector dominated[VECTORS]
    cdef vector refused[VECTORS]
    cdef vector maximum, minimum, low, behind
    cdef Block again
    cdef State* t
    cdef MeanState* m
    cdef bint shifted = False, scaled = False
    cdef Py_ssize_t j
    for j in range(vectors):
        maximum = scan_column(a, WIDTH*j, &minimum, False, minded)
        t = state(s, j, minded)
        if first:
            start(t, maximum, &p[j], minded)
        elif vany(vless(t.maximum, maximum)):
            raise_to(t, maximum, &p[j], minded)
        if minded & MEANS:
            m = <MeanState*>t
            m.minimum = vmin(minimum, m.minimum)
            centre[j] = centre_of_line(p[j].near, maximum, minimum)
        if minded & MOMENTS:
            low = vadd(t.offset, reference_of(t, &p[j], minded).low)
            if any_clamped(minimum, low, &p[j]):
                shifted = True                      # which minds it, too
                minimum = least_of_column(a, WIDTH*j, low)
            behind = vmul(vsub(t.maximum, maximum), p[j].scale)
            centre[j] = centre_of_moment(maximum, minimum, behind, &p[j])
            if not minded & CLOSE:
                dominated[j] = least_sum(maximum, centre[j], behind, &p[j], a.rows)
                refused[j] = vset(0.0)      # as few rows, and those with exact sums, refuse nothing
        shifted = shifted or vany(vless(vset(0.0), vabs(t.offset)))
        scaled = scaled or p[j].scaled
    add_any_tile(s, p, a, centre, dominated, refused, vectors, shifted, scaled, minded)
    if minded & MOMENTS and not minded & CLOSE:
        for j in range(vectors):
            if vany(vless(vset(0.0), refused[j])):  # once more, about the maximum
                t = state(s, j, minded)
                maximum = scan_column(a, WIDTH*j, &minimum, False, minded)
                centre[j] = vselect(vless(vset(0.0), refused[j]), cut(maximum), centre[j])
                dominated[j] = vset(-INFINITY)
                again = a[0]
                again.x += WIDTH*j
                if again.weights != NULL:
                    again.weights += WIDTH*j
                add_any_tile(t, &p[j], &again, &centre[j], &dominated[j], &refused[j], 1, shifted, scaled, minded)


cdef inline void add_any_tile(State* s, const Parameters* p, const Block* a, const vector* centre,
                              const vector* dominated, vector* refused, Py_ssize_t vectors, bint shifted, bint scaled,
                              int minded) noexcept nogil:
    if a.weights != NULL and minded & MEANS and p.weighted:
        minded |= SHIFTED | SCALED | WEIGHTED | WEIGHTED_MEANS
        add_tile(s, p, a, centre, dominated, refused, vectors, minded)
    elif a.weights != NULL:
        minded |= SHIFTED | SCALED | WEIGHTED | CENTRED | CLAMPED
        if minded & MOMENTS and p.weighted:
            add_tile(s, p, a, centre, dominated, refused, vectors, minded | CLOSE)
        else:
            add_tile(s, p, a, centre, dominated, refused, vectors, minded)
    elif shifted:
        minded |= SHIFTED | SCALED | CENTRED | CLAMPED
        add_tile(s, p, a, centre, dominated, refused, vectors, minded)
    elif scaled:
        add_tile(s, p, a, centre, dominated, refused, vectors, minded | SCALED | CENTRED)
    elif vectors == VECTORS:
        add_tile(s, p, a, centre, dominated, refused, VECTORS, minded | CENTRED)
    else:
        add_tile(s, p, a, centre, dominated, refused, vectors, minded | CENTRED)


cdef inline bint any_scaled(const Parameters* p, Py_ssize_t vectors) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(vectors):
        if p[j].scaled:
            return True
    return False


cdef inline bint few_states(State* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint scaled,
                            int minded) noexcept nogil:
    """The states of outputs side by side, of at most LANES elements each and no weights.

    Does nothing and returns false where an element is so large that the reference needs an offset, or, with moments,
    so low that it counts for nothing.
    """
    cdef vector minimum
    cdef Py_ssize_t j
    for j in range(vectors):
        s[j] = state_at(scan_column(a, WIDTH*j, &minimum, True, minded), &p[j], minded & MOMENTS)
        if vany(vless(vset(0.0), vabs(s[j].offset))):
            return False
        if minded & MOMENTS and any_clamped(minimum, reference_of(&s[j], &p[j], minded).low, &p[j]):
            return False
    if scaled:
        add_few_rows(s, p, a, vectors, True, minded | SCALED)
    elif a.rows == 2 and minded & TIES:
        add_few_rows(s, p, a, vectors, True, minded | PAIRS)
    else:
        add_few_rows(s, p, a, vectors, True, minded)
    return True


cdef void exponential_parameters(void* parameters, const double* alpha, double limit) noexcept nogil:
    cdef Parameters* p = <Parameters*>parameters
    cdef vector a = vload(alpha), zero = vset(0.0), one = vset(1.0), log2e = vset(LOG2_E), product, original, error
    cdef vmask infinite
    cdef Py_ssize_t j
    p.alpha = vabs(a)
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
    # Infinite elements are near if alpha is 0, and only then. Below 1/2, as then the exponent is at least 0.
    p.near = vmul(vset(0.49), p.unscale)
    p.near = vselect(vless(p.near, vset(DOUBLE_MAX)), p.near, vset(DOUBLE_MAX))
    p.near = vselect(vequal(p.scale, zero), vset(INFINITY), p.near)
    p.weighted = limit == INFINITY
    p.scaled = False
    for j in range(WIDTH):
        p.scaled = p.scaled or alpha[j] != 1
