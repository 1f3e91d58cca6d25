"""Training: settled text or finished code comes in, an adapter and the record of how it was made go out.

A night: `dataset` splits examples by time, `serving` turns them into rows, `sft` trains one adapter within a budget,
`night` runs it all and decides whether the adapter may be served. The shipped adapter below it: `corpus` reads pinned
packages, `exercises` draws rows from them, `pretraining` trains, `shipping` runs it all. Both read a row through
`network`, `attention` and `batches`, as serving would. Nothing here knows of SQL or of an editor.
"""
