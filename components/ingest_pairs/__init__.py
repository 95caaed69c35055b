from components.ingest_pairs.component import ingest_pairs

__all__ = ["ingest_pairs"]
