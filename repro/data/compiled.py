"""Compiled functions: numba's options, and its cache on disk where a folder can be written."""

import warnings

import numba

# numpy's error model: a division by zero gives infinity. The test that raises an error instead would keep loops from
# being vectorised: TV-L1's plain loops take three times as long with it. No fastmath: it gains nothing, and changes roundings.
OPTIONS = {"error_model": "numpy", "nogil": True}
jit = numba.njit(**OPTIONS)


def cached(function):
    """Compiles with numba's cache on disk; where no folder is writable, compiles once per process and warns.

    The cache notices changes in the function's own file only, so a cached function calls no compiled function of
    another file.
    """
    try:
        return numba.njit(cache=True, **OPTIONS)(function)
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        warnings.warn(
            "no writable folder for compiled functions, so every process compiles them again (seconds); "
            "set NUMBA_CACHE_DIR to a writable folder",
            stacklevel=2,
        )
        return jit(function)
