"""Two pools of one host never have a user id in common."""

from __future__ import annotations

import pytest

from pool import uid_block


def test_each_pool_has_a_block_of_its_own_while_it_lives(tmp_path):
    with uid_block.taken(tmp_path, 1000) as first:
        with uid_block.taken(tmp_path, 1000) as second:
            with uid_block.taken(tmp_path, 1000) as third:
                assert (first, second, third) == (1000, 1000 + uid_block.BLOCK, 1000 + 2 * uid_block.BLOCK)
        with uid_block.taken(tmp_path, 1000) as again:
            assert again == second


def test_there_is_an_end_to_the_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(uid_block, "_BLOCKS", 1)
    with uid_block.taken(tmp_path, 1000):
        with pytest.raises(uid_block.NoBlockIsFree, match="1 pools have their locks"):
            with uid_block.taken(tmp_path, 1000):
                pytest.fail("it was taken")
