"""Arrays of any layout: where an element lies, which dtype it has, and how blocks of elements are packed.

An array is seen as (outer dimensions, inner dimensions): an output for each index of the outer ones, which are in
any order, and reduced along the inner ones, in their order. Nothing here knows how many of each there are: runs of
elements that are one stride apart are all it asks for.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, copysign, log
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from ._blocks cimport *
from ._math cimport *

cnp.import_array()

cdef enum:
    MAX_DIMS = 64               # as NumPy's
    SHORT = 128                 # rows up to this length are reduced side by side,
    PACKED_AT_ONCE = 4          # and up to this, a panel of them is packed at once
    ALIGNMENT = 64              # of states: a cache line, and the longest vector
    SMALL = 8192                # bytes of scratch on the stack; malloc would take a fifth of a small call

cdef extern from *:
    """
    #define SMALL_WEIGHTS 2.409919865102884e-181   /* 2**-600 */
    """
    double SMALL_WEIGHTS

cdef enum Kind:
    FLOAT64, FLOAT32, FLOAT16, BFLOAT16, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64

ctypedef fused result:
    double
    float
    float16
    bfloat16

ctypedef fused number:
    double
    float
    float16
    bfloat16
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef enum:
    A, WEIGHTS, WHERE, MASK, WEIGHTS_MASK, PARAMETER, OUT, SIGN, RESULTS, SLOPE, STATE, OPERANDS

cdef struct Operand:
    char* data                  # NULL: not given
    Kind kind
    bint swapped                # not in this machine's byte order

cdef struct Dimensions:
    int count
    Py_ssize_t shape[MAX_DIMS + 1]              # the last one is to spare, for sort_dimensions
    Py_ssize_t strides[OPERANDS][MAX_DIMS + 1]  # in bytes

cdef struct Problem:
    int together                # problems that lie side by side from this one on; see together.pxi
    const Reduction* reduction
    Operand operands[OPERANDS]
    Dimensions outer, inner     # OUT, SIGN, SLOPE, STATE and PARAMETER have outer strides alone
    Py_ssize_t outputs, length  # the products of the two shapes
    double parameter            # of all outputs, unless PARAMETER gives one for each
    double limit                # elements that a result stands for; infinite with weights
    double initial
    bint has_initial
    bint weighted               # WEIGHTS are given, or needed to leave elements out
    bint single                 # floats are summed as such
    bint by_rows
    bint streams                # results are so many that they had better not pass through the caches

cdef struct Spout:
    # Results on their way to memory, past the caches in whole vectors: what does not fill one waits for what follows.
    char* to                    # where the first that waits belongs, or the next
    vector part                 # what waits, where a vector begins
    Py_ssize_t waiting          # bytes
    vector block[BLOCK_ROWS * VECTORS]      # for those who cannot send off results one by one

cdef struct Terms:
    # Of a row, as a reduction leaves them for a map: as in Block.
    double* terms
    double exponents[SUPERBLOCK_BLOCKS]

cdef struct Scratch:
    # What one worker needs; `x` and `weights` hold one packed block.
    double* x
    double* weights
    char* states                # of a panel
    char* superblock_states
    char* parameters
    char* spare_parameters      # of one output, in every lane
    char* extra
    Py_ssize_t first            # output of the panel
    double parameter[PANEL]
    bint has_parameters         # those of some panel; they are alike unless there is an array of them
    bint has_negative, has_infinite     # some parameter of the panel is
    double weights_scale        # a power of two by which weights are multiplied, so that sums do not overflow
    double tail[LANES]
    Terms terms[2]              # of even and of odd outputs, if any are stored; else their `terms` are NULL
    void* writing               # what is written while a row is read, or NULL
    double extremes[2]          # of the block that comes next, as the reduction scanned it
    Spout spout


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


cdef inline double double_of(number value) noexcept nogil:
    if number is float16:
        return from_float16(value)
    elif number is bfloat16:
        return from_bfloat16(value)
    else:
        return <double>value


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
            to[i * to_step] = double_of(value)
    elif step == <Py_ssize_t>sizeof(number) and to_step == 1:       # a loop of its own, which vectorises
        for i in range(count):
            memcpy(bytes, source + i*<Py_ssize_t>sizeof(number), sizeof(number))
            to[i] = double_of(value)
    else:
        for i in range(count):
            memcpy(bytes, source + i*step, sizeof(number))
            to[i * to_step] = double_of(value)


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
    """As convert, for doubles whose step is their size, in squares of WIDTH; returns the number of columns done."""
    cdef vector square[WIDTH + 1]     # 2 at least
    cdef const char* p
    cdef Py_ssize_t i, j, k, count
    if rows == 2 and column == 2*<Py_ssize_t>sizeof(double):    # pairs, whose columns need no squares
        for j in range(columns // WIDTH):
            square[0] = vload(<const double*>source + 2*WIDTH*j)
            square[1] = vload(<const double*>source + 2*WIDTH*j + WIDTH)
            vunzip(square)
            vstore(to + WIDTH*j, square[0])
            vstore(to + row_step + WIDTH*j, square[1])
        return columns // WIDTH * WIDTH
    for j in range(columns // WIDTH):
        i = 0
        while i < rows:
            count = min(WIDTH, rows - i)
            p = source + i*<Py_ssize_t>sizeof(double)
            for k in range(WIDTH):
                square[k] = vload_part(<const double*>p, count, vset(0.0))
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
    elif a.kind == FLOAT16:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, SOME_FLOAT16)
    elif a.kind == BFLOAT16:
        convert(to, row_step, source, step, rows, column, columns, a.swapped, SOME_BFLOAT16)
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


# Writing results: double -> dtypes

cdef inline void put(char* to, double value, result kind) noexcept nogil:
    """The number at `to`, which need not be aligned, = value; `kind` only gives the type."""
    cdef result nearest
    if result is float16:
        nearest = to_float16(value)
    elif result is bfloat16:
        nearest = to_bfloat16(value)
    else:
        nearest = <result>value
    memcpy(to, &nearest, sizeof(result))


cdef inline void write(const Problem* p, int operand, Py_ssize_t output, double value) noexcept nogil:
    cdef char* to = p.operands[operand].data + offset(&p.outer, operand, output)
    cdef Kind kind = p.operands[operand].kind
    if kind == FLOAT64:
        put(to, value, <double>0)
    elif kind == FLOAT32:
        put(to, value, <float>0)
    elif kind == FLOAT16:
        put(to, value, SOME_FLOAT16)
    else:
        put(to, value, SOME_BFLOAT16)


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
    cdef double neutral = p.reduction.neutral, most = INFINITY
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
            if scratch.parameter[output + j - scratch.first] < 0:
                for i in range(rows):
                    x[i*row_step + j] = -x[i*row_step + j]
    if p.operands[WEIGHTS].data != NULL:
        pack(w, row_step, p, WEIGHTS, output, columns, element, rows)
        if scratch.has_infinite:        # in the limit a weight only says whether the element exists
            for j in range(columns):
                if scratch.parameter[output + j - scratch.first] in (INFINITY, -INFINITY):
                    for i in range(rows):
                        if w[i*row_step + j] == w[i*row_step + j]:
                            w[i*row_step + j] = w[i*row_step + j] != 0
    elif p.weighted:
        for i in range(rows):
            for j in range(columns):
                w[i*row_step + j] = 1
    if p.operands[WHERE].data != NULL:
        leave_out(x, w, neutral, row_step, p, WHERE, False, output, columns, element, rows)
    if p.operands[MASK].data != NULL:
        leave_out(x, w, neutral, row_step, p, MASK, True, output, columns, element, rows)
    if p.operands[WEIGHTS_MASK].data != NULL:
        leave_out(x, w, neutral, row_step, p, WEIGHTS_MASK, True, output, columns, element, rows)
    if p.weighted:
        if p.reduction.uniform and scratch.parameter[output - scratch.first] < 0:
            most = 0                            # as a power
        for i in range(padded):
            if w[i] != w[i]:
                x[i] = NAN
            elif w[i] == 0 or x[i] >= ceiling:
                x[i] = neutral
                w[i] = 0
            elif (x[i] == neutral) if most > 0 else (x[i] in (INFINITY, -INFINITY)):    # counts only in a mean
                if not p.reduction.keeps or w[i] == INFINITY or w[i] == -INFINITY:
                    w[i] = 0
                w[i] *= scratch.weights_scale
            elif w[i] == INFINITY or w[i] == -INFINITY:     # makes any number infinite
                x[i] = NAN if x[i] != x[i] else copysign(most, x[i]) if p.reduction.uniform else most
                w[i] = 1 if w[i] > 0 else -1
            else:
                w[i] *= scratch.weights_scale


cdef void leave_out(double* x, double* w, double value, Py_ssize_t row_step, const Problem* p, int operand,
                    bint if_true, Py_ssize_t output, Py_ssize_t columns, Py_ssize_t element,
                    Py_ssize_t rows) noexcept nogil:
    """Gives `value`, and no weight, to elements for which an operand of bools is true, or to those where it is not."""
    cdef Py_ssize_t i, j, k, run, step = last_stride(&p.inner, operand)
    cdef const char* source
    for j in range(columns):
        i = 0
        while i < rows:
            run = min(rows - i, run_length(&p.inner, element + i))
            source = address(p, operand, output + j, element + i)
            for k in range(run):
                if (source[k * step] != 0) == if_true:
                    x[(i + k)*row_step + j] = value
                    if w != NULL and p.weighted:
                        w[(i + k)*row_step + j] = 0
            i += run
