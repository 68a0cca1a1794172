"""Bit operations for the group kernel that numba does not offer by itself.

They are emitted as plain LLVM instructions (no processor's own intrinsics), so every
processor runs them correctly and one with wide vectors and a vector popcount runs them
in a handful of instructions. A *row* is 8 lanes of 64 bits: lanes 0-4 are the five days,
lanes 5-7 stay zero. numba's cache does not watch what a kernel takes in from another file:
``engine.kernel_cache`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from engine.kernel_cache import prepare_kernel_cache

prepare_kernel_cache()  # before numba is imported: it reads the folder once

from numba import types  # noqa: E402
from numba.core import cgutils as numba_cgutils  # noqa: E402
from numba.extending import intrinsic as numba_intrinsic  # noqa: E402

LANES = 8  # lanes of one row; the first five are days

_WORD = ir.IntType(64)
_ROW = ir.VectorType(_WORD, LANES)
_NO_ROW = ir.Constant(_ROW, [0] * LANES)
cgutils: Any = numba_cgutils
intrinsic: Any = numba_intrinsic  # callers pass what the kernel sees, not the typing context
_Codegen = Callable[[Any, Any, Any, Any], Any]


@intrinsic
def count_ones(typing_context: Any, word: Any) -> tuple[Any, _Codegen]:
    """How many bits of ``word`` (uint64) are set."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), codegen


@intrinsic
def lowest_one(typing_context: Any, word: Any) -> tuple[Any, _Codegen]:
    """Position of the lowest set bit of ``word`` (uint64); undefined for zero."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


def _row_at(context: Any, builder: Any, array_type: Any, array: Any, word: Any) -> Any:
    """Loads 8 words of a flat uint64 array from index ``word``; needs no alignment beyond a word's."""
    data = context.make_array(array_type)(context, builder, value=array).data
    pointer = builder.bitcast(builder.gep(data, [word]), _ROW.as_pointer())
    return builder.load(pointer, align=8)


def _shared_counts(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """<8 x i64>: per lane, the bits that two bit sets of ``words`` rows share."""
    left, left_at, right, right_at, words = arguments[:5]
    population = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_ROW, [_ROW]), f"llvm.ctpop.v{LANES}i64"
    )
    counts = cgutils.alloca_once_value(builder, _NO_ROW)
    with cgutils.for_range(builder, words) as loop:
        step = builder.mul(loop.index, ir.Constant(_WORD, LANES))
        a = _row_at(context, builder, signature.args[0], left, builder.add(left_at, step))
        b = _row_at(context, builder, signature.args[2], right, builder.add(right_at, step))
        found = builder.call(population, [builder.and_(a, b)])
        builder.store(builder.add(builder.load(counts), found), counts)
    return builder.load(counts)


def _lane_sum(builder: Any, row: Any) -> Any:
    """i64: the sum of a row's lanes."""
    total = ir.Constant(_WORD, 0)
    for lane in range(LANES):
        total = builder.add(total, builder.extract_element(row, ir.Constant(ir.IntType(32), lane)))
    return total


@intrinsic
def shares_enough(
    typing_context: Any, left: Any, left_at: Any, right: Any, right_at: Any, words: Any, floors: Any
) -> tuple[Any, _Codegen]:
    """Whether two bit sets share at least ``floors[lane]`` bits in every lane.

    ``left[left_at:]`` and ``right[right_at:]`` hold ``words`` rows each (flat uint64
    arrays), ``floors`` one row.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counts = _shared_counts(context, builder, signature, arguments)
        required = _row_at(context, builder, signature.args[5], arguments[5], ir.Constant(_WORD, 0))
        lacking = builder.bitcast(builder.icmp_unsigned("<", counts, required), ir.IntType(LANES))
        return builder.icmp_unsigned("==", lacking, ir.Constant(ir.IntType(LANES), 0))

    flat = types.Array(types.uint64, 1, "C")
    return types.boolean(flat, types.int64, flat, types.int64, types.int64, flat), codegen


@intrinsic
def shared_total(
    typing_context: Any, left: Any, left_at: Any, right: Any, right_at: Any, words: Any
) -> tuple[Any, _Codegen]:
    """How many bits two bit sets share over all lanes (arguments as ``shares_enough``)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counts = _shared_counts(context, builder, signature, arguments)
        return _lane_sum(builder, counts)

    flat = types.Array(types.uint64, 1, "C")
    return types.int64(flat, types.int64, flat, types.int64, types.int64), codegen


@intrinsic
def masked_sum(typing_context: Any, values: Any, start: Any, mask: Any) -> tuple[Any, _Codegen]:
    """Sum of ``values[start + b]`` over the set bits b of ``mask`` (flat int64 array of 64 from ``start``)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, word = arguments
        octet = ir.IntType(LANES)
        sums = _NO_ROW
        for byte in range(64 // LANES):
            shift = ir.Constant(_WORD, byte * LANES)
            chosen = builder.trunc(builder.lshr(word, shift), octet)
            row = _row_at(context, builder, signature.args[0], array, builder.add(first, shift))
            flags = builder.bitcast(chosen, ir.VectorType(ir.IntType(1), LANES))
            sums = builder.add(sums, builder.select(flags, row, _NO_ROW))
        return _lane_sum(builder, sums)

    return types.int64(types.Array(types.int64, 1, "C"), types.int64, types.uint64), codegen


@intrinsic
def add_row(typing_context: Any, sums: Any, to: Any, values: Any, start: Any) -> tuple[Any, _Codegen]:
    """``sums[to : to + 8] += values[start : start + 8]`` (flat int64 arrays)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, place, source, begin = arguments
        total = builder.add(
            _row_at(context, builder, signature.args[0], target, place),
            _row_at(context, builder, signature.args[2], source, begin),
        )
        data = context.make_array(signature.args[0])(context, builder, value=target).data
        builder.store(total, builder.bitcast(builder.gep(data, [place]), _ROW.as_pointer()), align=8)
        return context.get_dummy_value()

    flat = types.Array(types.int64, 1, "C")
    return types.void(flat, types.int64, flat, types.int64), codegen
