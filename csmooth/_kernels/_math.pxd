"""Branch-free exp2 and log of vectors.

Inline functions of a .pxd are compiled afresh, with the flags of whichever level cimports them.
Constants: python bench/coefficients.py.
"""

from libc.math cimport INFINITY

cdef extern from "_vector.h":
    enum: WIDTH, LANES, VECTORS
    ctypedef struct vector:
        pass
    ctypedef struct vmask:
        pass
    vector vload(const double*) noexcept nogil
    void vstore(double*, vector) noexcept nogil
    vector vset(double) noexcept nogil
    vector vadd(vector, vector) noexcept nogil
    vector vsub(vector, vector) noexcept nogil
    vector vmul(vector, vector) noexcept nogil
    vector vdiv(vector, vector) noexcept nogil
    vector vfma(vector, vector, vector) noexcept nogil
    vector vfma1(vector, vector, vector) noexcept nogil
    vector vmax(vector, vector) noexcept nogil
    vmask vequal(vector, vector) noexcept nogil
    vmask vless(vector, vector) noexcept nogil
    vector vadd_where(vmask, vector a, vector b) noexcept nogil
    vector vfma_unless(vmask, vector, vector, vector) noexcept nogil
    vector vselect(vmask, vector, vector) noexcept nogil
    bint vany(vmask) noexcept nogil
    bint vall(vmask) noexcept nogil
    vector viadd(vector, vector) noexcept nogil
    vector visub(vector, vector) noexcept nogil
    vector vior(vector, vector) noexcept nogil
    vector vshl(vector, int) noexcept nogil
    vector vshr(vector, int) noexcept nogil
    vector vlookup(const double* table, vector k) noexcept nogil
    double fold_add(const vector*) noexcept nogil
    double fold_max(const vector*) noexcept nogil
    double vfirst(vector) noexcept nogil
    void prefetch_near(const void*) noexcept nogil
    void prefetch_far(const void*) noexcept nogil
    vector vload_part(const double*, int count, vector fill) noexcept nogil
    void vtranspose(vector*, int count) noexcept nogil

cdef extern from *:
    """
    /* Tables as vlookup() wants them, the bits of entry j less j * 2**48. 2**(j/16) / 6492.0061586570109, for exp2_terms: */
    static const double TERM_TABLE[TABLE_SIZE] = {
        0.0001540355901644536, 0.0001532259338382229, 0.00015271821311749315, 0.00015252579583356938,
        0.00015266264166221137, 0.0001531433283268262, 0.00015398307896177544, 0.00015519779068715915,
        0.000156804064448714, 0.00015881923617883624, 0.00016126140933722126, 0.00016218338702422508,
        0.00016004555371577935, 0.00015815085259409889, 0.00015651004804072163, 0.0001551343810170717};
    /* 2**(j/16) and what rounding it left: */
    static const double EXP2_TABLE[TABLE_SIZE] = {
        1.0, 0.9908868912137069, 0.9827538663326288, 0.9756443173783458,
        0.9696035575013605, 0.964678906036742, 0.9609197773255048, 0.9583777734684463,
        0.9571067811865476, 0.9571630729697497, 0.9586054127039704, 0.9614951659746271,
        0.9658964152537145, 0.9718760801866497, 0.9795040432046712, 0.9888532806985737};
    static const double EXP2_RESIDUE[TABLE_SIZE] = {
        8.271806125530277e-25, 8.204945010342603e-17, -2.7376974730900005e-17, 7.871978590439324e-17,
        3.288125841074923e-17, 3.790665853848533e-17, 2.0178332366957894e-17, 5.411725318280621e-17,
        -6.891735751890022e-17, -2.3491504950382804e-17, 5.0157514904348947e-17, 1.516621345192545e-17,
        4.793394400681471e-17, 1.7402788691209577e-17, 1.8150259597204943e-17, -5.483445375695662e-17};
    /* Adding 1.5 * 2**48 rounds to a multiple of 1/16, adding 1.5 * 2**52 to an integer. */
    #define ROUND_16TH 422212465065984.0
    #define ROUND_INTEGER 6755399441055744.0
    #define TWO_54 18014398509481984.0
    #define DOUBLE_MIN 2.2250738585072014e-308
    #define DOUBLE_MAX 1.7976931348623157e308
    /* log(2), in 40 bits and the rest. */
    #define LN2_HIGH 0.6931471805592082
    #define LN2_LOW 7.371002565167799e-13
    /* 2**1024 (its exponent field is 1 << 10), sqrt(1/2), and 2**52, whose lowest bit counts ones. */
    static const union { uint64_t bits; double value; }
        FIELD_1024 = {0x4000000000000000}, SQRT_HALF = {0x3fe6a09e667f3bcd}, TWO_52 = {0x4330000000000000};
    """
    const double[16] TERM_TABLE
    const double[16] EXP2_TABLE
    const double[16] EXP2_RESIDUE
    double ROUND_16TH
    double ROUND_INTEGER
    double TWO_54, DOUBLE_MIN, DOUBLE_MAX
    double LN2_HIGH, LN2_LOW
    double FIELD_1024 "FIELD_1024.value"
    double SQRT_HALF "SQRT_HALF.value"
    double TWO_52 "TWO_52.value"


# Terms carry 2**BIAS. None is smaller than 2**EXPONENT_MIN, which, relative to a maximum, is less than any double:
# so much adds an element that counts for nothing.
cdef enum:
    BIAS = 200
    EXPONENT_MIN = -1009 - BIAS


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


cdef inline vector exp2_terms(vector x, vector scale, vector shift, vector low, vector* power) noexcept nogil:
    """2**(x * scale + shift - ROUND_16TH) as the product of `power`, from the table, and the value returned.

    Largest error 1 unit of 2**-53 of the value, where low * scale + shift - ROUND_16TH is an integer of at least
    EXPONENT_MIN + BIAS; smaller x, -inf included, count as low. NaN for NaN.
    x * scale is rounded but once, after the shift: its size costs no accuracy (abs(x * scale) < 2**46).
    The polynomial is 6492.006... * 2**f, so that its first coefficient is 1 and takes no multiplication; the table is
    divided by that number, chosen so that its rounding errors stay below 0.17 units of 2**-53.
    """
    cdef vector k, f, p
    x = vmax(low, x)
    k = vfma(x, scale, shift)
    f = vfma1(x, scale, vsub(shift, k))
    power[0] = vlookup(TERM_TABLE, k)
    p = vadd(f, vset(8.656323386792376))
    p = vfma(p, f, vset(62.44095339432298))
    p = vfma(p, f, vset(360.33301520015937))
    p = vfma(p, f, vset(1559.551962651144))
    p = vfma(p, f, vset(4499.915765050918))
    return vfma(p, f, vset(6492.006158657011))


cdef inline vector exp2_minus_one(vector f) noexcept nogil:
    """2**f - 1.  Largest error 2**-55.9 + 1 ulp, for abs(f) <= 1/32."""
    cdef vector f2 = vmul(f, f), high, middle, low
    high = vfma(vset(0.00015403723980749267), f, vset(0.0013333781576784281))
    middle = vfma(vset(0.009618129106919537), f, vset(0.0555041086566393))
    low = vfma(vset(0.24022650695910075), f, vset(0.6931471805599457))
    return vmul(f, vfma(f2, vfma(f2, high, middle), low))


cdef inline vector exp2_double(vector x, vector scale, vector shift, vector* error) noexcept nogil:
    """2**(x * scale + shift - ROUND_16TH) as the sum of two doubles: about 2**-56 of the value, in normal range."""
    cdef vector k = vfma(x, scale, shift), f = vfma1(x, scale, vsub(shift, k)), power = vlookup(EXP2_TABLE, k)
    return fast_two_sum(power, vfma(power, exp2_minus_one(f), vlookup(EXP2_RESIDUE, k)), error)


cdef inline vector exp2_down(vector t) noexcept nogil:
    """2**t for t <= 0; exact where t is an integer, 0 for t <= -1023."""
    cdef vector shift = vset(ROUND_16TH), k, power
    t = vmax(vset(-1023.0), t)
    k = vadd(t, shift)
    power = vlookup(EXP2_TABLE, k)      # 0 at -1023, as entry 0 has no bit below its exponent
    return vfma(power, exp2_minus_one(vsub(t, vsub(k, shift))), power)


cdef inline vector log_double(vector x, vector x_error, bint special, vector* error) noexcept nogil:
    """log(x + x_error) as the sum of two doubles, about 2**-56 of the value, for abs(x_error) <= 2 ulp(x).

    For normal x > 0; if `special`, also for 0, subnormal numbers, +inf and NaN.
    x = 2**k * m with m in [sqrt(1/2), sqrt(2)]; log(1 + z) = z - z*z/2 + q * (z*z/2 + z2*r(z2)) with
    q = z / (2 + z) and z2 = q*q, as in FreeBSD's msun (e_log.c), where all but the small last product is exact.
    """
    cdef vector zero = vset(0.0), infinity = vset(INFINITY), y = x, unit = vset(TWO_52 + 1024)
    cdef vector field, k, m, z, q, z2, z4, half, high, low, small, total, e1, e2
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
    half = vmul(vmul(vset(0.5), z), z)
    z2 = vmul(q, q)
    z4 = vmul(z2, z2)
    high = vfma(vfma(vset(0.13086626147887312), z2, vset(0.13268773138651677)), z4,
                vfma(vset(0.15386239702814888), z2, vset(0.181817956401329)))
    low = vfma(vfma(vset(0.22222222391713917), z2, vset(0.28571428570803614)), z4,
               vfma(vset(0.4000000000000088), z2, vset(0.6666666666666666)))
    high = vmul(high, vmul(z4, z4))
    small = vfma(q, vfma(vadd(high, low), z2, half), vfma1(vmul(vset(-0.5), z), z, half))
    small = vadd(small, vfma(k, vset(LN2_LOW), vdiv(x_error, x)))
    total = fast_two_sum(vmul(k, vset(LN2_HIGH)), z, &e1)      # k is 0, or the larger product
    total = fast_two_sum(total, vsub(zero, half), &e2)
    total = fast_two_sum(total, vadd(vadd(e1, e2), small), error)
    if special:
        error[0] = vselect(vless(zero, x), vselect(vless(x, infinity), error[0], zero), zero)
        total = vselect(vequal(x, zero), vset(-INFINITY), vselect(vless(x, infinity), total, x))
    return total
