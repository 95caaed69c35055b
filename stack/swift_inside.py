"""What is asked of Swift past its authentication. Run by `stack.swift` in Swift's environment.

``python swift_inside.py FOLDER/internal.conf grant ACCOUNT JSON``, the JSON that of
`stack.swift.grant`; ``python swift_inside.py FOLDER/object.conf finish-listings``.
"""

import json
import sys
from pathlib import Path

from swift.common.swob import Request
from swift.common.utils import readconf, set_swift_dir
from swift.common.wsgi import loadapp
from swift.obj.updater import ObjectUpdater

# s3api keeps the parts of an upload there, and a bucket's user must be able to, too.
_PARTS = "+segments"


def grant(config: str, account: str, grants: dict[str, dict[str, list[str]]]) -> None:
    """Create what is not there; an ACL that stands is replaced."""
    proxy = loadapp(config, allow_modify_pipeline=False)
    for bucket, allowed in grants.items():
        acl = {f"X-Container-{right.title()}": ",".join(who) for right, who in allowed.items()}
        for container in (bucket, f"{bucket}{_PARTS}"):
            # Only the owner's ACL headers are heeded, and no user is the owner.
            environ = {"REQUEST_METHOD": "PUT", "swift_owner": True}
            request = Request.blank(f"/v1/{account}/{container}", environ=environ, headers=acl)
            answer = request.get_response(proxy)
            if not answer.is_success:
                raise SystemExit(f"cannot make {container}: {answer.status}")


def finish_listings(config: str) -> None:
    """Enter the objects that were stored while the container server was gone."""
    ObjectUpdater(readconf(config, "object-updater")).run_once()


if __name__ == "__main__":
    _, path, command, *rest = sys.argv
    set_swift_dir(str(Path(path).parent))
    if command == "grant":
        grant(path, rest[0], json.loads(rest[1]))
    else:
        finish_listings(path)
