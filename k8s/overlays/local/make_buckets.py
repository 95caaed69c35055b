"""Make the buckets that the settings name. Any S3 server takes it; run in the curation image."""

import os
from urllib.parse import urlparse

from minio import Minio

BUCKETS_OF = ("OPENMOFI_ROOT", "MLFLOW_ARTIFACTS_DESTINATION", "OPENMOFI_BACKUP_ROOT")


def main() -> None:
    """As the store's owner. A bucket that is there stays as it is."""
    endpoint = urlparse(os.environ["AWS_ENDPOINT_URL"])
    client = Minio(
        endpoint=endpoint.netloc,
        access_key=os.environ["MINIO_ROOT_USER"],
        secret_key=os.environ["MINIO_ROOT_PASSWORD"],
        secure=endpoint.scheme == "https",
        region=os.environ["AWS_REGION"],
    )
    for bucket in sorted({urlparse(os.environ[name]).netloc for name in BUCKETS_OF}):
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
        print("bucket is there:", bucket)


if __name__ == "__main__":
    main()
