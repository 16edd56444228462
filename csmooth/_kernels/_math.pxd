"""Branch-free exp2 and log of vectors.

Inline functions of a .pxd are compiled afresh, with the flags of whichever level cimports them.
Constants: python bench/coefficients.py.
"""

from libc.math cimport INFINITY

cdef extern from "_vector.h":
    enum: WIDTH, LANES, VECTORS, SWIDTH, SVECTORS
    ctypedef struct vector:
        pass
    ctypedef struct vmask:
        pass
    vector vload(const double*) noexcept nogil
    void vstore(double*, vector) noexcept nogil
    void vstream(double*, vector) noexcept nogil
    void stream_end() noexcept nogil
    vector vset(double) noexcept nogil
    vector vadd(vector, vector) noexcept nogil
    vector vsub(vector, vector) noexcept nogil
    vector vmul(vector, vector) noexcept nogil
    vector vdiv(vector, vector) noexcept nogil
    vector vsqrt(vector) noexcept nogil
    vector vabs(vector) noexcept nogil
    vector vfma(vector, vector, vector) noexcept nogil
    vector vfma1(vector, vector, vector) noexcept nogil
    vector vfms1(vector, vector, vector) noexcept nogil
    vector vmax(vector, vector) noexcept nogil
    vector vmin(vector, vector) noexcept nogil
    vmask vequal(vector, vector) noexcept nogil
    vmask vless(vector, vector) noexcept nogil
    vector vadd_where(vmask, vector a, vector b) noexcept nogil
    vector vadd_unless(vmask, vector a, vector b) noexcept nogil
    vector vfma_unless(vmask, vector, vector, vector) noexcept nogil
    vector vselect(vmask, vector, vector) noexcept nogil
    bint vany(vmask) noexcept nogil
    bint vall(vmask) noexcept nogil
    vector viadd(vector, vector) noexcept nogil
    vector visub(vector, vector) noexcept nogil
    vector vior(vector, vector) noexcept nogil
    vector viand(vector, vector) noexcept nogil
    vector vexponent(vector) noexcept nogil
    vector vlarger(vector, vector) noexcept nogil
    vector vshl(vector, int) noexcept nogil
    vector vshr(vector, int) noexcept nogil
    vector vpick(const double* table, vector k) noexcept nogil
    vector vlookup(const double* table, vector k) noexcept nogil
    vector fold_add(const vector*) noexcept nogil
    double fold_max(const vector*) noexcept nogil
    double fold_min(const vector*) noexcept nogil
    vector fold_closely(const vector*, vector* error, bint all_steps) noexcept nogil
    double vfirst(vector) noexcept nogil
    void prefetch_near(const void*) noexcept nogil
    void prefetch_far(const void*) noexcept nogil
    vector vload_part(const double*, int count, vector fill) noexcept nogil
    vector vswap(vector, int half) noexcept nogil
    void vunzip(vector*) noexcept nogil
    void vtranspose(vector*, int count) noexcept nogil
    ctypedef struct svector:
        pass
    ctypedef struct smask:
        pass
    svector sload(const float*) noexcept nogil
    void sstore(float*, svector) noexcept nogil
    svector sset(float) noexcept nogil
    svector sadd(svector, svector) noexcept nogil
    svector ssub(svector, svector) noexcept nogil
    svector smul(svector, svector) noexcept nogil
    svector sfma(svector, svector, svector) noexcept nogil
    svector smax(svector, svector) noexcept nogil
    smask sequal(svector, svector) noexcept nogil
    svector sadd_where(smask, svector a, svector b) noexcept nogil
    svector sunless(smask, svector) noexcept nogil
    svector spower(svector) noexcept nogil
    svector snarrow(vector, vector) noexcept nogil
    void swiden(svector, vector* to) noexcept nogil
    double fold_smax(const svector*) noexcept nogil

cdef extern from *:
    """
    /* Tables as vlookup() wants them: the bits of entry j less j * 2**48. FACTOR * 2**(j/16): */
    static const double TERM_TABLE[TABLE_SIZE] = {
        1.4000010343227465, 1.399484375514506, 1.4017119536683138, 1.4068052665343567,
        1.4148911910277788, 1.4261022213846606, 1.4405767178620634, 1.4584591664489666,
        1.479900450075589, 1.4712790659150872, 1.4545483753574269, 1.4398440652478697,
        1.42725585111349, 1.4168774205270886, 1.4088066089646802, 1.4031455834488584};
    /* 2**(j/16): */
    static const double EXP2_TABLE[TABLE_SIZE] = {
        1.0, 0.9908868912137069, 0.9827538663326288, 0.9756443173783458,
        0.9696035575013605, 0.964678906036742, 0.9609197773255048, 0.9583777734684463,
        0.9571067811865476, 0.9571630729697497, 0.9586054127039704, 0.9614951659746271,
        0.9658964152537145, 0.9718760801866497, 0.9795040432046712, 0.9888532806985737};
    /* What rounding left of each, over itself: */
    static const double EXP2_RESIDUE[TABLE_SIZE] = {
        0.0, 8.189317638195514e-17, -2.7939114859515733e-17, 7.826573258636075e-17,
        3.3484623336251524e-17, 3.7508542013031266e-17, 1.9572585293112036e-17, 5.68648095791174e-17,
        -6.835808657661923e-17, -2.3591094770850053e-17, 5.1548301170786783e-17, 1.5341410053603723e-17,
        4.875160526227061e-17, 1.685487290628973e-17, 1.790126907604513e-17, -5.5450656186394274e-17};
    /* 2**(j/16) in 48 bits, of which sums of 8 are exact, and what rounding left, over itself: */
    static const double SHORT_TABLE[TABLE_SIZE] = {
        1.0, 0.9908868912137052, 0.9827538663326294, 0.9756443173783467,
        0.9696035575013617, 0.9646789060367418, 0.960919777325504, 0.9583777734684453,
        0.9571067811865461, 0.9571630729697489, 0.9586054127039709, 0.9614951659746289,
        0.9658964152537131, 0.9718760801866502, 0.9795040432046704, 0.9888532806985744};
    static const double SHORT_RESIDUE[TABLE_SIZE] = {
        0.0, 3.2713528084463953e-15, -1.0460181172997024e-15, -1.4815995358089251e-15,
        -2.0203970120504917e-15, 3.9510923150628613e-16, 1.2181111623289578e-15, 1.5325105611105371e-15,
        1.9727621097122923e-15, 1.0288768878341219e-15, -6.683422652383052e-16, -2.190641207985756e-15,
        1.7651222614235742e-15, -4.888688720890407e-16, 8.653960244117667e-16, -7.510767345443833e-16};
    /* 2**(j/16) / FACTOR, and what rounding it left: */
    static const double INVERSE_TABLE[TABLE_SIZE] = {
        0.7142851865704172, 0.7146592935117605, 0.7164335192832862, 0.7196698524414542,
        0.7244330260105862, 0.7307906389908386, 0.7388132832457932, 0.7485746760078408,
        0.7550758991250403, 0.7461875195922327, 0.738289173578714, 0.7314246936131131,
        0.7256398528558945, 0.7209824510184702, 0.7175024040862755, 0.7152518380142242};
    static const double INVERSE_RESIDUE[TABLE_SIZE] = {
        1.20857285424029e-17, 4.1402217861951243e-17, -4.751032394465842e-17, -2.8538101215035017e-17,
        -4.283985974431951e-17, 1.0466392886264543e-17, -2.4736522040729384e-17, 1.0429595122909305e-17,
        1.2490155530289987e-17, -2.201698235401676e-17, 8.765943184007101e-18, -2.4827308250398274e-17,
        9.081541300471232e-19, -1.8780715395629316e-17, -3.5181377058066486e-17, 5.210182420076463e-17};
    /* 2**1023 / (1 + j/16): */
    static const double LARGE_RECIPROCAL[TABLE_SIZE] = {
        8.98846567431158e+307, 8.459732399352075e+307, 7.989747266054737e+307, 7.569234252051856e+307,
        7.190772539449264e+307, 6.848354799475489e+307, 6.537065944953876e+307, 6.25284568647762e+307,
        5.992310449541053e+307, 5.752618031559411e+307, 5.531363491884049e+307, 5.326498177369825e+307,
        5.136266099606617e+307, 4.959153475482251e+307, 4.793848359632842e+307, 4.639208089967267e+307};
    /* 1 / (1 + j/16), minus its logarithm to base 2, and what rounding left of that: */
    static const double RECIPROCAL[TABLE_SIZE] = {
        1.0, 0.9411764705882353, 0.8888888888888888, 0.8421052631578947,
        0.8, 0.7619047619047619, 0.7272727272727273, 0.6956521739130435,
        0.6666666666666666, 0.64, 0.6153846153846154, 0.5925925925925926,
        0.5714285714285714, 0.5517241379310345, 0.5333333333333333, 0.5161290322580645};
    static const double LOG2_TABLE[TABLE_SIZE] = {
        0.0, 0.08746284125033943, 0.16992500144231246, 0.24792751344358557,
        0.3219280948873623, 0.39231742277876036, 0.4594316186372972, 0.523561956057013,
        0.5849625007211563, 0.6438561897747247, 0.7004397181410921, 0.7548875021634687,
        0.8073549220576042, 0.8579809951275721, 0.9068905956085186, 0.9541963103868752};
    static const double LOG2_RESIDUE[TABLE_SIZE] = {
        0.0, -9.688387397944026e-19, -1.3630044374294015e-17, 6.851541026464371e-19,
        -2.4946213360529382e-17, 8.246009155762355e-18, 1.508778409497686e-17, -3.259474827400685e-17,
        -3.616112992853282e-17, -3.077552746609339e-17, 8.898293546559103e-18, -4.6610110051313035e-17,
        1.3470499217152465e-17, 5.267528527415467e-17, -4.108592764021897e-17, 2.803264550498327e-18};
    /* Adding 1.5 * 2**48 rounds to a multiple of 1/16, adding 1.5 * 2**52 to an integer. */
    #define ROUND_16TH 422212465065984.0
    #define ROUND_INTEGER 6755399441055744.0
    #define TWO_54 18014398509481984.0
    #define DOUBLE_MIN 2.2250738585072014e-308
    #define DOUBLE_MAX 1.7976931348623157e308
    #define DOUBLE_LEAST 5e-324
    #define TWO_54_INVERSE 5.551115123125783e-17
    #define FACTOR 1.4000010343227465
    /* The highest coefficient of q in 2**f = 1 + f*q. */
    #define HIGHEST 0.00015403723980749267
    /* log(2) and what rounding left of it, and in 40 bits and the rest. */
    #define LN2 0.6931471805599453
    #define LN2_ERROR 2.3190468138462996e-17
    #define LN2_HIGH 0.6931471805592082
    #define LN2_LOW 7.371002565167799e-13
    /* log2(e), and what rounding left of it. */
    #define LOG2_E 1.4426950408889634
    #define LOG2_E_ERROR 2.0355273740931033e-17
    /* 2**1024 (its exponent field is 1 << 10), sqrt(1/2), and 2**52, whose lowest bit counts ones. */
    static const union { uint64_t bits; double value; }
        FIELD_1024 = {0x4000000000000000}, SQRT_HALF = {0x3fe6a09e667f3bcd}, TWO_52 = {0x4330000000000000},
        HALF_16TH = {0x0000800000000000}, FIELD_2046 = {0x7fe0000000000000};
    """
    const double[16] TERM_TABLE
    const double[16] EXP2_TABLE
    const double[16] EXP2_RESIDUE
    const double[16] SHORT_TABLE
    const double[16] SHORT_RESIDUE
    const double[16] INVERSE_TABLE
    const double[16] INVERSE_RESIDUE
    double ROUND_16TH
    double ROUND_INTEGER
    double TWO_54, TWO_54_INVERSE, DOUBLE_MIN, DOUBLE_MAX, DOUBLE_LEAST
    double FACTOR, HIGHEST, LN2, LN2_HIGH, LN2_LOW
    double FIELD_1024 "FIELD_1024.value"
    double SQRT_HALF "SQRT_HALF.value"
    double TWO_52 "TWO_52.value"
    double HALF_16TH "HALF_16TH.value"          # of the mantissa's first 4 bits
    double FIELD_2046 "FIELD_2046.value"
    const double[16] RECIPROCAL
    const double[16] LARGE_RECIPROCAL
    const double[16] LOG2_TABLE
    const double[16] LOG2_RESIDUE
    double LOG2_E, LOG2_E_ERROR, LN2_ERROR


# Terms carry FACTOR * 2**BIAS; FACTOR, near 1.4, makes the entries of their table round well. None is smaller than
# 2**EXPONENT_MIN, which, relative to a maximum, is less than any double: so little adds an element that counts for
# nothing. With BIAS it is 2**-960, not 2**-1022, so that what a term is multiplied with leaves it a normal number: on
# some processors each subnormal one costs 150 cycles.
cdef enum:
    BIAS = 200
    EXPONENT_MIN = -960 - BIAS


cdef inline vector two_sum(vector a, vector b, vector* error) noexcept nogil:
    """a + b, and what rounding it left (Knuth)."""
    cdef vector total = vadd(a, b), shadow = vsub(total, a)
    error[0] = vadd(vsub(a, vsub(total, shadow)), vsub(b, shadow))
    return total


cdef inline vector fast_two_sum(vector a, vector b, vector* error) noexcept nogil:
    """As two_sum, where a == 0 or abs(a) >= abs(b) (Dekker)."""
    cdef vector total = vadd(a, b)
    error[0] = vsub(b, vsub(total, a))
    return total


cdef inline vector product(vector a, vector b, vector* error) noexcept nogil:
    """a * b, and what rounding it left."""
    cdef vector ab = vmul(a, b)
    error[0] = vfms1(a, b, ab)
    return ab


cdef inline vector exp2_terms(vector x, vector scale, vector scale_error, vector shift, bint scaled, vector* f,
                              vector* q) noexcept nogil:
    """FACTOR * 2**(x * (scale + scale_error) + shift - ROUND_16TH) = power * (1 + f * q); returns the power.

    The parts are to be summed apart: the power, an entry of the table, is off by 0.15 units of 2**-53 at most, the
    rest is small. Together 0.4 units, where abs(x * scale) < 2**46 and the exponent is at least -1022. NaN for NaN.
    x * scale is rounded but once, after the shift: its size costs no accuracy. Not `scaled`: scale_error is 0.
    """
    cdef vector k = vfma(x, scale, shift)
    f[0] = vfma1(x, scale, vsub(shift, k))
    if scaled:
        f[0] = vfma(x, scale_error, f[0])
    q[0] = exp2_quotient(f[0])
    return vlookup(TERM_TABLE, k)


cdef inline vector exp2_quotient(vector f) noexcept nogil:
    """q of 2**f = 1 + f * q: 2**-55.9, for abs(f) <= 1/32. One operation less than exp2_minus_one, all in a row."""
    cdef vector q = vfma(vset(HIGHEST), f, vset(0.0013333781576784281))
    q = vfma(q, f, vset(0.009618129106919537))
    q = vfma(q, f, vset(0.0555041086566393))
    q = vfma(q, f, vset(0.24022650695910075))
    return vfma(q, f, vset(0.6931471805599457))


cdef inline vector exp2_minus_one(vector f) noexcept nogil:
    """2**f - 1.  Largest error 2**-55.9 + 1 ulp, for abs(f) <= 1/32."""
    cdef vector f2 = vmul(f, f), high, middle, low
    high = vfma(vset(HIGHEST), f, vset(0.0013333781576784281))
    middle = vfma(vset(0.009618129106919537), f, vset(0.0555041086566393))
    low = vfma(vset(0.24022650695910075), f, vset(0.6931471805599457))
    return vmul(f, vfma(f2, vfma(f2, high, middle), low))


cdef inline vector exp2_curve(vector x, vector scale, vector scale_error, vector shift, vector one, vmask far,
                              vector* small) noexcept nogil:
    """2**t * one where `far`, else (2**t - 1 - t*log(2)) * one, for t = x * (scale + scale_error).

    `one` is 2**(shift - ROUND_16TH); where it is 0, all must be far. The result comes as two parts to be summed apart:
    the one returned, exact, and `small`, below 0.022 * 2**t. Not far, for abs(t) <= 1/2, the error is 2**-57 of abs(t);
    far, 2**-57 of 2**t. With t = k + f, 2**t is 2**k + 2**k * (f*log(2) + f*f*q).
    """
    cdef vector zero = vset(0.0), k = vfma(x, scale, shift), f = vfma1(x, scale, vsub(shift, k)), q
    cdef vector power = vlookup(SHORT_TABLE, k), difference = vsub(power, vselect(far, zero, one))
    cdef vector minus_k = vselect(far, zero, vmul(vsub(shift, k), one)), residue = vpick(SHORT_RESIDUE, k), line
    f = vfma(x, scale_error, f)
    line = vmul(f, vset(LN2))
    q = vfma(vset(1.525288289783206e-05), f, vset(0.00015403723980749267))
    q = vfma(q, f, vset(0.0013333558145882446))
    q = vfma(q, f, vset(0.009618129106919537))
    q = vfma(q, f, vset(0.05550410866482158))
    q = vfma(q, f, vset(0.24022650695910075))
    small[0] = vmul(power, vfma(vmul(f, f), q, vfma(line, residue, residue)))
    small[0] = vfma(line, difference, small[0])
    small[0] = vfma(minus_k, vset(LN2_LOW), small[0])
    return vfma(minus_k, vset(LN2_HIGH), difference)


cdef inline vector exp2_inverse(vector x, vector scale, vector scale_error, vector shift,
                                vector* error) noexcept nogil:
    """2**(x * (scale + scale_error) + shift - ROUND_16TH) / FACTOR as the sum of two doubles: 2**-56 of the value."""
    cdef vector k = vfma(x, scale, shift), f = vfma1(x, scale, vsub(shift, k)), power = vlookup(INVERSE_TABLE, k)
    f = vfma(x, scale_error, f)
    return fast_two_sum(power, vfma(power, exp2_minus_one(f), vlookup(INVERSE_RESIDUE, k)), error)


cdef inline vector exp2_down(vector t) noexcept nogil:
    """2**t for t <= 0; exact where t is an integer, 0 for t <= -1023."""
    cdef vector shift = vset(ROUND_16TH), k, power
    t = vmax(vset(-1023.0), t)
    k = vadd(t, shift)
    power = vlookup(EXP2_TABLE, k)      # 0 at -1023
    return vfma(power, exp2_minus_one(vsub(t, vsub(k, shift))), power)


cdef inline vector log_parts(vector x, vector x_error, bint special, vector* rest) noexcept nogil:
    """log(x + x_error) as the sum of a double and a rest of less than 1/12, for abs(x_error) <= 2 ulp(x).

    For normal x > 0; if `special`, also for 0, subnormal numbers, +inf and NaN.
    x = 2**k * m with m in [sqrt(1/2), sqrt(2)]; log(1 + z) = z - z*z/2 + q * (z*z/2 + z2*r(z2)) with
    q = z / (2 + z) and z2 = q*q, as in FreeBSD's msun (e_log.c), where all but the small last product is exact.
    """
    cdef vector y = x, unit = vset(TWO_52 + 1024)
    cdef vector field, k, m, z, q, z2, z4, minus_half, high, low, small, total, e1, e2
    cdef vmask subnormal
    if special:
        subnormal = vless(x, vset(DOUBLE_MIN))
        y = vselect(subnormal, vmul(x, vset(TWO_54)), x)
        unit = vselect(subnormal, vset(TWO_52 + 1024 + 54), unit)
    field = vshr(viadd(y, visub(vset(FIELD_1024), vset(SQRT_HALF))), 52)
    k = vsub(vior(field, vset(TWO_52)), unit)
    m = visub(viadd(y, vset(FIELD_1024)), vshl(field, 52))
    z = vsub(m, vset(1.0))
    q = vdiv(z, vadd(z, vset(2.0)))
    minus_half = product(vmul(vset(-0.5), z), z, &e1)
    z2 = vmul(q, q)
    z4 = vmul(z2, z2)
    high = vfma(vfma(vset(0.13086626147887312), z2, vset(0.13268773138651677)), z4,
                vfma(vset(0.15386239702814888), z2, vset(0.181817956401329)))
    low = vfma(vfma(vset(0.22222222391713917), z2, vset(0.28571428570803614)), z4,
               vfma(vset(0.4000000000000088), z2, vset(0.6666666666666666)))
    small = vfma(q, vfms1(vfma(high, vmul(z4, z4), low), z2, minus_half), e1)
    small = vadd(small, vfma(k, vset(LN2_LOW), vdiv(x_error, x)))
    total = fast_two_sum(vmul(k, vset(LN2_HIGH)), z, &e1)      # k is 0, or the larger product
    total = fast_two_sum(total, minus_half, &e2)
    rest[0] = vadd(vadd(e1, e2), small)
    return total


cdef inline vector log_double(vector x, vector x_error, bint special, vector* error) noexcept nogil:
    """As log_parts, but in double-double, about 2**-56 of the value."""
    cdef vector rest, zero = vset(0.0), infinity = vset(INFINITY)
    cdef vector total = log_parts(x, x_error, special, &rest)
    total = fast_two_sum(total, rest, error)
    if special:
        error[0] = vselect(vless(zero, x), vselect(vless(x, infinity), error[0], zero), zero)
        total = vselect(vequal(x, zero), vset(-INFINITY), vselect(vless(x, infinity), total, x))
    return total


# Double-double: the sum of two doubles, the second what rounding the first left

cdef inline vector quotient(vector a, vector a_error, vector b, vector b_error, vector* error) noexcept nogil:
    """(a + a_error) / (b + b_error) in double-double."""
    cdef vector ratio = vdiv(a, b)
    error[0] = vadd(vfma1(vsub(vset(0.0), ratio), b, a), vsub(a_error, vmul(ratio, b_error)))
    error[0] = vdiv(error[0], b)
    return ratio


cdef inline vector log2_split(vector x, vector* exponent, vector* index) noexcept nogil:
    """m with x = 2**exponent * m, and m / (1 + index/16) within 1/32 of 1.  For normal x; NaN for NaN.

    Near 1 exponent and index are 0, so that nothing cancels.
    """
    cdef vector bits = viadd(x, vset(HALF_16TH)), field = vshr(bits, 52)
    exponent[0] = vsub(vior(field, vset(TWO_52)), vset(TWO_52 + 1023))
    index[0] = vshr(bits, 48)
    return vmul(x, visub(vset(FIELD_2046), vshl(field, 52)))


cdef inline vector log2_fast(vector x, vector* exponent) noexcept nogil:
    """log2(x) - exponent, off by 2**-53.6 at most, for normal x > 0 below 2**1023; NaN for NaN.

    Of 0 and subnormal numbers it only says that they are small. As log2_split, but m stays in x.
    """
    cdef vector bits = viadd(x, vset(HALF_16TH)), index = vshr(bits, 48), reciprocal, z, q
    exponent[0] = vexponent(bits)
    reciprocal = visub(vpick(LARGE_RECIPROCAL, index), viand(bits, vset(INFINITY)))     # over 2**exponent
    z = vfma1(x, reciprocal, vset(-1.0))
    q = vfma(vset(-0.18061897210003935), z, vset(0.20641272071840505))
    q = vfma(q, z, vset(-0.24044900124663898))
    q = vfma(q, z, vset(0.28853881681083055))
    q = vfma(q, z, vset(-0.3606737602558851))
    q = vfma(q, z, vset(0.4808983470003692))
    q = vfma(q, z, vset(-0.7213475204444807))
    q = vfma(q, z, vset(1.4426950408889623))
    return vfma(q, z, vpick(LOG2_TABLE, index))


cdef inline vector log_quotient(vector z) noexcept nogil:
    """q of log(1 + z) = z - z*z/2 + z**3 * q(z), for abs(z) <= 1/32: 2**-66 of log(1 + z)."""
    cdef vector q = vfma(vset(0.09107832615243674), z, vset(-0.10018333562093151))
    q = vfma(q, z, vset(0.11111098710996126))
    q = vfma(q, z, vset(-0.12499986566788618))
    q = vfma(q, z, vset(0.1428571428907861))
    q = vfma(q, z, vset(-0.16666666670311278))
    q = vfma(q, z, vset(0.19999999999999754))
    q = vfma(q, z, vset(-0.24999999999999734))
    return vfma(q, z, vset(0.3333333333333333))


cdef inline vector log2_close(vector x, vector* exponent, vector* rest) noexcept nogil:
    """As log2_fast, but as the sum of two doubles, off by 2**-58 at most."""
    cdef vector bits = viadd(x, vset(HALF_16TH)), index = vshr(bits, 48), z, high, left, small
    exponent[0] = vexponent(bits)
    z = vfma1(x, visub(vpick(LARGE_RECIPROCAL, index), viand(bits, vset(INFINITY))), vset(-1.0))
    small = vmul(vmul(z, z), vfma(z, log_quotient(z), vset(-0.5)))
    high = product(z, vset(LOG2_E), rest)
    high = fast_two_sum(vpick(LOG2_TABLE, index), high, &left)
    rest[0] = vadd(rest[0], vfma(z, vset(LOG2_E_ERROR), vpick(LOG2_RESIDUE, index)))
    return fast_two_sum(high, vfma(small, vset(LOG2_E), vadd(left, rest[0])), rest)


cdef inline vector log2_double(vector x, vector x_error, vector unit, bint units, vector* exponent,
                               vector* error) noexcept nogil:
    """log2(unit + x + x_error) - exponent in double-double: 2**-66 of it, or, near 1, of the value.  For normal sums.

    Only if `units`, some unit may be 1 instead of 0. log(1 + z) = z - z*z/2 + z**3 * q(z), where all but the last
    product is exact.
    """
    cdef vector sum = x, sum_error = x_error, index, m, r, z, z_error, q, half, high, low, e1, e2, e3
    cdef vmask near
    if units:
        sum = two_sum(unit, x, &sum_error)
        sum_error = vadd(sum_error, x_error)
    m = log2_split(sum, exponent, &index)
    r = vpick(RECIPROCAL, index)
    high = product(m, r, &low)
    z = vsub(high, vset(1.0))
    z_error = vfma(vdiv(sum_error, sum), high, low)
    z = fast_two_sum(z, z_error, &z_error)
    if units:                               # the double next to 1 may be far from what is small in x
        near = vless(vabs(x), vselect(vequal(unit, vset(0.0)), vset(0.0), vset(1.0 / 64)))
        z = vselect(near, x, z)
        z_error = vselect(near, x_error, z_error)
    half = product(vmul(z, vset(-0.5)), z, &e1)
    e1 = vsub(e1, vmul(z, z_error))
    q = log_quotient(z)
    high = fast_two_sum(z, half, &low)
    low = vadd(vadd(low, vadd(z_error, e1)), vmul(vmul(z, vmul(z, z)), q))
    q = product(high, vset(LOG2_E), &e2)
    e2 = vadd(e2, vfma(low, vset(LOG2_E), vmul(high, vset(LOG2_E_ERROR))))
    high = fast_two_sum(vpick(LOG2_TABLE, index), q, &e3)
    return fast_two_sum(high, vadd(vadd(e3, e2), vpick(LOG2_RESIDUE, index)), error)


cdef inline vector exp2_double(vector k, vector f, vector f_error, vector unit, vector* error) noexcept nogil:
    """2**(k - ROUND_16TH + f + f_error) - unit in double-double: 2**-66 of the power, or of f for a power of 1.

    For abs(f) <= 1/32. exp(c) = 1 + c + c*c/2 + c**3 * q(c), where all but the last product is exact.
    """
    cdef vector power = vlookup(EXP2_TABLE, k), residue = vpick(EXP2_RESIDUE, k), c, c_error, q, half, high, low
    cdef vector e1, e2, e3
    c = product(f, vset(LN2), &c_error)
    c_error = vadd(c_error, vfma(f, vset(LN2_ERROR), vmul(f_error, vset(LN2))))
    half = product(vmul(c, vset(0.5)), c, &e1)
    e1 = vfma(c, c_error, e1)
    q = vfma(vset(2.4801781247632547e-05), c, vset(0.00019841463787470195))
    q = vfma(q, c, vset(0.0013888888888547645))
    q = vfma(q, c, vset(0.00833333333299209))
    q = vfma(q, c, vset(0.041666666666666664))
    q = vfma(q, c, vset(0.16666666666666669))
    high = fast_two_sum(c, half, &low)
    low = vadd(vadd(low, vadd(c_error, e1)), vmul(vmul(c, vmul(c, c)), q))
    q = product(power, high, &e2)
    low = vfma(power, vadd(low, vfma(residue, high, residue)), e2)
    high = two_sum(power, vsub(vset(0.0), unit), &e1)
    high = two_sum(high, q, &e3)
    error[0] = vadd(vadd(e1, e3), low)
    return high


cdef inline vector exp2_rounded(vector x, vector x_error) noexcept nogil:
    """2**(x + x_error), rounded but once: 0.6 units, from 0 over subnormal numbers to infinity."""
    cdef vector shift = vset(ROUND_16TH), integer = vset(ROUND_INTEGER), outer, k, f, power
    cdef vmask outside = vless(vset(1200.0), vabs(x))
    x_error = vselect(outside, vset(0.0), x_error)
    x = vselect(outside, vselect(vless(x, vset(0.0)), vset(-1200.0), vset(1200.0)), x)
    outer = vsub(vfma(x, vset(0.5), integer), integer)          # in two factors, so that neither leaves the range
    k = vadd(vsub(x, outer), shift)
    f = vadd(vsub(vsub(x, outer), vsub(k, shift)), x_error)
    power = vlookup(EXP2_TABLE, k)
    power = vfma(power, vadd(exp2_minus_one(f), vpick(EXP2_RESIDUE, k)), power)
    return vmul(power, vlookup(EXP2_TABLE, vadd(outer, shift)))
