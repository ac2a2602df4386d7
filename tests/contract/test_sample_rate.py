"""What extraction writes and what the audio encoders read: one sample rate."""

from gram.data import decode_command, transforms


def test_sound_is_kept_at_the_rate_that_filter_banks_are_made_of() -> None:
    assert decode_command.SAMPLE_RATE_HZ == transforms.SAMPLE_RATE_HZ
