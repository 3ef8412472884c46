"""python -m numconv: info, demo, explain, bench, precompile."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
