"""Reads many pairs of a text and an item by one BERT, and computes what pairs share only once.

- Before the first cross attention a text knows no item: so far it is computed once a text.
- Keys and values of an item's tokens are computed once for all texts that are read with it.
- Texts stand one behind the other without padding; only their own attention puts them in rows.
- Of the last layer the head reads the first token alone, so only that one is computed.

Shape letters: N texts, B texts of a call, L word pieces of the longest of them, T word pieces of
all of them, Q condition tokens, H heads, D width.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import BertModel

from gram.types import Tokens

PREPARED_AT_ONCE = 256
"""Texts that are read at once as far as they know no item: in rows, for their attention."""


class PairReader:
    """Texts, ready to be read with one item after the other, without gradient and dropout."""

    def __init__(self, bert: BertModel, texts: Tokens) -> None:
        """Read the texts as far as they are the same with every item.

        Args:
            bert: The network, with cross attention, in evaluation mode.
            texts: N texts, one at least, on the network's device. The first piece of each counts.

        Raises:
            ValueError: If the network is in training mode, or the first piece of a text is masked.
        """
        if bert.training:
            raise ValueError(
                "pairs are read without dropout, and the model is in training mode; call eval()"
            )
        if not bool(texts.mask_bl[:, :1].all()):
            raise ValueError(
                "the first piece of a text is what the matching head reads, and a mask hides it; "
                "let the mask begin with True"
            )
        self._layers: list[Any] = list(bert.encoder.layer)  # torch types them as any module
        self._heads = bert.config.num_attention_heads
        length_n = texts.mask_bl.sum(dim=1)
        self._length_n, self._start_n = length_n, length_n.cumsum(0) - length_n
        parts = []
        for start in range(0, len(length_n), PREPARED_AT_ONCE):
            part = slice(start, start + PREPARED_AT_ONCE)
            hidden_td = bert.embeddings(input_ids=texts.ids_bl[part])[texts.mask_bl[part]]
            parts.append(self._read_texts(0, hidden_td, _rows_of(length_n[part])))
        self._hidden_td = torch.cat(parts)
        self._query_td = self._layers[0].crossattention.self.query(self._hidden_td)

    def first_tokens(self, rows_b: Tensor, condition_1qd: Tensor, *, mask_1q: Tensor) -> Tensor:
        """Read some of the texts together with the condition tokens of one item.

        Args:
            rows_b: Which of the N texts, int64, shape (B,).
            condition_1qd: Condition tokens of the item, shape (1, Q, D).
            mask_1q: True where a condition token counts, bool, shape (1, Q).

        Returns:
            The features of the first token, shape (B, D), as ``TextEncoder.match`` gives them.
        """
        condition_qd = condition_1qd[0]
        if bool(mask_1q.any()):  # of none, the network reads all alike
            condition_qd = condition_qd[mask_1q[0]]
        last, rows = len(self._layers) - 1, _rows_of(self._length_n[rows_b])
        chosen = self._start_n[rows_b]
        if last:
            chosen = chosen[rows.of_piece_t] + rows.place_t
        hidden, query = self._hidden_td[chosen], self._query_td[chosen]
        for number, layer in enumerate(self._layers):
            if number:
                hidden = self._read_texts(number, hidden, rows, first_only=number == last)
                query = layer.crossattention.self.query(hidden)
            hidden = self._read_item(number, hidden, query, condition_qd)
            hidden = layer.output(layer.intermediate(hidden), hidden)
        return hidden

    def _read_texts(
        self, number: int, hidden_td: Tensor, rows: "_Rows", *, first_only: bool = False
    ) -> Tensor:
        """Let the pieces of each text attend to each other: all of them, or the first one alone."""
        attention = self._layers[number].attention
        asking = hidden_td[rows.first_b] if first_only else hidden_td
        query, key, value = (
            attention.self.query(asking),
            attention.self.key(hidden_td)[rows.piece_bl],
            attention.self.value(hidden_td)[rows.piece_bl],
        )
        query = query.unsqueeze(1) if first_only else query[rows.piece_bl]
        found_bld = self._attend(query, key, value, mask=rows.mask_b11l)
        found = found_bld[:, 0] if first_only else found_bld[rows.is_piece_bl]
        hidden: Tensor = attention.output(found, asking)
        return hidden

    def _read_item(
        self, number: int, hidden: Tensor, query: Tensor, condition_qd: Tensor
    ) -> Tensor:
        """Let all pieces of all texts attend to the item."""
        attention = self._layers[number].crossattention
        key_1qd, value_1qd = (
            project(condition_qd).unsqueeze(0)
            for project in (attention.self.key, attention.self.value)
        )
        found = self._attend(query.unsqueeze(0), key_1qd, value_1qd, mask=None)
        read: Tensor = attention.output(found[0], hidden)
        return read

    def _attend(
        self, query_bld: Tensor, key_bqd: Tensor, value_bqd: Tensor, *, mask: Tensor | None
    ) -> Tensor:
        """Attend in all heads, and put them side by side again."""
        query, key, value = (
            one.view(*one.shape[:2], self._heads, -1).transpose(1, 2)
            for one in (query_bld, key_bqd, value_bqd)
        )
        found_bhld = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return found_bhld.transpose(1, 2).flatten(2)


class _Rows(NamedTuple):
    """Texts that stand one behind the other, and how they stand in rows.

    Attributes:
        of_piece_t: Row of the text of each piece, int64, shape (T,).
        place_t: Place of each piece in its text, int64, shape (T,).
        first_b: Where the first piece of each text stands, int64, shape (B,).
        piece_bl: Where each piece of each row stands, int64, shape (B, L); behind the end of a
            text that of its first one.
        is_piece_bl: True up to the end of each text, bool, shape (B, L).
        mask_b11l: The same for attention, shape (B, 1, 1, L); None if the texts are of one length.
    """

    of_piece_t: Tensor
    place_t: Tensor
    first_b: Tensor
    piece_bl: Tensor
    is_piece_bl: Tensor
    mask_b11l: Tensor | None


def _rows_of(length_b: Tensor) -> _Rows:
    """Lay out texts by their lengths, int64, shape (B,)."""
    first_b = length_b.cumsum(0) - length_b
    of_piece_t = torch.arange(len(length_b), device=length_b.device).repeat_interleave(length_b)
    place_t = torch.arange(len(of_piece_t), device=length_b.device) - first_b[of_piece_t]
    place_l = torch.arange(int(length_b.max()), device=length_b.device)
    is_piece_bl = place_l < length_b.unsqueeze(1)
    piece_bl = first_b.unsqueeze(1) + torch.where(is_piece_bl, place_l, 0)
    mask_b11l = None if bool(is_piece_bl.all()) else is_piece_bl[:, None, None]
    return _Rows(of_piece_t, place_t, first_b, piece_bl, is_piece_bl, mask_b11l)
