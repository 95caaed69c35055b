"""Pipelines on a cluster: submit, follow, retry, schedule, by Kubeflow Pipelines' API."""
