"""The way of the data: annotations and media files -> shards -> batches."""
