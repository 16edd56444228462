"""The canonical order of operations, which every kernel follows, and what a reduction is made of.

Element i of the reduced axes, in C order, belongs to lane i % LANES. Blocks of BLOCK elements are summed lane by
lane in order, and their lanes folded by one fixed tree (fold_add in _vector.h). Blocks join the state of their
superblock in order, and superblocks are merged in order. So the bits of a result depend on the values along the
reduced axes alone: not on strides, nor on the level, nor on who computes which superblock.

An element that is absent (masked, of weight 0, or beyond the end) is `neutral` and adds nothing, to the bit.
"""

cdef enum:
    BLOCK = 256                 # 8 terms a lane: 0.39 ns an element in cache, as 512; 128: 0.40
    BLOCK_ROWS = BLOCK // 32    # of LANES each
    EARLY_ROWS = BLOCK_ROWS
    SUPERBLOCK = 64 * BLOCK     # 16384 elements: several in the smallest array worth a second thread
    PANEL = 256                 # outputs whose states are kept at once

cdef struct Block:
    # One output: `rows` rows of LANES consecutive elements and, unless NULL, one more row, `tail`; several blocks.
    # Several outputs side by side: row i is x + i*stride, one element of each output.
    const double* x
    const double* weights       # laid out as x, or NULL
    const double* tail
    const double* tail_weights
    Py_ssize_t rows, stride

cdef struct Reduction:
    # States and parameters are arrays of vectors, each for WIDTH outputs.
    void (*row)(void* state, const void* parameters, const Block*, bint first) noexcept nogil
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
