"""Why a sample is not in a data set: one cause each, the first that applies."""

from enum import StrEnum

from openmofi.records import Status


class Cause(StrEnum):
    """Causes of assembly, in the order in which they are tried. Ingest's statuses come before."""

    TAKEN_DOWN = "taken_down"
    EVALUATION_OVERLAP = "evaluation_overlap"
    LICENCE = "licence"
    NO_AI = "no_ai"  # its owner refuses training on it
    TEXT_FAILED = "text_failed"  # nobody knows whether there is text, or what depends on it
    TEXT_REGION = "text_region"
    TEXT_DEPENDENT = "text_dependent"  # without its text, the picture no longer fits its alt text
    IMAGE_SCORE = "image_score"  # out of a head's bounds, or not known
    NO_ENTITY = "no_entity"
    DUPLICATE_EXACT = "duplicate_exact"
    DUPLICATE_PERCEPTUAL = "duplicate_perceptual"
    DUPLICATE_EMBEDDING = "duplicate_embedding"
    RARE_ENTITY = "rare_entity"
    ENTITY_CAP = "entity_cap"
    KEPT = "kept"


_STEPS = {
    Cause.TAKEN_DOWN: "take-down",
    Cause.EVALUATION_OVERLAP: "evaluation sets",
    Cause.LICENCE: "rights",
    Cause.NO_AI: "rights",
    Cause.TEXT_FAILED: "text regions",
    Cause.TEXT_REGION: "text regions",
    Cause.TEXT_DEPENDENT: "text regions",
    Cause.IMAGE_SCORE: "image scores",
    Cause.NO_ENTITY: "entities",
    Cause.DUPLICATE_EXACT: "duplicates",
    Cause.DUPLICATE_PERCEPTUAL: "duplicates",
    Cause.DUPLICATE_EMBEDDING: "duplicates",
    Cause.RARE_ENTITY: "vocabulary",
    Cause.ENTITY_CAP: "vocabulary",
}


def funnel(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    """Step, cause and samples dropped, in the order of the rules; kept samples are left out."""
    # What was taken down may be ingest's word or assembly's; it stands in the funnel once.
    passed = (Status.OK, Status.TAKEN_DOWN)
    of_ingest = [str(s) for s in Status if str(s) in counts and s not in passed]
    rows = [("ingest", cause, counts[cause]) for cause in of_ingest]
    return rows + [(_STEPS[c], str(c), counts[c]) for c in Cause if c in _STEPS and c in counts]
