from components.build_knowledge_base.component import build_knowledge_base

__all__ = ["build_knowledge_base"]
