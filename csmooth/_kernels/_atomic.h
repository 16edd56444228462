/* Counters that several threads share. */
#ifndef CSMOOTH_ATOMIC_H
#define CSMOOTH_ATOMIC_H

#include <stddef.h>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#include <windows.h>
#define counter_add(p, n) ((ptrdiff_t)_InterlockedExchangeAdd64((__int64 volatile *)(p), (n)))
#define give_way() SwitchToThread()
#else
#include <sched.h>
#define counter_add(p, n) __atomic_fetch_add((p), (n), __ATOMIC_ACQ_REL)
#define give_way() sched_yield()
#endif

#endif
