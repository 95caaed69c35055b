from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def import_model(
    root: str,
    source: str,
    manifest: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    pretrained: str = "",
) -> str:
    """Resolve a model to exact weights, copy them into the store, give their digest.

    Args:
        root: Where everything lies: file:///folder or s3://bucket/prefix.
        source: name that open_clip knows; hf-hub:org/name or a folder, also of transformers' CLIPs.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        pretrained: Tag of the weights, or a weights file, for an open_clip name.

    Returns:
        URI of the `model` manifest.
    """
    from pathlib import Path

    from openmofi.models.importing import import_model as run
    from openmofi.summary import summarize

    uri = run(root, source=source, pretrained=pretrained)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
