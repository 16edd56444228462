"""The canonical order of operations, which every kernel follows, and what a reduction is made of.

Element i of the reduced axes, in C order, belongs to lane i % LANES. A block of BLOCK elements is scanned for its
maximum, which may move the reference of the terms; then its terms are summed lane by lane, in order, and the lanes
folded by one fixed tree (fold_add in _vector.h). A block of at most LANES elements has them summed one by one, and the
rounding errors too. Blocks join the state of their superblock in order, and superblocks are merged in order. So the
bits of a result depend on the values along the reduced axes alone: not on strides, nor on the level, nor on who
computes which superblock.

An element that is absent (masked, of weight 0, or beyond the end) is `neutral` and adds nothing to a sum.
"""

from libc.string cimport memset

from ._math cimport *


cdef enum:
    BLOCK_ROWS = 8              # of LANES elements; 16: as fast, but equal terms may be off by 1 unit; 4: slower
    BLOCK = BLOCK_ROWS * 32
    SUPERBLOCK_BLOCKS = 64
    SUPERBLOCK = SUPERBLOCK_BLOCKS * BLOCK      # 16384 elements: several in the smallest array worth a second thread
    PANEL = 256                 # outputs whose states are kept at once
    AHEAD = 8 * BLOCK           # elements between what is scanned and what is prefetched; 2 to 16 blocks: as fast
    PAGE = 4096                 # bytes

cdef struct Block:
    # One output: `rows` rows of LANES consecutive elements and, unless NULL, one more row, `tail`; several blocks.
    # Unless NULL, `singles` are the elements, instead of x. Unless NULL, `ahead` is a whole block, of the same kind,
    # that will be asked for next; if `scanned`, this one has been `ahead`.
    # Unless NULL, `terms` receive what a mapping wants of each element, and `exponents`, for each BLOCK, the reference
    # of that, or NaN where there is none; and unless NULL, `meanwhile(given)` is called once a block.
    # Several outputs side by side: row i is x + i*stride, one element of each output; one block at most. While its
    # row i is summed, row i of `near` and of `far` are prefetched, which come later; their rows are next_stride apart.
    const double* x
    const float* singles
    bint single                 # all elements are floats, to be summed as such
    const double* weights       # laid out as x, or NULL
    const double* tail          # without weights
    Py_ssize_t tail_length      # what is beyond it is neutral
    Py_ssize_t rows, stride
    const double* ahead
    bint scanned
    const double* near          # to the first-level cache
    const double* far           # to the second
    Py_ssize_t next_stride
    double* terms
    double* exponents
    void (*meanwhile)(void* given) noexcept nogil
    void* given

cdef struct Reduction:
    # States and parameters are arrays of vectors, each for WIDTH outputs.
    # row's `extremes` hold what a scan of the first block found, if it was scanned, then that of the one ahead.
    void (*row)(void* state, const void* parameters, const Block*, bint first, double* extremes) noexcept nogil
    void (*tile)(void* states, const void* parameters, const Block*, Py_ssize_t vectors, bint first) noexcept nogil
    # tile and finish at once, for a block of at most LANES rows that is all there is; false: not done
    bint (*short_tile)(const void* parameters, const Block*, Py_ssize_t vectors, double* values) noexcept nogil
    void (*merge)(void* into, const void* other, const void* parameters) noexcept nogil
    void (*finish)(const void* states, const void* parameters, Py_ssize_t vectors, double* values, double* signs,
                   double* lost) noexcept nogil
    void (*parameters)(void* parameters, const double* parameter, double limit) noexcept nogil
    size_t state_size, parameters_size
    double neutral
    double smallest_parameter   # below it in absolute value, absent elements need a weight of 0
    bint logarithmic            # weights c times as large add log(c) / parameter; else they change nothing
    bint keeps                  # a neutral element that is not absent keeps its weight
    # for parameters below, or for all if NaN, it counts even without weights: absent ones need a weight of 0
    double counts_below
    bint uniform                # parameters of outputs side by side must be alike
    bint sums_singles           # minds Block.single


cdef inline Block block_of(const double* x, Py_ssize_t rows, Py_ssize_t stride, bint single) noexcept nogil:
    """Without weights, and nothing known of what comes next."""
    cdef Block b
    memset(&b, 0, sizeof(Block))
    b.x = b.near = b.far = x
    b.rows = rows
    b.stride = b.next_stride = stride
    b.single = single
    return b


cdef inline void prefetch_page(const void* x) noexcept nogil:
    """Asks for a page two pages after `x`, which is prefetched now; once a block.

    The first request to a page has to find out where it lies, and holds up those that follow it.
    """
    prefetch_far(<const char*>x + 2*PAGE)


cdef inline void prefetch_rows(const double* x, Py_ssize_t rows) noexcept nogil:
    """Prefetches all at once what is not prefetched with vectors that are summed, at the end of what is read."""
    cdef Py_ssize_t i
    for i in range(VECTORS * rows):
        prefetch_far(x + WIDTH*i)


cdef inline void prefetch_next(const Block* a, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    """Asks for a cache line for each vector that is summed: a burst of prefetches would stall."""
    prefetch_near(a.near + a.next_stride*i + WIDTH*j)
    prefetch_far(a.far + a.next_stride*i + WIDTH*j)


cdef inline void fold_lanes(vector* lane, Py_ssize_t vectors) noexcept nogil:
    """Folds the lanes of outputs side by side into the first, in the order of fold_add."""
    cdef Py_ssize_t i, half = LANES // 2
    while half:
        for i in range(vectors * half):
            lane[i] = vadd(lane[i], lane[i + vectors*half])
        half //= 2


cdef inline void fold_lanes_closely(vector* lane, Py_ssize_t vectors, vector* error, bint all_steps) noexcept nogil:
    """As fold_closely, for outputs side by side."""
    cdef Py_ssize_t i, j, half
    cdef vector e
    cdef vector rest[LANES]
    if not all_steps:
        for i in range(vectors * 16):
            lane[i] = vadd(lane[i], lane[i + vectors*16])
        for i in range(vectors * 8):
            lane[i] = vadd(lane[i], lane[i + vectors*8])
    for j in range(vectors):
        for i in range(LANES):
            rest[i] = vset(0.0)
        half = 16 if all_steps else 4
        while half:
            for i in range(half):
                lane[i*vectors + j] = two_sum(lane[i*vectors + j], lane[(i + half)*vectors + j], &e)
                rest[i] = vadd(e, vadd(rest[i], rest[i + half]))
            half //= 2
        error[j] = rest[0]


cdef inline void add_in_order(vector* total, vector* error, vector x, bint ordinary) noexcept nogil:
    """total + x, and what rounding left. `ordinary`: total started at FEW_START, so that it is always the larger."""
    cdef vector e
    total[0] = fast_two_sum(total[0], x, &e) if ordinary else two_sum(total[0], x, &e)
    error[0] = vadd(error[0], e)
