"""All kernels of the group search and of its shuffles, compiled before the first use."""

from __future__ import annotations

from collections.abc import Callable

from engine.decision import group_kernel
from engine.decision.shuffle_kernels import SHUFFLE_KERNELS
from engine.kernel_cache import compiling

KERNELS = (*group_kernel.KERNELS, *SHUFFLE_KERNELS)


def warm_up(progress: Callable[[int, int, str], None]) -> None:
    """Compiles the kernels, or loads them from the cache; ``progress(done, total, name)`` after each."""
    with compiling():
        for done, (name, kernel, argument_types) in enumerate(KERNELS, start=1):
            kernel.compile(argument_types)
            progress(done, len(KERNELS), f"group search: {name}")
