"""Shared fixtures."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]  # so that tests share helpers by name, and use the tools
