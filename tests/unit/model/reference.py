"""What transformers says: one forward pass over a whole prompt, with the whole mask written out, in float32.

It shares no arithmetic with the code under test: adapters are merged by peft, rotations are those of transformers. Of
ours it takes only the order of a prompt and the positions of a scheme.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.positions import SchemeName, scheme_for
from model.prompt import Prompt, row_of

_SIZES: dict[str, Any] = {
    "vocab_size": 120,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
}


def random_network(folder: Path, family: str, **more: Any) -> Path:
    """Save a small network of this `model_type`, its biases and norms random too, and return `folder`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(1)
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**_SIZES, **more})).float()
    for name, parameter in made.named_parameters():
        if name.endswith(("bias", "norm.weight")):
            torch.nn.init.normal_(parameter, 1.0 if name.endswith("norm.weight") else 0.0, 0.2)
    made.save_pretrained(folder)
    return folder


class MaskedReference:
    """The base in `folder` in float32, with adapters merged into its weights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[tuple[Path, ...], Any] = {}

    def model(self, adapters: Sequence[Path] = ()) -> Any:
        """The network as transformers loads it and peft merges it; each combination is loaded once."""
        import torch
        from transformers import AutoModelForCausalLM

        if tuple(adapters) not in self._models:
            made = AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32).eval()
            for adapter in adapters:
                from peft import PeftModel

                made = PeftModel.from_pretrained(made, adapter).merge_and_unload()
            self._models[tuple(adapters)] = made.eval()
        return self._models[tuple(adapters)]

    def logits(
        self, prompt: Prompt, scheme: SchemeName = "parallel", adapters: Sequence[Path] = ()
    ) -> NDArray[np.float32]:
        """float32 (tail tokens, vocabulary).

        A document is encoded right behind the sink, wherever the tail sees it. So in this pass, whose positions are
        those of the tail, every document has a copy of the sink of its own right before it, which nothing else sees:
        rotary positions only count by their differences, so that this is exact.
        """
        import torch

        model = self.model(adapters)
        row = row_of(prompt, (), scheme_for(scheme, int(model.config.max_position_embeddings)))
        tokens, positions, owners = list[int](), list[int](), list[int]()
        copies = list[bool]()
        seen_at = [position + moved for position, moved in zip(row.positions, row.moved, strict=True)]
        for token, position, block in zip(row.tokens, seen_at, row.blocks, strict=True):
            if block > 0 and block not in owners:
                tokens += prompt.sink
                positions += range(position - len(prompt.sink), position)
                owners += [block] * len(prompt.sink)
                copies += [True] * len(prompt.sink)
            tokens.append(token)
            positions.append(position)
            owners.append(block)
            copies.append(False)
        owner, order = np.array(owners), np.arange(len(owners))
        from_tail = (owner[:, None] < 0) & ~np.array(copies)[None]
        mask = ((owner[:, None] == owner[None]) | from_tail) & (order[None] <= order[:, None])
        with torch.inference_mode():
            found = model(
                torch.tensor([tokens]),
                attention_mask=torch.from_numpy(mask)[None, None],
                position_ids=torch.tensor([positions]),
            ).logits[0]
        logits: NDArray[np.float32] = found[owner < 0].numpy()
        return logits

    def queries(self, tokens: Sequence[int], position: int = 0) -> NDArray[np.float32]:
        """Rotated queries, float32 (layers, n, heads, head_dim), of plain text that starts at `position`."""
        import torch
        from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

        model, seen = self.model(), list[torch.Tensor]()

        def note(module: Any, inputs: Any, output: torch.Tensor) -> None:
            seen.append(output.view(1, len(tokens), -1, model.config.head_dim).transpose(1, 2))

        attention = [layer.self_attn for layer in model.model.layers]
        hooks = [getattr(one, "q_norm", one.q_proj).register_forward_hook(note) for one in attention]
        positions = torch.arange(position, position + len(tokens))[None]
        with torch.inference_mode():
            model(torch.tensor([list(tokens)]), position_ids=positions)
            cos, sin = model.model.rotary_emb(seen[0], positions)
            rotated = [apply_rotary_pos_emb(one, one, cos, sin)[0][0].transpose(0, 1) for one in seen]
        for hook in hooks:
            hook.remove()
        found: NDArray[np.float32] = torch.stack(rotated).numpy()
        return found
