"""Evaluation: what is measured about models. Two models on later examples, and the document cache on real packages.

Texts and models come in, figures with their uncertainty go out. What a measurement is good for (may this adapter be
served?) is decided in `model.training.night`.
"""
