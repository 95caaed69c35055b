from components.check_data.component import check_data

__all__ = ["check_data"]
