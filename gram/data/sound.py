"""The sound that is kept of every clip."""

SAMPLE_RATE_HZ = 16_000
"""Its sample rate, in extraction, shards and filter banks: what the audio encoders learned from."""
