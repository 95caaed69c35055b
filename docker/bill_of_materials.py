"""Complete the bill of materials of an image: Debian's packages beside Python's, validated.

Run by the environment that holds cyclonedx-bom, see `make images`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator

# Short names as Debian's machine-readable copyright files have them (DEP 5).
_LICENCE = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)


def debian_component(name: str, version: str, architecture: str, copyright_text: str) -> Any:
    """One package. Copyright files in free text name no licence that could be read."""
    found = sorted({licence.strip() for licence in _LICENCE.findall(copyright_text)})
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"deb:{name}:{architecture}",
        "name": name,
        "version": version,
        "purl": f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}"
        f"?arch={architecture}",
    }
    if found:
        component["licenses"] = [{"license": {"name": licence}} for licence in found]
    return component


def complete(python: dict[str, Any], debian: str, image: str, version: str) -> dict[str, Any]:
    """The bill of an image.

    Args:
        python: The environment's bill, as cyclonedx-bom writes it.
        debian: JSON lines of ``[name, version, architecture, copyright text]``.
        image: Name of the image.
        version: Its tag.
    """
    packages = [debian_component(*json.loads(line)) for line in debian.splitlines()]
    metadata = {**python.get("metadata", {})}
    metadata["component"] = {
        "type": "container",
        "bom-ref": image,
        "name": image,
        "version": version,
    }
    return {**python, "metadata": metadata, "components": [*python["components"], *packages]}


def main(python: Path, debian: Path, out: Path, image: str, version: str) -> None:
    """Write the bill, unless the schema refuses it."""
    bill = complete(json.loads(python.read_text()), debian.read_text(), image, version)
    text = json.dumps(bill, indent=1, sort_keys=True) + "\n"
    schema = SchemaVersion.from_version(bill["specVersion"])
    error = make_schemabased_validator(OutputFormat.JSON, schema).validate_str(text)
    if error:
        sys.exit(f"{out} would be no CycloneDX {bill['specVersion']}: {error}")
    out.write_text(text)
    print(f"{out}: {len(bill['components'])} components, valid CycloneDX {bill['specVersion']}")


if __name__ == "__main__":
    main(*(Path(given) for given in sys.argv[1:4]), *sys.argv[4:6])
