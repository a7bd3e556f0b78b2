"""What a counter of its own found in `examples/sessions`: it shares no code with the pipeline."""

import json

from places import DATA

EXPECTED = json.loads((DATA / "examples_expected.json").read_text("utf-8"))
FILES: int = EXPECTED["files"]
MESSAGES: int = EXPECTED["messages"]
OUTPUT: int = EXPECTED["tokens"]["output"]
