"""The engine of TSH Console: data, compute, training, decision, execution.

Imports neither ``app`` nor any terminal library. Importing any part of it first points
numba's kernel cache at a per-user folder, because numba reads that setting only once.
"""

from engine.kernel_cache import prepare_kernel_cache

prepare_kernel_cache()

__version__ = "0.1.0"
