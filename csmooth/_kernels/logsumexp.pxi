"""log(sum(exp(alpha * x))) / alpha as algebra on states.

A state stands for the elements x seen so far, with scale = alpha * log2(e) > 0:

    maximum         the largest x; -inf where there was none
    ties            the weight of the elements equal to the maximum (their number, without weights)
    offset, exponent   the reference: terms are 2**((x - offset) * scale - exponent)
    rest            the sum of weight * term of all other elements, times 2**BIAS

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
    #define LARGEST_SCALE 1.0715086071862673e301   /* 2**1000 */
    #define SMALLEST_ALPHA 1.0261342003245941e-289   /* 2**-960: EXPONENT_MIN / scale must not overflow */
    #define LOST 2.409919865102884e-181   /* 2**-600, of terms that vanish below 2**-1023 */
    #define LOG2_E 1.4426950408889634
    #define LOG2_E_ERROR 2.0355273740931033e-17
    """
    double LARGEST_PRODUCT, LARGEST_SCALE, SMALLEST_ALPHA, LOST, LOG2_E, LOG2_E_ERROR

cdef struct LogSumExp:
    vector maximum, offset, exponent, ties, ties_error, rest, rest_error

cdef struct Parameters:
    vector scale             # abs(alpha) * log2(e)
    vector unscale           # 1 / scale
    vector alpha, inverse    # abs(alpha), 1 / abs(alpha)
    vector sign              # of alpha
    vector limit             # the sum is at most limit * exp(alpha * maximum): the number of elements, or inf
    bint plain               # every alpha is 1, and no weights are given


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
    cdef vector m = vselect(vequal(maximum, vset(-INFINITY)), s.rest, maximum), t = vmul(m, p.scale)
    cdef vmask near = vless(absolute(t), vset(LARGEST_PRODUCT))
    s.maximum = maximum
    s.exponent = vselect(near, vsub(vadd(t, vset(ROUND_INTEGER)), vset(ROUND_INTEGER)), s.rest)
    s.offset = vselect(near, s.rest, vselect(vless(m, vset(DOUBLE_MAX)), m, vset(DOUBLE_MAX)))
    return s


cdef inline LogSumExp raised(LogSumExp s, vector maximum, const Parameters* p) noexcept nogil:
    """The state with the larger of the two maxima; the old one, with its ties, joins the rest."""
    cdef vmask up = vless(s.maximum, maximum)
    cdef LogSumExp t
    cdef vector factor, lost, power, zero = vset(0.0)
    t = state_at(vselect(up, maximum, s.maximum), p)
    t.exponent = vselect(up, t.exponent, s.exponent)
    t.offset = vselect(up, t.offset, s.offset)
    factor = rescaling(s, t, p)
    lost = term(s.maximum, t, p, &power)
    lost = vmul(lost, power)
    t.ties = vselect(up, zero, s.ties)
    t.ties_error = vselect(up, zero, s.ties_error)
    t.rest = two_sum(vmul(s.rest, factor), vselect(up, vmul(lost, s.ties), zero), &t.rest_error)
    t.rest_error = vfma(s.rest_error, factor, t.rest_error)
    t.rest_error = vadd(t.rest_error, vselect(up, vmul(lost, s.ties_error), zero))
    return t


cdef inline vector rescaling(LogSumExp s, LogSumExp t, const Parameters* p) noexcept nogil:
    """2 to the distance from t's reference down to s's; 1 if s lies higher, as then s is empty."""
    cdef vector zero = vset(0.0), down
    down = vfma(vsub(s.offset, t.offset), p.scale, vsub(s.exponent, t.exponent))
    return exp2_down(vselect(vless(down, zero), down, zero))


cdef inline vector shift_of(LogSumExp s) noexcept nogil:
    return vsub(vset(ROUND_16TH + BIAS), s.exponent)


cdef inline vector low_of(LogSumExp s, const Parameters* p) noexcept nogil:
    """Where the terms vanish, as exp2_terms wants it."""
    return vmax(vmul(vadd(s.exponent, vset(EXPONENT_MIN)), p.unscale), vset(-DOUBLE_MAX))


cdef inline vector term(vector x, LogSumExp s, const Parameters* p, vector* power) noexcept nogil:
    return exp2_terms(vsub(x, s.offset), p.scale, shift_of(s), low_of(s, p), power)


cdef inline void add_to(vector* total, vector* total_error, vector x) noexcept nogil:
    cdef vector error
    total[0] = two_sum(total[0], x, &error)
    total_error[0] = vadd(total_error[0], error)


cdef inline void add_term(vector x, const double* weight, LogSumExp* s, vector scale, vector shift, vector low,
                          vector* rest, vector* ties, bint has_ties, bint shifted) noexcept nogil:
    """Adds one element to `rest` or, if it is the maximum, to `ties`.

    Where the caller knows that no element is the maximum, or that the offset is 0, it says so, and the same
    bits come out sooner.
    """
    cdef vector power, value, w = vset(1.0)
    cdef vmask tie
    value = exp2_terms(vsub(x, s.offset) if shifted else x, scale, shift, low, &power)
    if weight != NULL:
        w = vload(weight)
        power = vmul(power, w)
    value = vfma(power, value, rest[0])
    if has_ties:
        tie = vequal(x, s.maximum)
        ties[0] = vselect(tie, vadd(ties[0], w), ties[0])
        value = vselect(tie, rest[0], value)
    rest[0] = value


cdef inline void add_row(LogSumExp* s, const Parameters* p, const Block* a, bint weighted, bint has_ties,
                         bint shifted) noexcept nogil:
    cdef vector rest[VECTORS]
    cdef vector ties[VECTORS]
    cdef vector scale = p.scale, shift = shift_of(s[0]), low = low_of(s[0], p)
    cdef const double* w = NULL
    cdef Py_ssize_t i, j
    for j in range(VECTORS):
        rest[j] = ties[j] = vset(0.0)
    for i in range(a.rows):
        for j in range(VECTORS):
            if weighted:
                w = a.weights + LANES*i + WIDTH*j
            add_term(vload(a.x + LANES*i + WIDTH*j), w, s, scale, shift, low, &rest[j], &ties[j], has_ties, shifted)
    if a.tail != NULL:
        for j in range(VECTORS):
            if weighted:
                w = a.tail_weights + WIDTH*j
            add_term(vload(a.tail + WIDTH*j), w, s, scale, shift, low, &rest[j], &ties[j], has_ties, shifted)
    add_to(&s.rest, &s.rest_error, vset(fold_add(rest)))
    if has_ties:
        add_to(&s.ties, &s.ties_error, vset(fold_add(ties)))


cdef void logsumexp_row(void* state, const void* parameters, const Block* a, bint first) noexcept nogil:
    """Adds a block of one output, its lanes along the axis; every element of the vectors in the state is equal."""
    cdef LogSumExp* s = <LogSumExp*>state
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector top[VECTORS]
    cdef double largest
    cdef Py_ssize_t i, j
    for j in range(VECTORS):
        top[j] = vset(-INFINITY) if a.tail == NULL else vload(a.tail + WIDTH*j)
    for i in range(a.rows):
        for j in range(VECTORS):
            top[j] = vmax(vload(a.x + LANES*i + WIDTH*j), top[j])
    largest = fold_max(top)
    if first:
        s[0] = state_at(vset(largest), p)
    elif largest > vfirst(s.maximum):
        s[0] = raised(s[0], vset(largest), p)
    if a.weights != NULL:
        add_row(s, p, a, True, True, True)
    elif vfirst(s.offset) != 0:
        add_row(s, p, a, False, True, True)
    elif largest == vfirst(s.maximum):
        add_row(s, p, a, False, True, False)
    else:
        add_row(s, p, a, False, False, False)


cdef inline void add_tile(LogSumExp* s, const Parameters* p, const Block* a, Py_ssize_t vectors, bint weighted,
                          bint shifted) noexcept nogil:
    cdef vector rest[LANES * VECTORS]
    cdef vector ties[LANES * VECTORS]
    cdef vector shift[VECTORS]
    cdef vector low[VECTORS]
    cdef const double* w = NULL
    cdef vector* lane
    cdef Py_ssize_t i, j, l, half, lanes = min(a.rows, LANES)
    for j in range(vectors):
        shift[j] = shift_of(s[j])
        low[j] = low_of(s[j], &p[j])
    for j in range(vectors):
        ties[j] = vset(0.0)
    for i in range(a.rows):
        l = (i % LANES) * vectors
        for j in range(vectors):
            if i < LANES:
                rest[l + j] = vset(0.0)
                if weighted:
                    ties[l + j] = vset(0.0)
            if weighted:
                w = a.weights + a.stride*i + WIDTH*j
            add_term(vload(a.x + a.stride*i + WIDTH*j), w, &s[j], p[j].scale, shift[j], low[j],
                     &rest[l + j], &ties[l + j if weighted else j], True, shifted)
    half = LANES // 2
    while half:
        for i in range(vectors * max(0, lanes - half)):
            rest[i] = vadd(rest[i], rest[i + vectors*half])
            if weighted:    # a number of ties is exact in any order
                ties[i] = vadd(ties[i], ties[i + vectors*half])
        lanes = min(lanes, half)
        half //= 2
    for j in range(vectors):
        add_to(&s[j].rest, &s[j].rest_error, rest[j])
        add_to(&s[j].ties, &s[j].ties_error, ties[j])


cdef void logsumexp_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors, bint first) noexcept nogil:
    """Adds a block of up to LANES outputs side by side, each with its own state."""
    cdef LogSumExp* s = <LogSumExp*>states
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector maximum
    cdef bint shifted = False
    cdef Py_ssize_t i, j
    for j in range(vectors):
        maximum = vset(-INFINITY)
        for i in range(a.rows):
            maximum = vmax(vload(a.x + a.stride*i + WIDTH*j), maximum)
        if first:
            s[j] = state_at(maximum, &p[j])
        elif vany(vless(s[j].maximum, maximum)):
            s[j] = raised(s[j], maximum, &p[j])
        shifted = shifted or vany(vless(vset(0.0), absolute(s[j].offset)))
    if a.weights != NULL:
        add_tile(s, p, a, vectors, True, True)
    elif shifted:
        add_tile(s, p, a, vectors, False, True)
    elif vectors == VECTORS:
        add_tile(s, p, a, VECTORS, False, False)
    else:
        add_tile(s, p, a, vectors, False, False)


cdef void logsumexp_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    cdef LogSumExp* s = <LogSumExp*>into
    cdef const LogSumExp* t = <const LogSumExp*>other
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector factor, lost, power, zero = vset(0.0)
    cdef vmask tie
    s[0] = raised(s[0], t.maximum, p)
    factor = rescaling(t[0], s[0], p)
    tie = vequal(s.maximum, t.maximum)
    lost = term(t.maximum, s[0], p, &power)
    lost = vmul(lost, power)
    add_to(&s.rest, &s.rest_error, vmul(t.rest, factor))
    add_to(&s.rest, &s.rest_error, vselect(tie, zero, vmul(lost, t.ties)))
    add_to(&s.ties, &s.ties_error, vselect(tie, t.ties, zero))
    s.rest_error = vadd(vfma(t.rest_error, factor, s.rest_error), vselect(tie, zero, vmul(lost, t.ties_error)))
    s.ties_error = vadd(s.ties_error, vselect(tie, t.ties_error, zero))


cdef inline void finish(const LogSumExp* s, const Parameters* p, double* values, double* signs, double* lost,
                        bint plain) noexcept nogil:
    """maximum + log(ties + rest / term(maximum)) / alpha, rounded but once: each step hands on its error.

    `plain` says that alpha is 1 and no weights are given; the bits are the same, and come sooner.
    """
    cdef vector zero = vset(0.0), one = vset(1.0), nan = vset(NAN), infinity = vset(INFINITY)
    cdef vector rest = s.rest, inverse, inverse_error, ratio, ratio_error, total, error, log, log_error, value, sign = one
    cdef vmask finite = vless(absolute(s.maximum), infinity)
    # 1 / term(maximum) = 2**(exponent - (maximum - offset) * scale - BIAS)
    inverse = exp2_double(vsub(s.offset, s.maximum), p.scale, vadd(s.exponent, vset(ROUND_16TH - BIAS)), &inverse_error)
    if not plain:
        rest = vselect(finite, rest, vmul(rest, zero))
        inverse = vselect(finite, inverse, one)
        inverse_error = vselect(finite, inverse_error, zero)
    ratio = vmul(rest, inverse)
    ratio_error = vfma1(rest, inverse, vsub(zero, ratio))
    ratio_error = vadd(vfma(rest, inverse_error, ratio_error), vmul(s.rest_error, inverse))
    total = two_sum(s.ties, ratio, &error)
    total = fast_two_sum(total, vadd(error, vadd(ratio_error, s.ties_error)), &error)
    # Rounding must not lift the sum of n terms above n, or the result above maximum + log(n) / alpha.
    error = vselect(vless(total, p.limit), error, zero)
    total = vselect(vless(p.limit, total), p.limit, total)
    if not plain:
        sign = vselect(vless(zero, total), one, vselect(vless(total, zero), vset(-1.0), total))
        total = absolute(total)
        error = vmul(error, sign)
    log = log_double(total, error, not plain, &log_error)
    if not plain:                       # an infinite alpha leaves the maximum
        ratio = vmul(log, p.inverse)
        ratio_error = vmul(vadd(vfma1(vsub(zero, ratio), p.alpha, log), log_error), p.inverse)
        ratio_error = vselect(vless(absolute(ratio), infinity), ratio_error, zero)
        log_error = vselect(vless(p.alpha, infinity), ratio_error, zero)
        log = ratio
    value = two_sum(s.maximum, log, &error)
    error = vadd(error, log_error)
    value = vadd(value, error) if plain else vselect(vless(absolute(value), infinity), vadd(value, error), value)
    # An infinite maximum is the result, unless there are NaN or the weights of +inf cancel.
    value = vselect(finite, value, vadd(s.maximum, vmul(s.rest if plain else vselect(vless(zero, s.maximum), log, rest),
                                                        zero)))
    sign = vselect(vequal(s.maximum, vset(-INFINITY)), vmul(rest, zero), sign)
    if not plain:
        value = vmul(value, p.sign)
    vstore(values, vselect(vequal(value, value), value, nan))
    vstore(signs, vselect(vequal(value, value), sign, nan))
    if not plain:
        ratio = vselect(vless(absolute(rest), vset(LOST)), s.maximum, nan)
        vstore(lost, vselect(vequal(s.ties, zero), vselect(finite, ratio, nan), nan))


cdef void logsumexp_finish(const void* state, const void* parameters, double* values, double* signs,
                           double* lost) noexcept nogil:
    """The results of a state, and `lost`: the maximum, where its weights cancel and the rest vanished beneath it,
    else NaN.
    """
    cdef const Parameters* p = <const Parameters*>parameters
    if p.plain:
        finish(<const LogSumExp*>state, p, values, signs, lost, True)
    else:
        finish(<const LogSumExp*>state, p, values, signs, lost, False)


cdef void logsumexp_parameters(void* parameters, const double* alpha, double limit) noexcept nogil:
    cdef Parameters* p = <Parameters*>parameters
    cdef vector a = vload(alpha), zero = vset(0.0), one = vset(1.0), log2e = vset(LOG2_E), product, error
    cdef vmask infinite
    cdef Py_ssize_t j
    p.alpha = absolute(a)
    p.sign = vselect(vless(a, zero), vset(-1.0), one)
    p.inverse = vdiv(one, p.alpha)
    p.limit = vset(limit)
    product = vmul(p.alpha, log2e)
    error = vadd(vfma1(p.alpha, log2e, vsub(zero, product)), vmul(p.alpha, vset(LOG2_E_ERROR)))
    product = vselect(vless(product, vset(LARGEST_SCALE)), vadd(product, error), vset(LARGEST_SCALE))
    # Any scale serves where alpha is infinite, since the logarithm is divided by it; a NaN must stay.
    infinite = vequal(p.alpha, vset(INFINITY))
    p.scale = vselect(infinite, one, vselect(vequal(a, a), product, a))
    p.unscale = vdiv(one, p.scale)
    p.plain = limit < INFINITY
    for j in range(WIDTH):
        p.plain = p.plain and alpha[j] == 1


cdef Reduction LOGSUMEXP = Reduction(
    logsumexp_row, logsumexp_tile, logsumexp_merge, logsumexp_finish, logsumexp_parameters,
    sizeof(LogSumExp), sizeof(Parameters), -INFINITY, SMALLEST_ALPHA)
