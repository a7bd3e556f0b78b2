"""What do people know, all sessions together? Items with evidence, relations, contradictions."""
