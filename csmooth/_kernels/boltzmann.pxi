"""sum(x * exp(alpha * x)) / sum(exp(alpha * x)), the mean of x under its softmax: moment / sum."""

cdef void boltzmann_row(void* state, const void* parameters, const Block* a, bint first,
                        double* extremes) noexcept nogil:
    exponential_row(<State*>state, <const Parameters*>parameters, a, first, extremes, MOMENTS)


cdef void boltzmann_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                         bint first) noexcept nogil:
    exponential_tile(<State*>states, <const Parameters*>parameters, a, vectors, first, MOMENTS)


cdef void boltzmann_merge(void* into, const void* other, const void* parameters) noexcept nogil:
    merge(<State*>into, <const State*>other, <const Parameters*>parameters, MOMENTS)


cdef inline vector mean_of(const State* s, const Parameters* p) noexcept nogil:
    """moment / sum, and what infinite elements or sharpness make of it."""
    cdef vector zero = vset(0.0), infinity = vset(INFINITY), ratio = vdiv(s.side, s.sum), error, mean
    error = vadd(vfma1(vsub(zero, ratio), s.sum, s.side), vsub(s.side_error, vmul(ratio, s.sum_error)))
    mean = vadd(ratio, vdiv(error, s.sum))
    mean = vselect(vless(vabs(mean), infinity), mean, ratio)
    mean = vselect(vequal(s.sum, zero), vset(NAN), mean)
    if not p.weighted:
        mean = vselect(vless(s.maximum, mean), s.maximum, mean)
    # An infinite maximum is the mean, unless all elements count alike; so is the maximum for infinite sharpness.
    mean = vselect(vless(vabs(s.maximum), infinity), mean, vselect(vequal(p.scale, zero), mean, s.maximum))
    mean = vselect(vless(p.alpha, infinity), mean, s.maximum)
    return vselect(vequal(s.sum, s.sum), vadd(vmul(mean, p.sign), zero), s.sum)     # NaN; no -0.0


cdef void boltzmann_finish(const void* states, const void* parameters, Py_ssize_t vectors, double* values,
                           double* signs, double* lost) noexcept nogil:
    cdef const State* s = <const State*>states
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector infinity = vset(INFINITY), overflow
    cdef Py_ssize_t j
    for j in range(vectors):
        vstore(values + WIDTH*j, mean_of(&s[j], &p[j]))
        vstore(signs + WIDTH*j, vset(1.0))
        overflow = vselect(vless(vadd(vabs(s[j].sum), vabs(s[j].side)), infinity), vset(NAN), infinity)
        overflow = vselect(vless(vabs(s[j].maximum), infinity), overflow, vset(NAN))
        vstore(lost + WIDTH*j, overflow)


cdef bint boltzmann_short(const void* parameters, const Block* a, Py_ssize_t vectors, double* values) noexcept nogil:
    """As tile and finish, but nothing goes through memory."""
    cdef const Parameters* p = <const Parameters*>parameters
    cdef State s[VECTORS]
    cdef Py_ssize_t j
    if not few_states(s, p, a, vectors, any_scaled(p, vectors), MOMENTS | CLOSE):
        return False
    for j in range(vectors):
        vstore(values + WIDTH*j, mean_of(&s[j], &p[j]))
    return True


cdef Reduction BOLTZMANN = Reduction(
    boltzmann_row, boltzmann_tile, boltzmann_short, boltzmann_merge, boltzmann_finish, exponential_parameters,
    sizeof(State), sizeof(Parameters), -INFINITY, SMALLEST_ALPHA, False, True, -INFINITY, False, False)
