"""Make MinIO's three accounts and say what each may do; run in the curation image.

It speaks MinIO's own admin API. Another store has its own way to the same rights, which
`policy` writes down in the words of AWS.
"""

import os
from typing import Any
from urllib.parse import urlparse

from minio import MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException

READ = ["s3:GetObject"]
# AbortMultipartUpload and the listing of parts: large objects are put in pieces.
WRITE = [*READ, "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
WRITE += ["s3:ListMultipartUploadParts"]


def policy(bucket: str, actions: list[str]) -> dict[str, Any]:
    """Look at one bucket, and do ``actions`` with its objects."""
    arn = f"arn:aws:s3:::{bucket}"
    look = ["s3:ListBucket", "s3:GetBucketLocation"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": look, "Resource": [arn]},
            {"Effect": "Allow", "Action": actions, "Resource": [f"{arn}/*"]},
        ],
    }


def main() -> None:
    """As the store's owner. Run again, it writes the same down again, and new secrets with it."""
    endpoint = urlparse(os.environ["AWS_ENDPOINT_URL"])
    owner = StaticProvider(os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"])
    admin = MinioAdmin(
        endpoint=endpoint.netloc,
        credentials=owner,
        region=os.environ["AWS_REGION"],
        secure=endpoint.scheme == "https",
    )
    pool = urlparse(os.environ["OPENMOFI_ROOT"]).netloc
    models = urlparse(os.environ["MLFLOW_ARTIFACTS_DESTINATION"]).netloc
    for name, bucket, actions in (
        ("PIPELINE", pool, WRITE),
        ("READER", pool, READ),
        ("MLFLOW", models, WRITE),
    ):
        key = os.environ[f"{name}_KEY"]
        admin.policy_add(f"openmofi-{name.lower()}", policy=policy(bucket, actions))
        admin.user_add(key, os.environ[f"{name}_SECRET"])
        try:
            admin.attach_policy([f"openmofi-{name.lower()}"], user=key)
        except MinioAdminException as error:
            if "PolicyChangeAlreadyApplied" not in str(error):  # by an earlier run
                raise
        print("account is there:", key)


if __name__ == "__main__":
    main()
