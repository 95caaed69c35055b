from components.build_shards.component import build_shards

__all__ = ["build_shards"]
