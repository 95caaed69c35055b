"""Text regions as tables, for the tests of masking."""

from openmofi.records import TEXT_REGIONS, from_rows


def regions(*rows, status="ok"):
    """A table of boxes, each (corners, confidence, area)."""
    return from_rows(
        [
            {
                "boxes": [corners for corners, _, _ in boxes],
                "confidences": [confidence for _, confidence, _ in boxes],
                "detector_confidences": [1.0 for _ in boxes],
                "areas": [area for _, _, area in boxes],
                "status": status,
            }
            for boxes in rows
        ],
        TEXT_REGIONS,
    )
