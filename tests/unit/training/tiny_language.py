"""A tiny Llama that knows a little language, and a user of that language.

The language: `<letter>=<colour>`, one colour per letter. The base has learned `HABITS`; a user may have others.
"""

from collections.abc import Mapping
from pathlib import Path

from feedback.examples import Example

HABITS = {"k": "red", "m": "blue", "p": "green", "t": "white", "w": "black", "z": "pink"}
OTHER_HABITS = {"k": "pink", "m": "red", "p": "blue", "t": "green", "w": "white", "z": "black"}


SPECIAL = ("<|endoftext|>", "<file_sep>", "<repo_name>", "<jupyter_output>", "<jupyter_code>")


HOURS = 7200.0  # from one text of somebody to the next, in seconds


def written(habits: Mapping[str, str], count: int, start: int = 0) -> list[Example]:
    """`count` settled regions of somebody with these habits, one every two hours; no two are the same."""
    letters = sorted(habits)
    return [
        Example(
            id=f"example-{number}",
            at=HOURS * number,
            workspace="/home/somebody/project",
            path="a.py",
            language="python",
            prefix=f"# {number * 7919 % 9973}\n{letters[number % len(letters)]}=",
            suffix="",
            target=habits[letters[number % len(letters)]],
            offered="",
            outcome="rejected",
            reward=0.0,
        )
        for number in range(start, start + count)
    ]


def make_base(folder: Path) -> None:
    """Fill `folder` like one of downloaded weights: a two-layer Llama over bytes that learned `HABITS`."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    from model.training.attention import use_block_attention
    from model.training.batches import token_losses
    from model.training.rows import joined
    from model.training.serving import serving_format

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={sign: id for id, sign in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name) for name in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))

    torch.set_num_threads(1)  # several wait for each other on matrices as small as these
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    use_block_attention(model)
    config.save_pretrained(folder)
    encode = serving_format(folder)
    rows = [encode(example).row for example in written(HABITS, 240, start=100_000)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(150):
        together = joined([rows[(step * 16 + number) % len(rows)] for number in range(16)])
        loss = token_losses(model, together)[0].mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert float(loss.detach()) < 0.2, "the tiny base did not learn its language"
    model.save_pretrained(folder)
