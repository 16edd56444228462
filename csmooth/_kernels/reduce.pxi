"""From blocks to results: the one place that knows tails, superblocks, panels of outputs and `initial`.

Outputs are reduced either as

    rows    one output after the other, lanes along the inner dimension, or as
    tiles   up to LANES outputs side by side, for short or strided rows.

A block that lies in memory as a kernel wants it is used where it is. Any other is first packed into scratch that
stays in cache: converted, sign-flipped, absent elements replaced by the neutral one.

Only a literal step makes Cython's range() a C loop: steps of 32 are LANES, of 64 ALIGNMENT, of 256 PANEL.
"""

# Blocks: where they lie if a kernel can take them as they are, else packed

cdef inline Kind plain_kind(const Problem* p) noexcept nogil:
    """The dtype of elements, and of a map's results, that need no conversion."""
    return FLOAT32 if p.single and p.by_rows else FLOAT64


cdef inline Py_ssize_t plain_size(const Problem* p) noexcept nogil:
    return sizeof(float) if plain_kind(p) == FLOAT32 else sizeof(double)


cdef inline bint is_plain(const Problem* p) noexcept nogil:
    """Whether the elements are aligned and need no conversion, and all of them count."""
    cdef const Operand* a = &p.operands[A]
    cdef Py_ssize_t bits = <Py_ssize_t><uintptr_t>a.data
    cdef int k
    for k in range(p.outer.count):
        bits |= p.outer.strides[A][k]
    for k in range(p.inner.count):
        bits |= p.inner.strides[A][k]
    return (a.kind == plain_kind(p) and not a.swapped and bits & (plain_size(p) - 1) == 0 and not p.weighted
            and p.operands[WHERE].data == NULL and p.operands[MASK].data == NULL
            and p.operands[WEIGHTS_MASK].data == NULL)


cdef void ask_for_row(const Problem* p, int operand, Py_ssize_t output, Py_ssize_t element) noexcept nogil:
    """Prefetches an operand of the block that begins with this element, where several share a cache line."""
    cdef Py_ssize_t step = last_stride(&p.inner, operand), last = min(p.length, element + BLOCK), run, size, k
    cdef const char* x
    if p.operands[operand].data == NULL or distance(step) > ALIGNMENT // 4:
        return
    while element < last:
        run = min(last - element, run_length(&p.inner, element))
        size = run * distance(step)
        x = address(p, operand, output, element if step >= 0 else element + run - 1)
        for k in range(0, size, 64):
            prefetch_far(x + k)
        element += run


cdef void ask_for_block(const Problem* p, Py_ssize_t output, Py_ssize_t element) noexcept nogil:
    """Prefetches what is packed from this element on or, if that is beyond the end, as far into what follows.

    What lies in short runs, or is converted, is not foreseen by the processor: that took up to twice the time.
    """
    cdef int operand
    while element >= p.length:
        element -= p.length
        output += 1
    if output < p.outputs:
        for operand in range(A, WEIGHTS_MASK + 1):
            ask_for_row(p, operand, output, element)


cdef inline Block row_block(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t element, Py_ssize_t count,
                            bint direct, double ceiling) noexcept nogil:
    cdef Block b = block_of(s.x, (count + LANES - 1) // LANES, LANES, p.single)
    cdef Py_ssize_t j, left = count % LANES
    if not direct:
        pack_block(p, s, output, 1, element, count, 1, b.rows * LANES, ceiling)
        ask_for_block(p, output, element + 2*BLOCK)
        if p.weighted:
            b.weights = s.weights
        elif left:                  # what pads the last row might count
            b.rows -= 1
            b.tail = s.x + LANES*b.rows
            b.tail_length = left
        return b
    b.x = <const double*>address(p, A, output, element)
    if p.single:
        b.singles = <const float*>b.x
    if left:
        b.rows -= 1
        b.tail = &s.tail[0]
        b.tail_length = left
        if p.single:
            for j in range(LANES):
                s.tail[j] = b.singles[LANES*b.rows + j] if j < left else p.reduction.neutral
        else:
            for j in range(VECTORS):
                vstore(&s.tail[WIDTH * j], vload_part(b.x + LANES*b.rows + WIDTH*j, left - WIDTH*j,
                                                      vset(p.reduction.neutral)))
    return b


cdef inline Block tile_block(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t columns, Py_ssize_t element,
                             Py_ssize_t rows, bint direct) noexcept nogil:
    cdef Py_ssize_t stride = (columns + WIDTH - 1) // WIDTH * WIDTH
    cdef Block b = block_of(s.x, rows, stride, p.single)
    cdef const char* x
    cdef Py_ssize_t i, step
    cdef vector neutral
    if (direct and columns == stride and last_stride(&p.outer, A) == sizeof(double)
            and run_length(&p.outer, output) >= columns):
        b.x = <const double*>address(p, A, output, element)
        b.stride = b.next_stride = last_stride(&p.inner, A) // <Py_ssize_t>sizeof(double)
        b.near = b.x + LANES
        b.far = b.near + LANES
        return b
    if direct and columns == 1:     # packed by whole vectors: of rows that were written in parts, reads have to wait
        x = address(p, A, output, element)
        step = last_stride(&p.inner, A)
        neutral = vset(p.reduction.neutral)
        for i in range(rows):
            vstore(s.x + WIDTH*i, vload_part(<const double*>(x + step*i), 1, neutral))
        return b
    pack_block(p, s, output, columns, element, rows, stride, rows * stride, NAN)
    if p.weighted:
        b.weights = s.weights
    # Rows that lie one after the other fill as many cache lines as their tile has vectors.
    b.far = <const double*>(address(p, A, output, element) + columns*last_stride(&p.outer, A))
    if rows <= LANES:               # else the next tile does not fit into the first-level cache
        b.near = b.far
        b.far += columns * rows
    return b


# Reductions of one output, of a panel of outputs, of all

cdef void reduce_superblock(const Problem* p, Scratch* s, char* state, Py_ssize_t output, Py_ssize_t first,
                            Py_ssize_t end, bint begins, const void* parameters, bint direct, double ceiling,
                            bint* scanned) noexcept nogil:
    """Adds elements from `first` to before `end` of one output, all of one superblock, to `state`, in every lane.

    `begins`: to nothing. `scanned` says whether s.extremes hold those of the first block; then, whether those of the
    block at `end`, or of the next output.
    """
    cdef Block block
    cdef Py_ssize_t element = first, count, next_output, next_element
    while element < end:
        count = min(SUPERBLOCK if direct else BLOCK, end - element)
        block = row_block(p, s, output, element, count, direct, ceiling)
        if direct:
            block.terms = s.terms[output % 2].terms
            block.exponents = s.terms[output % 2].exponents
            if s.writing != NULL:
                block.meanwhile = write_a_block
                block.given = s.writing
            block.scanned = scanned[0]
            next_element = end % p.length
            next_output = output + (next_element == 0)
            scanned[0] = next_output < p.outputs and p.length - next_element >= BLOCK
            if scanned[0]:
                block.ahead = <const double*>address(p, A, next_output, next_element)
        p.reduction.row(state, parameters, &block, begins and element == first, s.extremes)
        element += count


cdef void go_on_with_row(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t first, Py_ssize_t last,
                         Py_ssize_t done, const void* parameters, bint direct, double ceiling, bint* scanned,
                         bint close) noexcept nogil:
    """Adds elements from `first` to before `last` of one output to states, in every lane, that stand for `done` others.

    The first of s.superblock_states is that of all superblocks so far, the second that of one which others follow.
    Both sorts of elements are whole blocks, but for the last of all: to `close` leaves everything in the first state.
    `scanned` as for reduce_superblock.
    """
    cdef char* total = s.superblock_states
    cdef char* state = total + p.reduction.state_size
    cdef Py_ssize_t end
    while first < last:
        end = min(last, first + SUPERBLOCK - done % SUPERBLOCK)
        reduce_superblock(p, s, total if done < SUPERBLOCK else state, output, first, end, done % SUPERBLOCK == 0,
                          parameters, direct, ceiling, scanned)
        done += end - first
        first = end
        if done > SUPERBLOCK and done % SUPERBLOCK == 0:
            p.reduction.merge(total, state, parameters)
    if close and done > SUPERBLOCK and done % SUPERBLOCK:
        p.reduction.merge(total, state, parameters)


cdef inline void reduce_row(const Problem* p, Scratch* s, Py_ssize_t output, const void* parameters, bint direct,
                            double ceiling, bint* scanned) noexcept nogil:
    """Leaves the state of one output, in every lane, in s.superblock_states; `scanned` as for reduce_superblock."""
    go_on_with_row(p, s, output, 0, p.length, 0, parameters, direct, ceiling, scanned, True)


cdef inline void reduce_block_of_tiles(const Problem* p, Scratch* s, char* states, Py_ssize_t output, Py_ssize_t count,
                                       Py_ssize_t element, bint direct, bint first) noexcept nogil:
    """Adds the block that begins with `element`, of each tile of a panel; `first`: to no states."""
    cdef const Reduction* r = p.reduction
    cdef Block block
    cdef Py_ssize_t rows = min(BLOCK, p.length - element), j, g, columns, vectors
    for j in range(0, count, 32):
        columns = min(LANES, count - j)
        vectors = (columns + WIDTH - 1) // WIDTH
        block = tile_block(p, s, output + j, columns, element, rows, direct)
        if direct and j + LANES >= count and element + rows < p.length:     # the last one, after which the next block
            block.near = <const double*>address(p, A, output, element + rows)
            block.far = block.near + LANES
        g = j // WIDTH
        r.tile(states + g*r.state_size, s.parameters + g*r.parameters_size, &block, vectors, first)


cdef void go_on_with_tiles(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count, Py_ssize_t first,
                           Py_ssize_t last, Py_ssize_t done, bint direct, bint close) noexcept nogil:
    """As go_on_with_row, for a panel of outputs: a block of each tile, then the next block.

    The states of all superblocks so far are in s.states, those of one that others follow in s.superblock_states.
    """
    cdef Py_ssize_t rows
    while first < last:
        rows = min(BLOCK, last - first)
        reduce_block_of_tiles(p, s, s.states if done < SUPERBLOCK else s.superblock_states, output, count, first,
                              direct, done % SUPERBLOCK == 0)
        done += rows
        first += rows
        if done > SUPERBLOCK and done % SUPERBLOCK == 0:
            merge_panel(p, s, s.superblock_states, count)
    if close and done > SUPERBLOCK and done % SUPERBLOCK:
        merge_panel(p, s, s.superblock_states, count)


cdef inline void reduce_tiles(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count,
                              bint direct) noexcept nogil:
    """Leaves the states of a panel in s.states."""
    go_on_with_tiles(p, s, output, count, 0, p.length, 0, direct, True)


cdef void merge_panel(const Problem* p, Scratch* s, const char* states, Py_ssize_t count) noexcept nogil:
    """Merges the states of a superblock of a panel into s.states."""
    cdef const Reduction* r = p.reduction
    cdef Py_ssize_t g
    for g in range((count + WIDTH - 1) // WIDTH):
        r.merge(s.states + g*r.state_size, states + g*r.state_size, s.parameters + g*r.parameters_size)


cdef void add_initial(const Problem* p, Scratch* s, Py_ssize_t group, double ceiling) noexcept nogil:
    """Merges one more element, `initial`, into the states of a group of outputs."""
    cdef const Reduction* r = p.reduction
    cdef double weights[WIDTH]
    cdef Block block = block_of(&s.tail[0], 1, WIDTH, False)
    cdef Py_ssize_t j
    block.weights = &weights[0]
    for j in range(WIDTH):
        s.tail[j] = -p.initial if s.parameter[group*WIDTH + j] < 0 else p.initial
        weights[j] = 0 if s.tail[j] >= ceiling or s.tail[j] == r.neutral else s.weights_scale
        if weights[j] == 0:
            s.tail[j] = r.neutral
    r.tile(s.superblock_states, s.parameters + group*r.parameters_size, &block, 1, True)
    r.merge(s.states + group*r.state_size, s.superblock_states, s.parameters + group*r.parameters_size)


cdef inline void set_lane(double* to, Py_ssize_t lane, const double* source, size_t size) noexcept nogil:
    """Copies the first lane of one group's state to a lane of another's."""
    cdef Py_ssize_t field
    for field in range(<Py_ssize_t>(size // (WIDTH * sizeof(double)))):
        to[field*WIDTH + lane] = source[field * WIDTH]


cdef inline char* parameters_of(const Problem* p, Scratch* s, Py_ssize_t output) noexcept nogil:
    """The parameters of one output of the panel, in every lane."""
    cdef double lanes[WIDTH]
    cdef Py_ssize_t j
    for j in range(WIDTH):
        lanes[j] = s.parameter[output]
    p.reduction.parameters(s.spare_parameters, lanes, p.limit)
    return s.spare_parameters


cdef void set_parameters(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count) noexcept nogil:
    """Fills in the parameters of a panel."""
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef Py_ssize_t g, j, groups
    s.first = output
    if parameter.data == NULL:
        if s.has_parameters:
            return
        count = min(PANEL, p.outputs)           # the next panel may have more
    groups = (count + WIDTH - 1) // WIDTH
    s.has_parameters = True
    for j in range(groups * WIDTH):
        s.parameter[j] = p.parameter
    s.has_negative = p.parameter < 0
    s.has_infinite = p.parameter in (INFINITY, -INFINITY)
    for j in range(count if parameter.data != NULL else 0):
        read(&s.parameter[j], 1, parameter, parameter.data + offset(&p.outer, PARAMETER, output + j), 0, 1, 0, 1)
        s.has_negative = s.has_negative or s.parameter[j] < 0
        s.has_infinite = s.has_infinite or s.parameter[j] in (INFINITY, -INFINITY)
    for g in range(groups):
        p.reduction.parameters(s.parameters + g*p.reduction.parameters_size, &s.parameter[g * WIDTH], p.limit)


cdef inline bint takes_doubles(const Problem* p) noexcept nogil:
    """Whether results are doubles and lie side by side."""
    return (p.operands[OUT].kind == FLOAT64 and last_stride(&p.outer, OUT) == sizeof(double)
            and p.outer.count == 1)


cdef inline void store(const Problem* p, Py_ssize_t output, Py_ssize_t count, double* values,
                       const double* signs) noexcept nogil:
    """Stores `count` outputs; a negative total (weights only) has no logarithm, unless its sign is asked for."""
    cdef Py_ssize_t j
    if p.operands[SIGN].data != NULL:
        for j in range(count):
            write(p, SIGN, output + j, signs[j])
    elif p.weighted:
        for j in range(count):
            values[j] = NAN if signs[j] < 0 else values[j]
    if takes_doubles(p):
        memcpy(p.operands[OUT].data + offset(&p.outer, OUT, output), values, count * sizeof(double))
    else:
        for j in range(count):
            write(p, OUT, output + j, values[j])


cdef bint reduce_short(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count, bint direct) noexcept nogil:
    """Reduces and stores a panel of short rows without states, unless it returns false."""
    cdef const Reduction* r = p.reduction
    cdef double values[LANES]
    cdef char* out = p.operands[OUT].data + offset(&p.outer, OUT, output)
    cdef bint out_direct = takes_doubles(p) and <uintptr_t>out % sizeof(double) == 0
    cdef bint at_once = p.length <= PACKED_AT_ONCE
    cdef Py_ssize_t j, columns
    cdef Block block, panel
    if at_once:
        panel = tile_block(p, s, output, count, 0, p.length, direct)
    for j in range(0, count, 32):
        columns = min(LANES, count - j)
        if at_once:
            block = panel
            block.x += j
            block.near += j
            block.far += j
        else:
            block = tile_block(p, s, output + j, columns, 0, p.length, direct)
        if not r.short_tile(s.parameters + j // WIDTH * r.parameters_size, &block, (columns + WIDTH - 1) // WIDTH,
                            <double*>out + j if out_direct and columns == LANES else values):
            return False
        if not out_direct or columns < LANES:
            store(p, output + j, columns, values, NULL)
    return True


cdef void reduce_panel(const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t count, bint direct) noexcept nogil:
    """Reduces and stores at most PANEL outputs from `first` on."""
    cdef const Reduction* r = p.reduction
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef Py_ssize_t groups = (count + WIDTH - 1) // WIDTH, g, j
    cdef char* parameters = NULL
    cdef bint scanned = False
    cdef Block nothing = block_of(s.x, 0, WIDTH, False)

    set_parameters(p, s, first, count)
    direct = direct and not s.has_negative
    if (0 < p.length <= LANES and not p.by_rows and not p.weighted and not p.has_initial
            and p.operands[SIGN].data == NULL and p.operands[STATE].data == NULL
            and reduce_short(p, s, first, count, direct)):
        return

    if p.length == 0:
        for g in range(groups):
            r.tile(s.states + g*r.state_size, s.parameters + g*r.parameters_size, &nothing, 1, True)
    elif p.by_rows:
        for j in range(count):
            if parameters == NULL or parameter.data != NULL:
                parameters = parameters_of(p, s, j)
            reduce_row(p, s, first + j, parameters, direct, NAN, &scanned)
            set_lane(<double*>(s.states + j // WIDTH * r.state_size), j % WIDTH,
                     <double*>s.superblock_states, r.state_size)
    else:
        reduce_tiles(p, s, first, count, direct)

    if p.has_initial:
        for g in range(groups):
            add_initial(p, s, g, NAN)
    finish_panel(p, s, first, count, True)


cdef inline double* states_at(const Problem* p, Py_ssize_t output) noexcept nogil:
    return <double*>(p.operands[STATE].data + offset(&p.outer, STATE, output))


cdef void give_states(const Problem* p, const char* states, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    """Stores the states of a panel in STATE: of each output, its fields side by side."""
    cdef Py_ssize_t fields = p.reduction.state_size // (WIDTH * sizeof(double)), j, field
    cdef double* to
    for j in range(count):
        to = states_at(p, first + j)
        for field in range(fields):
            to[field] = (<const double*>states)[(j // WIDTH * fields + field)*WIDTH + j % WIDTH]


cdef void take_states(const Problem* p, char* states, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    """Fetches the states of a panel from STATE."""
    cdef Py_ssize_t fields = p.reduction.state_size // (WIDTH * sizeof(double)), j, field
    cdef Py_ssize_t whole = (count + WIDTH - 1) // WIDTH * WIDTH
    cdef const double* source
    for j in range(whole):
        source = states_at(p, first + min(j, count - 1))        # what fills the last vector is a state as well
        for field in range(fields):
            (<double*>states)[(j // WIDTH * fields + field)*WIDTH + j % WIDTH] = source[field]


cdef void finish_panel(const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t count, bint has_all) noexcept nogil:
    """Stores the results of a panel of states, or these states, if they are asked for.

    `has_all`: the problem has all the elements that they stand for.
    """
    cdef const Reduction* r = p.reduction
    cdef Py_ssize_t groups = (count + WIDTH - 1) // WIDTH, g, j, output
    cdef double values[LANES]
    cdef double signs[LANES]
    cdef double lost[LANES]
    if p.operands[STATE].data != NULL:
        give_states(p, s.states, first, count)
        return
    for output in range(first, first + count, 32):
        g = (output - first) // WIDTH
        r.finish(s.states + g*r.state_size, s.parameters + g*r.parameters_size, min(VECTORS, groups - g),
                 values, signs, lost)
        store(p, output, min(LANES, first + count - output), values, signs)
        if p.weighted and has_all:
            for j in range(min(LANES, first + count - output)):
                if lost[j] == lost[j]:
                    reduce_again(p, s, first, output - first + j, lost[j])


cdef void reduce_again(const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t j, double lost) noexcept nogil:
    """Reduces output first + j again, as long as its sum is lost.

    Either the elements from `lost` on cancelled and hid the others: then without them. Or `lost` is +inf, as the
    sum overflowed: then with weights that are 2**-600 as large.
    """
    cdef const Reduction* r = p.reduction
    cdef Py_ssize_t group = j // WIDTH, lane = j % WIDTH
    cdef char* state = s.states + group*r.state_size
    cdef double ceiling = NAN
    cdef double values[WIDTH]
    cdef double signs[WIDTH]
    cdef double next_lost[WIDTH]
    while lost == lost and not (lost == INFINITY and s.weights_scale < 1):
        if lost == INFINITY:
            s.weights_scale = SMALL_WEIGHTS
        else:
            ceiling = lost
        reduce_row(p, s, first + j, parameters_of(p, s, j), False, ceiling, NULL)
        set_lane(<double*>state, lane, <double*>s.superblock_states, r.state_size)
        if p.has_initial:
            add_initial(p, s, group, ceiling)
        r.finish(state, s.parameters + group*r.parameters_size, 1, values, signs, next_lost)
        lost = next_lost[lane]
    if s.weights_scale < 1:
        if r.logarithmic:
            values[lane] -= log(s.weights_scale) / s.parameter[j]
        s.weights_scale = 1
    store(p, first + j, 1, &values[lane], &signs[lane])


cdef inline bint takes_directly(const Problem* p) noexcept nogil:
    """Whether blocks need not be packed."""
    return is_plain(p) and p.inner.count <= 1 and not (
        p.by_rows and p.length > 1 and p.inner.strides[A][0] != plain_size(p))


cdef inline char* aligned(char* memory) noexcept nogil:
    """Where states begin in memory that has ALIGNMENT bytes more."""
    return memory + (ALIGNMENT - <Py_ssize_t>(<uintptr_t>memory % ALIGNMENT))


cdef char* scratch(const Problem* p, Scratch* s, char* small, size_t extra) noexcept nogil:
    """What one worker needs, and `extra`: in `small`, of SMALL bytes, or memory to free; NULL if there is none.

    With NULL for `small`, in memory to free. `s`: for each of the problems that are together.
    """
    cdef const Reduction* r
    cdef Py_ssize_t k, groups = (min(PANEL, p.outputs) + WIDTH - 1) // WIDTH + 1      # one more, as reduce_row has two
    cdef Py_ssize_t width = PANEL if p.length <= PACKED_AT_ONCE else LANES
    cdef Py_ssize_t block = (BLOCK if p.by_rows else
                             min(BLOCK, p.length) * min(width, (groups - 1) * WIDTH) + LANES)
    cdef size_t size = ALIGNMENT + extra
    cdef bint weighted = False
    cdef char* memory
    cdef char* rest
    for k in range(p.together):
        r = p[k].reduction
        size += groups * (2*r.state_size + r.parameters_size)
        weighted = weighted or p[k].weighted
    size += block * (1 + weighted) * sizeof(double)
    memory = small if size <= SMALL and small != NULL else <char*>malloc(size)
    if memory == NULL:
        return NULL
    rest = aligned(memory)
    for k in range(p.together):
        r = p[k].reduction
        s[k].states = rest
        s[k].superblock_states = s[k].states + groups * r.state_size
        s[k].parameters = s[k].superblock_states + groups * r.state_size
        rest = s[k].parameters + groups * r.parameters_size
        s[k].spare_parameters = rest - r.parameters_size
        s[k].weights_scale = 1
        s[k].has_parameters = False
        s[k].terms[0].terms = s[k].terms[1].terms = s[k].writing = NULL
    for k in range(p.together):             # packed blocks do not outlast a call
        s[k].extra = rest
        s[k].x = <double*>(rest + extra)
        s[k].weights = s[k].x + block
    return memory


cdef inline Py_ssize_t outputs_before_line(const Problem* p, Py_ssize_t output) noexcept nogil:
    """How many outputs from this one on lie before a cache line begins, if tiles may lie in whole lines; else 0.

    Loads that each touch two lines take up to 1.4 x the time. NumPy's arrays begin in the middle of a line.
    """
    cdef Py_ssize_t beyond = <Py_ssize_t>(<uintptr_t>address(p, A, output, 0) % ALIGNMENT)
    if (p.by_rows or beyond == 0 or last_stride(&p.outer, A) != sizeof(double)
            or last_stride(&p.inner, A) % ALIGNMENT or run_length(&p.outer, output) < PANEL):
        return 0
    return (ALIGNMENT - beyond) // <Py_ssize_t>sizeof(double)


cdef inline Py_ssize_t panel_from(const Problem* p, Py_ssize_t output, Py_ssize_t last, bint direct) noexcept nogil:
    """How many outputs the panel that begins with this one has: few, if the next can then begin with a cache line."""
    cdef Py_ssize_t before = outputs_before_line(p, output) if direct else 0
    return min(before if before else PANEL, last - output)


cdef void reduce_outputs(const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Reduces and stores the outputs from `first` to before `last`."""
    cdef bint direct = takes_directly(p)
    cdef Py_ssize_t output = first, count
    if p.together > 1:
        reduce_outputs_together(p, s, first, last)
        return
    while output < last:
        count = panel_from(p, output, last, direct)
        reduce_panel(p, s, output, count, direct)
        output += count


cdef int reduce_all(const Problem* p) except -1 nogil:
    """Reduces and stores every output."""
    cdef Scratch s[TOGETHER]
    cdef char small[SMALL]
    cdef char* memory = scratch(p, s, small, 0)
    if memory == NULL:
        raise MemoryError
    reduce_outputs(p, s, 0, p.outputs)
    if memory != small:
        free(memory)
    return 0
