"""Feedback: what was offered, what became of it, and what that is worth, on this machine and only with consent.

In come facts (`feedback.records`) from whoever talks to an editor, and edits for the `Tracker` that infers outcomes.
Out go examples for training (`feedback.examples`), listings, exports and real erasure (`feedback.history`), and, where
somebody chose so, what a team is told (`feedback.sending`). What a night learns from is held here until it is over
(`feedback.held`), so that no text goes for its age meanwhile.
"""
