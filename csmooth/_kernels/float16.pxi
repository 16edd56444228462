"""float16 and bfloat16, which C lacks, as the bits that they are: both are exact as doubles, and rounded once back.

Without branches, so that loops over them vectorise: every case is computed, and the right one selected.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef struct float16:
    uint16_t bits

cdef struct bfloat16:
    uint16_t bits

cdef float16 SOME_FLOAT16       # for arguments that only give the type
cdef bfloat16 SOME_BFLOAT16

cdef extern from *:
    """
    #define FLOAT16_NORMAL 6.103515625e-05f    /* 2**-14, the smallest normal float16 */
    #define FLOAT16_LEAST 6.103515625e-05
    #define FLOAT16_ROUND 268435456.0          /* 2**28: adding it rounds to multiples of 2**-24 */
    #define BFLOAT16_LEAST 1.1754943508222875e-38   /* 2**-126 */
    #define BFLOAT16_ROUND 4.1359030627651384e-25   /* 2**-81: to multiples of 2**-133 */
    """
    float FLOAT16_NORMAL
    double FLOAT16_LEAST, FLOAT16_ROUND, BFLOAT16_LEAST, BFLOAT16_ROUND

cdef enum:
    # Of the 11 bits of a double's exponent: what its bias exceeds that of the others by
    FLOAT16_BIAS = 1023 - 15
    BFLOAT16_BIAS = 1023 - 127


cdef inline uint32_t float_bits(float x) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &x, sizeof(float))
    return bits


cdef inline float float_of(uint32_t bits) noexcept nogil:
    cdef float x
    memcpy(&x, &bits, sizeof(float))
    return x


cdef inline uint64_t double_bits(double x) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &x, sizeof(double))
    return bits


cdef inline double from_float16(float16 half) noexcept nogil:
    """Exact. A float has the same fraction, and 112 more in its exponent; subnormals start at 2**-14 instead of 0."""
    cdef uint32_t size = half.bits & 0x7fff, sign = <uint32_t>(half.bits & 0x8000) << 16
    cdef uint32_t bits = (size << 13) + (112 << 23)
    cdef uint32_t special = bits + (112 << 23)      # infinity, NaN
    cdef uint32_t small = float_bits(float_of(bits + (1 << 23)) - FLOAT16_NORMAL)
    bits = special if size >= 0x7c00 else bits
    bits = small if size < 0x400 else bits
    return <double>float_of(bits | sign)


cdef inline double from_bfloat16(bfloat16 half) noexcept nogil:
    """Exact: the upper half of a float."""
    return <double>float_of(<uint32_t>half.bits << 16)


cdef inline uint16_t rounded(double x, int shift, uint64_t bias, double least, double round, uint64_t infinity,
                             uint64_t nan) noexcept nogil:
    """The bits nearest to x, ties to even, in a format whose fraction is `shift` bits shorter.

    `least` is its smallest normal number; adding `round` to what is smaller leaves the bits of the result, which may be
    those of `least`, at the end. The carry of a fraction runs into the exponent, and there into infinity.
    """
    cdef uint64_t bits = double_bits(x), sign = bits >> 48 & 0x8000, size = bits & ~(<uint64_t>1 << 63)
    cdef double magnitude = -x if x < 0 else x
    cdef uint64_t small = double_bits(magnitude + round) - double_bits(round)
    cdef uint64_t half = (<uint64_t>1 << (shift - 1)) - 1 + (size >> shift & 1)
    cdef uint64_t value = (size + half - (bias << 52)) >> shift
    value = infinity if value > infinity else value
    value = small if magnitude < least else value
    value = nan if x != x else value
    return <uint16_t>(value | sign)


cdef inline float16 to_float16(double x) noexcept nogil:
    return float16(rounded(x, 42, FLOAT16_BIAS, FLOAT16_LEAST, FLOAT16_ROUND, 0x7c00, 0x7e00))


cdef inline bfloat16 to_bfloat16(double x) noexcept nogil:
    return bfloat16(rounded(x, 45, BFLOAT16_BIAS, BFLOAT16_LEAST, BFLOAT16_ROUND, 0x7f80, 0x7fc0))
