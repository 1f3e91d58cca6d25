"""The local model: weights, the engine that turns a cursor into a completion, the gate, adapters, training.

In come plain requests (`model.completion`) and plain examples (`feedback.examples`); out go completions
or named refusals. Nothing here knows an editor or a database.
"""
