"""How the process treats memory that it does not need any more."""

from __future__ import annotations

import ctypes
import gc
import sys

MEBIBYTE = 1024 * 1024
LARGE_BYTES = MEBIBYTE
"""What is larger than this is given back as soon as it is freed. No ordinary message is."""

KEPT_BYTES = 8 * MEBIBYTE
"""How much free memory is kept at the end of the heap: asking for it again at each message would cost time."""

_MORE_OBJECTS = 5000  # than before, until the youngest are looked through; a trade at work holds some hundred

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)


def give_back_large_blocks() -> None:
    """
    Have memory for huge messages given back to the system, wherever glibc decides about it; elsewhere nothing happens.

    By itself, glibc takes the first huge block that is freed as a reason to keep all later ones in its heap, which
    shrinks at its end only: one small value that lives on holds a hundred megabytes of nothing for hours.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and no such habit
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def look_through_what_is_new() -> None:
    """
    Have the garbage collector look for cycles among what is made from now on, and less often than by itself.

    What a start has made stays to the end. Looked through again and again it took a tenth of the time of a worker under
    load, and half a hundred milliseconds in one go.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MORE_OBJECTS)
