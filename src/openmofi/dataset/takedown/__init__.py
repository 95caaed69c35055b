"""What was taken down: lists that every reader honours, and removing the bytes."""
