/* The x86-64 level that this processor and its operating system allow: 1 (baseline) to 4, and 0 elsewhere.
 *
 * A compiler given -march=x86-64-vN may use every feature of the level, so every one is looked for, and that the
 * system saves the registers.  Feature lists: System V x86-64 psABI, section 3.1.1.
 */
#ifndef CSMOOTH_CPU_H
#define CSMOOTH_CPU_H

#if defined(__x86_64__) || defined(_M_X64)

#if defined(_MSC_VER)
#include <intrin.h>
static void read_cpuid(unsigned leaf, unsigned r[4]) { __cpuidex((int *)r, (int)leaf, 0); }
static unsigned read_xcr0(void) { return (unsigned)_xgetbv(0); }
#else
#include <cpuid.h>
static void read_cpuid(unsigned leaf, unsigned r[4]) { __cpuid_count(leaf, 0, r[0], r[1], r[2], r[3]); }
static unsigned read_xcr0(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

#define BIT(n) (1u << (n))

static int has(unsigned value, unsigned mask) { return (value & mask) == mask; }

static int x86_64_level(void) {
    enum { EAX, EBX, ECX, EDX };
    unsigned highest[4], leaf1[4], leaf7[4] = {0}, extended[4], leaf81[4] = {0};
    read_cpuid(0, highest);
    read_cpuid(1, leaf1);
    if (highest[EAX] >= 7) read_cpuid(7, leaf7);
    read_cpuid(0x80000000u, extended);
    if (extended[EAX] >= 0x80000001u) read_cpuid(0x80000001u, leaf81);

    /* SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF */
    if (!has(leaf1[ECX], BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23)) || !has(leaf81[ECX], BIT(0)))
        return 1;
    /* FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; the system saves xmm and ymm */
    if (!has(leaf1[ECX], BIT(12) | BIT(22) | BIT(27) | BIT(28) | BIT(29)) ||
        !has(leaf7[EBX], BIT(3) | BIT(5) | BIT(8)) || !has(leaf81[ECX], BIT(5)) || !has(read_xcr0(), 0x06))
        return 2;
    /* AVX512 F, DQ, CD, BW, VL; the system saves masks and zmm */
    if (!has(leaf7[EBX], BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31)) || !has(read_xcr0(), 0xe6))
        return 3;
    return 4;
}

#else
static int x86_64_level(void) { return 0; }
#endif
#endif
