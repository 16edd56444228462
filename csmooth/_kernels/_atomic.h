/* Words that several threads share. */
#ifndef CSMOOTH_ATOMIC_H
#define CSMOOTH_ATOMIC_H

#include <stddef.h>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#include <windows.h>
#define counter_add(p, n) ((ptrdiff_t)_InterlockedExchangeAdd64((__int64 volatile *)(p), (n)))
#define word_of(p) ((ptrdiff_t)_InterlockedOr64((__int64 volatile *)(p), 0))
#define word_swap(p, from, to) (_InterlockedCompareExchange64((__int64 volatile *)(p), (to), (from)) == (from))
#define give_way() SwitchToThread()
#else
#include <sched.h>
#define counter_add(p, n) __atomic_fetch_add((p), (n), __ATOMIC_ACQ_REL)
#define word_of(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define give_way() sched_yield()

static inline int word_swap(ptrdiff_t *p, ptrdiff_t from, ptrdiff_t to)
{
    return __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
#endif

#endif
