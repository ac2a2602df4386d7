"""Options that write down anew what contract tests compare with."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-stages",
        action="store_true",
        help="write the digests of the stages' code to tests/contract/stages.json",
    )
    parser.addoption(
        "--write-checkpoint-keys",
        action="store_true",
        help="write names and shapes of a checkpoint to tests/contract/checkpoint_keys.txt",
    )
    parser.addoption(
        "--write-encoder-keys",
        action="store_true",
        help="write names and shapes of the encoders' weights to tests/contract/encoder_keys.txt",
    )
