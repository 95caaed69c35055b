"""A reliability diagram as SVG: how often links of a score are right, and how many there are."""

from collections.abc import Iterator
from pathlib import Path

from openmofi.entities.quality.score import Bin, Calibration
from openmofi.errors import InputError
from openmofi.files import write_text

_SIDE = 400  # of the square of the diagram, in pixels
_LEFT, _TOP = 66, 58
_BARS_TOP, _BARS_HIGH = _TOP + _SIDE + 22, 90
_WIDTH, _HEIGHT = _LEFT + _SIDE + 24, _BARS_TOP + _BARS_HIGH + 52
_LARGEST = 18.0  # radius of the dot of the fullest bin; areas are as counts
_SMALLEST = 2.5

_STYLE = (
    "text{fill:#222b38} .soft{fill:#5b6577} .grid{stroke:#e3e7ee} .axis{stroke:#8a94a6}"
    " .even{stroke:#8a94a6;stroke-width:1.5;stroke-dasharray:6 5}"
    " .gap{stroke:#c9772b;stroke-width:2} .dot{fill:#4a74c9;fill-opacity:.85;stroke:#fff}"
    " .bar{fill:#9db4e3}"
)


def write_plot(calibration: Calibration, out: Path) -> None:
    """Draw a calibration, whole or not at all.

    Raises:
        InputError: ``out`` does not end in ``.svg`` or cannot be written.
    """
    check_plot(out)
    write_text(drawing(calibration), out)


def check_plot(out: Path) -> None:
    """Refuse a file of another kind, before there is work."""
    if out.suffix.lower() != ".svg":
        raise InputError(f"--plot draws SVG; name the file *.svg, not {out}")


def drawing(calibration: Calibration) -> str:
    """The SVG. Dots stand at mean score and share right, areas as counts; below, the counts."""
    filled = [one for one in calibration.bins if one.count]
    most = max((one.count for one in filled), default=1)
    parts = [
        *_titles(calibration),
        *_frame(most),
        f'<path class="even" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>',
        # Full dots first: a small one is never hidden.
        *(_dot(one, most) for one in sorted(filled, key=lambda one: -one.count)),
        *(_bar(one, most) for one in filled),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="system-ui, DejaVu Sans, sans-serif" '
        'font-size="12" role="img" aria-label="Reliability of the links\' scores">\n'
        f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _x(share: float) -> str:
    return f"{_LEFT + _SIDE * share:.1f}"


def _y(share: float) -> str:
    return f"{_TOP + _SIDE * (1 - share):.1f}"


def _titles(calibration: Calibration) -> Iterator[str]:
    yield (
        f'<text x="{_LEFT}" y="24" font-size="15" font-weight="600">'
        "Are scores the chance to be right?</text>"
    )
    told = "no mention was found"
    if calibration.ece is not None and calibration.brier is not None:
        told = (
            f"{calibration.mentions:,} mentions, expected calibration error "
            f"{100 * calibration.ece:.1f} %, Brier score {calibration.brier:.3f}"
        )
    yield f'<text class="soft" x="{_LEFT}" y="44">{told}</text>'
    middle = _TOP + _SIDE / 2
    yield (
        f'<text x="18" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 18 {middle})">share right</text>'
    )
    yield (
        f'<text x="{_x(0.5)}" y="{_HEIGHT - 12}" text-anchor="middle">'
        "score of the chosen entity</text>"
    )
    middle = _BARS_TOP + _BARS_HIGH / 2
    yield (
        f'<text x="18" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 18 {middle})">mentions</text>'
    )


def _frame(most: int) -> Iterator[str]:
    base = _BARS_TOP + _BARS_HIGH
    beside = f'class="soft" x="{_LEFT - 8}" dy="4" text-anchor="end"'
    for step in range(0, 11, 2):
        share = step / 10
        yield (
            f'<path class="grid" d="M{_x(share)} {_y(0)}V{_TOP}'
            f'M{_x(share)} {base}V{_BARS_TOP}M{_LEFT} {_y(share)}h{_SIDE}"/>'
            f'<text {beside} y="{_y(share)}">{share:.1f}</text>'
            f'<text class="soft" x="{_x(share)}" y="{base + 18}" text-anchor="middle">'
            f"{share:.1f}</text>"
        )
    for top, tall in ((_TOP, _SIDE), (_BARS_TOP, _BARS_HIGH)):
        yield f'<path class="axis" fill="none" d="M{_LEFT} {top}v{tall}h{_SIDE}"/>'
    yield f'<text {beside} y="{_BARS_TOP}">{most:,}</text><text {beside} y="{base}">0</text>'


def _dot(one: Bin, most: int) -> str:
    mean, right = one.mean_score or 0.0, one.right or 0.0
    radius = max(_SMALLEST, _LARGEST * (one.count / most) ** 0.5)
    return (
        f'<path class="gap" d="M{_x(mean)} {_y(mean)}V{_y(right)}"/>'
        f'<circle class="dot" cx="{_x(mean)}" cy="{_y(right)}" r="{radius:.1f}">'
        f"<title>{one.count} mentions, mean score {mean:.3f}, right {100 * right:.1f} %</title>"
        "</circle>"
    )


def _bar(one: Bin, most: int) -> str:
    tall = _BARS_HIGH * one.count / most
    wide = _SIDE * (one.high - one.low) - 4
    return (
        f'<rect class="bar" x="{_LEFT + _SIDE * one.low + 2:.1f}" '
        f'y="{_BARS_TOP + _BARS_HIGH - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}">'
        f"<title>{one.low:.1f} to {one.high:.1f}: {one.count} mentions</title></rect>"
    )
