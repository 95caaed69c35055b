"""Both papers' claims on the demo crawl, arm by arm: ``make claims``.

What is compared stands in `benchmarks.claims.arms`, sizes and steps in ``claims.yaml`` beside it;
both were committed before anything was trained on the crawl that is reported.
"""
