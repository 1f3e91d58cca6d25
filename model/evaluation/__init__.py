"""Evaluation: what is measured about models, on real packages and on later examples.

`cache_*` measures the document cache against full prefill, `completion_*` and `human_eval` what is filled in,
`replay_*` whether nights help on real history, `comparison` and `held_out` two networks on the same rows, `live` and
`shadow` an adapter on trial. Texts and models come in, figures with their uncertainty go out. What a measurement is
good for (may this adapter be served?) is decided in `model.training.night`, for one on trial in `model.adapters`.
"""
