from components.score_masked_images.component import score_masked_images

__all__ = ["score_masked_images"]
