"""log(mean(exp(alpha * x))) / alpha, the mean weighted: logsumexp less the logarithm of the sum of the weights.

Where alpha * x is small, both logarithms are nearly alike. Then, with the mean m of exp(alpha * x) - 1, which loses
nothing, it is log(1 + m) / alpha.
"""

cdef void logmeanexp_row(void* state, const void* parameters, const Block* a, bint first,
                         double* extremes) noexcept nogil:
    exponential_row(<State*>state, <const Parameters*>parameters, a, first, extremes, TIES | MEANS)


cdef void logmeanexp_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                          bint first) noexcept nogil:
    exponential_tile(<State*>states, <const Parameters*>parameters, a, vectors, first, TIES | MEANS)


cdef void logmeanexp_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    cdef MeanState* s = <MeanState*>into
    cdef const MeanState* t = <const MeanState*>other
    merge(&s.state, &t.state, <const Parameters*>parameters, False)
    add_means(&s.state, t.mean, t.mean_error, t.weight, t.weight_error, MEANS | WEIGHTED)


cdef inline vector over(vector x, vector x_error, vector y, vector y_error, vector* error) noexcept nogil:
    """(x + x_error) / (y + y_error), as the sum of two doubles."""
    cdef vector ratio = vdiv(x, y)
    error[0] = vadd(vfma1(vsub(vset(0.0), ratio), y, x), vsub(x_error, vmul(ratio, y_error)))
    error[0] = vdiv(error[0], y)
    return ratio


cdef inline vector logmean_of(const MeanState* m, const Parameters* p) noexcept nogil:
    cdef const State* s = &m.state
    cdef vector zero = vset(0.0), infinity = vset(INFINITY), one = vset(1.0)
    cdef vector weight = m.weight if p.weighted else p.count, mean, mean_error, ratio, error, value, base, one_more
    cdef vmask small
    mean = over(m.mean, m.mean_error, weight, m.weight_error, &mean_error)
    ratio = sum_of(s, p, &error)
    ratio = over(ratio, error, weight, m.weight_error, &error)
    one_more = two_sum(one, mean, &value)
    # The reference is 1, so no term exceeds sqrt(2); and their mean does not vanish beside 1.
    small = vless(vset(-0.5), vselect(vequal(vadd(absolute(s.exponent), absolute(s.offset)), zero), mean, vset(-1.0)))
    ratio = vselect(small, one_more, ratio)
    error = vselect(small, vadd(value, mean_error), error)
    base = vselect(small, zero, s.maximum)
    ratio = log_double(vselect(vless(zero, ratio), fast_two_sum(ratio, error, &error), ratio), error, True, &error)
    ratio = divided(ratio, p, &error)
    value = two_sum(base, ratio, &mean_error)
    value = vadd(value, vadd(mean_error, error))
    if not p.weighted:
        value = vselect(vless(s.maximum, value), s.maximum, value)
    value = vselect(vless(absolute(s.maximum), infinity), value, s.maximum)
    value = vselect(vless(p.alpha, infinity), value, s.maximum)
    return vselect(vequal(s.sum, s.sum), vadd(vmul(value, p.sign), zero), s.sum)     # NaN; no -0.0


cdef void logmeanexp_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values,
                            double* signs, double* lost) noexcept nogil:
    cdef const MeanState* m = <const MeanState*>states
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector infinity = vset(INFINITY), overflow
    cdef Py_ssize_t j
    for j in range(vectors):
        vstore(values + WIDTH*j, logmean_of(&m[j], &p[j]))
        vstore(signs + WIDTH*j, vset(1.0))
        overflow = vadd(absolute(m[j].state.sum), vadd(absolute(m[j].state.side), absolute(m[j].weight)))
        overflow = vselect(vless(overflow, infinity), vset(NAN), infinity)
        vstore(lost + WIDTH*j, vselect(vless(absolute(m[j].state.maximum), infinity), overflow, vset(NAN)))


cdef bint logmeanexp_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    return False


cdef Reduction LOGMEANEXP = Reduction(
    logmeanexp_row, logmeanexp_tile, logmeanexp_short, logmeanexp_merge, logmeanexp_finish, exponential_parameters,
    sizeof(MeanState), sizeof(Parameters), -INFINITY, SMALLEST_ALPHA, False, True, INFINITY, False)
