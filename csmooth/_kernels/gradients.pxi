"""Gradients of reductions, element by element, from a slice's state; and slopes, derivatives by the parameter, as sums.

For maxima of exponentials, with the softmax p of the elements (times their weights) and u = alpha * (x - result):

    logsumexp     gradient p            slope sum(p * u) / alpha**2
    logmeanexp    p                     sum(((u - 1)*exp(u) + 1) / n) / alpha**2
    boltzmann     p * (1 + u)           sum(p * u**2) / alpha**2

and with r = abs(x) / result and u = p * log(r)

    pnorm         sign(x) * r**(p - 1)  result * sum(r**p * u) / p**2
    pmean         r**(p - 1) / n        result * sum(((u - 1)*exp(u) + 1) / n) / p**2

The terms of slopes have one sign, as long as weights have, so that nothing cancels.
"""

cdef struct Gradient:
    Softmax softmax
    vector log, log_error       # of the sum of exponentials over the largest, divided by alpha
    vector mean, mean_error     # the result, infinite where only p counts
    vector weight               # 1 over the sum of weights, for logmeanexp


cdef void logsumexp_gradient(void* map, const void* state, const void* parameters) noexcept nogil:
    cdef Gradient* g = <Gradient*>map
    cdef const State* s = <const State*>state
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector zero = vset(0.0), total, error
    cdef vmask none = vequal(vselect(vequal(p.alpha, p.alpha), s.maximum, zero), vset(-INFINITY))
    cdef vmask finite = vless(vabs(s.maximum), vset(INFINITY))
    g.softmax = softmax_of(s, p, False)
    g.softmax.factor = vselect(none, zero, g.softmax.factor)
    g.softmax.none = vselect(none, zero, g.softmax.none)
    total = sum_of(s, p, &error, False)
    total = log_double(vabs(total), vmul(error, sign_of(total)), True, &error)
    total = divided(total, p, &error)
    g.log = vselect(finite, total, zero)
    g.log_error = vselect(finite, error, zero)


cdef void logsumexp_gradient_apply(const void* maps, const double* x, const double* weights, Py_ssize_t stride,
                                   double* y, double* z, Py_ssize_t y_stride, Py_ssize_t rows,
                                   Py_ssize_t vectors) noexcept nogil:
    cdef const Gradient* g = <const Gradient*>maps
    cdef vector element, share, distance, zero = vset(0.0)
    cdef Py_ssize_t i, j
    if weights == NULL and z == NULL:
        for j in range(vectors):
            apply_any(&g[j].softmax, x + WIDTH*j, stride, y + WIDTH*j, y_stride, rows, 1, False)
        return
    for j in range(vectors):
        for i in range(rows):
            element = vload(x + stride*i + WIDTH*j)
            share = share_of(element, weights + stride*i + WIDTH*j if weights != NULL else NULL, &g[j].softmax)
            vstore(y + y_stride*i + WIDTH*j, share)
            if z != NULL:
                distance = vsub(vsub(element, g[j].softmax.maximum), g[j].log)
                distance = vmul(share, vsub(distance, g[j].log_error))
                vstore(z + y_stride*i + WIDTH*j, vselect(vequal(share, zero), zero, distance))


cdef inline vector share_of(vector x, const double* weight, const Softmax* m) noexcept nogil:
    """The softmax of x, times its weight unless that is NULL."""
    cdef vector share = special(x, probability(x, m, SHIFTED | SCALED), m, False)
    return share if weight == NULL else vmul(share, vload(weight))


cdef Mapping LOGSUMEXP_GRADIENT = Mapping(
    &SOFTMAX, sizeof(Gradient), logsumexp_gradient, logsumexp_gradient_apply, logsumexp_gradient_apply, NULL,
    NULL, 0.0, False)


cdef extern from *:
    """
    #define NEARLY_ALL 4.440892098500626e-16    /* 2**-51, by which a share of all may differ from 1 */
    #define INVERSE_OF_FACTOR 4.445007628777602e-61         /* 1 / FACTOR / 2**BIAS, and what rounding left of it */
    #define TWO_60 1.152921504606847e18                     /* 2**MOMENT_BIAS */
    #define MOMENT_TERM 7.174648137343064e-43               /* 2**(MOMENT_BIAS - BIAS) */
    #define INVERSE_OF_FACTOR_ERROR 7.5209673363455715e-78
    /* (k - 1) / k! from k = 2 on: ((u - 1)*exp(u) + 1) / u**2 */
    static const double CURVATURE[19] = {
        0.5, 0.3333333333333333, 0.125, 0.03333333333333333, 0.006944444444444444, 0.0011904761904761906,
        0.00017361111111111112, 2.2045855379188714e-05, 2.48015873015873e-06, 2.505210838544172e-07,
        2.296443268665491e-08, 1.9270852604185937e-09, 1.4911969277048643e-10, 1.0706029224547743e-11,
        7.169215998581078e-13, 4.498331606952833e-14, 2.6552651846596585e-15, 1.4797143443923793e-16,
        7.809603484293113e-18};
    """
    double TWO_60, MOMENT_TERM, INVERSE_OF_FACTOR, INVERSE_OF_FACTOR_ERROR, NEARLY_ALL
    const double[19] CURVATURE


cdef inline Softmax shares_of(const State* s, const Parameters* p, vector term, vector term_error, vector total,
                              vector error) noexcept nogil:
    """The softmax, from the sum of all terms, of which one at the state's reference is `term` over FACTOR * 2**BIAS."""
    cdef Reference r = reference_of(s, p, 0)
    cdef Softmax m
    cdef vector zero = vset(0.0)
    cdef vmask flat = vequal(p.scale, zero), none
    none = vequal(vselect(vequal(p.scale, p.scale), vselect(flat, zero, s.maximum), zero), vset(-INFINITY))
    m.offset = r.offset
    m.scale = r.scale
    m.scale_error = r.scale_error
    m.shift = r.shift
    m.low = r.low
    m.maximum = s.maximum
    m.alpha = p.alpha
    m.shifted = m.scaled = m.special = True
    m.log = m.log_error = m.top = m.exponent = m.total = zero
    m.top_at = vset(NAN)
    m.factor = quotient(term, term_error, total, error, &m.rest)
    m.factor = vselect(none, zero, m.factor)
    m.rest = vselect(none, zero, m.rest)
    m.none = vselect(flat, probability(zero, &m, SCALED), vmul(zero, m.factor))     # all count alike, or it does not
    return m


cdef inline vector finite(vector x) noexcept nogil:
    """x, but what is infinite counts as the offset of its reference."""
    return vselect(vequal(x, vset(INFINITY)), vset(DOUBLE_MAX), x)


cdef void boltzmann_close_row(void* state, const void* parameters, const Block* a, bint first,
                              double* extremes) noexcept nogil:
    exponential_row(<State*>state, <const Parameters*>parameters, a, first, extremes, MOMENTS | CLOSE)


cdef void boltzmann_close_tile(void* states, const void* parameters, const Block* a, Py_ssize_t vectors,
                               bint first) noexcept nogil:
    exponential_tile(<State*>states, <const Parameters*>parameters, a, vectors, first, MOMENTS | CLOSE)


# Where one element is nearly all, its distance from the mean must not be noise.
cdef Reduction BOLTZMANN_CLOSE = Reduction(
    boltzmann_close_row, boltzmann_close_tile, NULL, boltzmann_merge, boltzmann_finish, exponential_parameters,
    sizeof(State), sizeof(Parameters), -INFINITY, SMALLEST_ALPHA, False, True, -INFINITY, False, False)


cdef void boltzmann_gradient(void* map, const void* state, const void* parameters) noexcept nogil:
    cdef Gradient* g = <Gradient*>map
    cdef const State* s = <const State*>state
    cdef const Parameters* p = <const Parameters*>parameters
    cdef State t = s[0]
    cdef vector zero = vset(0.0), by = lowered(s.maximum, p), scale = exp2_down(vsub(zero, by)), term, error
    cdef vmask flat = vequal(p.scale, zero)             # whose terms have no factor
    t.exponent = vsub(t.exponent, by)
    term = vselect(flat, vset(INVERSE_OF_FACTOR * TWO_60), vset(MOMENT_TERM))
    error = vselect(flat, vset(INVERSE_OF_FACTOR_ERROR * TWO_60), zero)
    g.softmax = shares_of(&t, p, vmul(term, scale), vmul(error, scale), s.sum, s.sum_error)
    g.mean = quotient(s.side, s.side_error, s.sum, s.sum_error, &g.mean_error)
    g.mean = vselect(vless(vabs(s.maximum), vset(INFINITY)), g.mean, s.maximum)


cdef inline Softmax tilted(const Softmax* m, vector tilt, vector tilt_error) noexcept nogil:
    """What makes shares times the tilt: nothing is rounded between, nor to a subnormal number."""
    cdef Softmax t = m[0]
    t.factor = vmul(m.factor, tilt)
    t.rest = vfma(m.rest, tilt, vfma(m.factor, tilt_error, vfma1(m.factor, tilt, vsub(vset(0.0), t.factor))))
    return t


cdef void boltzmann_gradient_apply(const void* maps, const double* x, const double* weights, Py_ssize_t stride,
                                   double* y, double* z, Py_ssize_t y_stride, Py_ssize_t rows,
                                   Py_ssize_t vectors) noexcept nogil:
    cdef const Gradient* maps_of = <const Gradient*>maps
    cdef const double* weight
    cdef Gradient g
    cdef Softmax shares
    cdef vector element, share, distance, low, tilt, error, square
    cdef vector zero = vset(0.0), one = vset(1.0), infinity = vset(INFINITY)
    cdef vmask counts, apart, partial
    cdef Py_ssize_t i, j
    for j in range(vectors):
        g = maps_of[j]
        for i in range(rows):
            element = vload(x + stride*i + WIDTH*j)
            weight = weights + stride*i + WIDTH*j if weights != NULL else NULL
            share = share_of(finite(element), weight, &g.softmax)
            counts = vless(vselect(vequal(share, zero), infinity, vabs(g.mean)), infinity)
            distance = two_sum(vselect(counts, element, g.mean), vsub(zero, g.mean), &low)
            low = vsub(low, g.mean_error)
            tilt = vmul(g.softmax.alpha, distance)
            error = vfma(g.softmax.alpha, low, vfma1(g.softmax.alpha, distance, vsub(zero, tilt)))
            distance = vadd(distance, low)
            tilt = two_sum(one, vselect(counts, tilt, zero), &low)
            shares = tilted(&g.softmax, tilt, vselect(counts, vadd(low, error), zero))
            vstore(y + y_stride*i + WIDTH*j,
                   vselect(vequal(g.mean, g.mean), share_of(finite(element), weight, &shares), vset(NAN)))
            if z != NULL:       # a share of 1 is at the mean, but for roundoff; weights of both signs may take it away
                square = vmul(vmul(share, distance), distance)
                apart = vless(vabs(vmul(g.mean, vset(NEARLY_ALL))), vabs(distance))
                partial = vless(vset(NEARLY_ALL), vabs(vsub(vselect(counts, share, one), one)))
                vstore(z + y_stride*i + WIDTH*j, vselect(partial, square, vselect(apart, square, zero)))


cdef Mapping BOLTZMANN_GRADIENT = Mapping(
    &BOLTZMANN_CLOSE, sizeof(Gradient), boltzmann_gradient, boltzmann_gradient_apply, boltzmann_gradient_apply, NULL,
    NULL, 0.0, False)


cdef void logmeanexp_gradient(void* map, const void* state, const void* parameters) noexcept nogil:
    cdef Gradient* g = <Gradient*>map
    cdef const MeanState* m = <const MeanState*>state
    cdef const Parameters* p = <const Parameters*>parameters
    cdef vector error, total = total_of(m, p, &error), rest
    cdef vector weight = sum_pairs(m.near, m.near_error, m.far, m.far_error, &rest)
    cdef vmask flat = vequal(p.alpha, vset(0.0))        # infinite elements count alike
    g.mean = logmean_double(m, p, &g.mean_error)
    total = vselect(flat, vselect(vequal(g.mean, g.mean), weight, g.mean), total)
    error = vselect(flat, rest, error)
    g.softmax = shares_of(&m.state, p, vset(INVERSE_OF_FACTOR), vset(INVERSE_OF_FACTOR_ERROR), total, error)
    g.weight = vdiv(vset(1.0), vadd(m.near, m.far))


cdef void logmeanexp_gradient_apply(const void* maps, const double* x, const double* weights, Py_ssize_t stride,
                                    double* y, double* z, Py_ssize_t y_stride, Py_ssize_t rows,
                                    Py_ssize_t vectors) noexcept nogil:
    cdef const Gradient* maps_of = <const Gradient*>maps
    cdef const double* weight
    cdef Gradient g
    cdef vector element, share, slope, distance, low, zero = vset(0.0)
    cdef Py_ssize_t i, j
    for j in range(vectors):
        g = maps_of[j]
        for i in range(rows):
            element = vload(x + stride*i + WIDTH*j)
            weight = weights + stride*i + WIDTH*j if weights != NULL else NULL
            share = share_of(finite(element), weight, &g.softmax)
            vstore(y + y_stride*i + WIDTH*j, share)
            if z != NULL:
                distance = two_sum(element, vsub(zero, g.mean), &low)
                low = vselect(vequal(low, low), vsub(low, g.mean_error), zero)      # NaN at infinite elements
                distance = two_sum(distance, low, &low)
                slope = slope_of_mean(distance, low, g.softmax.alpha, share,
                                      vmul(g.weight, vload(weight)) if weight != NULL else g.weight)
                vstore(z + y_stride*i + WIDTH*j, vselect(vless(vmul(zero, g.mean), vset(1.0)), slope, zero))


cdef inline vector slope_of_mean(vector distance, vector low, vector alpha, vector share,
                                 vector weight) noexcept nogil:
    """What an element adds to the derivative of log(mean(exp(alpha * distance))) / alpha by alpha, where that is 0.

    With u = alpha * distance it is weight * ((u - 1) * exp(u) + 1) / alpha**2, of which 1 - exp(u) add up to 0.
    `low` is what rounding left of the distance, which counts where u is nearly 1; NaN if that is infinite.
    """
    cdef vector u = vmul(alpha, distance), zero = vset(0.0), one = vset(1.0), near, far, error
    cdef int k
    error = vfma(alpha, low, vfma1(alpha, distance, vsub(zero, u)))
    error = vselect(vequal(error, error), error, zero)
    near = vset(CURVATURE[18])
    for k in range(17, -1, -1):
        near = vfma(near, u, vset(CURVATURE[k]))
    near = vmul(vmul(vmul(weight, distance), distance), near)
    far = vselect(vequal(share, zero), weight, vfma(share, vadd(vsub(u, one), error), weight))
    far = vdiv(vdiv(far, alpha), alpha)
    return vselect(vequal(weight, zero), zero, vselect(vless(one, vabs(u)), far, near))


cdef Mapping LOGMEANEXP_GRADIENT = Mapping(
    &LOGMEANEXP, sizeof(Gradient), logmeanexp_gradient, logmeanexp_gradient_apply, logmeanexp_gradient_apply, NULL,
    NULL, 0.0, False)


# Powers

cdef enum:
    SMALL_BY = 120      # the bits of room for terms that weights, or their number, make normal numbers

cdef struct PowerGradient:
    PowerReference reference    # terms are (abs(x) / result)**(p - 1),
    PowerReference shares       # shares of the sum, of which slopes are made, (abs(x) / result)**p
    vector rest                 # the logarithm of the result is r.origin + r.base_error + rest
    vector power_error          # what rounding left of p - 1
    vector inverse              # 1 / result
    vector weight               # 1 over the sum of weights, for a mean
    vector scale                # a power of two that terms are multiplied by
    vector infinite             # the gradient at infinite elements, over the scale
    vector known                # what all others have where the result is 0, infinite or NaN,
    vector is_known             # which is so where this is 1, else 0
    bint mean


cdef void power_gradient(void* map, const void* state, const void* parameters) noexcept nogil:
    cdef PowerGradient* g = <PowerGradient*>map
    cdef const PowerState* s = <const PowerState*>state
    cdef const PowerParameters* p = <const PowerParameters*>parameters
    cdef PowerReference* r = &g.reference
    cdef vector zero = vset(0.0), one = vset(1.0), infinity = vset(INFINITY)
    cdef vector value, total, sign, rest, log, error, e
    cdef vmask below
    value = power_result(s, p, &sign)
    log = log_of_root(s, p, &total, &sign, &rest, &error)
    log = two_sum(s.base, log, &e)
    e = vadd(vadd(e, error), s.base_error)
    # Exponents as log2_double has them, so that logarithms of elements near the result differ by exact differences.
    below = vless(vabs(value), one)
    log2_split(vmul(vabs(value), vselect(below, vset(TWO_54), vset(0.25))), &r.origin, &rest)
    r.origin = vsub(r.origin, vselect(below, vset(54.0), vset(-2.0)))
    log = two_sum(log, vsub(zero, r.origin), &rest)
    r.base_error = fast_two_sum(log, vadd(e, rest), &g.rest)
    r.power = two_sum(p.power, vsub(zero, one), &g.power_error)
    r.close = r.power
    r.sign = p.sign
    # Where powers are small, so may they be until the end.
    r.shift = vselect(vless(zero, r.power), vset(ROUND_16TH + SMALL_BY), vset(ROUND_16TH))
    g.scale = exp2_down(vsub(vset(ROUND_16TH), r.shift))
    r.unit = r.scale = zero
    r.floor = vset(-INFINITY)
    r.infinite = vset(DOUBLE_MAX)
    r.nothing = zero
    g.shares = r[0]
    g.shares.power = g.shares.close = p.power
    g.mean = p.mean
    g.inverse = vdiv(one, value)
    g.weight = vdiv(one, s.weight) if p.mean else one
    g.infinite = vselect(vless(value, infinity), zero, vselect(vequal(value, infinity), vdiv(one, g.scale), value))
    g.known = vselect(vequal(value, value), zero, value)
    g.is_known = vselect(vless(vmul(zero, value), one), vselect(vequal(value, zero), one, zero), one)


cdef void power_gradient_apply(const void* maps, const double* x, const double* weights, Py_ssize_t stride,
                               double* y, double* z, Py_ssize_t y_stride, Py_ssize_t rows,
                               Py_ssize_t vectors) noexcept nogil:
    cdef const PowerGradient* maps_of = <const PowerGradient*>maps
    cdef PowerGradient g
    cdef vector element, size, term, error, w, slope, zero = vset(0.0), one = vset(1.0)
    cdef vmask is_known
    cdef Py_ssize_t i, j
    for j in range(vectors):
        g = maps_of[j]
        is_known = vless(zero, g.is_known)
        for i in range(rows):
            element = vload(x + stride*i + WIDTH*j)
            size = vabs(element)
            w = vmul(g.weight, vload(weights + stride*i + WIDTH*j)) if weights != NULL else g.weight
            term = term_of(element, &g.reference, &error, CAREFUL)
            error = vfma(vmul(term, vset(-LN2)), vmul(g.rest, g.reference.power), error)
            if vany(vless(zero, vabs(g.power_error))):
                error = vfma(vmul(term, g.power_error), log_of_ratio(size, &g), error)
            term = vadd(term, error)
            # Powers of what is small vanish beyond 2**1020, too, but are infinite.
            error = vselect(vless(vmul(size, g.inverse), one), vmul(size, g.reference.power), zero)
            term = vselect(vless(error, zero), vselect(vequal(term, zero), vset(INFINITY), term), term)
            term = vselect(is_known, g.known, term)
            term = vselect(vequal(size, vset(INFINITY)), g.infinite, term)
            term = vmul(vmul(term, g.scale), w)
            vstore(y + y_stride*i + WIDTH*j, vmul(term, sign_of(vmul(element, g.reference.sign))))
            if z != NULL:
                slope = slope_of_power(vselect(vequal(size, vset(INFINITY)), vset(DOUBLE_MAX), size), w, &g)
                vstore(z + y_stride*i + WIDTH*j, vselect(is_known, zero, slope))


cdef inline vector log_of_ratio(vector size, const PowerGradient* g) noexcept nogil:
    """log(size / result); -DOUBLE_MAX for 0."""
    cdef vector zero = vset(0.0), e, log, error, scale, low
    cdef vmask below = vless(size, vset(1.0))
    scale = vselect(below, vset(TWO_54), vset(0.25))    # neither subnormal nor next to overflow
    log = log2_double(vmul(size, scale), zero, zero, False, &e, &error)
    e = vsub(e, vselect(below, vset(54.0), vset(-2.0)))
    log = two_sum(log, vsub(zero, g.reference.base_error), &low)
    log = vadd(vsub(e, g.reference.origin), log)
    log = vmul(vadd(log, vadd(low, vsub(error, g.rest))), vset(LN2))
    return vselect(vequal(size, zero), vset(-DOUBLE_MAX), log)


cdef inline vector slope_of_power(vector size, vector weight, const PowerGradient* g) noexcept nogil:
    """What an element adds to the derivative by p, over the result, and for a norm times p.

    Its share is a power of its own, as a gradient may over- or underflow where the share does not.
    """
    cdef vector zero = vset(0.0), log = log_of_ratio(size, g), error, share
    share = term_of(size, &g.shares, &error, CAREFUL)
    error = vfma(vmul(share, vset(-LN2)), vmul(g.rest, g.shares.power), error)
    share = vmul(vmul(vadd(share, error), g.scale), weight)
    if g.mean:
        return slope_of_mean(log, zero, g.shares.power, share, weight)
    return vselect(vequal(share, zero), zero, vmul(share, log))


cdef Mapping PNORM_GRADIENT = Mapping(
    &PNORM, sizeof(PowerGradient), power_gradient, power_gradient_apply, power_gradient_apply, NULL,
    NULL, 0.0, False)


cdef void pnorm_close_parameters(void* parameters, const double* power, double limit) noexcept nogil:
    cdef PowerParameters* p = <PowerParameters*>parameters
    power_parameters(p, power, limit, False)
    if p.kind != COUNT:
        p.kind = CAREFUL


# For slopes: where one element is nearly all, the logarithm of its share must not be noise.
cdef Reduction PNORM_CLOSE = Reduction(
    power_row, power_tile, power_short, power_merge, power_finish, pnorm_close_parameters,
    sizeof(PowerState), sizeof(PowerParameters), 0.0, 0.0, False, True, 1.0, True, False)

cdef Mapping PNORM_SLOPE = Mapping(
    &PNORM_CLOSE, sizeof(PowerGradient), power_gradient, power_gradient_apply, power_gradient_apply, NULL,
    NULL, 0.0, False)

cdef Mapping PMEAN_GRADIENT = Mapping(
    &PMEAN, sizeof(PowerGradient), power_gradient, power_gradient_apply, power_gradient_apply, NULL,
    NULL, 0.0, False)


# As PNORM_CLOSE; sums of products are close.
cdef void pmean_close_parameters(void* parameters, const double* power, double limit) noexcept nogil:
    cdef PowerParameters* p = <PowerParameters*>parameters
    power_parameters(p, power, limit, True)
    if p.kind == CLOSE_LOGARITHM:
        p.kind = CAREFUL


cdef Reduction PMEAN_CLOSE = Reduction(
    power_row, power_tile, power_short, power_merge, power_finish, pmean_close_parameters,
    sizeof(PowerState), sizeof(PowerParameters), 0.0, 0.0, False, True, NAN, True, False)

cdef Mapping PMEAN_SLOPE = Mapping(
    &PMEAN_CLOSE, sizeof(PowerGradient), power_gradient, power_gradient_apply, power_gradient_apply, NULL,
    NULL, 0.0, False)
