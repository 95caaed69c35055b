"""Parts of `openmofi.dataset.assemble`: tables to facts, facts to fates, and the writing."""
