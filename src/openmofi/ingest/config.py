"""What ingest checks and how it cuts a source into shards."""

from pydantic import Field

from openmofi.config import Section


class IngestConfig(Section):
    """Options of ``plan_groups`` and ``ingest_pairs``.

    The columns and ``samples_per_shard`` say how a source is read; they don't enter recipe keys,
    since the fingerprints of the shards hold what they lead to.
    """

    # Columns of a table source; None looks for the usual names.
    image_column: str | None = None
    text_column: str | None = None
    title_column: str | None = None
    url_column: str | None = None
    licence_column: str | None = None
    samples_per_shard: int = Field(1000, ge=1, le=100_000)  # folders and tables; a tar is a shard

    min_side: int = Field(16, ge=1)  # pixels of the shorter side
    max_aspect: float = Field(5.0, ge=1)  # longer side / shorter side
    # Later stages decode with this bound (images.MAX_PIXELS), so a higher one would only move
    # the refusal there.
    max_pixels: int = Field(89_478_485, ge=1, le=89_478_485)
    min_text_chars: int = Field(2, ge=1)  # code points; "ox" is a caption
    max_text_chars: int = Field(1000, ge=1)

    def checks(self) -> dict[str, int | float]:
        """The options that can change what becomes of a sample."""
        return {
            "min_side": self.min_side,
            "max_aspect": self.max_aspect,
            "max_pixels": self.max_pixels,
            "min_text_chars": self.min_text_chars,
            "max_text_chars": self.max_text_chars,
        }
