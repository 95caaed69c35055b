"""An S3 server and an MLflow server on this machine, as `make stack` runs them: docs/stack.md."""
