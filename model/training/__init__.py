"""Training: settled text or finished code comes in, an adapter and the record of how it was made go out.

A night: `night_data` reads (`dataset` splits by time, `curriculum` chooses, `serving` lays rows out, `section_tasks`
cuts sections); `night_stages` trains one adapter: `sft` (`retention` holds what the base was sure of; on other
processes by `runners` and `jobs`), `preference` or `kto` (both in the loop of `tuning`), `section_training` (`writing`
samples, `sections` rewards); `sentinel` watches what it would do, `old_tasks` what it must not forget, `night` decides
whether it may be served, `night_record` keeps what happened. `gate` and `relevance` fit what is no network; `packages`
says whether this installation can train. The shipped adapter below it: `corpus` reads pinned packages (`corpus_files`
says which files are worth it, `edit_corpus` what was written between two versions, `corpus_file` keeps what was read),
`exercises` draws rows at `cursors` from them, `edits` at lines that were really written, `pretraining` trains, on a
GPU many rows at once (`packs` lays them end to end, `packed` computes), `shipping` runs it all; `search_*` does the
same for the encoder of the index, `late_training` for the head that compares part by part.
Nights and the shipped adapter read rows through `network` and `batches` as serving would: side by side (`bundles`,
`lean`), or one by one through transformers' layers (`attention`). Nothing here knows of SQL or editors.
"""
