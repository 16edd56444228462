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
    vector vadd_unless(vmask, vector a, vector b) noexcept nogil
    vector vfma_unless(vmask, vector, vector, vector) noexcept nogil
    vector vselect(vmask, vector, vector) noexcept nogil
    bint vany(vmask) noexcept nogil
    bint vall(vmask) noexcept nogil
    vector viadd(vector, vector) noexcept nogil
    vector visub(vector, vector) noexcept nogil
    vector vior(vector, vector) noexcept nogil
    vector vshl(vector, int) noexcept nogil
    vector vshr(vector, int) noexcept nogil
    vector vpick(const double* table, vector k) noexcept nogil
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
    /* Adding 1.5 * 2**48 rounds to a multiple of 1/16, adding 1.5 * 2**52 to an integer. */
    #define ROUND_16TH 422212465065984.0
    #define ROUND_INTEGER 6755399441055744.0
    #define TWO_54 18014398509481984.0
    #define DOUBLE_MIN 2.2250738585072014e-308
    #define DOUBLE_MAX 1.7976931348623157e308
    /* The highest coefficient of q in 2**f = 1 + f*q. */
    #define HIGHEST 0.00015403723980749267
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
    const double[16] INVERSE_TABLE
    const double[16] INVERSE_RESIDUE
    double ROUND_16TH
    double ROUND_INTEGER
    double TWO_54, DOUBLE_MIN, DOUBLE_MAX
    double HIGHEST, LN2_HIGH, LN2_LOW
    double FIELD_1024 "FIELD_1024.value"
    double SQRT_HALF "SQRT_HALF.value"
    double TWO_52 "TWO_52.value"


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


cdef inline vector exp2_terms(vector x, vector scale, vector scale_error, vector shift, bint scaled, vector* f,
                              vector* q) noexcept nogil:
    """FACTOR * 2**(x * (scale + scale_error) + shift - ROUND_16TH) = power * (1 + HIGHEST * f * q); returns the power.

    The parts are to be summed apart: the power, an entry of the table, is off by 0.15 units of 2**-53 at most, the
    rest is small. Together 0.4 units, where abs(x * scale) < 2**46 and the exponent is at least -1022. NaN for NaN.
    x * scale is rounded but once, after the shift: its size costs no accuracy. Not `scaled`: scale_error is 0. The
    polynomial q is that of 2**f = 1 + f*q over its highest coefficient: one product less.
    """
    cdef vector k = vfma(x, scale, shift)
    f[0] = vfma1(x, scale, vsub(shift, k))
    if scaled:
        f[0] = vfma(x, scale_error, f[0])
    q[0] = vadd(f[0], vset(8.656206507886088))
    q[0] = vfma(q[0], f[0], vset(62.440284693102456))
    q[0] = vfma(q[0], f[0], vset(360.32915628717643))
    q[0] = vfma(q[0], f[0], vset(1559.5352608195442))
    q[0] = vfma(q[0], f[0], vset(4499.867573751667))
    return vlookup(TERM_TABLE, k)


cdef inline vector exp2_reduced(vector x, vector scale, vector scale_error, vector shift, bint scaled,
                                bint factor) noexcept nogil:
    """As exp2_terms, but in one piece: 0.7 units of 2**-53.  Without the factor the table needs its residue.

    Then it is 0 where the exponent is -1023, as entry 0 of the table has no bit below its own.
    """
    cdef vector k = vfma(x, scale, shift), f = vfma1(x, scale, vsub(shift, k)), q
    cdef vector power = vlookup(TERM_TABLE, k) if factor else vlookup(EXP2_TABLE, k)
    if scaled:
        f = vfma(x, scale_error, f)
    q = vfma(vset(HIGHEST), f, vset(0.0013333781576784281))
    q = vfma(q, f, vset(0.009618129106919537))
    q = vfma(q, f, vset(0.0555041086566393))
    q = vfma(q, f, vset(0.24022650695910075))
    q = vfma(q, f, vset(0.6931471805599457))
    if factor:
        return vfma(vmul(power, f), q, power)
    return vfma(power, vfma(f, q, vpick(EXP2_RESIDUE, k)), power)


cdef inline vector exp2_minus_one(vector f) noexcept nogil:
    """2**f - 1.  Largest error 2**-55.9 + 1 ulp, for abs(f) <= 1/32."""
    cdef vector f2 = vmul(f, f), high, middle, low
    high = vfma(vset(HIGHEST), f, vset(0.0013333781576784281))
    middle = vfma(vset(0.009618129106919537), f, vset(0.0555041086566393))
    low = vfma(vset(0.24022650695910075), f, vset(0.6931471805599457))
    return vmul(f, vfma(f2, vfma(f2, high, middle), low))


cdef inline vector exp2_differences(vector x, vector scale, vector scale_error) noexcept nogil:
    """2**(x * (scale + scale_error)) - 1: 1.5 units, however small, for products from -1023, where it is -1, to 1."""
    cdef vector shift = vset(ROUND_16TH), k = vfma(x, scale, shift), f = vfma1(x, scale, vsub(shift, k))
    cdef vector power = vlookup(EXP2_TABLE, k)
    f = vfma(x, scale_error, f)
    return vadd(vsub(power, vset(1.0)), vmul(power, vadd(exp2_minus_one(f), vpick(EXP2_RESIDUE, k))))


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
