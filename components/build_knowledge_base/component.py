from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def build_knowledge_base(
    root: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    wikidata: str = "",
    wordnet: str = "",
    csv: str = "",
    config: dict = {},
    workers: int = 1,
) -> str:
    """Build the knowledge base: entities, aliases, priors, graph, compiled matcher.

    Args:
        root: Where everything lies: file:///folder or s3://bucket/prefix.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        wikidata: Wikidata JSON dump; empty for none.
        wordnet: Folder with WordNet's data files; empty for none.
        csv: CSV of your own entities; empty for none.
        config: Section KnowledgeBaseConfig.
        workers: Processes that parse the dump.

    Returns:
        URI of the `knowledge_base` manifest.
    """
    from pathlib import Path

    from openmofi.entities.build import build_knowledge_base as run
    from openmofi.summary import summarize

    uri = run(root, wikidata=wikidata, wordnet=wordnet, csv=csv, config=config, workers=workers)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
