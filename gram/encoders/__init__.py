"""Encoders: one network a kind of input, built from its section of the settings."""
