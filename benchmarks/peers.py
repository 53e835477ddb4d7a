"""Whether what we are compared with is there."""

import importlib
import sys
import warnings


def has(package: str) -> bool:
    """Import a package, so that no round pays for that; says so where it is missing."""
    try:
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(package)
    except ImportError as error:
        print(f"not measured against {package}: {error}; pip install 'musicgen-cli[bench]'", file=sys.stderr)
        return False
    return True
