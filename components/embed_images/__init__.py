from components.embed_images.component import embed_images

__all__ = ["embed_images"]
