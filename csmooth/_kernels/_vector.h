/* A vector of doubles, as wide as the instruction set that this file is compiled for.
 *
 * Every operation is one IEEE operation per element, so a kernel written with them gives the same bits at every
 * width. vfma() rounds once, except on processors without a fused multiply-add, where it is a*b + c; vfma1() rounds
 * (nearly) once everywhere, and vfms1() is a*b - c. vmax(a, b) is a > b ? a : b, so a NaN in a gives b; so with
 * vmin(); vlarger(a, b) is vmax(vabs(a), b), for b >= 0. vexponent() is that of a positive normal number; of 0 and
 * subnormal ones it is below -1022, depending on the level. vload_part() reads the first `count` elements, nothing
 * beyond them, and takes the others from `fill`; vtranspose() exchanges rows and columns of WIDTH vectors, of which
 * `count` rows are wanted; vunzip() makes of two vectors one of the elements at even places, and one of the others.
 * vswap() exchanges elements i and i + half, where i modulo 2 * half is less than half; half is a power of two.
 * Shifts and the i-operations see the bits as unsigned 64-bit integers.
 *
 * An svector has floats, twice as many, and its operations begin with s. snarrow() rounds two vectors to one, swiden()
 * makes two of one. smax() is as vmax(), sfma() rounds once but for the last bit, rarely, where it is made of doubles;
 * spower() shifts the bits left by 23, to where exponents are.
 */
#ifndef CSMOOTH_VECTOR_H
#define CSMOOTH_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER) && !defined(__clang__)
#define INLINE static __forceinline
#else
#define INLINE static inline __attribute__((always_inline, unused))
#endif

#if defined(__GNUC__)
#define prefetch_near(p) __builtin_prefetch(p)
#define prefetch_far(p) __builtin_prefetch(p, 0, 2)  /* to the second level */
#else
#define prefetch_near(p) ((void)(p))
#define prefetch_far(p) ((void)(p))
#endif

#define TABLE_SIZE 16  /* entries of a table for vpick(table, k), which the lowest 4 bits of k select */

/* vstream(p, a) is vstore() past the caches, for p that is a multiple of sizeof(vector); then stream_end(). */
#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>
#define VECTOR_NAME "AVX-512"
enum { WIDTH = 8 };
typedef __m512d vector;
typedef __mmask8 vmask;
#define INT(a) _mm512_castpd_si512(a)
#define DBL(a) _mm512_castsi512_pd(a)
INLINE vector vload(const double *p) { return _mm512_loadu_pd(p); }
INLINE void vstore(double *p, vector a) { _mm512_storeu_pd(p, a); }
INLINE void vstream(double *p, vector a) { _mm512_stream_pd(p, a); }
INLINE void stream_end(void) { _mm_sfence(); }
INLINE vector vset(double a) { return _mm512_set1_pd(a); }
INLINE vector vadd(vector a, vector b) { return _mm512_add_pd(a, b); }
INLINE vector vsub(vector a, vector b) { return _mm512_sub_pd(a, b); }
INLINE vector vmul(vector a, vector b) { return _mm512_mul_pd(a, b); }
INLINE vector vdiv(vector a, vector b) { return _mm512_div_pd(a, b); }
INLINE vector vsqrt(vector a) { return _mm512_sqrt_pd(a); }
INLINE vector vabs(vector a) { return _mm512_abs_pd(a); }
INLINE vector vfma(vector a, vector b, vector c) { return _mm512_fmadd_pd(a, b, c); }
INLINE vector vfma1(vector a, vector b, vector c) { return _mm512_fmadd_pd(a, b, c); }
INLINE vector vfms1(vector a, vector b, vector c) { return _mm512_fmsub_pd(a, b, c); }
INLINE vector vmax(vector a, vector b) { return _mm512_max_pd(a, b); }
INLINE vector vmin(vector a, vector b) { return _mm512_min_pd(a, b); }
INLINE vector vadd_where(vmask m, vector a, vector b) { return _mm512_mask_add_pd(a, m, a, b); }
INLINE vector vadd_unless(vmask m, vector a, vector b) { return _mm512_mask_add_pd(a, _knot_mask8(m), a, b); }
INLINE vector vfma_unless(vmask m, vector a, vector b, vector c) {
    return _mm512_mask3_fmadd_pd(a, b, c, _knot_mask8(m));
}
INLINE vmask vequal(vector a, vector b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
INLINE vmask vless(vector a, vector b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
INLINE vector vselect(vmask m, vector a, vector b) { return _mm512_mask_blend_pd(m, b, a); }
INLINE int vany(vmask m) { return m != 0; }
INLINE int vall(vmask m) { return m == 0xff; }
INLINE vector viadd(vector a, vector b) { return DBL(_mm512_add_epi64(INT(a), INT(b))); }
INLINE vector visub(vector a, vector b) { return DBL(_mm512_sub_epi64(INT(a), INT(b))); }
INLINE vector vior(vector a, vector b) { return DBL(_mm512_or_si512(INT(a), INT(b))); }
INLINE vector viand(vector a, vector b) { return DBL(_mm512_and_si512(INT(a), INT(b))); }
INLINE vector vexponent(vector a) { return _mm512_getexp_pd(a); }
INLINE vector vlarger(vector a, vector b) { return _mm512_range_pd(a, b, 0xb); }
#define vshl(a, n) DBL(_mm512_slli_epi64(INT(a), n))
#define vshr(a, n) DBL(_mm512_srli_epi64(INT(a), n))
INLINE vector vpick(const double *table, vector k) {
    return _mm512_permutex2var_pd(vload(table), INT(k), vload(table + 8));
}
INLINE vector vload_part(const double *p, int count, vector fill) {
    return _mm512_mask_loadu_pd(fill, (__mmask8)(count <= 0 ? 0 : count < 8 ? (1 << count) - 1 : 255), p);
}
INLINE void vunzip(vector *a) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const vector low = _mm512_permutex2var_pd(a[0], even, a[1]);
    a[1] = _mm512_permutex2var_pd(a[0], _mm512_add_epi64(even, _mm512_set1_epi64(1)), a[1]);
    a[0] = low;
}
INLINE vector vswap(vector a, int half) {
    return half == 4   ? _mm512_shuffle_f64x2(a, a, 0x4e)
           : half == 2 ? _mm512_permutex_pd(a, 0x4e)
                       : _mm512_permute_pd(a, 0x55);
}
/* Stages of 2 x 2 blocks of 1, 2 and 4 elements. */
INLINE void vtranspose(vector *a, int count) {
    vector b[8], c[8];
    int i;
    for (i = 0; i < 8; i += 2) {
        b[i] = _mm512_unpacklo_pd(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_pd(a[i], a[i + 1]);
    }
    for (i = 0; i < 8; i += 4) {
        c[i] = _mm512_shuffle_f64x2(b[i], b[i + 2], 0x88);
        c[i + 1] = _mm512_shuffle_f64x2(b[i + 1], b[i + 3], 0x88);
    }
    for (i = 0; i < 2; i++) a[i] = _mm512_shuffle_f64x2(c[i], c[i + 4], 0x88);
    if (count <= 2) return;
    for (i = 0; i < 8; i += 4) {
        c[i + 2] = _mm512_shuffle_f64x2(b[i], b[i + 2], 0xdd);
        c[i + 3] = _mm512_shuffle_f64x2(b[i + 1], b[i + 3], 0xdd);
    }
    for (i = 2; i < 4; i++) a[i] = _mm512_shuffle_f64x2(c[i], c[i + 4], 0x88);
    for (i = 0; i < 4; i++) a[i + 4] = _mm512_shuffle_f64x2(c[i], c[i + 4], 0xdd);
}
typedef __m512 svector;
typedef __mmask16 smask;
INLINE svector sload(const float *p) { return _mm512_loadu_ps(p); }
INLINE void sstore(float *p, svector a) { _mm512_storeu_ps(p, a); }
INLINE svector sset(float a) { return _mm512_set1_ps(a); }
INLINE svector sadd(svector a, svector b) { return _mm512_add_ps(a, b); }
INLINE svector ssub(svector a, svector b) { return _mm512_sub_ps(a, b); }
INLINE svector smul(svector a, svector b) { return _mm512_mul_ps(a, b); }
INLINE svector sfma(svector a, svector b, svector c) { return _mm512_fmadd_ps(a, b, c); }
INLINE svector smax(svector a, svector b) { return _mm512_max_ps(a, b); }
INLINE smask sequal(svector a, svector b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE svector sadd_where(smask m, svector a, svector b) { return _mm512_mask_add_ps(a, m, a, b); }
INLINE svector sunless(smask m, svector a) { return _mm512_maskz_mov_ps(_knot_mask16(m), a); }
INLINE svector spower(svector a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23));
}
INLINE svector snarrow(vector a, vector b) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a)), _mm512_cvtpd_ps(b), 1);
}
INLINE void swiden(svector a, vector *to) {
    to[0] = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
    to[1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
}

#elif defined(__AVX2__)

#include <immintrin.h>
#define VECTOR_NAME "AVX2"
enum { WIDTH = 4 };
typedef __m256d vector;
typedef __m256d vmask;
#define INT(a) _mm256_castpd_si256(a)
#define DBL(a) _mm256_castsi256_pd(a)
INLINE vector vload(const double *p) { return _mm256_loadu_pd(p); }
INLINE void vstore(double *p, vector a) { _mm256_storeu_pd(p, a); }
INLINE void vstream(double *p, vector a) { _mm256_stream_pd(p, a); }
INLINE void stream_end(void) { _mm_sfence(); }
INLINE vector vset(double a) { return _mm256_set1_pd(a); }
INLINE vector vadd(vector a, vector b) { return _mm256_add_pd(a, b); }
INLINE vector vsub(vector a, vector b) { return _mm256_sub_pd(a, b); }
INLINE vector vmul(vector a, vector b) { return _mm256_mul_pd(a, b); }
INLINE vector vdiv(vector a, vector b) { return _mm256_div_pd(a, b); }
INLINE vector vsqrt(vector a) { return _mm256_sqrt_pd(a); }
INLINE vector vabs(vector a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
INLINE vector vfma(vector a, vector b, vector c) { return _mm256_fmadd_pd(a, b, c); }
INLINE vector vfma1(vector a, vector b, vector c) { return _mm256_fmadd_pd(a, b, c); }
INLINE vector vfms1(vector a, vector b, vector c) { return _mm256_fmsub_pd(a, b, c); }
INLINE vector vmax(vector a, vector b) { return _mm256_max_pd(a, b); }
INLINE vector vmin(vector a, vector b) { return _mm256_min_pd(a, b); }
INLINE vector vadd_where(vmask m, vector a, vector b) { return _mm256_add_pd(a, _mm256_and_pd(m, b)); }
INLINE vector vadd_unless(vmask m, vector a, vector b) { return _mm256_add_pd(a, _mm256_andnot_pd(m, b)); }
INLINE vector vfma_unless(vmask m, vector a, vector b, vector c) { return _mm256_blendv_pd(vfma(a, b, c), c, m); }
INLINE vmask vequal(vector a, vector b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
INLINE vmask vless(vector a, vector b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
INLINE vector vselect(vmask m, vector a, vector b) { return _mm256_blendv_pd(b, a, m); }
INLINE int vany(vmask m) { return _mm256_movemask_pd(m) != 0; }
INLINE int vall(vmask m) { return _mm256_movemask_pd(m) == 0xf; }
INLINE vector viadd(vector a, vector b) { return DBL(_mm256_add_epi64(INT(a), INT(b))); }
INLINE vector visub(vector a, vector b) { return DBL(_mm256_sub_epi64(INT(a), INT(b))); }
INLINE vector vior(vector a, vector b) { return _mm256_or_pd(a, b); }
INLINE vector viand(vector a, vector b) { return _mm256_and_pd(a, b); }
#define vshl(a, n) DBL(_mm256_slli_epi64(INT(a), n))
#define vshr(a, n) DBL(_mm256_srli_epi64(INT(a), n))
/* Four scalar loads: measured faster than a gather (0.63 against 0.71 ns an element of logsumexp). */
INLINE vector vpick(const double *table, vector k) {
    const __m128i l = _mm256_castsi256_si128(INT(k)), h = _mm256_extracti128_si256(INT(k), 1);
    return _mm256_set_pd(table[_mm_extract_epi64(h, 1) & (TABLE_SIZE - 1)],
                         table[_mm_cvtsi128_si64(h) & (TABLE_SIZE - 1)],
                         table[_mm_extract_epi64(l, 1) & (TABLE_SIZE - 1)],
                         table[_mm_cvtsi128_si64(l) & (TABLE_SIZE - 1)]);
}
INLINE vector vload_part(const double *p, int count, vector fill) {
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
    return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, mask), DBL(mask));
}
INLINE vector vswap(vector a, int half) {
    return half == 2 ? _mm256_permute2f128_pd(a, a, 1) : _mm256_permute_pd(a, 5);
}
INLINE void vunzip(vector *a) {
    const vector low = _mm256_permute2f128_pd(a[0], a[1], 0x20), high = _mm256_permute2f128_pd(a[0], a[1], 0x31);
    a[0] = _mm256_unpacklo_pd(low, high);
    a[1] = _mm256_unpackhi_pd(low, high);
}
INLINE void vtranspose(vector *a, int count) {
    const vector low01 = _mm256_unpacklo_pd(a[0], a[1]), high01 = _mm256_unpackhi_pd(a[0], a[1]);
    const vector low23 = _mm256_unpacklo_pd(a[2], a[3]), high23 = _mm256_unpackhi_pd(a[2], a[3]);
    a[0] = _mm256_permute2f128_pd(low01, low23, 0x20);
    a[1] = _mm256_permute2f128_pd(high01, high23, 0x20);
    a[2] = _mm256_permute2f128_pd(low01, low23, 0x31);
    a[3] = _mm256_permute2f128_pd(high01, high23, 0x31);
    (void)count;
}
typedef __m256 svector;
typedef __m256 smask;
INLINE svector sload(const float *p) { return _mm256_loadu_ps(p); }
INLINE void sstore(float *p, svector a) { _mm256_storeu_ps(p, a); }
INLINE svector sset(float a) { return _mm256_set1_ps(a); }
INLINE svector sadd(svector a, svector b) { return _mm256_add_ps(a, b); }
INLINE svector ssub(svector a, svector b) { return _mm256_sub_ps(a, b); }
INLINE svector smul(svector a, svector b) { return _mm256_mul_ps(a, b); }
INLINE svector sfma(svector a, svector b, svector c) { return _mm256_fmadd_ps(a, b, c); }
INLINE svector smax(svector a, svector b) { return _mm256_max_ps(a, b); }
INLINE smask sequal(svector a, svector b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
INLINE svector sadd_where(smask m, svector a, svector b) { return _mm256_add_ps(a, _mm256_and_ps(m, b)); }
INLINE svector sunless(smask m, svector a) { return _mm256_andnot_ps(m, a); }
INLINE svector spower(svector a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}
INLINE svector snarrow(vector a, vector b) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(a)), _mm256_cvtpd_ps(b), 1);
}
INLINE void swiden(svector a, vector *to) {
    to[0] = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
    to[1] = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
}

#elif defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>
#define VECTOR_NAME "NEON"
enum { WIDTH = 2 };
typedef float64x2_t vector;
typedef uint64x2_t vmask;
#define INT(a) vreinterpretq_u64_f64(a)
#define DBL(a) vreinterpretq_f64_u64(a)
INLINE vector vload(const double *p) { return vld1q_f64(p); }
INLINE void vstore(double *p, vector a) { vst1q_f64(p, a); }
INLINE vector vset(double a) { return vdupq_n_f64(a); }
INLINE vector vadd(vector a, vector b) { return vaddq_f64(a, b); }
INLINE vector vsub(vector a, vector b) { return vsubq_f64(a, b); }
INLINE vector vmul(vector a, vector b) { return vmulq_f64(a, b); }
INLINE vector vdiv(vector a, vector b) { return vdivq_f64(a, b); }
INLINE vector vsqrt(vector a) { return vsqrtq_f64(a); }
INLINE vector vabs(vector a) { return vabsq_f64(a); }
INLINE vector vfma(vector a, vector b, vector c) { return vfmaq_f64(c, a, b); }
INLINE vector vfma1(vector a, vector b, vector c) { return vfmaq_f64(c, a, b); }
INLINE vector vfms1(vector a, vector b, vector c) { return vfmaq_f64(vnegq_f64(c), a, b); }
INLINE vector vadd_where(vmask m, vector a, vector b) { return vbslq_f64(m, vaddq_f64(a, b), a); }
INLINE vector vadd_unless(vmask m, vector a, vector b) { return vbslq_f64(m, a, vaddq_f64(a, b)); }
INLINE vector vfma_unless(vmask m, vector a, vector b, vector c) { return vbslq_f64(m, c, vfma(a, b, c)); }
INLINE vmask vequal(vector a, vector b) { return vceqq_f64(a, b); }
INLINE vmask vless(vector a, vector b) { return vcltq_f64(a, b); }
INLINE vector vselect(vmask m, vector a, vector b) { return vbslq_f64(m, a, b); }
INLINE vector vmax(vector a, vector b) { return vselect(vless(b, a), a, b); }
INLINE vector vmin(vector a, vector b) { return vselect(vless(a, b), a, b); }
INLINE int vany(vmask m) { return (vgetq_lane_u64(m, 0) | vgetq_lane_u64(m, 1)) != 0; }
INLINE int vall(vmask m) { return (vgetq_lane_u64(m, 0) & vgetq_lane_u64(m, 1)) != 0; }
INLINE vector viadd(vector a, vector b) { return DBL(vaddq_u64(INT(a), INT(b))); }
INLINE vector visub(vector a, vector b) { return DBL(vsubq_u64(INT(a), INT(b))); }
INLINE vector vior(vector a, vector b) { return DBL(vorrq_u64(INT(a), INT(b))); }
INLINE vector viand(vector a, vector b) { return DBL(vandq_u64(INT(a), INT(b))); }
#define vshl(a, n) DBL(vshlq_n_u64(INT(a), n))
#define vshr(a, n) DBL(vshrq_n_u64(INT(a), n))
INLINE vector vpick(const double *table, vector k) {
    const vector t = {table[vgetq_lane_u64(INT(k), 0) & (TABLE_SIZE - 1)],
                      table[vgetq_lane_u64(INT(k), 1) & (TABLE_SIZE - 1)]};
    return t;
}
INLINE vector vload_part(const double *p, int count, vector fill) {
    return count <= 0 ? fill : count == 1 ? vsetq_lane_f64(*p, fill, 0) : vld1q_f64(p);
}
INLINE vector vswap(vector a, int half) {
    (void)half;
    return vextq_f64(a, a, 1);
}
INLINE void vunzip(vector *a) {
    const vector low = vuzp1q_f64(a[0], a[1]);
    a[1] = vuzp2q_f64(a[0], a[1]);
    a[0] = low;
}
INLINE void vtranspose(vector *a, int count) {
    const vector low = vzip1q_f64(a[0], a[1]);
    a[1] = vzip2q_f64(a[0], a[1]);
    a[0] = low;
    (void)count;
}

typedef float32x4_t svector;
typedef uint32x4_t smask;
INLINE svector sload(const float *p) { return vld1q_f32(p); }
INLINE void sstore(float *p, svector a) { vst1q_f32(p, a); }
INLINE svector sset(float a) { return vdupq_n_f32(a); }
INLINE svector sadd(svector a, svector b) { return vaddq_f32(a, b); }
INLINE svector ssub(svector a, svector b) { return vsubq_f32(a, b); }
INLINE svector smul(svector a, svector b) { return vmulq_f32(a, b); }
INLINE svector sfma(svector a, svector b, svector c) { return vfmaq_f32(c, a, b); }
INLINE svector smax(svector a, svector b) { return vbslq_f32(vcltq_f32(b, a), a, b); }
INLINE smask sequal(svector a, svector b) { return vceqq_f32(a, b); }
INLINE svector sadd_where(smask m, svector a, svector b) { return vbslq_f32(m, vaddq_f32(a, b), a); }
INLINE svector sunless(smask m, svector a) { return vbslq_f32(m, vdupq_n_f32(0.0f), a); }
INLINE svector spower(svector a) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a), 23)); }
INLINE svector snarrow(vector a, vector b) { return vcombine_f32(vcvt_f32_f64(a), vcvt_f32_f64(b)); }
INLINE void swiden(svector a, vector *to) {
    to[0] = vcvt_f64_f32(vget_low_f32(a));
    to[1] = vcvt_f64_f32(vget_high_f32(a));
}

#else

#define VECTOR_NAME "scalar"
enum { WIDTH = 1 };
typedef double vector;
typedef int vmask;
INLINE uint64_t INT(double a) { uint64_t u; memcpy(&u, &a, 8); return u; }
INLINE double DBL(uint64_t u) { double a; memcpy(&a, &u, 8); return a; }
INLINE vector vload(const double *p) { return *p; }
INLINE void vstore(double *p, vector a) { *p = a; }
INLINE vector vset(double a) { return a; }
INLINE vector vadd(vector a, vector b) { return a + b; }
INLINE vector vsub(vector a, vector b) { return a - b; }
INLINE vector vmul(vector a, vector b) { return a * b; }
INLINE vector vdiv(vector a, vector b) { return a / b; }
INLINE vector vsqrt(vector a) { return sqrt(a); }
INLINE vector vabs(vector a) { return fabs(a); }
INLINE vector vfma(vector a, vector b, vector c) { return a * b + c; }
/* Dekker's product: each factor is cut into 26 and 27 bits, whose products are exact; then Knuth's sum. */
INLINE vector vfma1(vector a, vector b, vector c) {
    const uint64_t high = ~(uint64_t)0x7ffffff;
    const double ah = DBL(INT(a) & high), al = a - ah, bh = DBL(INT(b) & high), bl = b - bh, p = a * b;
    const double sum = p + c, shadow = sum - p, rest = (p - (sum - shadow)) + (c - shadow);
    return sum + (rest + (((ah * bh - p) + ah * bl + al * bh) + al * bl));
}
INLINE vector vfms1(vector a, vector b, vector c) { return vfma1(a, b, -c); }
INLINE vector vadd_where(vmask m, vector a, vector b) { return m ? a + b : a; }
INLINE vector vadd_unless(vmask m, vector a, vector b) { return m ? a : a + b; }
INLINE vector vfma_unless(vmask m, vector a, vector b, vector c) { return m ? c : vfma(a, b, c); }
INLINE vmask vequal(vector a, vector b) { return a == b; }
INLINE vmask vless(vector a, vector b) { return a < b; }
INLINE vector vselect(vmask m, vector a, vector b) { return m ? a : b; }
INLINE vector vmax(vector a, vector b) { return a > b ? a : b; }
INLINE vector vmin(vector a, vector b) { return a < b ? a : b; }
INLINE int vany(vmask m) { return m; }
INLINE int vall(vmask m) { return m; }
INLINE vector viadd(vector a, vector b) { return DBL(INT(a) + INT(b)); }
INLINE vector visub(vector a, vector b) { return DBL(INT(a) - INT(b)); }
INLINE vector vior(vector a, vector b) { return DBL(INT(a) | INT(b)); }
INLINE vector viand(vector a, vector b) { return DBL(INT(a) & INT(b)); }
#define vshl(a, n) DBL(INT(a) << (n))
#define vshr(a, n) DBL(INT(a) >> (n))
INLINE vector vpick(const double *table, vector k) { return table[INT(k) & (TABLE_SIZE - 1)]; }
INLINE vector vload_part(const double *p, int count, vector fill) {
    if (count > 0) memcpy(&fill, p, sizeof fill);
    return fill;
}
INLINE vector vswap(vector a, int half) {
    (void)half;
    return a;
}
INLINE void vunzip(vector *a) { (void)a; }
INLINE void vtranspose(vector *a, int count) { (void)a; (void)count; }

typedef struct { float a, b; } svector;
typedef struct { int a, b; } smask;
INLINE svector sof(float a, float b) { svector s; s.a = a; s.b = b; return s; }
INLINE svector sload(const float *p) { return sof(p[0], p[1]); }
INLINE void sstore(float *p, svector a) { p[0] = a.a; p[1] = a.b; }
INLINE svector sset(float a) { return sof(a, a); }
INLINE svector sadd(svector a, svector b) { return sof(a.a + b.a, a.b + b.b); }
INLINE svector ssub(svector a, svector b) { return sof(a.a - b.a, a.b - b.b); }
INLINE svector smul(svector a, svector b) { return sof(a.a * b.a, a.b * b.b); }
INLINE svector sfma(svector a, svector b, svector c) {  /* of floats, the product of doubles is exact */
    return sof((float)((double)a.a * b.a + c.a), (float)((double)a.b * b.b + c.b));
}
INLINE svector smax(svector a, svector b) { return sof(a.a > b.a ? a.a : b.a, a.b > b.b ? a.b : b.b); }
INLINE smask sequal(svector a, svector b) { smask m; m.a = a.a == b.a; m.b = a.b == b.b; return m; }
INLINE svector sadd_where(smask m, svector a, svector b) { return sof(m.a ? a.a + b.a : a.a, m.b ? a.b + b.b : a.b); }
INLINE svector sunless(smask m, svector a) { return sof(m.a ? 0.0f : a.a, m.b ? 0.0f : a.b); }
INLINE svector spower(svector a) {
    uint32_t u[2];
    memcpy(u, &a, sizeof a);
    u[0] <<= 23;
    u[1] <<= 23;
    memcpy(&a, u, sizeof a);
    return a;
}
INLINE svector snarrow(vector a, vector b) { return sof((float)a, (float)b); }
INLINE void swiden(svector a, vector *to) { to[0] = a.a; to[1] = a.b; }

#endif

/* The lowest bits of k select an entry of the table; the others, shifted left by 48, are added to its bits. */
INLINE vector vlookup(const double *table, vector k) { return viadd(vpick(table, k), vshl(k, 48)); }

#if !defined(__AVX2__)
#define vstream vstore
INLINE void stream_end(void) {}
#endif
#if !defined(__AVX512F__) || !defined(__AVX512DQ__)
INLINE vector vexponent(vector a) {
    return vsub(vior(vshr(a, 52), vset(4503599627370496.0)), vset(4503599627370496.0 + 1023));
}
INLINE vector vlarger(vector a, vector b) { return vmax(vabs(a), b); }
#endif

INLINE double vfirst(vector a) {
    double lane[WIDTH];
    vstore(lane, a);
    return lane[0];
}

/* The 32 lanes of a block, and the one tree that folds them: lane j with j+16, j+8, ... j+1. */
enum { LANES = 32, VECTORS = LANES / WIDTH, SWIDTH = 2 * WIDTH, SVECTORS = LANES / SWIDTH };

#define FOLD(NAME, OP) \
    INLINE vector NAME(const vector *a) { \
        vector v[VECTORS]; \
        int half, j; \
        for (j = 0; j < VECTORS; j++) v[j] = a[j]; \
        for (half = VECTORS / 2; half; half /= 2) \
            for (j = 0; j < half; j++) v[j] = OP(v[j], v[j + half]); \
        for (half = WIDTH / 2; half; half /= 2) v[0] = OP(v[0], vswap(v[0], half)); \
        return v[0]; \
    }
FOLD(fold_add, vadd)  /* in every lane */
FOLD(fold_to_max, vmax)  /* in the first: in others a zero may have the other sign */
FOLD(fold_to_min, vmin)
INLINE double fold_max(const vector *a) { return vfirst(fold_to_max(a)); }
INLINE double fold_min(const vector *a) { return vfirst(fold_to_min(a)); }

/* As fold_add, in every lane; *error is what rounding left in the last three steps, which is most of it, or in all. */
INLINE vector fold_closely(const vector *a, vector *error, int all_steps) {
    vector sum[VECTORS], rest[VECTORS];
    int half, j;
    for (j = 0; j < VECTORS; j++) {
        sum[j] = a[j];
        rest[j] = vset(0.0);
    }
    for (half = LANES / 2; half; half /= 2)
        for (j = 0; j < (half < WIDTH ? 1 : half / WIDTH); j++) {
            const vector b = half < WIDTH ? vswap(sum[j], half) : sum[j + half / WIDTH];
            const vector left = half < WIDTH ? vswap(rest[j], half) : rest[j + half / WIDTH];
            const vector total = vadd(sum[j], b), shadow = vsub(total, sum[j]);
            if (all_steps || half <= 4)
                rest[j] = vadd(vadd(vsub(sum[j], vsub(total, shadow)), vsub(b, shadow)), vadd(rest[j], left));
            sum[j] = total;
        }
    *error = rest[0];
    return sum[0];
}

/* Of floats in lanes, in any order: a maximum is exact. */
INLINE double fold_smax(const svector *a) {
    vector wide[VECTORS];
    int i;
    for (i = 0; i < VECTORS / 2; i++) swiden(a[i], wide + 2 * i);
    return fold_max(wide);
}

#endif
