"""What computes the network: ONNX Runtime, our own torch forward pass, and transformers as the reference.

Token ids and positions go in, logits come out; keys and values stay in buffers that the runtime owns. Nothing here
knows text, documents or requests.
"""
