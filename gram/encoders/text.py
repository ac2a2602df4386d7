"""Captions, subtitles and matching, by one BERT with cross attention (transformers).

Shape letters: B texts, L word pieces, Q condition tokens, D width.
"""

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from gram.encoders.base import Encoded, scale_initial_weights
from gram.encoders.pair_reader import PairReader
from gram.types import Tokens

BLOCKED = -1e4
"""What the released code adds to the logit of a token that is not to be read."""


class TextEncoder(nn.Module):
    """BERT. Alone it encodes a text; with condition tokens it reads text and item together.

    Masks are given to transformers as additive (B, 1, 1 or L, L) tensors: a model with cross
    attention is a "decoder" there, and would make a plain 2-D mask causal, which the released
    model is not.
    """

    def __init__(
        self,
        *,
        pieces: int,
        max_tokens: int,
        width: int,
        depth: int,
        heads: int,
        mlp_width: int,
        dropout: float,
    ) -> None:
        """Build the network, for ``pieces`` word pieces and texts of up to ``max_tokens``.

        Raises:
            ValueError: If the width is no whole number of heads.
        """
        super().__init__()
        if width % heads:
            raise ValueError(
                f"a width of {width} is no whole number of heads ({heads}); change "
                "model.text.width or model.text.heads"
            )
        self.width, self.max_tokens = width, max_tokens
        config = BertConfig(
            vocab_size=pieces,
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=mlp_width,
            max_position_embeddings=max_tokens,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            is_decoder=True,
            add_cross_attention=True,
            use_cache=False,
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.set_attn_implementation("sdpa")
        scale_initial_weights(self.bert, width=width)

    def checkpoint_activations(self) -> None:
        """Compute each layer again in the backward pass instead of keeping its activations."""
        self.bert.activation_checkpointing_enable({"use_reentrant": False})

    def compile_layers(self) -> None:
        """Compile the network with torch.compile, when it is first called."""
        self.bert.compile()

    def forward(self, texts: Tokens) -> Encoded:
        """Encode texts; a text's vector is its first token."""
        hidden_bld = self.read(texts.ids_bl, texts.mask_bl)
        return Encoded(tokens_buld=hidden_bld.unsqueeze(1), pooled_bd=hidden_bld[:, 0])

    def match(self, texts: Tokens, condition_bqd: Tensor, *, condition_mask_bq: Tensor) -> Tensor:
        """Read each text together with its item's condition tokens.

        Args:
            texts: B texts.
            condition_bqd: Condition tokens of the item of each text, shape (B, Q, D).
            condition_mask_bq: True where a condition token counts, bool, shape (B, Q).

        Returns:
            The first token's features, shape (B, D).
        """
        return self.read(
            texts.ids_bl,
            texts.mask_bl,
            condition_bqd=condition_bqd,
            condition_mask_bq=condition_mask_bq,
        )[:, 0]

    def pair_reader(self, texts: Tokens) -> PairReader:
        """Prepare texts to be read with many items: it gives what ``match`` gives, much sooner."""
        return PairReader(self.bert, texts)

    def read(
        self,
        ids_bl: Tensor,
        mask: Tensor,
        *,
        condition_bqd: Tensor | None = None,
        condition_mask_bq: Tensor | None = None,
    ) -> Tensor:
        """Give the features of all tokens of texts.

        Args:
            ids_bl: Numbers of word pieces, int64, shape (B, L).
            mask: True where a token is read, bool. Shape (B, L): by all tokens of its text, those
                in front too. Shape (B, L, L): by the token of the second axis; a causal mask is
                one such.
            condition_bqd: Condition tokens, shape (B, Q, D); none: the text is read alone.
            condition_mask_bq: True where a condition token counts, bool, shape (B, Q); none: all.

        Returns:
            Features, shape (B, L, D).

        Raises:
            ValueError: If a text is longer than ``max_tokens``.
        """
        if ids_bl.shape[1] > self.max_tokens:
            raise ValueError(
                f"the text encoder reads up to {self.max_tokens} tokens, got {ids_bl.shape[1]}; "
                "cut the texts, or change model.text.positions"
            )
        dtype = self.bert.embeddings.word_embeddings.weight.dtype
        cross_mask = None if condition_mask_bq is None else _additive(condition_mask_bq, dtype)
        hidden_bld: Tensor = self.bert(
            input_ids=ids_bl,
            attention_mask=_additive(mask, dtype),
            encoder_hidden_states=condition_bqd,
            encoder_attention_mask=cross_mask,
        ).last_hidden_state
        return hidden_bld


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask, (B, L) or (B, L, L), into what is added to logits: 0 or ``BLOCKED``."""
    added = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    added = added.masked_fill(~mask, BLOCKED)
    return added[:, None] if mask.ndim == 3 else added[:, None, None]
