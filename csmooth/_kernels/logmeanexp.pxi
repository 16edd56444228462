"""log(mean(exp(alpha * x))) / alpha, the mean weighted, from the sums of (e) in exponential.pxi.

With d = near + far, the sum of the weights, the mean is (near + alpha*line + sum) / d, of which the logarithm is taken,
unless the result is small beside 1 / alpha. Then the mean m of exp(alpha * x) - 1 is taken, which loses nothing:

    m = alpha*line/d + curve   with   curve = (sum - far) / d
    log(1 + m) / alpha = line/d + (curve + (log(1 + m) - m)) / alpha
"""

cdef extern from *:
    """
    #define TINY_MEAN 7.450580596923828e-09   /* 2**-27: m**3 / 3 is 2**-55.6 of m */
    """
    double TINY_MEAN


cdef void logmeanexp_row(void* state, const void* parameters, const Block* a, bint first,
                         double* extremes) noexcept nogil:
    exponential_row(<State*>state, <const Parameters*>parameters, a, first, extremes, MEANS)


cdef void logmeanexp_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                          bint first) noexcept nogil:
    exponential_tile(<State*>states, <const Parameters*>parameters, a, vectors, first, MEANS)


cdef void logmeanexp_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    cdef MeanState* m = <MeanState*>into
    cdef const MeanState* t = <const MeanState*>other
    merge(&m.state, &t.state, <const Parameters*>parameters, MEANS)
    m.minimum = vmin(t.minimum, m.minimum)
    add_pair(&m.line, &m.line_error, t.line, t.line_error)
    add_pair(&m.near, &m.near_error, t.near, t.near_error)
    add_pair(&m.far, &m.far_error, t.far, t.far_error)


cdef inline vector sum_pairs(vector x, vector x_error, vector y, vector y_error, vector* error) noexcept nogil:
    cdef vector total = two_sum(x, y, error)
    error[0] = vadd(error[0], vadd(x_error, y_error))
    return total


cdef inline vector times(vector x, vector y, vector y_error, vector* error) noexcept nogil:
    """x * (y + y_error), as the sum of two doubles."""
    cdef vector product = vmul(x, y)
    error[0] = vfma(x, y_error, vfma1(x, y, vsub(vset(0.0), product)))
    return product


cdef inline vector joined(vector x, vector x_error, vector* error) noexcept nogil:
    """x + x_error, and what rounding left of it; x where that is not finite."""
    cdef vector total = fast_two_sum(x, x_error, error)
    cdef vmask finite = vless(vabs(x), vset(INFINITY))
    error[0] = vselect(finite, error[0], vset(0.0))
    return vselect(finite, total, x)


cdef inline vector log1p_less(vector m, vector m_error) noexcept nogil:
    """log(1 + m + m_error) - m - m_error, within 2**-55 of m, for m from -3/4 to 1."""
    cdef vector error, log, one_more = two_sum(vset(1.0), m, &error)
    one_more = fast_two_sum(one_more, vadd(error, m_error), &error)
    log = log_double(one_more, error, False, &error)
    log = vadd(vsub(log, m), vsub(error, m_error))          # the first difference is exact
    return vselect(vless(vabs(m), vset(TINY_MEAN)), vmul(vmul(vset(-0.5), m), m), log)


cdef inline vector logmean_near_zero(const MeanState* m, const Parameters* p, vector line, vector line_error,
                                     vector weight, vector weight_error, vmask* holds, vector* rest) noexcept nogil:
    """The result, in double-double, where it `holds`: for a mean of exp(alpha * x) - 1 from -3/4 to 1.

    Takes the mean of the lines.
    """
    cdef const State* s = &m.state
    cdef vector zero = vset(0.0), unit, curve, curve_error, mean, mean_error, error
    unit = vdiv(exp2_down(vselect(vless(s.exponent, zero), s.exponent, zero)), one_of(s))   # 2**exponent, or infinite
    curve = sum_pairs(vmul(s.sum, unit), vmul(s.sum_error, unit), vsub(zero, m.far), vsub(zero, m.far_error), &error)
    curve = quotient(curve, error, weight, weight_error, &curve_error)
    mean = times(p.alpha, line, line_error, &error)
    mean = sum_pairs(mean, error, curve, curve_error, &mean_error)
    holds[0] = vless(vabs(vsub(mean, vset(0.125))), vset(0.875))
    curve = sum_pairs(curve, curve_error, log1p_less(mean, mean_error), zero, &error)
    curve = divided(curve, p, &error)
    line = sum_pairs(line, line_error, curve, error, &error)
    return joined(line, error, rest)


cdef inline vector total_of(const MeanState* m, const Parameters* p, vector* error) noexcept nogil:
    """The sum of all terms relative to the reference."""
    cdef vector one = one_of(&m.state), total = times(p.alpha, m.line, m.line_error, error)
    total = sum_pairs(total, error[0], m.near, m.near_error, error)
    return sum_pairs(vmul(total, one), vmul(error[0], one), m.state.sum, m.state.sum_error, error)


cdef inline vector logmean_elsewhere(const MeanState* m, const Parameters* p, vector weight,
                                     vector weight_error, vector* rest) noexcept nogil:
    """maximum + log(mean(exp(alpha * (x - maximum)))) / alpha, in double-double."""
    cdef const State* s = &m.state
    cdef vector zero = vset(0.0), total, total_error, log, error, down, down_error
    total = total_of(m, p, &total_error)
    total = quotient(total, total_error, weight, weight_error, &error)
    total = fast_two_sum(total, error, &error)
    log = log_double(vselect(vless(total, zero), vset(NAN), total), error, True, &error)
    # From the maximum to the reference, (exponent - (maximum - offset) * scale) * log(2).
    down = times(vsub(s.offset, s.maximum), p.scale, p.scale_error, &down_error)
    down = sum_pairs(down, down_error, s.exponent, zero, &down_error)
    total = times(down, vset(LN2_HIGH), vset(LN2_LOW), &total_error)
    total_error = vfma(down_error, vset(LN2), total_error)
    log = sum_pairs(log, error, total, total_error, &error)
    log = divided(log, p, &error)
    total = sum_pairs(s.maximum, zero, log, error, &error)
    return joined(total, error, rest)


cdef inline vector logmean_double(const MeanState* m, const Parameters* p, vector* error) noexcept nogil:
    """The result for abs(alpha) in double-double, and what infinite elements or alpha and NaN make of it."""
    cdef const State* s = &m.state
    cdef vector zero = vset(0.0), infinity = vset(INFINITY), weight, weight_error, line, line_error, value, other, rest
    cdef vmask holds
    weight = sum_pairs(m.near, m.near_error, m.far, m.far_error, &weight_error)
    line = quotient(m.line, m.line_error, weight, weight_error, &line_error)
    value = logmean_elsewhere(m, p, weight, weight_error, error)
    other = logmean_near_zero(m, p, line, line_error, weight, weight_error, &holds, &rest)
    value = vselect(holds, other, value)
    error[0] = vselect(holds, rest, error[0])
    # For alpha = 0, the mean
    holds = vequal(p.alpha, zero)
    other = joined(line, line_error, &rest)
    value = vselect(holds, other, value)
    rest = vselect(holds, rest, error[0])
    # An infinite maximum is the result, unless weights make the mean negative or a difference of infinities.
    other = vselect(vless(zero, vdiv(s.sum, weight)), s.maximum, vset(NAN))
    other = vselect(vequal(s.maximum, infinity), other, s.maximum)
    other = vselect(vless(vabs(s.maximum), infinity), value, other)
    other = vselect(vequal(p.alpha, infinity), s.maximum, vselect(vequal(weight, zero), vset(NAN), other))
    other = vselect(vequal(s.sum, s.sum), other, s.sum)
    other = vselect(holds, vselect(vequal(weight, zero), vset(NAN), value), other)
    error[0] = vselect(vequal(other, value), rest, zero)
    return other


cdef inline vector logmean_of(const MeanState* m, const Parameters* p) noexcept nogil:
    """The result, between the least and the largest element."""
    cdef vector zero = vset(0.0), error, value = logmean_double(m, p, &error), most = m.state.maximum
    if not p.weighted:
        value = vselect(vless(most, value), most, value)
        value = vselect(vless(value, m.minimum), m.minimum, value)
    return vadd(vmul(value, p.sign), zero)     # no -0.0


cdef void logmeanexp_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values,
                            double* signs, double* lost) noexcept nogil:
    """The results of states, and `lost`: the maximum, where weights cancel and the rest vanished beneath it; +inf,
    where weights made a sum overflow, or there are NaN; else NaN.
    """
    cdef const MeanState* m = <const MeanState*>states
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector infinity = vset(INFINITY), size, cancelled
    cdef const State* s
    cdef Py_ssize_t j
    for j in range(vectors):
        s = &m[j].state
        vstore(values + WIDTH*j, logmean_of(&m[j], &p[j]))
        vstore(signs + WIDTH*j, vset(1.0))
        size = vadd(vadd(vabs(s.sum), vabs(m[j].line)), vadd(vabs(m[j].near), vabs(m[j].far)))
        cancelled = vadd(vabs(s.sum), vmul(vabs(m[j].near), one_of(s)))
        cancelled = vselect(vequal(cancelled, vset(0.0)), s.maximum, vset(NAN))
        cancelled = vselect(vequal(vadd(m[j].near, m[j].far), vset(0.0)), vset(NAN), cancelled)
        cancelled = vselect(vless(size, infinity), cancelled, infinity)
        vstore(lost + WIDTH*j, vselect(vless(vabs(s.maximum), infinity), cancelled, vset(NAN)))


cdef bint logmeanexp_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    """As tile and finish, but nothing goes through memory that lasts."""
    cdef const Parameters* p = <const Parameters*>parameters
    cdef MeanState m[VECTORS]
    cdef Py_ssize_t j
    logmeanexp_tile(m, parameters, a, vectors, True)
    for j in range(vectors):
        vstore(values + WIDTH*j, logmean_of(&m[j], &p[j]))
    return True


cdef Reduction LOGMEANEXP = Reduction(
    logmeanexp_row, logmeanexp_tile, logmeanexp_short, logmeanexp_merge, logmeanexp_finish, exponential_parameters,
    sizeof(MeanState), sizeof(Parameters), -INFINITY, SMALLEST_ALPHA, False, True, INFINITY, False, False)
