"""The document cache: keys and values of whole documents, computed once and kept on three tiers.

In go keys and values of one document as a runtime computed them, under a key made of everything they depend on; out
they come again, from the accelerator, from host memory or, in eight bits, from disk. Nothing here runs a network.
"""
