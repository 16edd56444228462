"""The guard of bench/guard.py complains where it should: of disassembled loops, and of counts."""

from importlib import util
from pathlib import Path

import pytest

SPEC = util.spec_from_file_location("guard", Path(__file__).parents[1] / "bench" / "guard.py")
assert SPEC is not None
assert SPEC.loader is not None
guard = util.module_from_spec(SPEC)
SPEC.loader.exec_module(guard)

# An outer loop around a loop, and a fold after it, which is in no loop.
WIDE = """
0000000000001000 <row.constprop.0>:
    1000:\tvmulpd %ymm1,%ymm0,%ymm2
    1004:\tvmulsd %xmm4,%xmm4,%xmm4
    1008:\tvmovupd (%rdi),%ymm0
    100c:\tvfmadd213pd 0x40(%rdi),%ymm0,%ymm2
    1010:\tvmaxpd %ymm0,%ymm3,%ymm3
    1014:\tjne    1008 <row.constprop.0+0x8>
    1018:\tvaddsd %xmm4,%xmm5,%xmm5
    101c:\tjb     1000 <row.constprop.0>
    1020:\tvmulsd %xmm0,%xmm1,%xmm1
    1024:\tvmaxsd %xmm0,%xmm1,%xmm1
    1028:\tjmp    2000 <helper>

0000000000002000 <helper>:
    2000:\tvsqrtpd %ymm0,%ymm0
    2004:\tjne    2000 <helper>
    2008:\tcall   3000 <memcpy@plt>
    200c:\tret
"""


def complaints(text: str, kernel: str = "row", register: str = "ymm") -> list[str]:
    return guard.complaints(guard.functions_of(text), [kernel], register)


def test_loops_of_full_width_are_right():
    assert complaints(WIDE) == []


def test_loop_has_no_instructions_of_those_in_it():
    loops = guard.loops_of(guard.functions_of(WIDE)["row.constprop.0"])
    assert [[hex(instruction.address) for instruction in loop] for loop in loops] == [
        ["0x1000", "0x1004", "0x1018", "0x101c"],
        ["0x1008", "0x100c", "0x1010", "0x1014"],
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("vfmadd213pd 0x40(%rdi),%ymm0,%ymm2", "vfmadd213pd 0x40(%rdi),%xmm0,%xmm2", "0x1008: multiplications"),
        ("vfmadd213pd 0x40(%rdi),%ymm0,%ymm2", "vfmadd213sd 0x40(%rdi),%xmm0,%xmm2", "0x1008: multiplications"),
        ("vmulpd %ymm1,%ymm0,%ymm2", "vmulsd %xmm1,%xmm0,%xmm2", "0x1000: multiplications in %ymm 0, narrower 2"),
        ("vmaxpd %ymm0,%ymm3,%ymm3", "vmaxsd %xmm0,%xmm3,%xmm3", "0x1008: maxima in %ymm 0, narrower 1"),
        ("vsqrtpd %ymm0,%ymm0", "vsqrtss %xmm0,%xmm0,%xmm0", "helper, loop at 0x2000: multiplications"),
        ("memcpy@plt", "exp@plt", "exp@plt is called"),
        ("<row.constprop.0>:", "<another>:", "row is not there"),
    ],
)
def test_a_narrow_operation_in_a_loop_is_wrong(old: str, new: str, complaint: str):
    assert old in WIDE
    (wrong,) = complaints(WIDE.replace(old, new))
    assert complaint in wrong


@pytest.mark.parametrize(("scalars", "wrong"), [(2, 0), (4, 1)])
def test_a_scalarised_operation_is_wrong_among_many_vectors(scalars: int, wrong: int):
    """It leaves one for each lane; the end of a fold has fewer."""
    loop = ["vmulpd %ymm1,%ymm0,%ymm2"] * 40 + ["vmulsd %xmm1,%xmm0,%xmm2"] * scalars + ["jne    1000 <row>"]
    text = "\n".join(f"    {address:x}:\t{instruction}" for address, instruction in enumerate(loop, 0x1000))
    assert len(complaints(f"0000000000001000 <row>:\n{text}")) == wrong


def test_a_level_without_its_vectors_is_wrong():
    assert "row has no loop that multiplies or takes maxima in %zmm" in complaints(WIDE, register="zmm")


def test_a_kernel_that_declines_is_right():
    assert complaints("0000000000001000 <row>:\n    1000:\txor    %eax,%eax\n    1002:\tret") == []


def test_packed_and_scalar_differ_in_the_same_registers():
    text = "0000000000001000 <row>:\n    1000:\tmulpd  %xmm0,%xmm1\n    1004:\tjne    1000 <row>"
    assert complaints(text, register="xmm") == []
    assert len(complaints(text.replace("mulpd", "mulsd"), register="xmm")) == 2


def test_kernels_are_those_of_the_tables():
    sources = """
cdef Reduction SUM = Reduction(
    sum_row, sum_tile, NULL, sum_merge, sum_finish, sum_parameters,
    sizeof(State), 0.0, False)

cdef Mapping SHARE = Mapping(
    &SUM, sizeof(Share), share_prepare, share_apply, share_apply, NULL, share_factor, 0.0)
"""
    assert guard.kernel_names(sources) == ["send", "share_apply", "sum_row", "sum_tile"]


def test_counts_may_differ_a_little():
    assert guard.differences({"f": 1030, "g": 970}, {"f": 1000, "g": 1000}) == []


def test_counts_may_neither_rise_nor_fall_by_more():
    counts = {"f": 1031, "g": 969, "new": 1}
    more, fewer, old, new = guard.differences(counts, {"f": 1000, "g": 1000, "old": 1})
    assert more == "f: 1031 instructions, not 1000 (+3.1%), more than before"
    assert fewer == "g: 969 instructions, not 1000 (-3.1%), fewer than before: --write, that they may not come back"
    assert new == "new is a call without a figure: --write"
    assert old == "old is no call: --write"
