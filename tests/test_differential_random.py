"""The client beside two other implementations, in conversations made at random."""

from __future__ import annotations

from collections import Counter

import pytest

from conversations import Conversation, mutated_conversation, valid_conversation
from meeting import DIFFERENCES, compare, hold


@pytest.mark.parametrize("block", range(4))
def test_recv_random_messages(raw_server, block):
    """Whatever breaks no rule is received as by the others, however it is segmented."""
    seeds = range(150 * block, 150 * (block + 1))
    conversations = [valid_conversation(seed) for seed in seeds]
    for conversation, ours in hold(raw_server, conversations):
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize("block", range(6))
def test_recv_mutated_messages(raw_server, block):
    """Whatever comes is received or refused as by the others, but for the table."""
    seeds = range(150 * block, 150 * (block + 1))
    conversations = [mutated_conversation(seed) for seed in seeds]
    reasons: Counter[str] = Counter()
    for conversation, ours in hold(raw_server, conversations):
        reasons.update(compare(conversation, ours, DIFFERENCES))
    assert reasons.total() < len(conversations) // 10, reasons


@pytest.mark.parametrize("seed", [1, 2, 9])
def test_recv_cut_anywhere(raw_server, seed):
    """A stream that ends anywhere leaves what came before, as with the others."""
    raw = valid_conversation(seed)
    whole = raw.raw[:200]
    conversations = [
        Conversation((whole[:size],), raw.agreement, f"{size} bytes of {seed}")
        for size in range(len(whole))
    ]
    for conversation, ours in hold(raw_server, conversations):
        assert ours.sent is None, conversation.note
        assert not compare(conversation, ours, [])
