"""Which pictures are the same: by bytes, by perceptual hash, by embedding in buckets."""
