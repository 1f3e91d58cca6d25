"""Training: settled text comes in, an adapter and the record of how it was made go out.

`dataset` splits examples by time, `serving` turns them into token sequences, `sft` trains one adapter within a budget,
`night` runs it all and decides whether the adapter may be served. Nothing here knows of SQL or of an editor.
"""
