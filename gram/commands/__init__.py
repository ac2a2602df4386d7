"""The commands below `gram`, one module a group."""
