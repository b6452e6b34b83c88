"""Training a projector and LoRA: alignment by CTC, then next-token tuning through the LLM."""
