"""From blocks to as many results: the one place that knows how a map such as softmax walks through its array twice.

First the states of an output (rows) or of a panel of outputs (tiles), as in reduce.pxi, unless they are given; then
their elements once more, in blocks, while they are in cache. Results go straight to where they belong if they lie there
as in the input, else through scratch; and past the caches, which need not read what they replace, if they are many and
cost little. Then, too, what a row left terms for is written while the next row is read. If asked for, the reduction's
own value is stored on the way, and a sum over the elements, the slope.
"""

# Row i of `rows` starts at x + i*stride, and as far in `weights`, unless that is NULL. Results go to y + i*y_stride,
# what is to be summed to z + i*y_stride, unless that is NULL. Vector j of each row has map j.
ctypedef void (*Apply)(const void* maps, const double* x, const double* weights, Py_ssize_t stride, double* y,
                       double* z, Py_ssize_t y_stride, Py_ssize_t rows, Py_ssize_t vectors) noexcept nogil

cdef struct Factor:
    # factor + rest, by which terms that were stored with this reference are multiplied to make results.
    double exponent
    vector factor, rest

cdef struct Mapping:
    const Reduction* reduction
    size_t map_size
    # What turns elements into results: `map`, for WIDTH outputs
    void (*prepare)(void* map, const void* state, const void* parameters) noexcept nogil
    Apply apply
    Apply apply_packed          # the same where elements are floats and the reduction sums them as such
    # The same for one output, whose floats lie side by side; false: not done; or NULL
    bint (*apply_singles)(const void* map, const float* x, float* y, Py_ssize_t count) noexcept nogil
    # Sets the factor of one output for terms with this reference; false: they have none; or NULL: terms are not used
    bint (*factor)(const void* map, double exponent, Factor* factor) noexcept nogil
    double absent               # the result of elements that are left out
    bint light                  # `apply` costs so little that, where results are many, memory is the limit

cdef struct Writing:
    # The results of a row that are written, block by block, while the next row is read: memory does both at once.
    const Mapping* mapping
    const Problem* problem
    Scratch* scratch
    const void* map
    double* to                      # where they belong
    Py_ssize_t output, element      # up to which they have been written
    Factor factor                   # of what was written last; at first for NaN

cdef struct Slopes:
    # The sums of z: of one output, in every lane, or of a panel of outputs.
    Sum sums[PANEL]


cdef inline void spread_line(char* to, Py_ssize_t step, const double* source, Py_ssize_t source_step,
                             Py_ssize_t count, result kind) noexcept nogil:
    """The number at to + i * step, which need not be aligned, = source[i * source_step]; `kind` only gives the type."""
    cdef Py_ssize_t i
    if step == <Py_ssize_t>sizeof(result) and source_step == 1:     # a loop of its own, which vectorises
        for i in range(count):
            put(to + i*<Py_ssize_t>sizeof(result), source[i], kind)
    else:
        for i in range(count):
            put(to + i*step, source[i * source_step], kind)


cdef inline void spread(char* to, Py_ssize_t step, Py_ssize_t column, const double* source, Py_ssize_t row_step,
                        Py_ssize_t rows, Py_ssize_t columns, result kind) noexcept nogil:
    """The number at to + i * step + j * column = source[i * row_step + j], in the order that suits the target."""
    cdef vector square[WIDTH]
    cdef Py_ssize_t i, j = 0, k
    if columns > 1 and distance(column) < distance(step):
        for i in range(rows):
            spread_line(to + i*step, column, source + i*row_step, 1, columns, kind)
        return
    if result is double:
        while step == sizeof(double) and j + WIDTH <= columns:      # squares of WIDTH, as in transpose
            i = 0
            while i + WIDTH <= rows:
                for k in range(WIDTH):
                    square[k] = vload(source + (i + k)*row_step + j)
                vtranspose(square, WIDTH)
                for k in range(WIDTH):
                    vstore(<double*>(to + i*step + (j + k)*column), square[k])
                i += WIDTH
            for k in range(WIDTH):
                spread_line(to + i*step + (j + k)*column, step, source + i*row_step + j + k, row_step, rows - i, kind)
            j += WIDTH
    while j < columns:
        spread_line(to + j*column, step, source + j, row_step, rows, kind)
        j += 1


cdef void spread_as(Kind kind, char* to, Py_ssize_t step, Py_ssize_t column, const double* source, Py_ssize_t row_step,
                    Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    if kind == FLOAT64:
        spread(to, step, column, source, row_step, rows, columns, <double>0)
    elif kind == FLOAT32:
        spread(to, step, column, source, row_step, rows, columns, <float>0)
    elif kind == FLOAT16:
        spread(to, step, column, source, row_step, rows, columns, SOME_FLOAT16)
    else:
        spread(to, step, column, source, row_step, rows, columns, SOME_BFLOAT16)


cdef void unpack(const Problem* p, const double* source, Py_ssize_t row_step, Py_ssize_t output, Py_ssize_t columns,
                 Py_ssize_t element, Py_ssize_t rows) noexcept nogil:
    """Puts a block of results where it belongs."""
    cdef Py_ssize_t i = 0, j, run, width
    while i < rows:
        run = min(rows - i, run_length(&p.inner, element + i))
        j = 0
        while j < columns:
            width = min(columns - j, run_length(&p.outer, output + j))
            spread_as(p.operands[RESULTS].kind, address(p, RESULTS, output + j, element + i),
                      last_stride(&p.inner, RESULTS), last_stride(&p.outer, RESULTS), source + i*row_step + j, row_step,
                      run, width)
            j += width
        i += run


cdef inline void blank(const Problem* p, Scratch* s, double* y, Py_ssize_t row_step, Py_ssize_t output,
                       Py_ssize_t columns, Py_ssize_t element, Py_ssize_t rows, double absent) noexcept nogil:
    """Puts `absent` where elements are left out."""
    if p.operands[WHERE].data != NULL:
        leave_out(y, NULL, absent, row_step, p, WHERE, False, output, columns, element, rows)
    if p.operands[MASK].data != NULL:
        leave_out(y, NULL, absent, row_step, p, MASK, True, output, columns, element, rows)


cdef inline void add_slopes_of_row(Sum* total, const double* z, Py_ssize_t count) noexcept nogil:
    """Adds a block in the canonical order; up to the next multiple of LANES it holds zeros."""
    cdef Sum lanes[VECTORS]
    cdef Py_ssize_t i, j
    for j in range(VECTORS):
        lanes[j] = no_sum()
        for i in range((count + LANES - 1) // LANES):
            join_one(&lanes[j], vload(z + LANES*i + WIDTH*j))
    lanes[0] = in_order(lanes, count) if count <= LANES else folded(lanes, False)
    join(&total.sum, &total.error, &lanes[0])


cdef inline void add_slopes_of_tile(Sum* totals, const double* z, Py_ssize_t stride, Py_ssize_t rows,
                                    Py_ssize_t vectors) noexcept nogil:
    cdef Sum sums[LANES * VECTORS]
    cdef Py_ssize_t i, j, lanes = LANES if rows > LANES else 1
    for i in range(lanes * vectors):
        sums[i] = no_sum()
    for i in range(rows):
        for j in range(vectors):
            join_one(&sums[i % lanes * vectors + j], vload(z + stride*i + WIDTH*j))
    if lanes > 1:
        fold_sums(sums, vectors, False)
    for j in range(vectors):
        join(&totals[j].sum, &totals[j].error, &sums[j])


cdef inline void join_one(Sum* sum, vector x) noexcept nogil:
    add_to(&sum.sum, &sum.error, x)


cdef inline void spill(Spout* s) noexcept nogil:
    """Nothing follows what waits."""
    if s.waiting:
        memcpy(s.to, &s.part, s.waiting)
        s.waiting = 0


cdef inline bint is_at(const Spout* s, const char* to) noexcept nogil:
    """Whether a vector begins there, and nothing waits."""
    return s.waiting == 0 and <uintptr_t>to % sizeof(vector) == 0


cdef inline Py_ssize_t top_up(Spout* s, char* to, const char* source, Py_ssize_t size) noexcept nogil:
    """Takes the first of `size` bytes, which belong at `to`, until a vector begins there; returns how many."""
    cdef Py_ssize_t part = min(size, -<Py_ssize_t><uintptr_t>to & <Py_ssize_t>(sizeof(vector) - 1))
    if s.waiting and to != s.to + s.waiting:
        spill(s)
    if s.waiting == 0:
        memcpy(to, source, part)
        s.to = to + part
        return part
    memcpy(<char*>&s.part + s.waiting, source, part)
    s.waiting += part
    if s.waiting == <Py_ssize_t>sizeof(vector):
        vstream(<double*>s.to, s.part)
        s.to += sizeof(vector)
        s.waiting = 0
    return part


cdef inline void sent_up_to(Spout* s, char* to) noexcept nogil:
    """Whole vectors were sent, up to here. Their sender counts: s.to, in memory, would be awaited for each."""
    if s.waiting == 0:                  # else what waits was not filled, and none were sent
        s.to = to


cdef inline void keep(Spout* s, const char* source, Py_ssize_t size) noexcept nogil:
    """What is left, less than a vector, if any."""
    if size:
        memcpy(&s.part, source, size)
        s.waiting = size


cdef void pour(Spout* s, char* to, Py_ssize_t size) noexcept nogil:
    """Sends off `size` bytes of s.block, which belong at `to`."""
    cdef const char* source = <const char*>&s.block[0]
    cdef Py_ssize_t done = top_up(s, to, source, size)
    while done + <Py_ssize_t>sizeof(vector) <= size:
        vstream(<double*>(to + done), vload(<const double*>(source + done)))
        done += sizeof(vector)
    sent_up_to(s, to + done)
    keep(s, source + done, size - done)


cdef inline vector with_factor(vector term, const Factor* f) noexcept nogil:
    return vfma1(term, f.factor, vmul(term, f.rest))


cdef void send(const double* terms, const Factor* f, double* y, Py_ssize_t count, Spout* spout) noexcept nogil:
    """Results from terms, through `spout`, unless that is NULL: then they stay in cache."""
    cdef Factor factor = f[0]           # a copy, which no store to y can change
    cdef double part[WIDTH]
    cdef Py_ssize_t i = 0
    if spout != NULL and not is_at(spout, <char*>y):
        vstore(part, with_factor(vload(terms), &factor))
        i = top_up(spout, <char*>y, <char*>part, min(count, WIDTH) * sizeof(double)) // <Py_ssize_t>sizeof(double)
    while i + WIDTH <= count:
        if spout != NULL:
            vstream(y + i, with_factor(vload(terms + i), &factor))
        else:
            vstore(y + i, with_factor(vload(terms + i), &factor))
        i += WIDTH
    if spout != NULL:
        sent_up_to(spout, <char*>(y + i))
    if i < count:
        vstore(part, with_factor(vload(terms + i), &factor))
        if spout != NULL:
            keep(spout, <char*>part, (count - i) * sizeof(double))
        else:
            memcpy(y + i, part, (count - i) * sizeof(double))


cdef inline Py_ssize_t alike(const double* exponents, Py_ssize_t block, Py_ssize_t last) noexcept nogil:
    """Where the blocks from this one on end that have the same reference; those with none are single."""
    cdef Py_ssize_t end = block + 1
    while end * BLOCK < last and exponents[end] == exponents[block]:
        end += 1
    return min(end * BLOCK, last)


cdef void map_row(const Mapping* m, const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t first, Py_ssize_t last,
                  const void* map, bint direct, bint out_direct, Sum* slope) noexcept nogil:
    """Writes the results of elements `first` to before `last` of one output.

    Unless there are terms, a block begins at `first`.
    """
    cdef const Terms* stored = &s.terms[output % 2]
    cdef Factor factor
    cdef double buffer[BLOCK]
    cdef double sloped[BLOCK]
    cdef Apply apply = m.apply_packed if p.single else m.apply
    cdef double* z = sloped if slope != NULL else NULL
    cdef const double* x
    cdef const double* w
    cdef double* y
    cdef char* to
    cdef bint pours
    cdef Py_ssize_t element = first, count, whole, i
    if slope != NULL:
        slope[0] = no_sum()
    if p.single:
        if (direct and out_direct and m.apply_singles != NULL and slope == NULL and m.apply_singles(
                map, <const float*>address(p, A, output, first), <float*>address(p, RESULTS, output, first),
                last - first)):
            return
        direct = out_direct = False
    pours = p.streams and out_direct and m.light
    while element < last:
        to = address(p, RESULTS, output, element)
        if direct and out_direct and stored.terms != NULL:
            if m.factor(map, stored.exponents[element // BLOCK], &factor):
                count = alike(stored.exponents, element // BLOCK, last) - element
                send(stored.terms + element, &factor, <double*>to, count, &s.spout if p.streams else NULL)
                element += count
                continue
        count = min(BLOCK, last - element)
        x = s.x
        y = s.x
        w = NULL
        whole = (count + WIDTH - 1) // WIDTH
        if direct:
            x = <const double*>address(p, A, output, element)
            y = buffer
            if count % WIDTH:                   # nothing may be read or written beyond the end
                memcpy(s.x, x, count * sizeof(double))
                x = s.x
        else:
            pack_block(p, s, output, 1, element, count, 1, BLOCK, NAN)
            w = s.weights if p.weighted else NULL
        if pours:
            y = <double*>&s.spout.block[0]
        elif out_direct and count % WIDTH == 0:
            y = <double*>to
        apply(map, x, w, WIDTH, y, z, WIDTH, whole, 1)
        if slope != NULL:
            for i in range(count, (count + LANES - 1) // LANES * LANES):
                z[i] = 0
            add_slopes_of_row(slope, z, count)
        if pours:
            pour(&s.spout, to, count * sizeof(double))
        elif not out_direct or count % WIDTH:
            blank(p, s, y, 1, output, 1, element, count, m.absent)
            unpack(p, y, 1, output, 1, element, count)
        element += count


cdef inline Writing writing_of(const Mapping* m, const Problem* p, Scratch* s, const void* map,
                               Py_ssize_t output) noexcept nogil:
    return Writing(m, p, s, map, <double*>address(p, RESULTS, output, 0), output, 0,
                   Factor(NAN, vset(0.0), vset(0.0)))


cdef void write_a_block(void* writing) noexcept nogil:
    """Writes the next BLOCK results, but for those after the last place where a vector begins; or what is left."""
    cdef Writing* w = <Writing*>writing
    cdef const Terms* stored
    cdef Py_ssize_t first = w.element, length = w.problem.length, end = first + BLOCK
    cdef double exponent
    if first == length:
        return
    stored = &w.scratch.terms[w.output % 2]
    end = min(length, end - <Py_ssize_t>(<uintptr_t>(w.to + end) % sizeof(vector) // sizeof(double)))
    w.element = end
    exponent = stored.exponents[first // BLOCK]
    if exponent == stored.exponents[(end - 1) // BLOCK] and (
            exponent == w.factor.exponent or w.mapping.factor(w.map, exponent, &w.factor)):
        send(stored.terms + first, &w.factor, w.to + first, end - first, &w.scratch.spout)
    else:
        map_row(w.mapping, w.problem, w.scratch, w.output, first, end, w.map, True, True, NULL)


cdef inline void write_all(Writing* w) noexcept nogil:
    while w.element < w.problem.length:
        write_a_block(w)


cdef void map_tiles(const Mapping* m, const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count,
                    Py_ssize_t first, Py_ssize_t last, const char* maps, bint direct, bint out_direct, double* z,
                    Slopes* slopes) noexcept nogil:
    """Writes the results of elements `first`, where a block begins, to before `last` of a panel of outputs."""
    cdef Apply apply = m.apply_packed if p.single else m.apply
    cdef double* y
    cdef Block block
    cdef Py_ssize_t element = first, rows, j, columns, vectors, stride, y_stride
    for j in range((count + WIDTH - 1) // WIDTH if z != NULL else 0):
        slopes.sums[j] = no_sum()
    while element < last:
        rows = min(BLOCK, last - element)
        for j in range(0, count, 32):
            columns = min(LANES, count - j)
            vectors = (columns + WIDTH - 1) // WIDTH
            block = tile_block(p, s, output + j, columns, element, rows, direct)
            y = s.x
            stride = y_stride = vectors * WIDTH
            if (out_direct and z == NULL and columns == stride and run_length(&p.outer, output + j) >= columns):
                y = <double*>address(p, RESULTS, output + j, element)
                y_stride = last_stride(&p.inner, RESULTS) // <Py_ssize_t>sizeof(double)
            apply(maps + j // WIDTH * m.map_size, block.x, block.weights, block.stride, y, z, y_stride, rows, vectors)
            if z != NULL:
                add_slopes_of_tile(&slopes.sums[j // WIDTH], z, stride, rows, vectors)
            if y == s.x:
                blank(p, s, y, stride, output + j, columns, element, rows, m.absent)
                unpack(p, y, stride, output + j, columns, element, rows)
        element += rows


cdef void map_panel(const Mapping* m, const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t count, char* maps,
                    bint direct, bint out_direct, double* z, Slopes* slopes) noexcept nogil:
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef const Reduction* r = p.reduction
    cdef char* parameters = NULL
    cdef bint scanned = False, given = p.operands[STATE].data != NULL, later
    cdef Writing writing        # at first of a row that has been written
    cdef Sum slope
    cdef Py_ssize_t i, j, g
    set_parameters(p, s, first, count)
    direct = direct and not s.has_negative
    writing.problem = p
    writing.element = p.length
    later = direct and p.streams and s.terms[0].terms != NULL
    s.writing = &writing if later else NULL
    if given:
        take_states(p, s.states, first, count)
    if p.by_rows:
        for j in range(count):
            if parameters == NULL or parameter.data != NULL:
                parameters = parameters_of(p, s, j)
            if given:
                spread_lane(<double*>s.superblock_states, <double*>(s.states + j // WIDTH * r.state_size), j % WIDTH,
                            r.state_size)
            else:
                reduce_row(p, s, first + j, parameters, direct, NAN, &scanned)
                set_lane(<double*>(s.states + j // WIDTH * r.state_size), j % WIDTH,
                         <double*>s.superblock_states, r.state_size)
            if p.has_initial:                   # in a vector of outputs, when all are there
                if j % WIDTH != WIDTH - 1 and j != count - 1:
                    continue
                add_initial(p, s, j // WIDTH, NAN)
            if later:
                write_all(&writing)
                m.prepare(maps, s.superblock_states, parameters)
                writing = writing_of(m, p, s, maps, first + j)
                continue
            for i in range(j // WIDTH * WIDTH if p.has_initial else j, j + 1):
                if p.has_initial:
                    spread_lane(<double*>s.superblock_states, <double*>(s.states + i // WIDTH * r.state_size),
                                i % WIDTH, r.state_size)
                    if parameter.data != NULL:
                        parameters = parameters_of(p, s, i)
                m.prepare(maps, s.superblock_states, parameters)
                map_row(m, p, s, first + i, 0, p.length, maps, direct, out_direct, &slope if z != NULL else NULL)
                if z != NULL:
                    set_lane(<double*>&slopes.sums[i // WIDTH], i % WIDTH, <double*>&slope, sizeof(Sum))
        write_all(&writing)
        s.writing = NULL
    else:
        if not given:
            reduce_tiles(p, s, first, count, direct)
        for g in range((count + WIDTH - 1) // WIDTH):
            if p.has_initial:
                add_initial(p, s, g, NAN)
            m.prepare(maps + g*m.map_size, s.states + g*r.state_size, s.parameters + g*r.parameters_size)
        map_tiles(m, p, s, first, count, 0, p.length, maps, direct, out_direct, z, slopes)
    if z != NULL:
        for g in range((count + WIDTH - 1) // WIDTH if p.has_initial else 0):
            m.prepare(maps, s.states + g*r.state_size, s.parameters + g*r.parameters_size)
            for i in range(WIDTH):
                s.tail[i] = -p.initial if s.parameter[g*WIDTH + i] < 0 else p.initial
            m.apply(maps, s.tail, NULL, WIDTH, s.x, z, WIDTH, 1, 1)
            join_one(&slopes.sums[g], vload(z))
        store_slopes(p, slopes, first, count)
    if p.operands[OUT].data != NULL:
        finish_panel(p, s, first, count, True)


cdef inline void spread_lane(double* to, const double* source, Py_ssize_t lane, size_t size) noexcept nogil:
    """Copies a lane of one group's state to every lane of another's."""
    cdef Py_ssize_t field, j
    for field in range(<Py_ssize_t>(size // (WIDTH * sizeof(double)))):
        for j in range(WIDTH):
            to[field*WIDTH + j] = source[field*WIDTH + lane]


cdef void store_slopes(const Problem* p, const Slopes* slopes, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    cdef double lanes[WIDTH]
    cdef Py_ssize_t j
    for j in range(count):
        if j % WIDTH == 0:
            vstore(lanes, vadd(slopes.sums[j // WIDTH].sum, slopes.sums[j // WIDTH].error))
        write(p, SLOPE, first + j, lanes[j % WIDTH])


cdef bint is_plain_out(const Problem* p) noexcept nogil:
    """Whether results need no conversion, lie side by side as elements do, and none is left out."""
    cdef Py_ssize_t size = plain_size(p)
    cdef Py_ssize_t bits = <Py_ssize_t><uintptr_t>p.operands[RESULTS].data
    cdef int k
    for k in range(p.outer.count):
        bits |= p.outer.strides[RESULTS][k]
    for k in range(p.inner.count):
        bits |= p.inner.strides[RESULTS][k]
    return (p.operands[RESULTS].kind == plain_kind(p) and bits % size == 0 and p.inner.count <= 1
            and p.operands[WHERE].data == NULL and p.operands[MASK].data == NULL
            and (p.length <= 1 or p.inner.strides[RESULTS][0] == size if p.by_rows
                 else last_stride(&p.outer, RESULTS) == size))


cdef inline bint stores_terms(const Mapping* m, const Problem* p) noexcept nogil:
    """Whether the reduction leaves the terms of a row for the map."""
    return (m.factor != NULL and takes_directly(p) and is_plain_out(p) and p.by_rows and p.length <= SUPERBLOCK
            and not p.single and not p.has_initial and p.operands[SLOPE].data == NULL
            and p.operands[STATE].data == NULL)


cdef inline Py_ssize_t stored_length(const Problem* p) noexcept nogil:
    """Of terms: whole rows are written, and a whole vector is read from the last one on."""
    return (p.length // LANES + 2) * LANES


cdef char* map_scratch(const Mapping* m, const Problem* p, Scratch* s, char* small) noexcept nogil:
    """As scratch, with what map_outputs needs."""
    cdef size_t size = (PANEL // WIDTH) * m.map_size
    if p.operands[SLOPE].data != NULL:
        size += sizeof(Slopes) + LANES * BLOCK * sizeof(double)
    if stores_terms(m, p):
        size += (1 + p.streams) * stored_length(p) * sizeof(double)
    return scratch(p, s, small, size)


cdef void map_outputs(const Mapping* m, const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Writes the results of the outputs from `first` to before `last`."""
    cdef bint direct = takes_directly(p), out_direct = is_plain_out(p)
    cdef char* rest = s.extra + (PANEL // WIDTH) * m.map_size
    cdef Slopes* slopes = <Slopes*>rest
    cdef double* z = <double*>(slopes + 1) if p.operands[SLOPE].data != NULL else NULL
    cdef Py_ssize_t output = first, count
    if stores_terms(m, p):
        s.terms[0].terms = <double*>rest
        s.terms[1].terms = s.terms[0].terms + (stored_length(p) if p.streams else 0)
    s.spout.waiting = 0
    while output < last:
        count = panel_from(p, output, last, direct)
        map_panel(m, p, s, output, count, s.extra, direct, out_direct, z, slopes)
        output += count
    spill(&s.spout)
    if p.streams:
        stream_end()


cdef int map_all(const Mapping* m, const Problem* p) except -1 nogil:
    """Writes the results of every output."""
    cdef Scratch s
    cdef char small[SMALL]
    cdef char* memory = map_scratch(m, p, &s, small)
    if memory == NULL:
        raise MemoryError
    map_outputs(m, p, &s, 0, p.outputs)
    if memory != small:
        free(memory)
    return 0
