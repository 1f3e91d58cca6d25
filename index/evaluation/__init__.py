"""Measuring search: questions whose answers are known, the arms that answer them, and what each of them costs.

Source texts come in, plain figures go out. Which packages those are is decided above; nothing is downloaded here.
"""
