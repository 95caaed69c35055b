from components.detect_text.component import detect_text

__all__ = ["detect_text"]
