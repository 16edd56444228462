"""From arrays of any layout to blocks: the one place that knows strides, dtypes, masks, weights and tails.

An array is seen as (outer dimensions, inner dimensions): an output for each index of the outer ones, which are in
any order, and reduced along the inner ones, in their order. Dimensions are merged where strides allow, so that
most calls end with one of each. Then either

    rows    one output after the other, lanes along the inner dimension, or
    tiles   up to LANES outputs side by side, for short or strided rows.

A block that lies in memory as a kernel wants it is used where it is. Any other is first packed into scratch that
stays in cache: converted, sign-flipped, absent elements replaced by the neutral one.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, log
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ._blocks cimport BLOCK, BLOCK_ROWS, PANEL, SUPERBLOCK, Block, Reduction
from ._math cimport *

cnp.import_array()

cdef enum:
    MAX_DIMS = 64               # as NumPy's
    # Cython's range() takes only literals as steps; below, 32 is LANES and 256 is PANEL.
    NEAR = 4096                 # bytes that may be prefetched into the first-level cache
    SHORT = 128                 # rows up to this length are reduced side by side
    ALIGNMENT = 64              # of states: a cache line, and the longest vector

cdef extern from *:
    """
    #define SMALL_WEIGHTS 2.409919865102884e-181   /* 2**-600 */
    """
    double SMALL_WEIGHTS

cdef enum Kind:
    FLOAT64, FLOAT32, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64

ctypedef fused number:
    double
    float
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef enum:
    A, WEIGHTS, WHERE, MASK, WEIGHTS_MASK, PARAMETER, OUT, SIGN, OPERANDS

cdef struct Operand:
    char* data                  # NULL: not given
    Kind kind
    bint swapped                # not in this machine's byte order

cdef struct Dimensions:
    int count
    Py_ssize_t shape[MAX_DIMS + 1]              # the last one is to spare, for sort_dimensions
    Py_ssize_t strides[OPERANDS][MAX_DIMS + 1]  # in bytes

cdef struct Problem:
    const Reduction* reduction
    Operand operands[OPERANDS]
    Dimensions outer, inner     # OUT, SIGN and PARAMETER have outer strides alone
    Py_ssize_t outputs, length  # the products of the two shapes
    double parameter            # of all outputs, unless PARAMETER gives one for each
    double initial
    bint has_initial
    bint weighted               # WEIGHTS are given, or needed to leave elements out
    bint by_rows

cdef struct Scratch:
    # What one worker needs; `x` and `weights` hold one packed block.
    double* x
    double* weights
    char* states                # of a panel
    char* superblock_states
    char* parameters
    char* spare_parameters      # of one output, in every lane
    double parameter[PANEL]
    bint has_negative, has_infinite     # some parameter of the panel is
    double weights_scale        # a power of two by which weights are multiplied, so that sums do not overflow
    double tail[LANES]
    double largest              # the maximum of the block that comes next


# Reading operands: index -> offset, dtypes -> double

cdef inline Py_ssize_t distance(Py_ssize_t stride) noexcept nogil:
    return -stride if stride < 0 else stride


cdef inline Py_ssize_t offset(const Dimensions* d, int operand, Py_ssize_t index) noexcept nogil:
    """The bytes from an operand's start to the element of this index in C order."""
    cdef const Py_ssize_t* strides = d.strides[operand]
    cdef Py_ssize_t total = 0
    cdef int k
    if d.count == 0:
        return 0
    for k in range(d.count - 1, 0, -1):
        total += index % d.shape[k] * strides[k]
        index //= d.shape[k]
    return total + index * strides[0]


cdef inline Py_ssize_t run_length(const Dimensions* d, Py_ssize_t index) noexcept nogil:
    """How many elements from this index on are last_stride() apart."""
    if d.count < 2:                 # one dimension: no division
        return d.shape[0] - index if d.count else 1
    return d.shape[d.count - 1] - index % d.shape[d.count - 1]


cdef inline Py_ssize_t last_stride(const Dimensions* d, int operand) noexcept nogil:
    return d.strides[operand][d.count - 1] if d.count else 0


cdef inline char* address(const Problem* p, int operand, Py_ssize_t output, Py_ssize_t element) noexcept nogil:
    return p.operands[operand].data + offset(&p.outer, operand, output) + offset(&p.inner, operand, element)


cdef inline void convert_line(double* to, Py_ssize_t to_step, const char* source, Py_ssize_t step, Py_ssize_t count,
                              bint swapped, number kind) noexcept nogil:
    """to[i * to_step] = the number at source + i * step, which need not be aligned; `kind` only gives the type."""
    cdef Py_ssize_t i, k
    cdef number value
    cdef char* bytes = <char*>&value
    if swapped:
        for i in range(count):
            for k in range(<Py_ssize_t>sizeof(number)):
                bytes[k] = source[i*step + <Py_ssize_t>sizeof(number) - 1 - k]
            to[i * to_step] = <double>value
    elif step == <Py_ssize_t>sizeof(number) and to_step == 1:       # a loop of its own, which vectorises
        for i in range(count):
            memcpy(bytes, source + i*<Py_ssize_t>sizeof(number), sizeof(number))
            to[i] = <double>value
    else:
        for i in range(count):
            memcpy(bytes, source + i*step, sizeof(number))
            to[i * to_step] = <double>value


cdef inline void convert(double* to, Py_ssize_t row_step, const char* source, Py_ssize_t step, Py_ssize_t rows,
                         Py_ssize_t column, Py_ssize_t columns, bint swapped, number kind) noexcept nogil:
    """to[i * row_step + j] = the number at source + i * step + j * column, in the order that suits the source."""
    cdef Py_ssize_t i
    if columns > 1 and distance(column) < distance(step):
        for i in range(rows):
            convert_line(to + i*row_step, 1, source + i*step, column, columns, swapped, kind)
    else:
        for i in range(columns):
            convert_line(to + i, row_step, source + i*column, step, rows, swapped, kind)


cdef Py_ssize_t transpose(double* to, Py_ssize_t row_step, const char* source, Py_ssize_t rows, Py_ssize_t column,
                          Py_ssize_t columns) noexcept nogil:
    """As convert, for doubles whose step is their size, in squares of WIDTH; returns the number of columns done.

    Asks for the columns that follow, which come next: into the first-level cache if they are few, else into the
    second, as they would push out what is in use. For (10**6, 8) and (10**5, 50) in memory, ns an element: 1.5 and 1.4
    if always into the first, 1.8 and 1.05 if always into the second.
    """
    cdef vector square[WIDTH]
    cdef const char* p
    cdef Py_ssize_t i, j, k, count, lead = columns * column
    cdef bint near = distance(lead) <= NEAR
    for j in range(columns // WIDTH):
        i = 0
        while i < rows:
            count = min(WIDTH, rows - i)
            p = source + i*<Py_ssize_t>sizeof(double)
            for k in range(WIDTH):
                square[k] = vload_part(<const double*>p, count, vset(0.0))
                if near:
                    prefetch_near(p + lead)
                else:
                    prefetch_far(p + lead)
                p += column
            vtranspose(square, count)
            for k in range(count):
                vstore(to + (i + k)*row_step, square[k])
            i += WIDTH
        source += WIDTH * column
        to += WIDTH
    return columns // WIDTH * WIDTH


cdef void read(double* to, Py_ssize_t row_step, const Operand* a, const char* source, Py_ssize_t step,
               Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    """As convert, with the dtype of an operand."""
    cdef Py_ssize_t done = 0
    if a.kind == FLOAT64 and not a.swapped and step == sizeof(double):
        done = transpose(to, row_step, source, rows, column, columns)
        to += done
        source += done * column
        columns -= done
    if a.kind == FLOAT64:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <double>0)
    elif a.kind == FLOAT32:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <float>0)
    elif a.kind == INT8:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <int8_t>0)
    elif a.kind == INT16:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <int16_t>0)
    elif a.kind == INT32:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <int32_t>0)
    elif a.kind == INT64:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <int64_t>0)
    elif a.kind == UINT8:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <uint8_t>0)
    elif a.kind == UINT16:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <uint16_t>0)
    elif a.kind == UINT32:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <uint32_t>0)
    else:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, <uint64_t>0)


cdef inline void write(const Problem* p, int operand, Py_ssize_t output, double value) noexcept nogil:
    cdef char* to = p.operands[operand].data + offset(&p.outer, operand, output)
    cdef float single = <float>value
    if p.operands[operand].kind == FLOAT64:
        memcpy(to, &value, sizeof(double))
    else:
        memcpy(to, &single, sizeof(float))


# Packing: `rows` consecutive elements of `columns` consecutive outputs; row i starts at to + i * row_step

cdef void pack(double* to, Py_ssize_t row_step, const Problem* p, int operand, Py_ssize_t output,
               Py_ssize_t columns, Py_ssize_t element, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t step = last_stride(&p.inner, operand), column = last_stride(&p.outer, operand)
    cdef Py_ssize_t i = 0, j, run, width
    while i < rows:
        run = min(rows - i, run_length(&p.inner, element + i))
        j = 0
        while j < columns:
            width = min(columns - j, run_length(&p.outer, output + j))
            read(to + i*row_step + j, row_step, &p.operands[operand], address(p, operand, output + j, element + i),
                 step, run, column, width)
            j += width
        i += run


cdef void pack_block(const Problem* p, Scratch* scratch, Py_ssize_t output, Py_ssize_t columns, Py_ssize_t element,
                     Py_ssize_t rows, Py_ssize_t row_step, Py_ssize_t padded, double ceiling) noexcept nogil:
    """Packs `padded` elements: those of the block, and neutral ones in the places between and after them.

    Elements from `ceiling` on are left out.
    """
    cdef double* x = scratch.x
    cdef double* w = scratch.weights
    cdef double neutral = p.reduction.neutral
    cdef Py_ssize_t i, j
    if columns != row_step or rows * row_step != padded:
        for i in range(padded):
            x[i] = neutral
        if p.weighted:
            for i in range(padded):
                w[i] = 0
    pack(x, row_step, p, A, output, columns, element, rows)
    if scratch.has_negative:
        for j in range(columns):
            if scratch.parameter[(output + j) % PANEL] < 0:
                for i in range(rows):
                    x[i*row_step + j] = -x[i*row_step + j]
    if p.operands[WEIGHTS].data != NULL:
        pack(w, row_step, p, WEIGHTS, output, columns, element, rows)
        if scratch.has_infinite:        # in the limit a weight only says whether the element exists
            for j in range(columns):
                if scratch.parameter[(output + j) % PANEL] in (INFINITY, -INFINITY):
                    for i in range(rows):
                        if w[i*row_step + j] == w[i*row_step + j]:
                            w[i*row_step + j] = w[i*row_step + j] != 0
    elif p.weighted:
        for i in range(rows):
            for j in range(columns):
                w[i*row_step + j] = 1
    if p.operands[WHERE].data != NULL:
        leave_out(x, w, row_step, p, WHERE, False, output, columns, element, rows)
    if p.operands[MASK].data != NULL:
        leave_out(x, w, row_step, p, MASK, True, output, columns, element, rows)
    if p.operands[WEIGHTS_MASK].data != NULL:
        leave_out(x, w, row_step, p, WEIGHTS_MASK, True, output, columns, element, rows)
    if p.weighted:
        for i in range(padded):
            if w[i] != w[i]:
                x[i] = NAN
            elif w[i] == 0 or x[i] == neutral or x[i] >= ceiling:
                x[i] = neutral
                w[i] = 0
            elif w[i] == INFINITY or w[i] == -INFINITY:     # makes any element infinite
                x[i] = INFINITY
                w[i] = 1 if w[i] > 0 else -1
            else:
                w[i] *= scratch.weights_scale


cdef void leave_out(double* x, double* w, Py_ssize_t row_step, const Problem* p, int operand, bint if_true,
                    Py_ssize_t output, Py_ssize_t columns, Py_ssize_t element, Py_ssize_t rows) noexcept nogil:
    """Makes neutral the elements for which an operand of bools is true, or those for which it is false."""
    cdef Py_ssize_t i, j, k, run, step = last_stride(&p.inner, operand)
    cdef const char* source
    for j in range(columns):
        i = 0
        while i < rows:
            run = min(rows - i, run_length(&p.inner, element + i))
            source = address(p, operand, output + j, element + i)
            for k in range(run):
                if (source[k * step] != 0) == if_true:
                    x[(i + k)*row_step + j] = p.reduction.neutral
                    if p.weighted:
                        w[(i + k)*row_step + j] = 0
            i += run


# Blocks: where they lie if a kernel can take them as they are, else packed

cdef inline bint is_plain(const Problem* p) noexcept nogil:
    """Whether the elements are aligned doubles, and all of them count."""
    cdef const Operand* a = &p.operands[A]
    cdef Py_ssize_t bits = <Py_ssize_t><uintptr_t>a.data
    cdef int k
    for k in range(p.outer.count):
        bits |= p.outer.strides[A][k]
    for k in range(p.inner.count):
        bits |= p.inner.strides[A][k]
    return (a.kind == FLOAT64 and not a.swapped and bits % <Py_ssize_t>sizeof(double) == 0 and not p.weighted
            and p.operands[WHERE].data == NULL and p.operands[MASK].data == NULL
            and p.operands[WEIGHTS_MASK].data == NULL)


cdef inline Block row_block(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t element, Py_ssize_t count,
                            bint direct, double ceiling) noexcept nogil:
    cdef Block b = Block(s.x, NULL, NULL, (count + LANES - 1) // LANES, LANES, NULL, False)
    cdef Py_ssize_t j, left = count % LANES
    if not direct:
        pack_block(p, s, output, 1, element, count, 1, b.rows * LANES, ceiling)
        if p.weighted:
            b.weights = s.weights
        return b
    b.x = <const double*>address(p, A, output, element)
    if left:
        b.rows -= 1
        b.tail = &s.tail[0]
        for j in range(VECTORS):
            vstore(&s.tail[WIDTH * j], vload_part(b.x + LANES*b.rows + WIDTH*j, left - WIDTH*j,
                                                  vset(p.reduction.neutral)))
    return b


cdef inline Block tile_block(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t columns, Py_ssize_t element,
                             Py_ssize_t rows, bint direct) noexcept nogil:
    cdef Py_ssize_t stride = (columns + WIDTH - 1) // WIDTH * WIDTH
    cdef Block b = Block(s.x, NULL, NULL, rows, stride, NULL, False)
    if (direct and columns == stride and last_stride(&p.outer, A) == sizeof(double)
            and run_length(&p.outer, output) >= columns):
        b.x = <const double*>address(p, A, output, element)
        b.stride = last_stride(&p.inner, A) // <Py_ssize_t>sizeof(double)
    else:
        pack_block(p, s, output, columns, element, rows, stride, rows * stride, NAN)
        if p.weighted:
            b.weights = s.weights
    return b


# Reductions of one output, of a panel of outputs, of all

cdef void reduce_row(const Problem* p, Scratch* s, Py_ssize_t output, const void* parameters, bint direct,
                     double ceiling, bint* scanned) noexcept nogil:
    """Leaves the state of one output, in every lane, in s.superblock_states.

    `scanned` says whether s.largest holds the maximum of its first block; then, whether that of the next output's.
    """
    cdef const Reduction* r = p.reduction
    cdef char* total = s.superblock_states
    cdef char* state = total
    cdef Block block
    cdef Py_ssize_t element = 0, count, next_output, next_element
    while element < p.length:
        count = min(SUPERBLOCK if direct else BLOCK, p.length - element)
        block = row_block(p, s, output, element, count, direct, ceiling)
        if direct:
            block.scanned = scanned[0]
            next_element = (element + count) % p.length
            next_output = output + (next_element == 0)
            scanned[0] = next_output < p.outputs and p.length - next_element >= BLOCK
            if scanned[0]:
                block.ahead = <const double*>address(p, A, next_output, next_element)
        r.row(state, parameters, &block, element % SUPERBLOCK == 0, &s.largest)
        element += count
        if element % SUPERBLOCK == 0 or element == p.length:
            if state != total:
                r.merge(total, state, parameters)
            state = total + r.state_size


cdef void reduce_tiles(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count, bint direct) noexcept nogil:
    """Leaves the states of a panel in s.states: a block of each tile, then the next block."""
    cdef const Reduction* r = p.reduction
    cdef char* states = s.states
    cdef Block block
    cdef Py_ssize_t element = 0, rows, j, g, columns, vectors
    while element < p.length:
        rows = min(BLOCK, p.length - element)
        for j in range(0, count, 32):
            columns = min(LANES, count - j)
            vectors = (columns + WIDTH - 1) // WIDTH
            block = tile_block(p, s, output + j, columns, element, rows, direct)
            g = j // WIDTH
            r.tile(states + g*r.state_size, s.parameters + g*r.parameters_size, &block, vectors,
                   element % SUPERBLOCK == 0)
        element += rows
        if element % SUPERBLOCK == 0 or element == p.length:
            if states != s.states:
                for g in range((count + WIDTH - 1) // WIDTH):
                    r.merge(s.states + g*r.state_size, states + g*r.state_size, s.parameters + g*r.parameters_size)
            states = s.superblock_states


cdef void add_initial(const Problem* p, Scratch* s, Py_ssize_t group, double ceiling) noexcept nogil:
    """Merges one more element, `initial`, into the states of a group of outputs."""
    cdef const Reduction* r = p.reduction
    cdef double weights[WIDTH]
    cdef Block block = Block(&s.tail[0], &weights[0], NULL, 1, WIDTH, NULL, False)
    cdef Py_ssize_t j
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
    p.reduction.parameters(s.spare_parameters, lanes, limit(p))
    return s.spare_parameters


cdef void set_parameters(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count) noexcept nogil:
    """Fills in the parameters of a panel."""
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef Py_ssize_t g, j, groups = (count + WIDTH - 1) // WIDTH
    for j in range(groups * WIDTH):
        s.parameter[j] = p.parameter
        if parameter.data != NULL and j < count:
            read(&s.parameter[j], 1, parameter, parameter.data + offset(&p.outer, PARAMETER, output + j), 0, 1, 0, 1)
    s.has_negative = s.has_infinite = False
    for j in range(count):
        s.has_negative = s.has_negative or s.parameter[j] < 0
        s.has_infinite = s.has_infinite or s.parameter[j] in (INFINITY, -INFINITY)
    for g in range(groups):
        p.reduction.parameters(s.parameters + g*p.reduction.parameters_size, &s.parameter[g * WIDTH], limit(p))


cdef inline double limit(const Problem* p) noexcept nogil:
    return INFINITY if p.operands[WEIGHTS].data != NULL else <double>(p.length + p.has_initial)


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
    if p.operands[OUT].kind == FLOAT64 and last_stride(&p.outer, OUT) == sizeof(double) and p.outer.count == 1:
        memcpy(p.operands[OUT].data + offset(&p.outer, OUT, output), values, count * sizeof(double))
    else:
        for j in range(count):
            write(p, OUT, output + j, values[j])


cdef bint reduce_short(const Problem* p, Scratch* s, Py_ssize_t output, Py_ssize_t count, bint direct) noexcept nogil:
    """Reduces and stores a panel of short rows without states, unless it returns false."""
    cdef const Reduction* r = p.reduction
    cdef double values[LANES]
    cdef Py_ssize_t j, columns
    cdef Block block
    for j in range(0, count, 32):
        columns = min(LANES, count - j)
        block = tile_block(p, s, output + j, columns, 0, p.length, direct)
        if not r.short_tile(s.parameters + j // WIDTH * r.parameters_size, &block, (columns + WIDTH - 1) // WIDTH,
                            values):
            return False
        store(p, output + j, columns, values, NULL)
    return True


cdef void reduce_panel(const Problem* p, Scratch* s, Py_ssize_t first, Py_ssize_t count, bint direct) noexcept nogil:
    """Reduces and stores the outputs from `first`, a multiple of PANEL, on."""
    cdef const Reduction* r = p.reduction
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef Py_ssize_t groups = (count + WIDTH - 1) // WIDTH, g, j, output
    cdef double values[LANES]
    cdef double signs[LANES]
    cdef double lost[LANES]
    cdef char* parameters = NULL
    cdef bint scanned = False
    cdef Block nothing = Block(s.x, NULL, NULL, 0, WIDTH, NULL, False)

    if parameter.data != NULL or first == 0:
        set_parameters(p, s, first, count)
    direct = direct and not s.has_negative
    if (0 < p.length <= LANES and not p.by_rows and not p.weighted and not p.has_initial
            and p.operands[SIGN].data == NULL and reduce_short(p, s, first, count, direct)):
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
    for output in range(first, first + count, 32):
        g = (output - first) // WIDTH
        r.finish(s.states + g*r.state_size, s.parameters + g*r.parameters_size, min(VECTORS, groups - g),
                 values, signs, lost)
        store(p, output, min(LANES, first + count - output), values, signs)
        if p.weighted:
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
        values[lane] -= log(s.weights_scale) / s.parameter[j]
        s.weights_scale = 1
    store(p, first + j, 1, &values[lane], &signs[lane])


cdef int reduce_all(const Problem* p) except -1 nogil:
    """Reduces and stores every output."""
    cdef const Reduction* r = p.reduction
    cdef bint direct = is_plain(p) and p.inner.count <= 1
    cdef Py_ssize_t groups = (min(PANEL, p.outputs) + WIDTH - 1) // WIDTH + 1      # one more, as reduce_row has two
    cdef Py_ssize_t output, block = BLOCK if p.by_rows else BLOCK * LANES
    cdef size_t states_size = groups * r.state_size, parameters_size = groups * r.parameters_size
    cdef Scratch s
    cdef char* memory
    if p.by_rows:
        direct = direct and (p.length <= 1 or p.inner.strides[A][0] == sizeof(double))
    memory = <char*>malloc(ALIGNMENT + 2*states_size + parameters_size + block * (1 + p.weighted) * sizeof(double))
    if memory == NULL:
        raise MemoryError
    s.states = memory + (ALIGNMENT - <Py_ssize_t>(<uintptr_t>memory % ALIGNMENT))
    s.superblock_states = s.states + states_size
    s.parameters = s.superblock_states + states_size
    s.spare_parameters = s.parameters + (groups - 1) * r.parameters_size
    s.x = <double*>(s.parameters + parameters_size)
    s.weights = s.x + block
    s.weights_scale = 1
    for output in range(0, p.outputs, 256):
        reduce_panel(p, &s, output, min(PANEL, p.outputs - output), direct)
    free(memory)
    return 0


# From Python: arrays whose outer dimensions come first

cdef void set_operand(Problem* p, int operand, cnp.ndarray array, int inner_dims) noexcept:
    cdef Operand* a = &p.operands[operand]
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(array)
    cdef int type_number = cnp.PyArray_TYPE(array)
    cdef int k
    a.data = cnp.PyArray_BYTES(array)
    a.swapped = cnp.PyArray_ISBYTESWAPPED(array)
    if type_number == cnp.NPY_DOUBLE:
        a.kind = FLOAT64
    elif type_number == cnp.NPY_FLOAT:
        a.kind = FLOAT32
    elif cnp.PyTypeNum_ISSIGNED(type_number):
        a.kind = INT8 if size == 1 else INT16 if size == 2 else INT32 if size == 4 else INT64
    else:
        a.kind = UINT8 if size == 1 else UINT16 if size == 2 else UINT32 if size == 4 else UINT64
    for k in range(p.outer.count):
        p.outer.strides[operand][k] = cnp.PyArray_STRIDE(array, k)
    for k in range(p.inner.count):      # 0 where the operand has no inner dimensions: it stands still there
        p.inner.strides[operand][k] = cnp.PyArray_STRIDE(array, p.outer.count + k) if k < inner_dims else 0


cdef void move_dimension(Dimensions* d, int to, int source) noexcept nogil:
    cdef int operand
    d.shape[to] = d.shape[source]
    for operand in range(OPERANDS):
        d.strides[operand][to] = d.strides[operand][source]


cdef void sort_dimensions(Dimensions* d) noexcept nogil:
    """Puts the shortest strides of A last, as results do not depend on the order of outputs."""
    cdef int i, j
    for i in range(1, d.count):
        move_dimension(d, MAX_DIMS, i)
        j = i
        while j > 0 and distance(d.strides[A][j - 1]) < distance(d.strides[A][MAX_DIMS]):
            move_dimension(d, j, j - 1)
            j -= 1
        move_dimension(d, j, MAX_DIMS)


cdef void merge_dimensions(const Problem* p, Dimensions* d) noexcept nogil:
    """Joins neighbours that every operand walks through as through one; drops those of length 1."""
    cdef int i, operand, kept = 0
    cdef bint joins
    for i in range(d.count):
        if d.shape[i] == 1:
            continue
        joins = kept > 0
        for operand in range(OPERANDS):
            if joins and p.operands[operand].data != NULL:
                joins = d.strides[operand][kept - 1] == d.strides[operand][i] * d.shape[i]
        if joins:
            d.shape[i] *= d.shape[kept - 1]
            kept -= 1
        move_dimension(d, kept, i)
        kept += 1
    d.count = kept


cdef bint has_small_parameter(const Problem* p) noexcept nogil:
    cdef const Operand* parameter = &p.operands[PARAMETER]
    cdef Py_ssize_t output
    cdef double value
    for output in range(p.outputs):
        read(&value, 1, parameter, parameter.data + offset(&p.outer, PARAMETER, output), 0, 1, 0, 1)
        if -p.reduction.smallest_parameter < value < p.reduction.smallest_parameter:
            return True
    return False


cdef reduce_arrays(const Reduction* reduction, int outer_dims, cnp.ndarray a, weights, where, mask, weights_mask,
                   parameter, initial, cnp.ndarray out, sign):
    """Reduces the dimensions of `a` after the first `outer_dims` into `out`, which has only those.

    a, weights: numbers; where, mask, weights_mask: bool; all of one shape. parameter: a number, or an array of the
    shape of out. initial: a number. weights, where, masks, initial, sign: or None. out, sign: float64 or float32.
    """
    cdef Problem p
    cdef int k, inner_dims = cnp.PyArray_NDIM(a) - outer_dims
    p.reduction = reduction
    p.outer.count = outer_dims
    p.inner.count = inner_dims
    p.outputs = p.length = 1
    for k in range(outer_dims):
        p.outer.shape[k] = cnp.PyArray_DIM(a, k)
        p.outputs *= p.outer.shape[k]
    for k in range(inner_dims):
        p.inner.shape[k] = cnp.PyArray_DIM(a, outer_dims + k)
        p.length *= p.inner.shape[k]
    for k in range(OPERANDS):
        p.operands[k].data = NULL
    set_operand(&p, A, a, inner_dims)
    if weights is not None:
        set_operand(&p, WEIGHTS, weights, inner_dims)
    if where is not None:
        set_operand(&p, WHERE, where, inner_dims)
    if mask is not None:
        set_operand(&p, MASK, mask, inner_dims)
    if weights_mask is not None:
        set_operand(&p, WEIGHTS_MASK, weights_mask, inner_dims)
    p.parameter = 0
    if isinstance(parameter, float):
        p.parameter = parameter
        p.weighted = abs(p.parameter) < reduction.smallest_parameter
    else:
        set_operand(&p, PARAMETER, parameter, 0)
        p.weighted = has_small_parameter(&p)
    p.weighted = p.weighted or weights is not None
    p.has_initial = initial is not None
    p.initial = initial if p.has_initial else 0
    set_operand(&p, OUT, out, 0)
    if sign is not None:
        set_operand(&p, SIGN, sign, 0)
    with nogil:
        sort_dimensions(&p.outer)
        merge_dimensions(&p, &p.outer)
        merge_dimensions(&p, &p.inner)
        p.by_rows = p.outputs == 1 or (p.length > SHORT and distance(last_stride(&p.inner, A))
                                       <= distance(last_stride(&p.outer, A)))
        reduce_all(&p)


cdef reduce_vector(const Reduction* reduction, cnp.ndarray a, double parameter):
    """The reduction of all elements as a scalar; None unless they are native floats that lie side by side."""
    cdef Problem p
    cdef int operand, type_number = cnp.PyArray_TYPE(a)
    cdef double value                       # or a float, in its first bytes
    if (type_number != cnp.NPY_DOUBLE and type_number != cnp.NPY_FLOAT) or not cnp.PyArray_ISCARRAY_RO(a):
        return None
    p.reduction = reduction
    p.outer.count = 0
    p.inner.count = 1
    p.inner.shape[0] = p.length = cnp.PyArray_SIZE(a)
    p.inner.strides[A][0] = cnp.PyArray_ITEMSIZE(a)
    for operand in range(OPERANDS):
        p.operands[operand].data = NULL
    p.operands[A] = Operand(cnp.PyArray_BYTES(a), FLOAT64 if type_number == cnp.NPY_DOUBLE else FLOAT32, False)
    p.operands[OUT] = Operand(<char*>&value, p.operands[A].kind, False)
    p.outputs = 1
    p.parameter = parameter
    p.weighted = p.has_initial = False
    p.by_rows = True
    if p.length > BLOCK:                    # releasing the lock pays
        with nogil:
            reduce_all(&p)
    else:
        reduce_all(&p)
    return cnp.PyArray_ToScalar(&value, a)
