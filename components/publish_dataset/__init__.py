from components.publish_dataset.component import publish_dataset

__all__ = ["publish_dataset"]
