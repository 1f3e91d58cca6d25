"""Evaluation: later examples and two models come in, a comparison with its uncertainty goes out.

It only measures. What a measurement is good for (may this adapter be served?) is decided in `model.training.night`.
"""
