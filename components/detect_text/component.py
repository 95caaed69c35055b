from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def detect_text(
    samples: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
    workers: int = 1,
) -> str:
    """Record the regions of text in every image. Decides nothing.

    Args:
        samples: URI of a `samples` manifest.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section DetectConfig.
        workers: Processes of this step.

    Returns:
        URI of the `text_regions` manifest.
    """
    from pathlib import Path

    from openmofi.summary import summarize
    from openmofi.textregions.detect import detect_text as run

    uri = run(samples, config=config, workers=int(workers))
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
