from components.label_images.component import label_images

__all__ = ["label_images"]
