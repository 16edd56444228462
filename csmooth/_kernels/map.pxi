"""From blocks to as many results: the one place that knows how a map such as softmax walks through its array twice.

First the states of an output (rows) or of a panel of outputs (tiles), as in reduce.pxi, then their elements once more,
in blocks, while they are in cache. Results go straight to where they belong if they lie there as in the input, else
through scratch.
"""

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
            spread_as(p.operands[OUT].kind, address(p, OUT, output + j, element + i), last_stride(&p.inner, OUT),
                      last_stride(&p.outer, OUT), source + i*row_step + j, row_step, run, width)
            j += width
        i += run


cdef inline void blank(const Problem* p, Scratch* s, double* y, Py_ssize_t row_step, Py_ssize_t output,
                       Py_ssize_t columns, Py_ssize_t element, Py_ssize_t rows, double absent) noexcept nogil:
    """Puts `absent` where elements are left out."""
    if p.operands[WHERE].data != NULL:
        leave_out(y, NULL, absent, row_step, p, WHERE, False, output, columns, element, rows)
    if p.operands[MASK].data != NULL:
        leave_out(y, NULL, absent, row_step, p, MASK, True, output, columns, element, rows)


cdef void map_row(const Problem* p, Scratch* s, Py_ssize_t output, const Softmax* m, bint direct,
                  bint out_direct, bint logarithm) noexcept nogil:
    """Writes the results of one output, whose state is known."""
    cdef double absent = -INFINITY if logarithm else 0.0
    cdef double buffer[BLOCK]
    cdef const double* x
    cdef double* y
    cdef Py_ssize_t element = 0, count, whole
    while element < p.length:
        count = min(BLOCK, p.length - element)
        x = s.x
        y = s.x
        whole = (count + WIDTH - 1) // WIDTH
        if direct:
            x = <const double*>address(p, A, output, element)
            y = buffer
            if count % WIDTH:                   # nothing may be read or written beyond the end
                memcpy(s.x, x, count * sizeof(double))
                x = s.x
        else:
            pack_block(p, s, output, 1, element, count, 1, BLOCK, NAN)
        if out_direct and count % WIDTH == 0:
            y = <double*>address(p, OUT, output, element)
        softmax_apply(m, x, WIDTH, y, WIDTH, whole, 1, logarithm)
        if not out_direct or count % WIDTH:
            blank(p, s, y, 1, output, 1, element, count, absent)
            unpack(p, y, 1, output, 1, element, count)
        element += count


cdef void map_tiles(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count, const Softmax* maps,
                    bint direct, bint out_direct, bint logarithm) noexcept nogil:
    """Writes the results of a panel of outputs, whose states are known."""
    cdef double absent = -INFINITY if logarithm else 0.0
    cdef double* y
    cdef Block block
    cdef Py_ssize_t element = 0, rows, j, columns, vectors, stride
    while element < p.length:
        rows = min(BLOCK, p.length - element)
        for j in range(0, count, 32):
            columns = min(LANES, count - j)
            vectors = (columns + WIDTH - 1) // WIDTH
            block = tile_block(p, s, output + j, columns, element, rows, direct)
            y = s.x
            stride = vectors * WIDTH
            if out_direct and columns == stride and run_length(&p.outer, output + j) >= columns:
                y = <double*>address(p, OUT, output + j, element)
                stride = last_stride(&p.inner, OUT) // <Py_ssize_t>sizeof(double)
            softmax_apply(maps + j // WIDTH, block.x, block.stride, y, stride, rows, vectors, logarithm)
            if y == s.x:
                blank(p, s, y, stride, output + j, columns, element, rows, absent)
                unpack(p, y, stride, output + j, columns, element, rows)
        element += rows


cdef void map_panel(const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t count, Softmax* maps, bint direct,
                    bint out_direct, bint logarithm) noexcept nogil:
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef const Parameters* parameters = NULL
    cdef bint scanned = False
    cdef Py_ssize_t j
    if parameter.data != NULL or first == 0:
        set_parameters(p, s, first, count)
    direct = direct and not s.has_negative
    if p.by_rows:
        for j in range(count):
            if parameters == NULL or parameter.data != NULL:
                parameters = <const Parameters*>parameters_of(p, s, j)
            reduce_row(p, s, first + j, parameters, direct, NAN, &scanned)
            maps[0] = softmax_of(<const State*>s.superblock_states, parameters, logarithm)
            map_row(p, s, first + j, maps, direct, out_direct, logarithm)
    else:
        reduce_tiles(p, s, first, count, direct)
        for j in range((count + WIDTH - 1) // WIDTH):
            maps[j] = softmax_of(<const State*>s.states + j, <const Parameters*>s.parameters + j, logarithm)
        map_tiles(p, s, first, count, maps, direct, out_direct, logarithm)


cdef bint is_plain_out(const Problem* p) noexcept nogil:
    """Whether results are doubles, side by side as elements are, and none is left out."""
    cdef Py_ssize_t bits = <Py_ssize_t><uintptr_t>p.operands[OUT].data
    cdef int k
    for k in range(p.outer.count):
        bits |= p.outer.strides[OUT][k]
    for k in range(p.inner.count):
        bits |= p.inner.strides[OUT][k]
    return (p.operands[OUT].kind == FLOAT64 and bits % <Py_ssize_t>sizeof(double) == 0 and p.inner.count <= 1
            and p.operands[WHERE].data == NULL and p.operands[MASK].data == NULL
            and (p.length <= 1 or p.inner.strides[OUT][0] == sizeof(double) if p.by_rows
                 else last_stride(&p.outer, OUT) == sizeof(double)))


cdef int map_all(const Problem* p, bint logarithm) except -1 nogil:
    """Writes the results of every output."""
    cdef Scratch s
    cdef char small[SMALL]
    cdef char* memory = scratch(p, &s, small, (PANEL // WIDTH) * sizeof(Softmax))
    cdef bint direct = takes_directly(p), out_direct = is_plain_out(p)
    cdef Py_ssize_t output
    if memory == NULL:
        raise MemoryError
    for output in range(0, p.outputs, 256):
        map_panel(p, &s, output, min(PANEL, p.outputs - output), <Softmax*>s.extra, direct, out_direct, logarithm)
    if memory != small:
        free(memory)
    return 0
