"""Other harnesses: lm-evaluation-harness, both ways."""
