import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
pytest.register_assert_rewrite("support.lake")
# The state machine's second interpreter, for a night with the real program.
sys.path.append(str(Path(__file__).parents[1] / "machine"))
