"""softmax and its logarithm, element by element, from a slice's state: terms over their sum, as logsumexp has them."""

cdef struct Softmax:
    # Vectors, each for WIDTH outputs.
    vector offset, scale, scale_error, shift, low
    vector maximum, alpha
    vector factor            # what turns a term into a probability
    vector log, log_error    # of the sum over the largest term
    bint shifted, scaled     # as in Parameters
    bint sharp               # some output has an infinite maximum or sharpness: only the maxima count there
    vector is_sharp          # 1 or 0


cdef inline Softmax softmax_of(const State* s, const Parameters* p, bint logarithm) noexcept nogil:
    cdef Reference r = reference_of(s, p, 0)
    cdef Softmax m
    cdef vector zero = vset(0.0), one = vset(1.0), total, error, inverse, inverse_error, ratio
    cdef vmask regular
    m.offset = r.offset
    m.scale = r.scale
    m.scale_error = r.scale_error
    m.shift = r.shift
    m.low = r.low
    m.maximum = s.maximum
    m.alpha = p.alpha
    m.factor = m.log = m.log_error = zero
    m.shifted = vany(vless(zero, absolute(s.offset)))
    m.scaled = p.scaled
    total = sum_of(s, p, &error)
    regular = vless(vmul(absolute(s.maximum), zero), one)       # finite
    regular = vless(vselect(regular, p.alpha, vset(INFINITY)), vset(INFINITY))
    total = vselect(regular, total, s.side)
    error = vselect(regular, error, zero)
    total = vselect(vequal(s.sum, s.sum), total, s.sum)         # NaN
    total = vselect(vequal(s.maximum, vset(-INFINITY)), vset(NAN), total)
    m.is_sharp = vselect(regular, zero, one)
    m.sharp = not vall(regular)
    if logarithm:
        m.log = log_double(total, error, True, &m.log_error)
        return m
    inverse = exp2_inverse(vsub(s.offset, s.maximum), p.scale, p.scale_error,
                           vadd(s.exponent, vset(ROUND_16TH - BIAS)), &inverse_error)
    inverse = vselect(regular, inverse, one)
    inverse_error = vselect(regular, inverse_error, zero)
    ratio = vdiv(inverse, total)
    error = vsub(vadd(vfma1(vsub(zero, ratio), total, inverse), inverse_error), vmul(ratio, error))
    m.factor = vadd(ratio, vdiv(error, total))
    return m


cdef inline vector probability(vector x, const Softmax* m, int minded) noexcept nogil:
    cdef vector t = vmax(m.low, vsub(x, m.offset) if minded & SHIFTED else x)
    return vmul(exp2_reduced(t, m.scale, m.scale_error, m.shift, minded & SCALED, True), m.factor)


cdef inline vector log_probability(vector x, const Softmax* m) noexcept nogil:
    return vsub(vfma(m.alpha, vsub(x, m.maximum), vsub(vset(0.0), m.log)), m.log_error)


cdef inline vector sharp(vector x, vector y, const Softmax* m, bint logarithm) noexcept nogil:
    """y, unless only the maxima count."""
    cdef vector of_maximum = vsub(vset(0.0), m.log) if logarithm else m.factor
    cdef vector of_other = vsub(vset(-INFINITY), m.log) if logarithm else vmul(vset(0.0), m.factor)
    cdef vector value = vselect(vequal(x, m.maximum), of_maximum, of_other)
    return vselect(vequal(m.is_sharp, vset(0.0)), y, value)


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
            if minded & SHARP:
                value = sharp(element, value, &m, logarithm)
            vstore(y + y_stride*i + WIDTH*j, value)


cdef void softmax_apply(const Softmax* maps, const double* x, Py_ssize_t stride, double* y, Py_ssize_t y_stride,
                        Py_ssize_t rows, Py_ssize_t vectors, bint logarithm) noexcept nogil:
    """y = the softmax of x, or its logarithm; vector j of each row has a map of its own."""
    cdef bint is_sharp = False, is_shifted = False, is_scaled = False
    cdef Py_ssize_t j
    for j in range(vectors):
        is_sharp = is_sharp or maps[j].sharp
        is_shifted = is_shifted or maps[j].shifted
        is_scaled = is_scaled or maps[j].scaled
    if logarithm:
        if is_sharp:
            apply(maps, x, stride, y, y_stride, rows, vectors, True, SHARP)
        else:
            apply(maps, x, stride, y, y_stride, rows, vectors, True, 0)
    elif is_sharp or is_shifted:
        apply(maps, x, stride, y, y_stride, rows, vectors, False, SHIFTED | SCALED | SHARP)
    elif is_scaled:
        apply(maps, x, stride, y, y_stride, rows, vectors, False, SCALED)
    else:
        apply(maps, x, stride, y, y_stride, rows, vectors, False, 0)
