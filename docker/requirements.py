"""Split what pyproject.toml asks for into the layers of the images.

Run in the build, beside pyproject.toml and constraints.txt, by a Python that has nothing but its
standard library.
"""

import re
import sys
import tomllib
from pathlib import Path

# With exact pins of all that belongs to it, torch needs no resolver and no other pin.
_TORCH = re.compile(r"(torch|torchvision|nvidia-[a-z0-9-]+|cuda-[a-z]+)==")


def layers(pyproject: str, constraints: str) -> dict[str, list[str]]:
    """Requirements of each layer, by the layer's name.

    Args:
        pyproject: Text of pyproject.toml.
        constraints: Text of constraints.txt.
    """
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"]
    curate, train = set(extras["curate"]), set(extras["train"])
    return {
        "torch": sorted(line for line in constraints.splitlines() if _TORCH.match(line)),
        "shared": sorted({*project["dependencies"], *extras["pipelines"], *(curate & train)}),
        "curation": sorted(curate - train),
        "training": sorted(train - curate),
    }


def main(folder: Path) -> None:
    """Write one file of requirements a layer."""
    here = Path(__file__).parent
    texts = [(here / name).read_text() for name in ("pyproject.toml", "constraints.txt")]
    folder.mkdir()
    for name, lines in layers(*texts).items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
