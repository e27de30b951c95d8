"""Source2Synth (arXiv 2409.08239): questions grounded in real sources, kept only if a model trained on half of them
can answer.
"""
