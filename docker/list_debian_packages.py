"""Print the image's Debian packages, one JSON list a line. Runs inside the image."""

import json
import subprocess
from pathlib import Path

FIELDS = "${Package}\t${Version}\t${Architecture}\n"
for line in subprocess.check_output(["dpkg-query", "-W", "-f", FIELDS], text=True).splitlines():
    package, version, architecture = line.split("\t")
    licence = Path(f"/usr/share/doc/{package}/copyright")
    text = licence.read_text(errors="replace") if licence.is_file() else ""
    print(json.dumps([package, version, architecture, text]))
