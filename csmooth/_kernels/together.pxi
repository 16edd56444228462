"""Several problems at once, of the same elements, weights and masks: what the first reads, the others find in cache.

Problems lie side by side, as does their scratch; they differ in their reductions, parameters and results, not in the
order of outputs nor in the choice between rows and tiles. The loop over them is the innermost one that sees a group of
outputs, as many as stay in the second-level cache, or, where outputs are too long for that, a superblock of a row or a
block of a panel. All else is done as for a single problem, by the same functions.
"""

cdef enum:
    TOGETHER = 8                # problems; for as many sums another read costs little, while more states would crowd
    GROUP = 1 << 15             # elements of a group: 256 KiB of doubles


cdef void reduce_outputs_together(const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """As reduce_outputs, for several problems."""
    cdef Py_ssize_t rows = p.length if p.by_rows else min(p.length, BLOCK), size = GROUP // max(1, rows), output, k
    size = max(1, min(PANEL, size if p.by_rows else size // LANES * LANES))
    output = first
    while output < last:
        size = min(size, last - output)
        if p.length > (SUPERBLOCK if p.by_rows else BLOCK):
            reduce_long(p, s, output, size)
        else:
            for k in range(p.together):
                reduce_panel(&p[k], &s[k], output, size, takes_directly(&p[k]))
        output += size


cdef void reduce_long(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count) noexcept nogil:
    """Reduces and stores outputs that do not stay in cache: one, or those of a panel side by side."""
    cdef char* states[TOGETHER]
    cdef bint scanned[TOGETHER]
    cdef Py_ssize_t element = 0, g, k
    for k in range(p.together):
        set_parameters(&p[k], &s[k], output, count)
        parameters_of(&p[k], &s[k], 0)
        states[k] = total_states(&p[k], &s[k])
        scanned[k] = False
    while element < p.length:
        reduce_superblock_together(p, s, states, output, count, element, scanned)
        for k in range(p.together):
            if element:
                merge_superblock(&p[k], &s[k], states[k], count)
            states[k] = s[k].superblock_states + (p[k].reduction.state_size if p.by_rows else 0)
        element += SUPERBLOCK
    for k in range(p.together):
        keep_total(&p[k], &s[k], 0)
        for g in range((count + WIDTH - 1) // WIDTH if p.has_initial else 0):
            add_initial(&p[k], &s[k], g, NAN)
        finish_panel(&p[k], &s[k], output, count, True)


cdef void reduce_superblock_together(const Problem* p, Scratch* s, char** states, Py_ssize_t output, Py_ssize_t count,
                                     Py_ssize_t first, bint* scanned) noexcept nogil:
    """Leaves the states of a superblock of an output, or of a panel, for each problem: at states[k].

    Parameters are set; that of a row is the spare one. `scanned` as for reduce_superblock.
    """
    cdef Py_ssize_t element = first, end = min(first + SUPERBLOCK, p.length), k
    cdef bint direct[TOGETHER]
    for k in range(p.together):
        direct[k] = takes_directly(&p[k]) and not s[k].has_negative
        if p.by_rows:
            reduce_superblock(&p[k], &s[k], states[k], output, first, end, True, s[k].spare_parameters, direct[k], NAN,
                              &scanned[k])
    while element < end and not p.by_rows:
        for k in range(p.together):
            reduce_block_of_tiles(&p[k], &s[k], states[k], output, count, element, direct[k], element == first)
        element += BLOCK


cdef inline char* total_states(const Problem* p, Scratch* s) noexcept nogil:
    """Where superblocks are merged: that of a row, in every lane, or those of a panel."""
    return s.superblock_states if p.by_rows else s.states


cdef inline void merge_superblock(const Problem* p, Scratch* s, const char* states, Py_ssize_t count) noexcept nogil:
    """Merges what a superblock left into the total."""
    if p.by_rows:
        p.reduction.merge(s.superblock_states, states, s.spare_parameters)
    else:
        merge_panel(p, s, states, count)


cdef inline void keep_total(const Problem* p, Scratch* s, Py_ssize_t j) noexcept nogil:
    """Puts the total of a row, the j-th of a panel, among the states that are to be finished."""
    cdef const Reduction* r = p.reduction
    if p.by_rows:
        set_lane(<double*>(s.states + j // WIDTH * r.state_size), j % WIDTH, <double*>s.superblock_states,
                 r.state_size)
