"""Files of others, brought here: whole and checked, or with a reason why not. Loads no torch."""
