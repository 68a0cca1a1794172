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


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> tuple[Any, _Codegen]:
    """As ``lowest_one``, but 64 for zero; uint64, so that it can be an index without a sign."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


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


def _store_row(context: Any, builder: Any, array_type: Any, array: Any, word: Any, row: Any) -> None:
    """Writes 8 words of a flat array from index ``word``."""
    data = context.make_array(array_type)(context, builder, value=array).data
    builder.store(row, builder.bitcast(builder.gep(data, [word]), _ROW.as_pointer()), align=8)


def _same(value: int) -> Any:
    """A row with ``value`` in every lane."""
    return ir.Constant(_ROW, [value] * LANES)


def _place_of(builder: Any, population: Any, row: Any, nth: Any) -> Any:
    """Per lane, the position of the ``nth`` (from 1) set bit of ``row``; 63 when it has fewer.

    It is searched by halves (how many bits does the lower half hold?), in all lanes at once: no
    processor's own "deposit bits" is needed.
    """
    missing, position = nth, _NO_ROW
    for half in (32, 16, 8, 4, 2, 1):
        lower = builder.and_(builder.lshr(row, position), _same((1 << half) - 1))
        count = builder.call(population, [lower])
        beyond = builder.icmp_unsigned("<", count, missing)
        missing = builder.select(beyond, builder.sub(missing, count), missing)
        position = builder.select(beyond, builder.add(position, _same(half)), position)
    return position


@intrinsic
def take_lowest(
    typing_context: Any,
    left: Any,
    left_at: Any,
    right: Any,
    right_at: Any,
    words: Any,
    needs: Any,
    low: Any,
    rest: Any,
    at: Any,
    marks: Any,
    marks_at: Any,
) -> tuple[Any, _Codegen]:
    """Parts what two bit sets share: the ``needs[lane]`` lowest bits of a lane go to ``low``, others to ``rest``.

    All arrays are flat uint64; the sets hold ``words`` rows each, from ``left_at`` and ``right_at``,
    and share at least ``needs[lane]`` bits in every lane. ``low`` and ``rest`` are written from
    ``at``, and from ``marks_at`` three rows: how many bits a lane shares, and the row (from 0) and
    the position of the last one that went to ``low``.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, left_at, right, right_at, words, needs, low, rest, at, marks, marks_at = arguments
        kinds = signature.args
        population = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_ROW, [_ROW]), f"llvm.ctpop.v{LANES}i64"
        )
        needed = _row_at(context, builder, kinds[5], needs, ir.Constant(_WORD, 0))
        missing = cgutils.alloca_once_value(builder, _NO_ROW)  # before each row
        row, nth, number, total = (cgutils.alloca_once_value(builder, _NO_ROW) for _ in range(4))
        builder.store(needed, missing)
        for variable in (row, nth, number, total):
            builder.store(_NO_ROW, variable)
        with cgutils.for_range(builder, words) as loop:  # which row holds the last one to take, and which of it?
            step = builder.mul(loop.index, ir.Constant(_WORD, LANES))
            a = _row_at(context, builder, kinds[0], left, builder.add(left_at, step))
            b = _row_at(context, builder, kinds[2], right, builder.add(right_at, step))
            shared, before = builder.and_(a, b), builder.load(missing)
            _store_row(context, builder, kinds[7], rest, builder.add(at, step), shared)
            some = builder.icmp_unsigned("!=", before, _NO_ROW)
            builder.store(builder.select(some, shared, builder.load(row)), row)
            builder.store(builder.select(some, before, builder.load(nth)), nth)
            index = builder.shuffle_vector(
                builder.insert_element(_NO_ROW, loop.index, ir.Constant(ir.IntType(32), 0)),
                _NO_ROW,
                ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES),
            )
            builder.store(builder.select(some, index, builder.load(number)), number)
            count = builder.call(population, [shared])
            builder.store(builder.add(builder.load(total), count), total)
            enough = builder.icmp_unsigned("<", before, count)
            builder.store(builder.sub(before, builder.select(enough, before, count)), missing)
        place = _place_of(builder, population, builder.load(row), builder.load(nth))
        for k, fact in enumerate((builder.load(total), builder.load(number), place)):
            _store_row(
                context, builder, kinds[9], marks, builder.add(marks_at, ir.Constant(_WORD, k * LANES)), fact
            )
        up_to = builder.sub(builder.shl(_same(2), place), _same(1))  # 2 << 63 is 0: then all are ones
        builder.store(needed, missing)
        with cgutils.for_range(builder, words) as loop:
            here = builder.add(at, builder.mul(loop.index, ir.Constant(_WORD, LANES)))
            shared, before = _row_at(context, builder, kinds[7], rest, here), builder.load(missing)
            count = builder.call(population, [shared])
            whole = builder.icmp_unsigned(">", before, count)
            none = builder.icmp_unsigned("==", before, _NO_ROW)
            part = builder.select(none, _NO_ROW, builder.and_(shared, up_to))
            taken = builder.select(whole, shared, part)
            _store_row(context, builder, kinds[6], low, here, taken)
            _store_row(context, builder, kinds[7], rest, here, builder.xor(shared, taken))
            builder.store(builder.select(whole, builder.sub(before, count), _NO_ROW), missing)
        return context.get_dummy_value()

    flat, place = types.Array(types.uint64, 1, "C"), types.int64
    arguments = (flat, place, flat, place, place, flat, flat, flat, place, flat, place)
    return types.void(*arguments), codegen


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
