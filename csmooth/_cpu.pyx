"""What this processor can run; compiled for the baseline, so safe to import anywhere."""

cdef extern from "_cpu.h":
    int _x86_64_level "x86_64_level"() noexcept nogil


def x86_64_level():
    """The x86-64 level (1 to 4) of the processor and its operating system together; 0 elsewhere."""
    return _x86_64_level()
