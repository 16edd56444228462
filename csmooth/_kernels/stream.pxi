"""Streams: states that go on from one chunk to the next, with the bits of one array that has all the elements.

Elements wait until there is a block of them; blocks join the state of their superblock, and superblocks the total, as
in reduce.pxi. So a stream keeps for each output two states and less than a block of elements. What other streams bring
follows all of its own: it is merged into a third state.
"""

from math import prod

import numpy as np

from libc.stdlib cimport calloc


cdef int go_on(const Problem* p, char* total, char* superblock, Py_ssize_t first, Py_ssize_t last, Py_ssize_t done,
               bint close) except -1 nogil:
    """Adds the elements from `first` to before `last` of each output to states that stand for `done` elements.

    Those are whole blocks, and so are the new ones, unless they are the last: to `close` leaves all in `total`.
    """
    cdef const Reduction* r = p.reduction
    cdef Scratch s
    cdef char small[SMALL]
    cdef char* memory = scratch(p, &s, small, 0)
    cdef double* states[2]
    cdef Py_ssize_t output, count, lane, j, k
    cdef bint scanned, direct = takes_directly(p)
    if memory == NULL:
        raise MemoryError
    for output in range(0, p.outputs, 256):
        count = min(PANEL, p.outputs - output)
        set_parameters(p, &s, output, count)
        if not p.by_rows:
            s.states = total + output // WIDTH * r.state_size
            s.superblock_states = superblock + output // WIDTH * r.state_size
            go_on_with_tiles(p, &s, output, count, first, last, done, direct and not s.has_negative, close)
            continue
        for j in range(count):
            lane = (output + j) % WIDTH
            states[0] = <double*>(total + (output + j) // WIDTH * r.state_size)
            states[1] = <double*>(superblock + (output + j) // WIDTH * r.state_size)
            for k in range(2):
                spread_lane(<double*>(s.superblock_states + k*r.state_size), states[k], lane, r.state_size)
            scanned = False
            go_on_with_row(p, &s, output + j, first, last, done, parameters_of(p, &s, j),
                           direct and not s.has_negative, NAN, &scanned, close)
            for k in range(2):
                set_lane(states[k], lane, <double*>(s.superblock_states + k*r.state_size), r.state_size)
    if memory != small:
        free(memory)
    return 0


cdef int go_on_together(const Problem* p, Py_ssize_t together, char** total, char** superblock, Py_ssize_t first,
                        Py_ssize_t last, Py_ssize_t done) except -1 nogil:
    """As go_on, for several reductions: what the first reads, a superblock at a time, the others find in cache."""
    cdef Py_ssize_t size = last - first, end, k
    if together > 1:
        size = max(1, SUPERBLOCK_BLOCKS // p.outputs) * BLOCK
    while first < last:
        end = min(first + size, last)
        for k in range(together):
            go_on(&p[k], total[k], superblock[k], first, end, done, False)
        done += end - first
        first = end
    return 0


cdef int go_on_shared(const Problem* p, char** total, Py_ssize_t first, Py_ssize_t last, bint begins,
                      int workers) except -1 nogil:
    """As go_on for problems that are together, of one output, with several workers: from one superblock's end to
    another's. `begins`: with no elements in `total`."""
    cdef Scratch s[TOGETHER]
    cdef Py_ssize_t k
    cdef char* memory = scratch(p, s, NULL, 0)
    cdef char* states = memory_for_states(p, workers)
    try:
        if memory == NULL or states == NULL:
            raise MemoryError
        for k in range(p.together):
            set_parameters(&p[k], &s[k], 0, 1)
            spread_lane(<double*>s[k].superblock_states, <double*>total[k], 0, p[k].reduction.state_size)
        share_superblocks(NULL, p, s, 0, aligned(states), workers, first, last, begins)
        for k in range(p.together):
            set_lane(<double*>total[k], 0, <double*>s[k].superblock_states, p[k].reduction.state_size)
    finally:
        free(memory)
        free(states)
    return 0


cdef int merge_states(const Problem* p, char* total, const char* other) except -1 nogil:
    """Merges the states of all outputs."""
    cdef Scratch s
    cdef char* memory = scratch(p, &s, NULL, 2 * p.reduction.state_size)
    cdef Py_ssize_t output, count, offset
    if memory == NULL:
        raise MemoryError
    for output in range(0, p.outputs, 256):
        count = min(PANEL, p.outputs - output)
        offset = output // WIDTH * p.reduction.state_size
        set_parameters(p, &s, output, count)
        s.states = total + offset
        merge_outputs(p, &s, other + offset, count)
    free(memory)
    return 0


cdef int finish_all(const Problem* p, char* states) except -1 nogil:
    """Stores the results of the states of all outputs."""
    cdef Scratch s
    cdef char* memory = scratch(p, &s, NULL, 0)
    cdef Py_ssize_t output, count
    if memory == NULL:
        raise MemoryError
    for output in range(0, p.outputs, 256):
        count = min(PANEL, p.outputs - output)
        set_parameters(p, &s, output, count)
        s.states = states + output // WIDTH * p.reduction.state_size
        finish_panel(p, &s, output, count, False)
    free(memory)
    return 0


cdef enum:
    TOTAL, OPEN, NEXT_TOTAL, NEXT_OPEN, OTHERS, STATES      # OPEN: of the superblock at which a stream has arrived


cdef class Stream:
    """What an accumulator keeps. Each method is safe beside others of the same stream, in whichever threads they run;
    one that fails leaves everything as it was. It may be of several reductions, as those of together.pxi."""
    cdef readonly tuple shape           # of the outputs
    cdef const Reduction* reductions[TOGETHER]
    cdef Py_ssize_t together            # how many
    cdef double parameter
    cdef cnp.ndarray parameters         # an array of this shape, or None,
    cdef cnp.ndarray parameters_in_line         # and the same in one dimension
    cdef Py_ssize_t outputs
    cdef int type_number                # NumPy's, of results: elements are taken for such; -1: not known yet
    cdef bint weighted                  # weights have been given
    cdef Py_ssize_t own, held, others   # elements, of each output: not from other streams; waiting; from other streams
    cdef double* rest                   # waiting, an element of each output, then the next
    cdef double* rest_weights           # or NULL: all 1
    cdef char* memory                   # of states, or NULL
    cdef public object _blank           # which outputs had but absent elements, or None where none
    cdef PyThread_type_lock lock

    def __cinit__(self, *args, **keywords):
        self.type_number = -1
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.rest)
        free(self.rest_weights)
        free(self.memory)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    def _set_up(self, tuple names, tuple shape, parameter):
        """The parameter, which all of these reductions take: a float, or an array of doubles of this shape."""
        cdef Py_ssize_t k
        for k, name in enumerate(names):
            self.reductions[k] = reduction_named(name)
        self.together = len(names)
        self.shape = shape
        self.outputs = prod(shape)
        if isinstance(parameter, float):
            self.parameter = parameter
        else:
            self.parameters = parameter
            self.parameters_in_line = np.ravel(parameter)

    cdef void hold(self) noexcept:
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)

    cdef void let_go(self) noexcept:
        PyThread_release_lock(self.lock)

    # Problems

    cdef void suit(self, Problem* p) noexcept:
        """Chooses the way; elements are summed as those of one array would be."""
        choose(p)
        p.single = (p.reduction.sums_singles and self.type_number == cnp.NPY_FLOAT and not self.weighted
                    and self.own + p.length > LANES)
        if self.weighted:
            p.weighted = True
        p.limit = INFINITY if self.weighted else <double>(self.own + self.others + p.length)

    cdef void set_rest(self, Problem* p, Py_ssize_t k, Py_ssize_t length):
        """The elements that wait, as a problem of the k-th reduction."""
        cdef Py_ssize_t size = sizeof(double)
        begin(p, self.reductions[k])
        p.outer.count = p.inner.count = 1
        p.outer.shape[0] = p.outputs = self.outputs
        p.inner.shape[0] = p.length = length
        p.operands[A] = Operand(<char*>self.rest, FLOAT64, False)
        p.outer.strides[A][0] = p.outer.strides[WEIGHTS][0] = p.outer.strides[PARAMETER][0] = size
        p.inner.strides[A][0] = p.inner.strides[WEIGHTS][0] = size * self.outputs
        if self.parameters is None:
            set_parameter(p, self.parameter)
        else:
            give_parameter(p, self.parameters_in_line)
        if self.rest_weights != NULL:
            p.operands[WEIGHTS] = Operand(<char*>self.rest_weights, FLOAT64, False)
            p.weighted = True
        self.suit(p)
        p.single = p.single and self.own > LANES

    # Elements

    cdef int make_room(self, bint for_weights) except -1:
        """Memory for what waits."""
        cdef Py_ssize_t i, size = BLOCK * self.outputs
        if self.rest == NULL:
            self.rest = <double*>malloc(size * sizeof(double))
        if for_weights and self.rest_weights == NULL:
            self.rest_weights = <double*>malloc(size * sizeof(double))
            for i in range(size if self.rest_weights != NULL else 0):
                self.rest_weights[i] = 1
        if self.rest == NULL or (for_weights and self.rest_weights == NULL):
            raise MemoryError
        return 0

    cdef int make_states(self) except -1:
        cdef size_t size = STATES * self.states_size()
        if self.memory == NULL:
            self.memory = <char*>calloc(ALIGNMENT + size, 1)
            if self.memory == NULL:
                raise MemoryError
        return 0

    cdef size_t size_before(self, Py_ssize_t k) noexcept:
        """Bytes of the states of all reductions before the k-th."""
        cdef size_t size = 0
        cdef Py_ssize_t i
        for i in range(k):
            size += self.reductions[i].state_size
        return (self.outputs + WIDTH - 1) // WIDTH * size

    cdef size_t states_size(self) noexcept:
        return self.size_before(self.together)

    cdef char* states(self, int which, Py_ssize_t k) noexcept:
        """Of the k-th reduction."""
        return aligned(self.memory) + which*self.states_size() + self.size_before(k)

    cdef void copy_states(self, int to, int source) noexcept:
        memcpy(self.states(to, 0), self.states(source, 0), self.states_size())

    cdef void gather(self, const Problem* p, Py_ssize_t waiting, Py_ssize_t first, Py_ssize_t count) noexcept:
        """Lets elements of a chunk wait, after `waiting` others."""
        if count:
            pack(self.rest + waiting*self.outputs, self.outputs, p, A, 0, self.outputs, first, count)
            if self.rest_weights != NULL:
                self.gather_weights(p, waiting, first, count)

    cdef void gather_weights(self, const Problem* p, Py_ssize_t waiting, Py_ssize_t first, Py_ssize_t count) noexcept:
        cdef Problem q = p[0]
        cdef double* x = self.rest + waiting*self.outputs
        cdef double* w = self.rest_weights + waiting*self.outputs
        cdef Py_ssize_t i
        if p.operands[WEIGHTS].data != NULL:
            pack(w, self.outputs, p, WEIGHTS, 0, self.outputs, first, count)
        else:
            for i in range(count * self.outputs):
                w[i] = 1
        q.weighted = True
        if p.operands[WHERE].data != NULL:
            leave_out(x, w, 0, self.outputs, &q, WHERE, False, 0, self.outputs, first, count)
        if p.operands[MASK].data != NULL:
            leave_out(x, w, 0, self.outputs, &q, MASK, True, 0, self.outputs, first, count)
        if p.operands[WEIGHTS_MASK].data != NULL:
            leave_out(x, w, 0, self.outputs, &q, WEIGHTS_MASK, True, 0, self.outputs, first, count)

    cdef int add(self, Problem* p, int workers) except -1:
        """Adds a chunk, a problem for each reduction."""
        cdef Problem rest[TOGETHER]
        cdef char* total[TOGETHER]
        cdef char* superblock[TOGETHER]
        cdef Py_ssize_t lead, whole, left, first, last, end, k, done = self.own - self.held
        cdef bint picks = (p.operands[WEIGHTS].data != NULL or p.operands[WHERE].data != NULL
                           or p.operands[MASK].data != NULL or p.operands[WEIGHTS_MASK].data != NULL)
        cdef bint shared
        if p.length == 0 or self.outputs == 0:
            self.own += p.length
            return 0
        lead = min(p.length, BLOCK - self.held) if self.held or p.length < BLOCK else 0
        whole = (p.length - lead) // BLOCK * BLOCK
        left = p.length - lead - whole
        if lead or left:
            self.make_room(picks)
        self.gather(p, self.held, 0, lead)
        if lead == p.length and self.held + lead < BLOCK:
            self.held += lead
            self.own += lead
            return 0
        self.make_states()
        self.copy_states(NEXT_TOTAL, TOTAL)
        self.copy_states(NEXT_OPEN, OPEN)
        for k in range(self.together):
            total[k] = self.states(NEXT_TOTAL, k)
            superblock[k] = self.states(NEXT_OPEN, k)
            if lead:
                self.set_rest(&rest[k], k, BLOCK)
                rest[k].single = p[k].single
        shared = workers > 1 and self.outputs == 1 and whole >= SHARED
        if shared:
            count_processors()
        first = lead
        end = lead + whole
        with nogil:
            if lead:
                go_on_together(rest, self.together, total, superblock, 0, BLOCK, done)
                done += BLOCK
            if shared:
                last = first + (SUPERBLOCK - done % SUPERBLOCK) % SUPERBLOCK
                go_on_together(p, self.together, total, superblock, first, last, done)
                done += last - first
                first = last
                last = first + (end - first) // SUPERBLOCK * SUPERBLOCK
                p.together = <int>self.together
                go_on_shared(p, total, first, last, done == 0, workers)
                p.together = 1
                done += last - first
                first = last
            go_on_together(p, self.together, total, superblock, first, end, done)
        self.gather(p, 0, end, left)
        self.copy_states(TOTAL, NEXT_TOTAL)
        self.copy_states(OPEN, NEXT_OPEN)
        self.held = left
        self.own += p.length
        return 0

    def _add(self, int type_number, cnp.ndarray a, weights, where, mask, weights_mask, int workers):
        """Adds a chunk whose last dimensions, after those of the outputs, are the stream's."""
        cdef Problem p[TOGETHER]
        cdef Py_ssize_t k
        cdef bint weighted
        cdef int known
        self.hold()
        weighted = self.weighted
        known = self.type_number
        try:
            self.type_number = type_number
            self.weighted = weighted or weights is not None
            for k in range(self.together):
                set_problem(&p[k], self.reductions[k], len(self.shape), a, weights, where, mask, weights_mask,
                            self.parameter if self.parameters is None else self.parameters, None)
                self.suit(&p[k])
            self.add(p, workers)
        except BaseException:
            self.weighted = weighted
            self.type_number = known
            raise
        finally:
            self.let_go()

    def _take(self, a, axis):
        """Adds an array of native floats of the stream's dtype; false for what there is more to look at."""
        cdef Problem p[TOGETHER]
        cdef Py_ssize_t k
        cdef int dimension, workers
        cdef cnp.ndarray chunk
        if type(a) is not cnp.ndarray or self.weighted or self._blank is not None or self.parameters is not None:
            return False
        chunk = a
        if cnp.PyArray_TYPE(chunk) != self.type_number or not cnp.PyArray_ISNOTSWAPPED(chunk):
            return False
        if self.type_number != cnp.NPY_DOUBLE and self.type_number != cnp.NPY_FLOAT:
            return False
        dimension = dimension_of(axis, cnp.PyArray_NDIM(chunk)) if self.shape else EVERY
        if dimension == OTHER:
            return False
        for k in range(self.together):
            begin(&p[k], self.reductions[k])
            set_turned(&p[k], A, chunk, dimension)
            p[k].outputs = product_of(&p[k].outer)
            p[k].length = product_of(&p[k].inner)
            set_parameter(&p[k], self.parameter)
        if p[0].outer.count != len(self.shape):
            return False
        for k, length in enumerate(self.shape):
            if p[0].outer.shape[k] != length:
                return False
        workers = default_workers("", None) if p[0].length >= SHARED else 1
        self.hold()
        try:
            for k in range(self.together):
                self.suit(&p[k])
            self.add(p, workers)
        finally:
            self.let_go()
        return True

    def update_one(self, x):
        """Adds one element, or an array of one for each output; returns the accumulator."""
        if not (isinstance(x, float) and self.add_one(x)):
            self.update(np.asarray(x)[np.newaxis])
        return self

    cdef bint add_one(self, double x) noexcept:
        """Lets an element of a stream of doubles wait; false where there is more to do."""
        if self.rest == NULL or self.type_number != cnp.NPY_DOUBLE or self.shape != () or self._blank is not None:
            return False
        self.hold()
        if self.held + 1 >= BLOCK:
            self.let_go()
            return False
        self.rest[self.held] = x
        if self.rest_weights != NULL:
            self.rest_weights[self.held] = 1
        self.held += 1
        self.own += 1
        self.let_go()
        return True

    # Results

    cdef bint close(self) except -1:
        """Leaves the states of all elements at NEXT_TOTAL; false if there are none. The stream stays as it is."""
        cdef Problem p
        cdef Py_ssize_t k
        if self.own + self.others == 0 or self.outputs == 0:
            return False
        self.make_room(False)
        self.make_states()
        if self.own == 0:
            self.copy_states(NEXT_TOTAL, OTHERS)
            return True
        self.copy_states(NEXT_TOTAL, TOTAL)
        self.copy_states(NEXT_OPEN, OPEN)
        for k in range(self.together):
            self.set_rest(&p, k, self.held)
            go_on(&p, self.states(NEXT_TOTAL, k), self.states(NEXT_OPEN, k), 0, self.held, self.own - self.held, True)
            if self.others:
                merge_states(&p, self.states(NEXT_TOTAL, k), self.states(OTHERS, k))
        return True

    def _finish(self, list outs):
        """Stores the results of each reduction in a contiguous array of floats."""
        cdef Problem p
        cdef Py_ssize_t k
        cdef cnp.ndarray out
        self.hold()
        try:
            if not self.close():
                raise ValueError("no elements")
            for k, out in enumerate(outs):
                self.set_rest(&p, k, self.held)
                p.outer.strides[OUT][0] = cnp.PyArray_ITEMSIZE(out)
                p.operands[OUT] = Operand(cnp.PyArray_BYTES(out), kind_of(out), False)
                p.limit = INFINITY if self.weighted else <double>(self.own + self.others)
                finish_all(&p, self.states(NEXT_TOTAL, k))
        finally:
            self.let_go()

    cdef void set_states(self, Problem* p, Py_ssize_t k, cnp.ndarray values):
        """Has a problem of the k-th reduction give its states to, or take them from, an array of those of all."""
        cdef Py_ssize_t i
        self.set_rest(p, k, 0)
        p.outer.strides[STATE][0] = cnp.PyArray_STRIDE(values, 0)
        p.operands[STATE] = Operand(cnp.PyArray_BYTES(values), FLOAT64, False)
        for i in range(k):
            p.operands[STATE].data += self.reductions[i].state_size // WIDTH

    cdef cnp.ndarray lanes(self, int which):
        """States as an array of doubles, a row for each output, with those of all reductions."""
        cdef Problem p
        cdef Py_ssize_t k
        values = np.empty((self.outputs, self.fields()))
        for k in range(self.together):
            self.set_states(&p, k, values)
            give_states(&p, self.states(which, k), 0, self.outputs)
        return values

    cdef int set_lanes(self, int which, values) except -1:
        cdef Problem p
        cdef Py_ssize_t k
        for k in range(self.together):
            self.set_states(&p, k, np.ascontiguousarray(values, np.float64))
            take_states(&p, self.states(which, k), 0, self.outputs)
        return 0

    cdef Py_ssize_t fields(self):
        """Numbers of the states of an output."""
        return sum([self.reductions[k].state_size for k in range(self.together)]) // (WIDTH * sizeof(double))

    def _closed(self):
        """The states of all elements, a row for each output, or None, and how many elements that are."""
        self.hold()
        try:
            return (self.lanes(NEXT_TOTAL) if self.close() else None), self.own + self.others, self.weighted
        finally:
            self.let_go()

    def _absorb(self, states, Py_ssize_t count, bint weighted, int type_number):
        """Merges what another stream's _closed() gave."""
        cdef Problem p
        cdef Py_ssize_t k
        self.hold()
        try:
            if states is not None:
                self.make_room(False)
                self.make_states()
                self.set_lanes(NEXT_TOTAL, states)
                if self.others:
                    self.copy_states(NEXT_OPEN, OTHERS)
                    for k in range(self.together):
                        self.set_rest(&p, k, 0)
                        merge_states(&p, self.states(NEXT_OPEN, k), self.states(NEXT_TOTAL, k))
                    self.copy_states(OTHERS, NEXT_OPEN)
                else:
                    self.copy_states(OTHERS, NEXT_TOTAL)
            self.others += count
            self.weighted = self.weighted or weighted
            self.type_number = type_number
        finally:
            self.let_go()

    def _clear(self):
        """Forgets all elements."""
        self.hold()
        free(self.rest_weights)
        free(self.memory)
        self.rest_weights = NULL
        self.memory = NULL
        self.own = self.held = self.others = 0
        self.weighted = False
        self.type_number = -1
        self._blank = None
        self.let_go()

    @property
    def count(self):
        """How many elements there were for each output, also those that were left out."""
        return self.own + self.others

    def _get(self):
        """All that the stream knows of its elements."""
        cdef cnp.npy_intp size
        weights = None
        self.hold()
        try:
            size = self.held * self.outputs
            self.make_states()
            self.make_room(False)
            rest = cnp.PyArray_EMPTY(1, &size, cnp.NPY_DOUBLE, 0)
            memcpy(cnp.PyArray_DATA(rest), self.rest, size * sizeof(double))
            if self.rest_weights != NULL:
                weights = cnp.PyArray_EMPTY(1, &size, cnp.NPY_DOUBLE, 0)
                memcpy(cnp.PyArray_DATA(weights), self.rest_weights, size * sizeof(double))
            opened = self.lanes(OPEN)
            if (self.own - self.held) % SUPERBLOCK == 0:
                opened[:] = 0           # what is left there has been merged, if it was there
            return self.own, self.others, self.weighted, rest, weights, self.lanes(TOTAL), opened, self.lanes(OTHERS)
        finally:
            self.let_go()

    def _set(self, Py_ssize_t own, Py_ssize_t others, bint weighted, const double[::1] rest, const double[::1] weights,
             total, opened, merged, int type_number):
        """Takes what _get gave, of a stream as this one, instead of what is there."""
        self.hold()
        try:
            self.make_states()
            self.make_room(weights is not None)
            if weights is None:
                free(self.rest_weights)
                self.rest_weights = NULL
            self.set_lanes(TOTAL, total)
            self.set_lanes(OPEN, opened)
            self.set_lanes(OTHERS, merged)
            self.held = own % BLOCK
            if self.held and self.outputs:
                memcpy(self.rest, &rest[0], self.held * self.outputs * sizeof(double))
                if weights is not None:
                    memcpy(self.rest_weights, &weights[0], self.held * self.outputs * sizeof(double))
            self.own = own
            self.others = others
            self.weighted = weighted
            self.type_number = type_number
        finally:
            self.let_go()
