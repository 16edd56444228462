"""softmax and its logarithm, element by element, from a slice's state: terms over their sum, as logsumexp has them."""

cdef extern from *:
    """
    #define LARGE_MAXIMUM 4.9896007738368e+291   /* 2**969, up to which -DOUBLE_MAX - maximum does not overflow */
    """
    double LARGE_MAXIMUM

cdef struct Softmax:
    # Vectors, each for WIDTH outputs.
    vector offset, scale, scale_error, shift, low
    vector maximum, alpha
    vector factor, rest      # what turns a term into a probability, as the sum of two doubles
    vector log, log_error    # of the sum over the largest term
    bint shifted, scaled     # as in Parameters
    # The rest, and a large maximum, is minded only where some output is special.
    bint special
    vector top_at, top       # the maximum where its result is known, else NaN; and this result
    vector none              # the result of -inf
    vector exponent, total   # the reference, and the sum over the largest term: for single precision

cdef struct SingleMap:
    SingleReference terms
    svector inverse, inverse_error


cdef inline Softmax softmax_of(const State* s, const Parameters* p, bint logarithm) noexcept nogil:
    """Where the maximum or alpha is infinite only the ties count; a total of NaN makes all results NaN."""
    cdef Reference r = reference_of(s, p, 0)
    cdef Softmax m
    cdef vector zero = vset(0.0), one = vset(1.0), total, error, rest, inverse, inverse_error
    cdef vmask regular
    m.offset = r.offset
    m.scale = r.scale
    m.scale_error = r.scale_error
    m.shift = r.shift
    m.low = r.low
    m.maximum = s.maximum
    m.shifted = vany(vless(zero, vabs(s.offset)))
    m.scaled = p.scaled
    m.exponent = s.exponent
    total = sum_of(s, p, &error, False)
    regular = vless(vmul(vabs(s.maximum), zero), one)       # finite
    regular = vless(vselect(regular, p.alpha, vset(INFINITY)), vset(INFINITY))
    total = vselect(regular, total, s.side)
    error = vselect(regular, error, zero)
    total = vselect(vequal(s.sum, s.sum), total, s.sum)         # NaN
    total = vselect(vequal(p.alpha, p.alpha), total, p.alpha)
    total = vselect(vequal(s.maximum, vset(-INFINITY)), vset(NAN), total)
    m.total = total
    m.alpha = vselect(regular, p.alpha, vset(INFINITY))
    m.special = not vall(regular) or vany(vless(p.alpha, vset(SMALLEST_ALPHA)))
    if logarithm:
        m.special = m.special or vany(vless(vset(LARGE_MAXIMUM), s.maximum))
        m.factor = m.rest = zero
        m.log = log_double(total, error, True, &m.log_error)
        m.top_at = vselect(regular, vset(NAN), s.maximum)       # infinity times 0 otherwise
        m.top = vsub(zero, m.log)
        m.none = vsub(vset(-INFINITY), m.log)
        return m
    m.log = m.log_error = zero
    inverse = exp2_inverse(vsub(s.offset, s.maximum), p.scale, p.scale_error,
                           vadd(s.exponent, vset(ROUND_16TH - BIAS)), &inverse_error)
    m.factor = quotient(inverse, inverse_error, total, error, &m.rest)
    m.factor = vselect(regular, m.factor, vmul(zero, total))
    m.rest = vselect(regular, m.rest, zero)
    m.top_at = vselect(vequal(total, s.side), s.maximum, vset(NAN))     # so that one element has 1
    m.special = m.special or vany(vequal(m.top_at, m.top_at))
    m.top = quotient(one, zero, total, error, &rest)
    m.top = vadd(m.top, rest)
    m.none = vmul(zero, m.factor)
    return m


cdef inline vmask map_suits_singles(const Softmax* m) noexcept nogil:
    """Where the maximum or alpha is infinite, elements are not what their terms say."""
    return suits_singles(m.maximum, vselect(vless(m.alpha, vset(INFINITY)), m.scale, vset(INFINITY)))


cdef inline SingleMap single_map(const Softmax* m) noexcept nogil:
    """The sum over the largest term, times that, as rounded as other terms are, gives 1 over their sum."""
    cdef SingleMap r
    cdef svector q
    cdef vector[2] term
    cdef vector[2] rest
    cdef vector inverse
    cdef Exponents e = Exponents(m.maximum, m.exponent, m.scale, m.scale_error)
    r.terms = single_reference(&e, &e)
    swiden(single_term(r.terms.maximum, &r.terms, &q), term)
    swiden(q, rest)
    inverse = vdiv(vset(1.0), vmul(m.total, vfma(term[0], rest[0], term[0])))
    r.inverse = snarrow(inverse, inverse)
    r.inverse_error = rest_of(inverse, inverse, r.inverse)
    return r


cdef inline svector single_probability(svector x, const SingleMap* m) noexcept nogil:
    """power * (inverse + inverse_error) * (1 + q), of which all but the last two roundings are small."""
    cdef svector q, power = single_term(x, &m.terms, &q)
    return smul(power, sadd(m.inverse, sfma(m.inverse, q, sfma(m.inverse_error, q, m.inverse_error))))


cdef inline void apply_singles(const Softmax* maps, const SingleMap* m, const float* x, float* y, Py_ssize_t count,
                               bint logarithm) noexcept nogil:
    """y = the softmax of the floats x of one output, or its logarithm."""
    cdef float[SWIDTH] rest
    cdef Py_ssize_t i, whole = count // SWIDTH * SWIDTH
    for i in range(count // SWIDTH):
        sstore(y + SWIDTH*i, single_result(sload(x + SWIDTH*i), maps, m, logarithm))
    if whole < count:                       # nothing may be read or written beyond the end
        for i in range(SWIDTH):
            rest[i] = 0
        memcpy(rest, x + whole, (count - whole) * sizeof(float))
        sstore(rest, single_result(sload(rest), maps, m, logarithm))
        memcpy(y + whole, rest, (count - whole) * sizeof(float))


cdef inline svector single_result(svector x, const Softmax* maps, const SingleMap* m, bint logarithm) noexcept nogil:
    cdef vector[2] wide
    if not logarithm:
        return single_probability(x, m)
    swiden(x, wide)
    return snarrow(log_probability(wide[0], maps), log_probability(wide[1], maps))


cdef bint single_softmax(const void* map, const float* x, float* y, Py_ssize_t count) noexcept nogil:
    cdef const Softmax* maps = <const Softmax*>map
    cdef SingleMap m = single_map(maps)
    if not vall(map_suits_singles(maps)):
        return False
    apply_singles(maps, &m, x, y, count, False)
    return True


cdef bint single_log_softmax(const void* map, const float* x, float* y, Py_ssize_t count) noexcept nogil:
    cdef Softmax m = (<const Softmax*>map)[0]
    if m.special:
        return False
    apply_singles(&m, NULL, x, y, count, True)
    return True


cdef inline void apply_packed(const Softmax* maps, const double* x, Py_ssize_t stride, double* y, Py_ssize_t y_stride,
                              Py_ssize_t rows, Py_ssize_t vectors, bint all_single) noexcept nogil:
    """As apply, in single precision where that suits: two elements of each output at once."""
    cdef Softmax m
    cdef SingleMap single
    cdef vmask suits
    cdef vector[2] elements
    cdef vector[2] values
    cdef vector value
    cdef Py_ssize_t i, j, k, row
    for j in range(vectors):
        m = maps[j]
        single = single_map(&m)
        suits = map_suits_singles(&m)
        for i in range((rows + 1) // 2):
            for k in range(2):
                elements[k] = vload(x + stride*min(2*i + k, rows - 1) + WIDTH*j)
            swiden(single_probability(snarrow(elements[0], elements[1]), &single), values)
            for k in range(min(2, rows - 2*i)):
                value = values[k]
                if not all_single:
                    value = probability(elements[k], &m, SHIFTED | SCALED | SPECIAL)
                    value = vselect(suits, values[k], special(elements[k], value, &m, False))
                vstore(y + y_stride*(2*i + k) + WIDTH*j, value)


cdef inline vector probability(vector x, const Softmax* m, int minded) noexcept nogil:
    cdef vector t = vmax(m.low, vsub(x, m.offset) if minded & SHIFTED else x), f, q
    cdef vector power = exp2_terms(t, m.scale, m.scale_error, m.shift, minded & SCALED, &f, &q)
    power = vfma(vmul(power, f), q, power)
    return vfma1(power, m.factor, vmul(power, m.rest))


cdef inline vector log_probability(vector x, const Softmax* m) noexcept nogil:
    return vsub(vfma(m.alpha, vsub(x, m.maximum), vsub(vset(0.0), m.log)), m.log_error)


cdef inline vector special(vector x, vector y, const Softmax* m, bint logarithm) noexcept nogil:
    """y, or what takes its place where a map is special."""
    cdef vector half = vset(0.5), value
    if logarithm:               # half of the difference never overflows
        value = vfma(m.alpha, vsub(vmul(half, x), vmul(half, m.maximum)), vmul(vset(-0.5), m.log))
        y = vselect(vless(vset(LARGE_MAXIMUM), m.maximum), vsub(vadd(value, value), m.log_error), y)
    y = vselect(vequal(x, vset(-INFINITY)), m.none, y)          # not far enough below where alpha is tiny
    return vselect(vequal(x, m.top_at), m.top, y)


cdef inline void apply(const Softmax* maps, const double* x, Py_ssize_t stride, double* y, Py_ssize_t y_stride,
                       Py_ssize_t rows, Py_ssize_t vectors, bint logarithm, int minded) noexcept nogil:
    cdef Softmax m
    cdef vector element, value
    cdef Py_ssize_t i, j
    for j in range(vectors):
        m = maps[j]                 # a copy, which no store to y can change
        for i in range(rows):
            element = vload(x + stride*i + WIDTH*j)
            value = log_probability(element, &m) if logarithm else probability(element, &m, minded)
            if minded & SPECIAL:
                value = special(element, value, &m, logarithm)
            vstore(y + y_stride*i + WIDTH*j, value)


cdef void apply_any(const Softmax* maps, const double* x, Py_ssize_t stride, double* y, Py_ssize_t y_stride,
                    Py_ssize_t rows, Py_ssize_t vectors, bint logarithm) noexcept nogil:
    """y = the softmax of x, or its logarithm; vector j of each row has a map of its own."""
    cdef bint is_special = False, is_shifted = False, is_scaled = False
    cdef Py_ssize_t j
    for j in range(vectors):
        is_special = is_special or maps[j].special
        is_shifted = is_shifted or maps[j].shifted
        is_scaled = is_scaled or maps[j].scaled
    if logarithm:
        if is_special:
            apply(maps, x, stride, y, y_stride, rows, vectors, True, SPECIAL)
        else:
            apply(maps, x, stride, y, y_stride, rows, vectors, True, 0)
    elif is_special or is_shifted:
        apply(maps, x, stride, y, y_stride, rows, vectors, False, SHIFTED | SCALED | SPECIAL)
    elif is_scaled:
        apply(maps, x, stride, y, y_stride, rows, vectors, False, SCALED)
    else:
        apply(maps, x, stride, y, y_stride, rows, vectors, False, 0)


cdef bint softmax_factor(const void* map, double exponent, Factor* factor) noexcept nogil:
    cdef const Softmax* m = <const Softmax*>map
    cdef double down = exponent - vfirst(m.exponent)
    # A lower reference costs a power of two, exactly, unless the factor becomes a subnormal number.
    if m.special or m.shifted or not down > -600:
        return False
    factor[0] = Factor(exponent, vmul(m.factor, exp2_down(vset(down))), vmul(m.rest, exp2_down(vset(down))))
    return True


cdef void softmax_row(void* state, const void* parameters, const Block* a, bint first, double* extremes) noexcept nogil:
    add_rows(<State*>state, <const Parameters*>parameters, a, first, extremes, TIES | CLOSE)


cdef void softmax_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                       bint first) noexcept nogil:
    add_columns(<State*>states, <const Parameters*>parameters, a, vectors, first, TIES | CLOSE)


# The logarithm minds a sum's error less, and how little the sum exceeds 1 more: it has the states of logsumexp.
cdef Reduction SOFTMAX = Reduction(
    softmax_row, softmax_tile, NULL, logsumexp_merge, logsumexp_finish, exponential_parameters, sizeof(State),
    sizeof(Parameters), -INFINITY, SMALLEST_ALPHA, True, False, -INFINITY, False, True)


cdef void softmax_prepare(void* map, const void* state, const void* parameters) noexcept nogil:
    (<Softmax*>map)[0] = softmax_of(<const State*>state, <const Parameters*>parameters, False)


cdef void log_softmax_prepare(void* map, const void* state, const void* parameters) noexcept nogil:
    (<Softmax*>map)[0] = softmax_of(<const State*>state, <const Parameters*>parameters, True)


cdef void softmax_apply(const void* maps, const double* x, const double* weights, Py_ssize_t stride, double* y,
                        double* z, Py_ssize_t y_stride, Py_ssize_t rows, Py_ssize_t vectors) noexcept nogil:
    apply_any(<const Softmax*>maps, x, stride, y, y_stride, rows, vectors, False)


cdef void log_softmax_apply(const void* maps, const double* x, const double* weights, Py_ssize_t stride, double* y,
                            double* z, Py_ssize_t y_stride, Py_ssize_t rows, Py_ssize_t vectors) noexcept nogil:
    apply_any(<const Softmax*>maps, x, stride, y, y_stride, rows, vectors, True)


cdef void packed_softmax(const void* maps, const double* x, const double* weights, Py_ssize_t stride, double* y,
                         double* z, Py_ssize_t y_stride, Py_ssize_t rows, Py_ssize_t vectors) noexcept nogil:
    cdef const Softmax* m = <const Softmax*>maps
    cdef bint all_single = True, any_single = False
    cdef Py_ssize_t j
    cdef vmask suits
    for j in range(vectors):
        suits = map_suits_singles(&m[j])
        all_single = all_single and vall(suits)
        any_single = any_single or vany(suits)
    if all_single:
        apply_packed(m, x, stride, y, y_stride, rows, vectors, True)
    elif any_single:
        apply_packed(m, x, stride, y, y_stride, rows, vectors, False)
    else:
        apply_any(m, x, stride, y, y_stride, rows, vectors, False)


cdef Mapping SOFTMAX_MAP = Mapping(
    &SOFTMAX, sizeof(Softmax), softmax_prepare, softmax_apply, packed_softmax, single_softmax, softmax_factor, 0.0,
    False)

cdef Mapping LOG_SOFTMAX_MAP = Mapping(
    &LOGSUMEXP, sizeof(Softmax), log_softmax_prepare, log_softmax_apply, log_softmax_apply, single_log_softmax,
    NULL, -INFINITY, True)
