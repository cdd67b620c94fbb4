"""Anti-samples that a model writes itself: a question, a wrong answer and a reason for it (UnSTAR)."""
