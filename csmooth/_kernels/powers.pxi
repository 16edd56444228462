"""Sums of powers as algebra on states: what pnorm and pmean have in common.

A state stands for the elements x seen so far:

    maximum             the largest abs(x), or for p < 0 minus the smallest; -inf where there was none
    sum                 of weight * (term - unit), in double-double, the term being abs(x / 2**base)**p / 2**exponent
    weight              the sum of the weights, in double-double, where it counts
    exponent, unit, base    the reference, which depends on the maximum alone (reference_for)

(a) The exponent is that of the largest term, an integer. So nothing over- or underflows that could show in the result,
    and moving the reference multiplies by a power of two, exactly.
(b) The terms of small and half-integer p are products and square roots; of other p, 2**(p * log2(abs(x))), where
    exponent and mantissa of x stay apart, so that the size of x costs no accuracy.
(c) A p-th root divides errors by p. Where that enlarges them, terms are taken in double-double; if they are near 1,
    which small p makes of any numbers, less 1 (the unit), so that what differs is not rounded off. Above 1 neither
    logarithms nor terms need be in double-double; but the mean of equal numbers is to be that number, so of means the
    logarithm is, and with weights their product with the term. Such a term is an entry of the table, with FACTOR,
    which a block's sum is freed of, times 1 + relative.
(d) From LARGE_POWER on p * log2(x) has no room for a fraction. There the base is log2 of the maximum, in double-double;
    else it is 0. Moving it rounds, which the root then hides.
(e) Lanes start at POWER_START, so far above a block's terms that each is rounded to the same last place: what that left
    is a difference, and the lanes add up exactly. Products of two numbers are added by one operation, as fma() rounds
    but once. Of few elements, which some loops add in lanes and some do not, products start at 0, since it depends on
    the sum where a tie goes (entries of the table are none); and so does all that is given weights.
"""

cdef extern from *:
    """
    #define LARGE_POWER 34359738368.0       /* 2**35: times any exponent, less than 2**46 */
    #define LOWEST_EXPONENT 422212465064984.0       /* ROUND_16TH - 1000: terms that are as good as 0 */
    #define INVERSE 0.7142851865704172              /* 1 / FACTOR, and what rounding left of it */
    #define INVERSE_ERROR 1.20857285424029e-17
    #define POWER_START 65536.0                     /* 256 * 4**4: above what the terms of a block are together */
    #define SMALLEST_POWER 4.909093465297727e-91   /* 2**-300: as good as 0 */
    """
    double LARGE_POWER, SMALLEST_POWER, LOWEST_EXPONENT, INVERSE, INVERSE_ERROR, POWER_START

cdef enum:
    # How a term is made; constants where it is called, so that each loop is compiled without the rest.
    COUNT,              # p = 0, or infinite, where only NaN matter
    ROOT, FIRST, THREE_HALVES, SECOND, THIRD, FOURTH,   # p = 1/2, 1, 3/2, 2, 3, 4
    LOGARITHM,          # p > 1
    CLOSE_LOGARITHM,    # p > 1, of means
    CAREFUL             # any p

cdef enum:
    # What else a loop must mind. Most are constants where it is called, some, of loops that are rarely run, are not.
    ORDERED = 1         # sums start at POWER_START
    AVERAGED = 2        # a mean: an element below 0 makes it NaN, and the number of elements is its weight
    GENERAL = 4         # a norm or a mean, with infinite elements or weights, which are 0 or 1 if ORDERED
    EXTREME = 8         # logarithms: elements are scaled, or (d) applies
    FOLLOWED = 16       # rows: the next block is scanned; so memory is read evenly, in the shade of the arithmetic

cdef struct PowerState:
    vector maximum, sum, sum_error, weight, weight_error
    vector exponent, unit, base, base_error     # of the reference

cdef struct PowerParameters:
    vector power            # p; 1 where it is infinite
    vector given            # p
    vector sign             # of p
    vector count            # of elements; infinite with weights
    vector most             # whose power is infinite; NaN for 0 and infinite p, where others count, too
    int kind                # of terms, alike in all lanes of what is summed
    bint mean

cdef struct PowerReference:
    # What turns elements into terms.
    vector power, sign
    vector power_high, power_low    # 42 bits, whose product with an exponent is exact, and the others
    vector scale                # of elements, so that their powers do not overflow
    vector origin, base_error   # what logarithms, of scaled elements, are relative to
    vector shift, unit
    vector close                # power, or 0 for (d), where the second double of a logarithm does not count
    vector floor                # elements times the sign of p that lie below it have no powers
    vector infinite, nothing    # what stands for infinity and 0 as the base of a power: for p < 0, 0 and 2**-1074
    vector beside               # elements times the sign of p that lie below it do not count, beside infinite powers

cdef struct Sum:
    vector sum, error


cdef inline PowerReference reference_for(PowerState* s, const PowerParameters* p, int kind) noexcept nogil:
    """The reference that suits the maximum; the state is told, but its sums are not moved."""
    cdef PowerReference r
    cdef vector zero = vset(0.0), one = vset(1.0), integer = vset(ROUND_INTEGER), m = vabs(s.maximum), even, e, log
    cdef vmask negative = vless(p.sign, zero), is_large
    r.infinite = vselect(negative, zero, vset(DOUBLE_MAX))
    r.nothing = vselect(negative, vset(DOUBLE_LEAST), zero)
    m = vselect(vless(zero, m), vselect(vless(m, vset(INFINITY)), m, vset(DOUBLE_MAX)),
                vselect(negative, r.nothing, one))
    even = vsub(vior(vshr(m, 52), vset(TWO_52)), vset(TWO_52 + 1023))
    even = vsub(vfma(even, vset(0.5), integer), integer)
    even = vmul(vset(2.0), even)                # as half-integer powers ask for
    even = vmax(vset(-1022.0), vsub(zero, vmax(vset(-1022.0), vsub(zero, even))))
    r.power = p.power
    r.power_high = vshl(vshr(p.power, 11), 11)
    r.power_low = vsub(p.power, r.power_high)
    r.sign = p.sign
    r.floor = vset(0.0 if p.mean else -INFINITY)
    r.beside = vselect(vequal(vabs(s.maximum), p.most), s.maximum, vset(-INFINITY))
    r.scale = vlookup(EXP2_TABLE, vsub(vset(ROUND_16TH), even))
    r.base_error = r.origin = r.unit = r.shift = r.close = zero
    s.base = s.base_error = s.unit = zero
    s.exponent = vmul(even, p.power)
    if kind < LOGARITHM:
        return r
    if is_logarithm(kind):      # which needs no scale unless numbers are extreme, or weights make small ones count
        even = vselect(vless(vabs(even), vselect(vless(p.count, vset(INFINITY)), vset(500.0), zero)), zero, even)
        r.scale = vlookup(EXP2_TABLE, vsub(vset(ROUND_16TH), even))
    m = vmul(m, r.scale)
    if kind == LOGARITHM:
        log = log2_fast(m, &e)
    elif kind == CLOSE_LOGARITHM:
        log = log2_close(m, &e, &m)
    else:
        log = log2_double(m, zero, zero, False, &e, &m)
    e = vadd(e, even)
    is_large = vless(vset(LARGE_POWER), vabs(p.power))
    s.base = vselect(is_large, e, zero)
    s.base_error = r.base_error = vselect(is_large, log, zero)
    r.close = vselect(is_large, zero, p.power)
    r.origin = vsub(s.base, even) if is_logarithm(kind) else s.base
    log = vadd(vmul(p.power, log), vmul(p.power, e))
    s.exponent = vselect(is_large, zero, vsub(vadd(log, integer), integer))
    if is_logarithm(kind):      # so that FACTOR makes no sum overflow
        s.exponent = vadd(s.exponent, one)
    r.shift = vsub(vset(ROUND_16TH), s.exponent)
    if kind == CAREFUL:
        s.unit = r.unit = vselect(vequal(s.exponent, zero), one, zero)
    return r


cdef inline void move(PowerState* s, const PowerState* to, const PowerParameters* p, vmask up) noexcept nogil:
    """Gives the sums another reference; if that lies lower there are none. `up`: that of a larger maximum."""
    cdef vector down = vadd(vsub(s.base, to.base), vsub(s.base_error, to.base_error)), zero = vset(0.0), error
    cdef vector factor, units
    down = vfma(down, p.power, vsub(s.exponent, to.exponent))
    factor = exp2_down(vselect(vless(down, zero), down, zero))
    factor = vselect(up, vselect(vequal(vabs(to.maximum), p.most), zero, factor), factor)
    units = vsub(vmul(s.unit, factor), to.unit)
    s.sum = vmul(s.sum, factor)
    s.sum_error = vfma(s.sum_error, factor, vmul(s.weight_error, units))
    add_to(&s.sum, &s.sum_error, product(s.weight, units, &error))
    s.sum_error = vadd(s.sum_error, error)
    s.exponent = to.exponent
    s.unit = to.unit
    s.base = to.base
    s.base_error = to.base_error


# Terms

cdef inline vector term_of(vector x, const PowerReference* r, vector* error, int kind) noexcept nogil:
    """abs(x)**p / 2**exponent - unit in double-double. Not of logarithms."""
    cdef vector zero = vset(0.0), one = vset(1.0), y = vabs(x), e, k, f, log, log_error, small, small_error
    cdef vector term, factor, rest
    cdef vmask vanishes, below
    error[0] = zero
    if kind == COUNT:
        return vadd(vselect(vequal(y, zero), zero, one), vsub(y, y))        # NaN
    if kind == CAREFUL:
        y = vselect(vequal(y, zero), r.nothing, y)
        y = vselect(vequal(vabs(x), vset(INFINITY)), r.infinite, y)
        vanishes = vequal(y, zero)
        below = vless(y, one)
        log = log2_double(vmul(y, vselect(below, vset(TWO_54), vset(0.25))), zero, zero, False, &e, &log_error)
        e = vsub(e, vselect(below, vset(54.0), vset(-2.0)))
        e = vsub(e, r.origin)
        log = vsub(log, r.base_error)
        e = product(e, r.power, &small_error)
        log = product(log, r.power, &small)
        small = vadd(vfma(log_error, r.close, small), small_error)
        k = vadd(vadd(e, log), r.shift)
        f = two_sum(e, vsub(r.shift, k), &small_error)
        f = two_sum(f, log, &e)
        f = fast_two_sum(f, vadd(vadd(small_error, e), small), &small)
        log = exp2_double(k, f, small, r.unit, &small)
        k = vselect(vanishes, zero, k)          # nor does it count beside a 0 whose power is infinite
        vanishes = vless(vset(1020.0), vabs(vsub(k, vset(ROUND_16TH))))
        error[0] = vselect(vanishes, zero, small)
        return vselect(vanishes, vsub(zero, r.unit), log)
    term = factors_of(x, r, &factor, &rest, kind)
    if kind != ROOT and kind != FIRST:
        term = product(term, factor, error)
    error[0] = vadd(error[0], rest)
    return term


cdef inline vector factors_of(vector x, const PowerReference* r, vector* factor, vector* rest, int kind) noexcept nogil:
    """abs(x)**p / 2**exponent, for p from 1/2 to 4, is what is returned, times `factor` (ROOT, FIRST: 1), plus `rest`.

    Of roots, the last bit may be off. Scaled elements are below 4.
    """
    cdef vector y = vmul(x, r.scale), root, square, error
    if kind != SECOND and kind != FOURTH:
        y = vabs(y)
    factor[0] = vset(1.0)
    rest[0] = vset(0.0)
    if kind == FIRST:
        return y
    if kind == ROOT or kind == THREE_HALVES:
        root = vsqrt(y)
        if kind == ROOT:
            rest[0] = vmul(vset(0.5), vdiv(vfma1(vsub(vset(0.0), root), root, y), vmax(root, vset(DOUBLE_MIN))))
            return root
        factor[0] = root
        return y
    factor[0] = y
    if kind == SECOND:
        return y
    square = product(y, y, &error)
    if kind == THIRD:
        rest[0] = vmul(error, y)
        return square
    factor[0] = square
    rest[0] = vmul(vadd(square, square), error)
    return square


cdef inline bint is_logarithm(int kind) noexcept nogil:
    return kind == LOGARITHM or kind == CLOSE_LOGARITHM


cdef inline vector fast_term(vector x, const PowerReference* r, vector* relative, int kind,
                             bint extreme) noexcept nogil:
    """A term of a logarithm over 1 + relative. `extreme`: elements are scaled, or (d) applies. Else 0 has 2**-1000."""
    cdef vector y = vabs(x), e, k, f, log, rest
    cdef vmask vanishes
    if extreme:
        y = vmul(y, r.scale)
    log = log2_close(y, &e, &rest) if kind == CLOSE_LOGARITHM else log2_fast(y, &e)
    if extreme:
        e = vsub(e, r.origin)
        log = vsub(log, r.base_error)
    k = vadd(vfma(log, r.power, vmul(e, r.power)), r.shift)
    if kind == CLOSE_LOGARITHM:
        f = vfma1(log, r.power, vfma1(e, r.power_high, vsub(r.shift, k)))
        f = vadd(f, vfma(rest, r.close, vmul(e, r.power_low)))
    else:
        f = vfma(log, r.power, vfma1(e, r.power, vsub(r.shift, k)))
    if extreme:                             # f may be too large to vanish with the term
        vanishes = vless(k, vset(LOWEST_EXPONENT))
        f = vselect(vanishes, vset(0.0), f)
        relative[0] = vmul(f, exp2_quotient(f))
        return vselect(vanishes, vset(0.0), vlookup(TERM_TABLE, k))
    relative[0] = vmul(f, exp2_quotient(f))
    return vlookup(TERM_TABLE, vmax(vset(LOWEST_EXPONENT), k))


cdef inline bint is_extreme(const PowerReference* r) noexcept nogil:
    return not (vall(vequal(r.close, r.power)) and vall(vequal(r.scale, vset(1.0))))


cdef inline void add_power(Sum* sum, Sum* weights, vector x, const double* weight, const PowerReference* r, int kind,
                           int minded) noexcept nogil:
    """Adds an element; if GENERAL, its weight, too, which is 1 if it is NULL."""
    cdef vector error, e, of_weight = vset(0.0), zero = vset(0.0), w = vset(1.0), term
    cdef vmask beside
    cdef bint whole = kind == CLOSE_LOGARITHM and not minded & ORDERED      # as weights may leave little of it
    if minded & (AVERAGED | GENERAL):
        x = vselect(vless(vmul(x, r.sign), r.floor), vset(NAN), x)
    if minded & GENERAL:
        if weight != NULL:
            w = vload(weight)
        beside = vless(vmul(vabs(x), r.sign), r.beside)
        if kind < CAREFUL:
            x = vselect(vequal(vabs(x), vset(INFINITY)), vset(DOUBLE_MAX), x)
        weights.sum = two_sum(weights.sum, w, &e)
        weights.error = vadd(weights.error, e)
        if is_product(kind) and minded & ORDERED:
            x = vselect(vequal(w, zero), zero, vselect(beside, zero, x))
    if is_product(kind) and minded & ORDERED:
        add_product(sum, x, r, kind)
        return
    if minded & GENERAL:
        term = fast_term(x, r, &error, kind, True) if is_logarithm(kind) else term_of(x, r, &error, kind)
        if whole:
            term = fast_two_sum(term, vmul(term, error), &error)
        term = product(vselect(beside, vsub(zero, r.unit), term), w, &of_weight)
        error = vselect(beside, zero, error)
        if whole or not is_logarithm(kind):
            error = vfma(error, w, of_weight)
    else:
        term = (fast_term(x, r, &error, kind, minded & EXTREME) if is_logarithm(kind) else
                term_of(x, r, &error, kind))
    if is_logarithm(kind) and not whole:
        sum.sum = two_sum(sum.sum, term, &e) if minded & GENERAL else fast_two_sum(sum.sum, term, &e)
        error = vmul(term, error)           # rounded, so that what cancels does so exactly
        sum.error = vadd(sum.error, vadd(vadd(e, of_weight) if minded & GENERAL else e, error))
        return
    sum.sum = two_sum(sum.sum, term, &e)
    sum.error = vadd(sum.error, vadd(e, error))


cdef inline bint is_product(int kind) noexcept nogil:
    return ROOT <= kind <= FOURTH


cdef inline void add_product(Sum* sum, vector x, const PowerReference* r, int kind) noexcept nogil:
    """Adds the power of an element, as in (e)."""
    cdef vector factor, rest, total, difference, term = factors_of(x, r, &factor, &rest, kind)
    cdef bint is_one = kind == ROOT or kind == FIRST
    total = vadd(sum.sum, term) if is_one else vfma1(term, factor, sum.sum)
    difference = vsub(total, sum.sum)           # exact
    difference = vsub(term, difference) if is_one else vfms1(term, factor, difference)
    if kind in (ROOT, THIRD, FOURTH):
        difference = vadd(difference, rest)
    sum.sum = total
    sum.error = vadd(sum.error, difference)


cdef inline Sum no_sum() noexcept nogil:
    return sum_from(vset(0.0))


cdef inline Sum sum_from(vector start) noexcept nogil:
    cdef Sum s
    s.sum = start
    s.error = vset(0.0)
    return s


cdef inline bint is_ordered(const Powers* a, int kind) noexcept nogil:
    """Whether lanes start at POWER_START, as in (e)."""
    return not a.weighted and (is_logarithm(kind) or (is_product(kind) and a.count > LANES))


cdef inline void free_of_factor(Sum* sum) noexcept nogil:
    cdef vector error
    sum.sum = product(sum.sum, vset(INVERSE), &error)
    sum.error = vadd(error, vfma(sum.sum, vset(INVERSE_ERROR * FACTOR), vmul(sum.error, vset(INVERSE))))


cdef inline void join(vector* sum, vector* error, const Sum* other) noexcept nogil:
    add_to(sum, error, other.sum)
    error[0] = vadd(error[0], other.error)


cdef inline Sum folded(const Sum* lanes, bint exact) noexcept nogil:
    """The sum of the lanes of one output, in the order of fold_add, in every lane; `exact` as for fold_sum."""
    cdef Sum sums[VECTORS]
    cdef Sum other
    cdef Py_ssize_t i, half = VECTORS // 2
    for i in range(VECTORS):
        sums[i] = lanes[i]
    while half:
        for i in range(half):
            fold_sum(&sums[i], &sums[i + half], exact)
        half //= 2
    half = WIDTH // 2
    while half:                         # beyond `half` errors are added in another order; they are not wanted
        other.sum = vswap(sums[0].sum, <int>half)
        other.error = vswap(sums[0].error, <int>half)
        fold_sum(&sums[0], &other, exact)
        half //= 2
    return Sum(vset(vfirst(sums[0].sum)), vset(vfirst(sums[0].error)))


cdef inline void fold_sum(Sum* into, const Sum* other, bint exact) noexcept nogil:
    """`exact`: they add up without an error, as in (e)."""
    cdef vector e = vset(0.0)
    into.sum = vadd(into.sum, other.sum) if exact else two_sum(into.sum, other.sum, &e)
    into.error = vadd(into.error, other.error if exact else vadd(other.error, e))


cdef inline void fold_sums(Sum* lanes, Py_ssize_t vectors, bint exact) noexcept nogil:
    """As folded, for outputs side by side: into the first."""
    cdef Py_ssize_t i, half = LANES // 2
    while half:
        for i in range(vectors * half):
            fold_sum(&lanes[i], &lanes[i + vectors*half], exact)
        half //= 2


cdef inline void scan_powers(vector* top, const double* x, const double* w, vector sign) noexcept nogil:
    """Raises top to the maximum, as a state has it, of WIDTH more elements."""
    cdef vector key = vmul(vabs(vload(x)), sign)
    if w != NULL:
        key = vselect(vequal(vload(w), vset(0.0)), vset(-INFINITY), key)
    top[0] = vmax(key, top[0])


cdef struct Powers:
    # A block that is to be summed: of one output, or of `vectors` times WIDTH outputs, each with a state and reference.
    const Block* block
    const double* x
    const double* weights
    Py_ssize_t rows, count, vectors
    const double* tail
    const double* tail_weights
    vector* top
    bint ahead                  # another block follows, to be scanned meanwhile
    bint mean
    bint general                # elements may be infinite, or weights other than 1
    bint weighted               # weights are given
    PowerState* states
    const PowerReference* references


# Rows: blocks of one output, its lanes along the axis; every element of the vectors in the state is equal

cdef inline Sum in_order(const Sum* lanes, Py_ssize_t count) noexcept nogil:
    """As folded, but one by one, as outputs side by side have few elements."""
    cdef double sum[LANES]
    cdef double error[LANES]
    cdef Sum s = no_sum()
    cdef vector e
    cdef Py_ssize_t j
    for j in range(VECTORS):
        vstore(&sum[WIDTH * j], lanes[j].sum)
        vstore(&error[WIDTH * j], lanes[j].error)
    for j in range(count):
        s.sum = two_sum(s.sum, vset(sum[j]), &e)
        s.error = vadd(s.error, vadd(e, vset(error[j])))
    return s


cdef inline void add_row_of_powers(const Powers* a, const PowerReference* r, int kind, int minded) noexcept nogil:
    cdef Sum sums[VECTORS]
    cdef Sum weights[VECTORS]
    cdef Sum total
    cdef vector top[VECTORS]
    cdef vector start = vset(POWER_START if minded & ORDERED else 0.0)
    cdef Py_ssize_t i, j, k
    for j in range(VECTORS):
        top[j] = a.top[j]
        sums[j] = sum_from(start)
        weights[j] = no_sum()
    if minded & FOLLOWED:
        prefetch_page(a.x + BLOCK + AHEAD)
    for i in range(a.rows):
        for j in range(VECTORS):
            k = LANES*i + WIDTH*j
            if minded & FOLLOWED:
                prefetch_far(a.x + BLOCK + AHEAD + k)
                top[j] = vlarger(vload(a.x + BLOCK + k), top[j])    # p is positive
            add_power(&sums[j], &weights[j], vload(a.x + k), a.weights + k if a.weights != NULL else NULL, r, kind,
                      minded)
    for j in range(VECTORS):
        a.top[j] = top[j]
    if a.tail != NULL:
        for j in range(VECTORS):
            add_power(&sums[j], &weights[j], vload(a.tail + WIDTH*j), a.tail_weights + WIDTH*j, r, kind, minded)
    for j in range(VECTORS):
        sums[j].sum = vsub(sums[j].sum, start)
    total = in_order(sums, a.count) if a.count <= LANES else folded(sums, minded & ORDERED)
    if is_logarithm(kind):
        free_of_factor(&total)
    join(&a.states.sum, &a.states.sum_error, &total)
    if minded & GENERAL:
        total = in_order(weights, a.count) if a.count <= LANES else folded(weights, False)
        join(&a.states.weight, &a.states.weight_error, &total)
    elif minded & AVERAGED:
        total = sum_from(vset(<double>a.count))
        join(&a.states.weight, &a.states.weight_error, &total)


# Tiles: a block of up to LANES outputs side by side, each with its own state

cdef inline void add_tile_of_powers(const Powers* a, int kind, int minded) noexcept nogil:
    cdef Sum sums[LANES * VECTORS]
    cdef Sum weights[LANES * VECTORS]
    cdef PowerReference r
    cdef vector start = vset(POWER_START if minded & ORDERED else 0.0)
    cdef Py_ssize_t i, j, k, lane, lanes = LANES if a.rows > LANES else 1, stride = a.block.stride
    for j in range(a.vectors):
        r = a.references[j]
        for lane in range(lanes):
            sums[lane*a.vectors + j] = sum_from(start)
            weights[lane*a.vectors + j] = no_sum()
        for i in range(a.rows):
            lane = i % lanes * a.vectors + j
            k = stride*i + WIDTH*j
            prefetch_next(a.block, i, j)
            add_power(&sums[lane], &weights[lane], vload(a.x + k), a.weights + k if a.weights != NULL else NULL, &r,
                      kind, minded)
    for lane in range(lanes * a.vectors):
        sums[lane].sum = vsub(sums[lane].sum, start)
    if lanes > 1:
        fold_sums(sums, a.vectors, minded & ORDERED)
        if minded & GENERAL:
            fold_sums(weights, a.vectors, False)
    for j in range(a.vectors):
        if is_logarithm(kind):
            free_of_factor(&sums[j])
        join(&a.states[j].sum, &a.states[j].sum_error, &sums[j])
        if minded & AVERAGED:
            weights[j] = sum_from(vset(<double>a.count))
        if minded & (AVERAGED | GENERAL):
            join(&a.states[j].weight, &a.states[j].weight_error, &weights[j])


cdef inline void add_powers_as(const Powers* a, int kind) noexcept nogil:
    cdef PowerReference r = a.references[0]     # a copy, which no store can change
    cdef int ordered = ORDERED if is_ordered(a, kind) else 0, averaged = 0
    cdef bint extreme = False
    cdef Py_ssize_t j
    if kind == CLOSE_LOGARITHM or (kind in (FIRST, SECOND, THIRD, FOURTH) and a.mean):     # the rest are only norms
        averaged = AVERAGED
    if is_logarithm(kind):
        for j in range(max(1, a.vectors)):
            extreme = extreme or is_extreme(&a.references[j])
    if a.vectors and (a.general or kind == COUNT or kind == CAREFUL):
        add_tile_of_powers(a, kind, GENERAL | EXTREME | ordered)
    elif a.vectors and is_product(kind) and not ordered:
        add_tile_of_powers(a, kind, averaged)
    elif a.vectors and extreme:
        add_tile_of_powers(a, kind, ORDERED | EXTREME | averaged)
    elif a.vectors and averaged:
        add_tile_of_powers(a, kind, ORDERED | AVERAGED)
    elif a.vectors:
        add_tile_of_powers(a, kind, ORDERED)
    elif a.general or kind == COUNT or kind == CAREFUL:
        add_row_of_powers(a, &r, kind, GENERAL | EXTREME | ordered)
    elif is_product(kind) and not ordered:
        add_row_of_powers(a, &r, kind, averaged)
    elif extreme:
        add_row_of_powers(a, &r, kind, ORDERED | EXTREME | averaged | (FOLLOWED if a.ahead else 0))
    elif not a.ahead:
        add_row_of_powers(a, &r, kind, ORDERED | averaged)
    elif averaged:
        add_row_of_powers(a, &r, kind, ORDERED | AVERAGED | FOLLOWED)
    else:
        add_row_of_powers(a, &r, kind, ORDERED | FOLLOWED)


# A function for each kind, called by its address: all loops in one, gcc keeps fewer numbers in registers, and powers
# of LOGARITHM take up to 1.08 x the time.

cdef void add_counts(const Powers* a) noexcept nogil:
    add_powers_as(a, COUNT)


cdef void add_roots(const Powers* a) noexcept nogil:
    add_powers_as(a, ROOT)


cdef void add_firsts(const Powers* a) noexcept nogil:
    add_powers_as(a, FIRST)


cdef void add_three_halves(const Powers* a) noexcept nogil:
    add_powers_as(a, THREE_HALVES)


cdef void add_seconds(const Powers* a) noexcept nogil:
    add_powers_as(a, SECOND)


cdef void add_thirds(const Powers* a) noexcept nogil:
    add_powers_as(a, THIRD)


cdef void add_fourths(const Powers* a) noexcept nogil:
    add_powers_as(a, FOURTH)


cdef void add_logarithms(const Powers* a) noexcept nogil:
    add_powers_as(a, LOGARITHM)


cdef void add_close_logarithms(const Powers* a) noexcept nogil:
    add_powers_as(a, CLOSE_LOGARITHM)


cdef void add_careful(const Powers* a) noexcept nogil:
    add_powers_as(a, CAREFUL)


ctypedef void (*AddPowers)(const Powers*) noexcept nogil

# In the order of the enum
cdef AddPowers[CAREFUL + 1] ADD_POWERS = [
    add_counts, add_roots, add_firsts, add_three_halves, add_seconds, add_thirds, add_fourths, add_logarithms,
    add_close_logarithms, add_careful]


cdef inline void raise_power(PowerState* s, PowerReference* r, vector maximum, const PowerParameters* p,
                             bint first) noexcept nogil:
    """Gives a state, and its reference, the larger of the two maxima."""
    cdef PowerState to
    cdef vmask up = vless(s.maximum, maximum)
    if first:
        s.maximum = maximum
        s.sum = s.sum_error = s.weight = s.weight_error = vset(0.0)
        r[0] = reference_for(s, p, p.kind)
    elif vany(up):
        to.maximum = s.maximum = vselect(up, maximum, s.maximum)
        r[0] = reference_for(&to, p, p.kind)
        move(s, &to, p, up)


cdef inline void scan_rows_of_powers(const Powers* a, Py_ssize_t start, Py_ssize_t rows, vector sign) noexcept nogil:
    cdef Py_ssize_t i, j, k
    for i in range(rows):
        for j in range(VECTORS):
            k = start + LANES*i + WIDTH*j
            scan_powers(&a.top[j], a.x + k, a.weights + k if a.weights != NULL else NULL, sign)


cdef void power_row(void* state, const void* parameters, const Block* block, bint first,
                    double* extremes) noexcept nogil:
    cdef PowerState* s = <PowerState*>state
    cdef const PowerParameters* p = <const PowerParameters*>parameters
    cdef PowerReference r
    cdef vector top[VECTORS]
    cdef double ones[LANES]
    cdef Powers a = Powers(block, block.x, block.weights, 0, 0, 0, NULL, &ones[0], &top[0], False, p.mean, False,
                           not vall(vless(p.count, vset(INFINITY))), s, &r)
    cdef Py_ssize_t left = block.rows, i, j
    cdef bint last = False
    cdef double maximum
    if not first:
        r = reference_for(s, p, p.kind)
    for i in range(LANES):
        ones[i] = i < block.tail_length
    for j in range(VECTORS):
        top[j] = vset(extremes[0]) if block.scanned else vset(-INFINITY)
    if not block.scanned:
        scan_rows_of_powers(&a, 0, min(BLOCK_ROWS, left), p.sign)
    while not last:
        a.rows = min(BLOCK_ROWS, left)
        last = left < BLOCK_ROWS or (left == BLOCK_ROWS and block.tail == NULL)
        if last and block.tail != NULL:
            a.tail = block.tail
            for j in range(VECTORS):
                scan_powers(&top[j], a.tail + WIDTH*j, &ones[WIDTH * j], p.sign)
        a.count = a.rows*LANES + (block.tail_length if a.tail != NULL else 0)
        maximum = fold_max(top)
        raise_power(s, &r, vset(maximum), p, first)
        first = False
        a.general = block.weights != NULL or maximum == INFINITY
        a.ahead = left >= 2*BLOCK_ROWS and not a.general and p.kind != COUNT and p.kind != CAREFUL
        for j in range(VECTORS):
            top[j] = vset(0.0 if a.ahead else -INFINITY)
        ADD_POWERS[p.kind](&a)
        if left > BLOCK_ROWS and not a.ahead:
            scan_rows_of_powers(&a, BLOCK, min(BLOCK_ROWS, left - BLOCK_ROWS), p.sign)
        left -= a.rows
        a.x += LANES * a.rows
        if a.weights != NULL:
            a.weights += LANES * a.rows
    if block.ahead != NULL:
        prefetch_rows(block.ahead + AHEAD, BLOCK_ROWS)
        a.x = block.ahead
        scan_rows_of_powers(&a, 0, BLOCK_ROWS, p.sign)
        extremes[0] = fold_max(top)


cdef void power_tile(void* states, const void* parameters, const Block* block, Py_ssize_t vectors,
                     bint first) noexcept nogil:
    cdef const PowerParameters* p = <const PowerParameters*>parameters
    cdef PowerState* s = <PowerState*>states
    cdef PowerReference r[VECTORS]
    cdef vector top
    cdef Powers a = Powers(block, block.x, block.weights, block.rows, block.rows, vectors, NULL, NULL, NULL, False,
                           p.mean, block.weights != NULL, not vall(vless(p.count, vset(INFINITY))), s, &r[0])
    cdef Py_ssize_t i, j, k
    for j in range(vectors):
        top = vset(-INFINITY)
        if not first:
            r[j] = reference_for(&s[j], &p[j], p.kind)
        for i in range(block.rows):
            k = block.stride*i + WIDTH*j
            scan_powers(&top, block.x + k, block.weights + k if block.weights != NULL else NULL, p.sign)
        a.general = a.general or vany(vequal(top, vset(INFINITY)))
        raise_power(&s[j], &r[j], top, &p[j], first)
    ADD_POWERS[p.kind](&a)


cdef void power_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    cdef const PowerParameters* p = <const PowerParameters*>parameters
    cdef PowerState* s = <PowerState*>into
    cdef PowerState t = (<const PowerState*>other)[0]
    cdef PowerReference r
    raise_power(s, &r, t.maximum, p, False)
    move(&t, s, p, vless(t.maximum, s.maximum))
    add_to(&s.sum, &s.sum_error, t.sum)
    s.sum_error = vadd(s.sum_error, t.sum_error)
    add_to(&s.weight, &s.weight_error, t.weight)
    s.weight_error = vadd(s.weight_error, t.weight_error)


cdef void power_parameters(PowerParameters* p, const double* power, double limit, bint mean) noexcept nogil:
    cdef double first = power[0], size = abs(first)
    cdef vector given = vload(power), sizes = vabs(given), least = vset(SMALLEST_POWER)
    cdef vmask tiny = vless(sizes, least)
    p.given = given
    p.sign = vselect(vless(given, vset(0.0)), vset(-1.0), vset(1.0))
    p.mean = mean
    p.count = vset(limit)
    p.power = vselect(tiny, vselect(vless(given, vset(0.0)), vsub(vset(0.0), least), least), given)
    p.power = vselect(vless(sizes, vset(INFINITY)), p.power, vset(1.0))
    p.most = vselect(vless(given, vset(0.0)), vset(0.0), vselect(vequal(given, vset(0.0)), vset(NAN), vset(INFINITY)))
    p.most = vselect(vless(sizes, vset(INFINITY)), p.most, vset(NAN))
    p.kind = CAREFUL
    if size == INFINITY:
        p.kind = COUNT              # the maximum tells, unless there are NaN
    elif first == 1:
        p.kind = FIRST
    elif first == 2:
        p.kind = SECOND
    elif first == 3:
        p.kind = THIRD
    elif first == 4:
        p.kind = FOURTH
    elif not mean and first == 0:
        p.kind = COUNT
    elif not mean and first == 0.5:
        p.kind = ROOT
    elif not mean and first == 1.5:
        p.kind = THREE_HALVES
    elif first > 1:
        p.kind = CLOSE_LOGARITHM if mean else LOGARITHM


cdef inline vector bounded(vector value, vector m, const PowerParameters* p) noexcept nogil:
    """What is true of the exact value: without weights a norm is the largest element or more; a mean, or less."""
    cdef vmask negative = vless(p.given, vset(0.0)), below = vless(value, m), above = vless(m, value)
    cdef vector larger = vselect(below, m, value), smaller = vselect(above, m, value)
    cdef vector bound = vselect(negative, larger if p.mean else smaller, smaller if p.mean else larger)
    bound = vselect(vequal(p.count, vset(1.0)), m, bound)
    return vselect(vless(p.count, vset(INFINITY)), bound, value)


cdef inline vector log_of_root(const PowerState* s, const PowerParameters* p, vector* total, vector* sign,
                               vector* rest, vector* error) noexcept nogil:
    """log2 of the p-th root of the sum or mean, less the base, in double-double; also the sum: `rest` and the unit, or
    sign and `total`.
    """
    cdef vector zero = vset(0.0), one = vset(1.0), e, log, log_error
    cdef vmask is_tiny, is_huge
    # The sum less the unit
    if p.mean:
        rest[0] = quotient(s.sum, s.sum_error, s.weight, s.weight_error, error)
        rest[0] = fast_two_sum(rest[0], error[0], error)
    else:
        rest[0] = vmul(two_sum(s.weight, vsub(zero, one), error), s.unit)     # the unit is 0 or 1
        error[0] = vfma(vadd(error[0], s.weight_error), s.unit, s.sum_error)
        rest[0] = two_sum(rest[0], s.sum, &e)
        rest[0] = two_sum(rest[0], vadd(e, error[0]), error)
    total[0] = vadd(vadd(s.unit, rest[0]), error[0])
    sign[0] = sign_of(total[0])
    total[0] = vabs(total[0])
    is_tiny = vless(total[0], vset(DOUBLE_MIN))
    is_huge = vless(vset(DOUBLE_MAX / 4), total[0])
    log = vmul(vselect(is_tiny, vset(TWO_54), vselect(is_huge, vset(0.25), one)), sign[0])
    log = log2_double(vmul(rest[0], log), vmul(error[0], log), vmul(s.unit, log), True, &e, &log_error)
    e = vsub(e, vselect(is_tiny, vset(54.0), vselect(is_huge, vset(-2.0), zero)))
    e = two_sum(vadd(s.exponent, e), log, &log)
    return quotient(e, vadd(log, log_error), p.power, zero, error)


cdef inline vector power_result(const PowerState* s, const PowerParameters* p, vector* sign) noexcept nogil:
    """The p-th root, rounded but once, and what infinite elements, p and nothing make of it."""
    cdef vector zero = vset(0.0), infinity = vset(INFINITY), total, rest, error, value, m
    cdef vector none = vselect(vless(p.given, zero), infinity, zero)
    value = log_of_root(s, p, &total, sign, &rest, &error)
    m = vabs(s.maximum)
    value = vselect(vless(vset(LARGE_POWER), vabs(p.power)), vfma(vmul(value, vset(LN2)), m, m),
                    exp2_rounded(value, error))
    value = vselect(vequal(total, zero), none, vselect(vequal(total, infinity), p.most, value))
    m = vselect(vequal(s.maximum, vset(-INFINITY)), none, m)
    value = bounded(value, m, p)
    # A largest term that is infinite is the sum, unless it cancelled.
    value = vselect(vless(m, infinity), vselect(vequal(m, zero), m, value), m)
    value = vselect(vequal(total, zero), vselect(vequal(m, p.most), vset(NAN), value), value)
    if p.mean:      # the geometric mean of 0 and infinity
        error = vselect(vequal(p.given, zero), vset(-TWO_54_INVERSE), vset(-INFINITY))
        value = vselect(vless(rest, error), vselect(vless(m, infinity), value, vset(NAN)), value)
    else:
        value = vselect(vequal(p.given, zero), total, value)
    value = vselect(vless(vabs(p.given), infinity), value, m)
    return vselect(vequal(total, total), vselect(vequal(p.given, p.given), value, p.given), total)      # NaN


cdef void power_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values, double* signs,
                       double* lost) noexcept nogil:
    cdef const PowerState* s = <const PowerState*>states
    cdef const PowerParameters* p = <const PowerParameters*>parameters
    cdef vector sign, overflow
    cdef Py_ssize_t j
    for j in range(vectors):
        vstore(values + WIDTH*j, power_result(&s[j], &p[j], &sign))
        vstore(signs + WIDTH*j, sign)
        overflow = vset(NAN)
        if p.mean:      # of sums, for which weights are too large; unless there are NaN
            overflow = vselect(vless(vadd(vabs(s[j].sum), vabs(s[j].weight)), vset(INFINITY)), overflow,
                               vset(INFINITY))
        vstore(lost + WIDTH*j, overflow)


cdef bint power_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    return False


cdef void pnorm_parameters(void* parameters, const double* power, double limit) noexcept nogil:
    power_parameters(<PowerParameters*>parameters, power, limit, False)


cdef void pmean_parameters(void* parameters, const double* power, double limit) noexcept nogil:
    power_parameters(<PowerParameters*>parameters, power, limit, True)


cdef Reduction PNORM = Reduction(
    power_row, power_tile, power_short, power_merge, power_finish, pnorm_parameters,
    sizeof(PowerState), sizeof(PowerParameters), 0.0, 0.0, False, True, 1.0, True, False)

cdef Reduction PMEAN = Reduction(
    power_row, power_tile, power_short, power_merge, power_finish, pmean_parameters,
    sizeof(PowerState), sizeof(PowerParameters), 0.0, 0.0, False, True, NAN, True, False)
