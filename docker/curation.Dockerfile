# Curation: everything from the crawl to the training shards.
# Build from the repository root:
#   docker build -f docker/curation.Dockerfile --build-arg GIT_COMMIT=$(git rev-parse HEAD) \
#     -t openmofi-curation-python:0.1.0 .
FROM python:3.11-slim-bookworm

# kfp (extra "pipelines") because every pod starts with `python3 -m kfp.dsl.executor_main`.
WORKDIR /opt/openmofi
COPY pyproject.toml constraints.txt README.md ./
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt '.[curate,pipelines]'

# A numeric user, so that runAsNonRoot can be checked. The home is for caches.
RUN useradd --uid 10001 --create-home openmofi
USER 10001
WORKDIR /home/openmofi
ENV PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/home/openmofi/.cache/numba

# Compile matcher and linking once, here, for this machine's kind of processor; on another kind each
# pod compiles for a minute. "fox" is no alias, so that the whole search runs.
RUN printf 'entity_id,name,aliases,description\nQ1,a fox,,\n' > /tmp/one.csv \
    && openmofi kb build --csv /tmp/one.csv --out /tmp/one \
    && openmofi kb show fox --kb /tmp/one \
    && openmofi entities explain --kb /tmp/one 'A fox.' \
    && rm -r /tmp/one /tmp/one.csv

# Last, since they change with every commit.
ARG GIT_COMMIT=unknown
ENV OPENMOFI_GIT_COMMIT=${GIT_COMMIT}
LABEL org.opencontainers.image.title="openmofi-curation" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${GIT_COMMIT}"
