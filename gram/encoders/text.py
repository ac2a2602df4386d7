"""Captions, subtitles and matching, by one BERT with cross attention (transformers).

Shape letters: B texts, L word pieces, Q condition tokens, D width.
"""

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from gram.encoders.base import Encoded, scale_initial_weights
from gram.types import Tokens


class TextEncoder(nn.Module):
    """BERT. Alone it encodes a text; with condition tokens it reads text and item together.

    Masks are given to transformers as additive (B, 1, 1, L) tensors: a model with cross attention
    is a "decoder" there, and would make a plain 2-D mask causal, which the released model is not.
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
        """Build the network, for ``pieces`` word pieces and texts of up to ``max_tokens``."""
        super().__init__()
        self.width = width
        config = BertConfig(
            vocab_size=pieces,
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=mlp_width,
            max_position_embeddings=max(max_tokens, 512),
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            is_decoder=True,
            add_cross_attention=True,
            use_cache=False,
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        scale_initial_weights(self.bert, width=width)

    def forward(self, texts: Tokens) -> Encoded:
        """Encode texts; a text's vector is its first token."""
        hidden_bld = self._hidden(texts, condition_bqd=None, condition_mask_bq=None)
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
        return self._hidden(
            texts, condition_bqd=condition_bqd, condition_mask_bq=condition_mask_bq
        )[:, 0]

    def _hidden(
        self, texts: Tokens, *, condition_bqd: Tensor | None, condition_mask_bq: Tensor | None
    ) -> Tensor:
        dtype = self.bert.embeddings.word_embeddings.weight.dtype
        cross_mask = None if condition_mask_bq is None else _additive(condition_mask_bq, dtype)
        hidden_bld: Tensor = self.bert(
            input_ids=texts.ids_bl,
            attention_mask=_additive(texts.mask_bl, dtype),
            encoder_hidden_states=condition_bqd,
            encoder_attention_mask=cross_mask,
        ).last_hidden_state
        return hidden_bld


def _additive(mask_bl: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask into what is added to attention logits: 0 or the smallest number."""
    blocked = torch.zeros(mask_bl.shape, dtype=dtype, device=mask_bl.device)
    return blocked.masked_fill(~mask_bl, torch.finfo(dtype).min)[:, None, None, :]
