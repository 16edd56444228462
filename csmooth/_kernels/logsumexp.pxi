"""log(sum(exp(alpha * x))) / alpha, with the ties at the maximum out of the sum.

sum(weight * exp(alpha * x)) = exp(alpha * maximum) * (ties + sum / term(maximum))
"""

cdef extern from *:
    """
    #define LOST 2.409919865102884e-181   /* 2**-600, of terms that vanish below 2**-1023 */
    """
    double LOST


cdef void logsumexp_row(void* state, const void* parameters, const Block* a, bint first,
                        double* extremes) noexcept nogil:
    add_rows(<State*>state, <const Parameters*>parameters, a, first, extremes, TIES)


cdef void logsumexp_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                         bint first) noexcept nogil:
    add_columns(<State*>states, <const Parameters*>parameters, a, vectors, first, TIES)


cdef void logsumexp_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    merge(<State*>into, <const State*>other, <const Parameters*>parameters, TIES)


cdef inline vector sum_of(const State* s, const Parameters* p, vector* error, bint pairs) noexcept nogil:
    """ties + rest / term(maximum), the sum of exp(alpha * (x - maximum)), as the sum of two doubles.

    `pairs`: the rest is at most 1, as of two elements.
    """
    cdef vector inverse, inverse_error, ratio, ratio_error, total
    # 1 / term(maximum) = 2**(exponent - (maximum - offset) * scale - BIAS) / FACTOR
    inverse = exp2_inverse(vsub(s.offset, s.maximum), p.scale, p.scale_error,
                           vadd(s.exponent, vset(ROUND_16TH - BIAS)), &inverse_error)
    ratio = product(s.sum, inverse, &ratio_error)
    ratio_error = vadd(vfma(s.sum, inverse_error, ratio_error), vmul(s.sum_error, inverse))
    total = fast_two_sum(s.side, ratio, error) if pairs else two_sum(s.side, ratio, error)
    error[0] = vadd(error[0], ratio_error if pairs else vadd(ratio_error, s.side_error))
    return total


cdef inline vector divided(vector log, const Parameters* p, vector* error) noexcept nogil:
    """(log + error) / alpha, as the sum of two doubles; 0 where alpha is infinite, which leaves the maximum."""
    cdef vector zero = vset(0.0), infinity = vset(INFINITY), ratio = vdiv(log, p.alpha), ratio_error
    ratio_error = vdiv(vadd(vfma1(vsub(zero, ratio), p.alpha, log), error[0]), p.alpha)
    ratio_error = vselect(vless(vabs(ratio), infinity), ratio_error, zero)
    ratio = vselect(vequal(error[0], error[0]), ratio, error[0])        # NaN
    error[0] = vselect(vless(p.alpha, infinity), ratio_error, zero)
    return ratio


cdef inline vector sign_of(vector x) noexcept nogil:
    """1, -1, or x where it is 0 or NaN."""
    return vselect(vless(vset(0.0), x), vset(1.0), vselect(vless(x, vset(0.0)), vset(-1.0), x))


cdef inline vector result_of(const State* s, const Parameters* p, vector log, vector log_error) noexcept nogil:
    """maximum + log, at most maximum + log(n) / alpha, and what infinite maxima and NaN make of it."""
    cdef vector zero = vset(0.0), error, value = two_sum(s.maximum, log, &error), most = vadd(s.maximum, p.most)
    cdef vmask number, finite
    value = vadd(value, vadd(error, log_error))
    value = vmin(most, value)
    number = vequal(value, value)
    if not vall(number):                # NaN, or an infinity on the way
        finite = vless(vabs(s.maximum), vset(INFINITY))
        value = vselect(number, value, vadd(s.maximum, vadd(log, log_error)))
        value = vselect(finite, value, vfma(s.sum, zero, s.maximum))
        value = vselect(vequal(s.maximum, vset(INFINITY)), vselect(vequal(s.side, zero), vset(NAN), value), value)
        value = vselect(vequal(value, value), value, vset(NAN))
    return value


cdef inline void finish(const State* s, const Parameters* p, Py_ssize_t vectors, double* values, double* signs,
                        double* lost, bint weighted, bint divides, bint pairs) noexcept nogil:
    """maximum + log(sum) / alpha, rounded but once: each step hands on its error.

    Step by step for all vectors, since one vector's steps wait for each other. Not `weighted`: ties are at least 1,
    or the maximum is -inf. Not `divides`: every alpha is 1. `pairs`: states of two
    elements. Signs and `lost` may be NULL.
    """
    cdef vector total[VECTORS]
    cdef vector error[VECTORS]
    cdef vector sign[VECTORS]
    cdef vector value
    cdef vmask finite
    cdef Py_ssize_t j
    for j in range(vectors):
        total[j] = sum_of(&s[j], &p[j], &error[j], pairs)
    for j in range(vectors):
        sign[j] = vset(1.0)
        if weighted:
            finite = vless(vabs(s[j].maximum), vset(INFINITY))
            total[j] = vselect(finite, fast_two_sum(total[j], error[j], &error[j]), s[j].side)
            sign[j] = sign_of(total[j])
            total[j] = vabs(total[j])
            error[j] = vmul(error[j], sign[j])
    for j in range(vectors):
        if weighted:
            total[j] = log_double(total[j], error[j], weighted, &error[j])
        else:                           # whose rest is added to the maximum, not to the logarithm
            total[j] = log_parts(total[j], error[j], False, &error[j])
    for j in range(vectors):
        if divides:
            total[j] = divided(total[j], &p[j], &error[j])
        value = result_of(&s[j], &p[j], total[j], error[j])
        vstore(values + WIDTH*j, vadd(vmul(value, p[j].sign), vset(0.0)) if divides else value)     # no -0.0
        if signs == NULL:
            continue
        sign[j] = vselect(vequal(s[j].maximum, vset(-INFINITY)), vset(0.0), sign[j])
        vstore(signs + WIDTH*j, vselect(vequal(value, value), sign[j], value))
        value = vset(NAN)
        if weighted:
            finite = vless(vabs(s[j].maximum), vset(INFINITY))
            value = vselect(vless(vabs(s[j].sum), vset(LOST)), s[j].maximum, value)
            value = vselect(vequal(s[j].side, vset(0.0)), value, vset(NAN))
            value = vselect(vless(vabs(s[j].sum), vset(INFINITY)), value, vset(INFINITY))
            value = vselect(vless(vabs(s[j].side), vset(INFINITY)), value, vset(INFINITY))
            value = vselect(finite, value, vset(NAN))
        vstore(lost + WIDTH*j, value)


cdef void logsumexp_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values,
                           double* signs, double* lost) noexcept nogil:
    """The results of states, their signs, and `lost`: the maximum, where its weights cancel and the rest vanished
    beneath it; +inf, where weights made a sum overflow, or there are NaN; else NaN.
    """
    cdef const State* s = <const State*>states
    cdef const Parameters* p = <const Parameters*>parameters
    if p.weighted:
        finish(s, p, vectors, values, signs, lost, True, True, False)
    elif any_scaled(p, vectors):
        finish(s, p, vectors, values, signs, lost, False, True, False)
    else:
        finish(s, p, vectors, values, signs, lost, False, False, False)


cdef bint logsumexp_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    """As tile and finish, but nothing goes through memory."""
    cdef const Parameters* p = <const Parameters*>parameters
    cdef State s[VECTORS]
    cdef bint scaled = any_scaled(p, vectors)
    if not few_states(s, p, a, vectors, scaled, TIES):
        return False
    if scaled:
        finish(s, p, vectors, values, NULL, NULL, False, True, False)
    elif a.rows == 2:
        finish(s, p, vectors, values, NULL, NULL, False, False, True)
    else:
        finish(s, p, vectors, values, NULL, NULL, False, False, False)
    return True


cdef Reduction LOGSUMEXP = Reduction(
    logsumexp_row, logsumexp_tile, logsumexp_short, logsumexp_merge, logsumexp_finish, exponential_parameters,
    sizeof(State), sizeof(Parameters), -INFINITY, SMALLEST_ALPHA, True, False, -INFINITY, False, True)
