"""Threads that help. They know nothing of Python: its lock, its exit and its interrupts do not concern them.

A helper is made when first wanted. After its work it stays awake for a while, giving way to any other thread, so that
calls that follow each other closely find it awake: waking it takes some 40 us. Then it sleeps.

Work is offered by writing its address where the state of a helper stands, and withdrawn by writing over it if it still
stands there. So nobody waits for a helper that has not begun, and calls within threads of whatever kind end.
"""

import os


cdef extern from "pythread.h":
    ctypedef void* PyThread_type_lock
    int WAIT_LOCK, NOWAIT_LOCK
    unsigned long PYTHREAD_INVALID_THREAD_ID
    PyThread_type_lock PyThread_allocate_lock() nogil
    void PyThread_free_lock(PyThread_type_lock) nogil
    int PyThread_acquire_lock(PyThread_type_lock, int) nogil
    void PyThread_release_lock(PyThread_type_lock) nogil
    unsigned long PyThread_start_new_thread(void (*)(void*) noexcept nogil, void*) nogil

cdef extern from "_atomic.h":
    Py_ssize_t counter_add(Py_ssize_t* counter, Py_ssize_t n) nogil     # returns what it was before
    Py_ssize_t word_of(Py_ssize_t* word) nogil
    bint word_swap(Py_ssize_t* word, Py_ssize_t expected, Py_ssize_t to) nogil      # whether it was what was expected
    void give_way() nogil

cdef enum:
    HELPERS = 1023              # with the caller as many as `workers` may be
    LOOKS = 128                 # for work, until a helper falls asleep: some 100 us

cdef enum:
    ABSENT, AWAKE, ASLEEP, BUSY         # states of a helper; any other is the address of work that is offered

cdef struct Helper:
    Py_ssize_t state
    PyThread_type_lock sleep            # locked but for the moment of waking up
    char apart[48]                      # a cache line for each

cdef Helper helpers[HELPERS]
cdef int processors = 1                 # the number of helpers that may be made

cdef struct Work:
    void (*do_work)(Work*) noexcept nogil       # by whoever helps, at the same time
    Py_ssize_t left                     # helpers that began, and will not touch it again


cdef void help(void* helper) noexcept nogil:
    """What a thread does, for ever."""
    cdef Helper* h = <Helper*>helper
    cdef Py_ssize_t state
    cdef Work* work
    cdef int looks = 0
    while True:
        state = word_of(&h.state)
        if state != AWAKE:
            if word_swap(&h.state, state, BUSY):
                work = <Work*>state
                work.do_work(work)
                word_swap(&h.state, BUSY, AWAKE)
                counter_add(&work.left, 1)
                looks = 0
        elif looks < LOOKS:
            looks += 1
            give_way()
        elif word_swap(&h.state, AWAKE, ASLEEP):
            PyThread_acquire_lock(h.sleep, WAIT_LOCK)
            looks = 0


cdef bint start_helper(Helper* h) noexcept nogil:
    h.sleep = PyThread_allocate_lock()
    if h.sleep == NULL:
        return False
    PyThread_acquire_lock(h.sleep, NOWAIT_LOCK)
    if PyThread_start_new_thread(help, h) != PYTHREAD_INVALID_THREAD_ID:
        return True
    PyThread_free_lock(h.sleep)
    return False


cdef bint offer(Helper* h, Py_ssize_t work) noexcept nogil:
    if word_swap(&h.state, AWAKE, work):
        return True
    if word_swap(&h.state, ASLEEP, work):
        PyThread_release_lock(h.sleep)
        return True
    if word_swap(&h.state, ABSENT, work):
        return start_helper(h) or not word_swap(&h.state, work, ABSENT)
    return False


cdef int count_processors() except -1:
    global processors
    processors = min(HELPERS, os.cpu_count() or 1)
    return 0


cdef void do_together(Work* work, int workers) noexcept nogil:
    """Has work done by the caller, and by up to workers - 1 helpers, who join in when they can."""
    cdef int asked = 0, offers = 0
    while offers < workers - 1 and asked < processors:
        offers += offer(&helpers[asked], <Py_ssize_t>work)
        asked += 1
    work.do_work(work)
    while asked > 0:
        asked -= 1
        offers -= word_swap(&helpers[asked].state, <Py_ssize_t>work, AWAKE)
    while word_of(&work.left) < offers:
        give_way()


def _forget_helpers():
    """A child of fork() has none."""
    memset(helpers, 0, sizeof(helpers))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
