"""Several workers: a problem in pieces, which whoever is free takes. The bits do not depend on who takes which.

A piece is some outputs, whose results are stored at once. Or, where outputs are few and long, it is some superblocks
of one output, or of all of them side by side: first each leaves its states, which are then merged in order; a map goes
through the same pieces once more.
"""

from .._workers import count as default_workers

cdef enum:
    SHARED = 1 << 18            # elements from which on a helper pays, even one that sleeps
    PIECE = 1 << 14             # elements of a piece at least: some 7 us
    PIECES = 32                 # a worker, unless they become too small: all should end at about the same time
    MOST = 8                    # superblocks of a piece
    PARTS = 16                  # most workers that begin far from each other
    KEPT = 1 << 17              # bytes of states that wait to be merged


cdef struct Pieces:
    # `do_piece` is to be done, with scratch of one's own, for each index below `total`. Whoever joins begins with a
    # part of its own, which another call may have left in the cache of its processor, then helps with the others.
    Work work
    const Problem* problem
    const Mapping* mapping      # or NULL
    void (*do_piece)(const Pieces*, Scratch*, Py_ssize_t) noexcept nogil
    Py_ssize_t total
    Py_ssize_t size, first, last        # outputs or superblocks: of a piece; the first of all, one beyond the last
    Py_ssize_t output           # whose superblocks they are, where outputs are rows,
    Py_ssize_t begin            # from this element on
    char* states                # of superblocks
    char* maps
    Py_ssize_t parts, joined
    Py_ssize_t taken[PARTS]     # pieces, of each part
    bint failed


cdef inline Py_ssize_t first_of_part(const Pieces* w, Py_ssize_t part) noexcept nogil:
    return w.total * part // w.parts


cdef void take_pieces(Work* work) noexcept nogil:
    """Takes part until all pieces are taken."""
    cdef Pieces* w = <Pieces*>work
    cdef Scratch s[TOGETHER]
    cdef char small[SMALL]
    cdef char* memory = NULL
    cdef Py_ssize_t part = counter_add(&w.joined, 1) % w.parts, finished = 0, i
    while finished < w.parts:
        i = first_of_part(w, part) + counter_add(&w.taken[part], 1)
        if i >= first_of_part(w, part + 1):
            part = (part + 1) % w.parts
            finished += 1
            continue
        if memory == NULL:
            memory = scratch_for(w.mapping, w.problem, s, small)
        if memory == NULL:
            w.failed = True
        else:
            w.do_piece(w, s, i)
    if memory != NULL and memory != small:
        free(memory)


cdef int share(const Mapping* m, const Problem* p, void (*do_piece)(const Pieces*, Scratch*, Py_ssize_t) noexcept nogil,
               Py_ssize_t first, Py_ssize_t last, Py_ssize_t size, int workers, Py_ssize_t output, Py_ssize_t begin,
               char* states, char* maps) except -1 nogil:
    """Has outputs or superblocks from `first` to before `last` done, `size` at a time."""
    cdef Pieces pieces
    memset(&pieces, 0, sizeof(pieces))
    pieces.work = Work(take_pieces, 0)
    pieces.problem = p
    pieces.mapping = m
    pieces.do_piece = do_piece
    pieces.total = (last - first + size - 1) // size
    pieces.size = size
    pieces.first = first
    pieces.last = last
    pieces.output = output
    pieces.begin = begin
    pieces.states = states
    pieces.maps = maps
    pieces.parts = min(PARTS, min(workers, pieces.total))
    do_together(&pieces.work, min(workers, pieces.total))
    if pieces.failed:
        raise MemoryError
    return 0


cdef inline char* scratch_for(const Mapping* m, const Problem* p, Scratch* s, char* small) noexcept nogil:
    return scratch(p, s, small, 0) if m == NULL else map_scratch(m, p, s, small)


cdef void do_outputs(const Pieces* w, Scratch* s, Py_ssize_t i) noexcept nogil:
    cdef Py_ssize_t first = w.first + i*w.size, last = min(w.last, first + w.size)
    if w.mapping == NULL:
        reduce_outputs(w.problem, s, max(0, first), last)
    else:
        map_outputs(w.mapping, w.problem, s, max(0, first), last)


cdef void do_superblocks(const Pieces* w, Scratch* s, Py_ssize_t i) noexcept nogil:
    """Leaves a state of each superblock of a row, or a panel of states; of one problem after the other."""
    cdef const Problem* p = w.problem
    cdef Py_ssize_t first = i*w.size, superblock, k
    cdef char* states[TOGETHER]
    cdef char* state
    cdef bint scanned[TOGETHER]
    for k in range(p.together):
        set_parameters(&p[k], &s[k], 0, p.outputs)
        parameters_of(&p[k], &s[k], w.output)
        scanned[k] = False
    for superblock in range(first, min(first + w.size, w.last - w.first)):
        state = w.states + superblock*kept_size(p)
        for k in range(p.together):
            states[k] = state
            state += states_size(&p[k])
        reduce_superblock_together(p, s, states, w.output, p.outputs, w.begin + (w.first + superblock)*SUPERBLOCK,
                                   scanned)


cdef void map_superblocks(const Pieces* w, Scratch* s, Py_ssize_t i) noexcept nogil:
    """Writes the results of superblocks of a row, or of all outputs side by side."""
    cdef const Problem* p = w.problem
    cdef Py_ssize_t first = w.first + i*w.size, last = min(w.last, first + w.size)
    cdef bint direct, out_direct = is_plain_out(p)
    set_parameters(p, s, 0, p.outputs)
    direct = takes_directly(p) and not s.has_negative
    first *= SUPERBLOCK
    last = min(p.length, last * SUPERBLOCK)
    s.spout.waiting = 0
    if p.by_rows:
        map_row(w.mapping, p, s, w.output, first, last, w.maps, direct, out_direct, NULL)
    else:
        map_tiles(w.mapping, p, s, 0, p.outputs, first, last, w.maps, direct, out_direct, NULL, NULL)
    spill(&s.spout)
    if p.streams:
        stream_end()


cdef inline size_t states_size(const Problem* p) noexcept nogil:
    """Bytes of what a superblock leaves of a problem."""
    return p.reduction.state_size * (1 if p.by_rows else (p.outputs + WIDTH - 1) // WIDTH)


cdef inline size_t kept_size(const Problem* p) noexcept nogil:
    """And of all that are together."""
    cdef size_t size = 0
    cdef Py_ssize_t k
    for k in range(p.together):
        size += states_size(&p[k])
    return size


cdef inline char* memory_for_states(const Problem* p, int workers) noexcept nogil:
    """Of superblocks that wait to be merged, from aligned() on."""
    return <char*>malloc(ALIGNMENT + max(KEPT, workers * <Py_ssize_t>kept_size(p)))


cdef inline bint is_long(const Problem* p, int workers) noexcept nogil:
    """Whether outputs are too few and too long to be pieces. A slope is summed in the order of its elements."""
    if p.operands[SLOPE].data != NULL or p.outputs > PANEL:
        return False
    if p.by_rows:
        return p.outputs < 2*workers and p.length >= SHARED
    return p.outputs < 2*workers*LANES and p.length > 2*SUPERBLOCK


cdef int share_superblocks(const Mapping* m, const Problem* p, Scratch* s, Py_ssize_t output, char* states, int workers,
                           Py_ssize_t begin, Py_ssize_t end, bint begins) except -1 nogil:
    """Adds the superblocks from element `begin` to before `end`, of a row or a panel, to total_states().

    `begins`: to nothing.
    """
    cdef Py_ssize_t superblocks = (end - begin + SUPERBLOCK - 1) // SUPERBLOCK
    cdef Py_ssize_t size = max(1, min(MOST, superblocks // (PIECES * workers)))
    cdef Py_ssize_t at_once = max(workers, KEPT // <Py_ssize_t>kept_size(p)), first = 0, last, superblock, k
    cdef char* state
    for k in range(p.together):
        parameters_of(&p[k], &s[k], output)
    while first < superblocks:
        last = min(first + at_once, superblocks)
        share(m, p, do_superblocks, first, last, size, workers, output, begin, states, NULL)
        state = states
        for superblock in range(first, last):
            for k in range(p.together):
                if superblock == 0 and begins:
                    memcpy(total_states(&p[k], &s[k]), state, states_size(&p[k]))
                else:
                    merge_superblock(&p[k], &s[k], state, p.outputs)
                state += states_size(&p[k])
        first = last
    return 0


cdef int share_long(const Mapping* m, const Problem* p, Scratch* s, char* states, int workers) except -1 nogil:
    """Reduces, and maps unless `m` is NULL, at most PANEL long outputs."""
    cdef const Reduction* r = p.reduction
    cdef Py_ssize_t superblocks = (p.length + SUPERBLOCK - 1) // SUPERBLOCK, output, g, k
    cdef Py_ssize_t groups = (p.outputs + WIDTH - 1) // WIDTH, size = max(1, min(MOST, superblocks // (PIECES*workers)))
    for k in range(p.together):
        set_parameters(&p[k], &s[k], 0, p.outputs)
    if m != NULL and p.operands[STATE].data != NULL:
        take_states(p, s.states, 0, p.outputs)
    else:
        for output in range(p.outputs if p.by_rows else 1):
            share_superblocks(m, p, s, output, states, workers, 0, p.length, True)
            for k in range(p.together):
                keep_total(&p[k], &s[k], output)
    for k in range(p.together):
        for g in range(groups if p.has_initial else 0):
            add_initial(&p[k], &s[k], g, NAN)
    if m != NULL and p.by_rows:
        for output in range(p.outputs):
            spread_lane(<double*>s.superblock_states, <double*>(s.states + output // WIDTH * r.state_size),
                        output % WIDTH, r.state_size)
            m.prepare(s.extra, s.superblock_states, parameters_of(p, s, output))
            share(m, p, map_superblocks, 0, superblocks, size, workers, output, 0, NULL, s.extra)
    elif m != NULL:
        for g in range(groups):
            m.prepare(s.extra + g*m.map_size, s.states + g*r.state_size, s.parameters + g*r.parameters_size)
        share(m, p, map_superblocks, 0, superblocks, size, workers, 0, 0, NULL, s.extra)
    for k in range(p.together if m == NULL or p.operands[OUT].data != NULL else 0):
        finish_panel(&p[k], &s[k], 0, p.outputs, True)
    return 0


cdef int share_all(const Mapping* m, const Problem* p, int workers) except -1 nogil:
    """Reduces, or maps unless `m` is NULL, every output, with several workers."""
    cdef Scratch s[TOGETHER]
    cdef char* memory
    cdef char* states
    cdef Py_ssize_t size = max(p.outputs // (PIECES * workers), PIECE // p.length, 1), before
    if not is_long(p, workers):
        if not p.by_rows or size > LANES:
            size = (size + LANES - 1) // LANES * LANES
        # The first piece lacks some, if others can then begin with a cache line.
        before = outputs_before_line(p, 0) if takes_directly(p) else 0
        return share(m, p, do_outputs, before - LANES if before else 0, p.outputs, size, workers, 0, 0, NULL, NULL)
    memory = scratch_for(m, p, s, NULL)
    states = memory_for_states(p, workers)
    try:
        if memory == NULL or states == NULL:
            raise MemoryError
        share_long(m, p, s, aligned(states), workers)
    finally:
        free(memory)
        free(states)
    return 0


cdef int do_all(const Mapping* m, const Problem* p, int workers) except -1:
    """Reduces, or maps unless `m` is NULL, every output."""
    if p.outputs * p.length <= BLOCK:       # too few to release the lock for
        return reduce_all(p) if m == NULL else map_all(m, p)
    if workers > 1 and p.outputs * p.length >= SHARED:
        count_processors()
        with nogil:
            return share_all(m, p, workers)
    with nogil:
        return reduce_all(p) if m == NULL else map_all(m, p)
