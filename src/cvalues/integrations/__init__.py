"""Other tools: tasks and files for Inspect AI, lm-evaluation-harness, OpenCompass, EvalScope, promptfoo and Hugging Face."""
