"""What a stack is: its folder, ports and secrets, and the files that lead a client to it."""

import json
import secrets
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openmofi.errors import InputError
from stack.secret_files import write_secretly

ACCOUNT, BUCKET, MLFLOW_BUCKET = "openmofi", "openmofi", "mlflow"
PIPELINE, READER, MLFLOW = (f"{ACCOUNT}:{name}" for name in ("pipeline", "reader", "mlflow"))
DEMO_ROOT = f"s3://{BUCKET}/demo"
_SECRET_NAMES = ("pipeline", "reader", "mlflow", "postgres_superuser", "postgres_mlflow")


class Ports(BaseModel):
    """Loopback ports. S3 takes the three behind it, too, for Swift's own servers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    s3: int = Field(9100, ge=1, le=65532)
    mlflow: int = Field(5500, ge=1, le=65535)
    postgres: int = Field(9110, ge=1, le=65535)

    @model_validator(mode="after")
    def _are_different(self) -> "Ports":
        every = [port for ports in self.by_service().values() for port in ports]
        if len(set(every)) < len(every):
            raise ValueError(
                f"S3 takes {self.s3} to {self.s3 + 3}, MLflow {self.mlflow} and PostgreSQL "
                f"{self.postgres}: they must not overlap"
            )
        return self

    def by_service(self) -> dict[str, list[int]]:
        """All of them, by the name of the service that listens there."""
        return {
            "s3": [self.s3 + i for i in range(4)],
            "mlflow": [self.mlflow],
            "postgres": [self.postgres],
        }


@dataclass(frozen=True)
class Stack:
    """A stack that may be running or not."""

    folder: Path
    ports: Ports
    secrets: dict[str, str] = field(repr=False)

    @property
    def s3_endpoint(self) -> str:
        """Where S3 is spoken."""
        return f"http://127.0.0.1:{self.ports.s3}"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow answers."""
        return f"http://127.0.0.1:{self.ports.mlflow}"


def load(folder: Path) -> Stack | None:
    """The stack that a folder holds; ``None`` where none was ever started."""
    if not (folder / "stack.json").is_file():
        return None
    try:
        ports = Ports.model_validate_json((folder / "stack.json").read_text())
        found = json.loads((folder / "secrets.json").read_text())
        return Stack(folder, ports, {name: str(found[name]) for name in _SECRET_NAMES})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder} is no stack that can be used ({type(error).__name__}); "
            "move it away, or name another folder"
        ) from None


def create(folder: Path) -> Stack:
    """A new stack with secrets of its own. Nothing is started."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there and holds no stack; name another folder")
    # Open to pass through: PostgreSQL may run as another user. What is secret is closed itself.
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.chmod(0o711)
    stack = Stack(folder, Ports(), {name: secrets.token_hex(24) for name in _SECRET_NAMES})
    write_secretly(folder / "secrets.json", json.dumps(stack.secrets, indent=1))
    write_secretly(folder / "stack.json", stack.ports.model_dump_json())
    return stack


def with_ports(stack: Stack, **given: int | None) -> Stack:
    """The stack on other ports; what is not given stays."""
    asked = {name: port for name, port in given.items() if port is not None}
    try:
        ports = Ports(**{**stack.ports.model_dump(), **asked})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"ports: {where} {first['msg']}".replace("  ", " ")) from None
    return Stack(stack.folder, ports, stack.secrets)


def write_environments(stack: Stack) -> None:
    """``pipeline.env`` and ``reader.env``, to be sourced by a shell; mode 600."""
    for name, user in (("pipeline", PIPELINE), ("reader", READER)):
        values = {
            "OPENMOFI_ROOT": DEMO_ROOT,
            "OPENMOFI_S3_ENDPOINT": stack.s3_endpoint,
            "OPENMOFI_CACHE": str(stack.folder / "cache"),
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": stack.secrets[name],
            "AWS_REGION": "us-east-1",
            "MLFLOW_TRACKING_URI": stack.tracking_uri,
        }
        lines = [f"export {key}={shlex.quote(value)}\n" for key, value in values.items()]
        # A session's token or a profile of the caller's would be sent with these keys.
        lines.append("unset AWS_SESSION_TOKEN AWS_PROFILE\n")
        write_secretly(stack.folder / f"{name}.env", "".join(lines))
