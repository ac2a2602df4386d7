"""What pretrained models perceive in clips: words in their sound, depth in their frames."""
