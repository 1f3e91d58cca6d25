"""One lock around the import of torch, transformers and what is built on them.

Importing `sentence_transformers` on one thread while another imports `transformers` makes the second one fail with a
half-made module. Whoever imports them on a thread of its own holds `heavy` meanwhile.
"""

import threading

heavy = threading.RLock()
