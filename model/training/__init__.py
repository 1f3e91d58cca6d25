"""Training: settled text or finished code comes in, an adapter and the record of how it was made go out.

A night: `dataset` splits examples by time, `serving` turns them into rows, `night_data` fits them to the budget,
`sft` trains one adapter, `preference` goes on with pairs, `sections` rewards what the model writes itself (not part
of a night yet), `night` runs it all and decides whether the adapter may be served. The shipped adapter below it:
`corpus` reads pinned packages (`corpus_files` says which files are worth it), `exercises` draws rows at `cursors`
from them, `pretraining` trains, `shipping` runs it all. Both read a row through `network`, `attention` and
`batches`, as serving would. Nothing here knows of SQL or of an editor.
"""
