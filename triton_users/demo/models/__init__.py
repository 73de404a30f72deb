"""The demo models' own code: each file becomes a model.py and runs inside Triton; nothing here imports it."""
