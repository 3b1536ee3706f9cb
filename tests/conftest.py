"""Shared fixtures."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # so that test files share helpers by name, like `engine.nodes`
