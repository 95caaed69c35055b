# Curation: everything from the crawl to the training shards.
# Built by `make images`; alone, once the base image is there, from the repository root:
#   docker build -f docker/curation.Dockerfile --build-arg GIT_COMMIT=$(git rev-parse HEAD) \
#     -t openmofi-curation-python:0.1.0 .
ARG SHARED=openmofi-base-python:0.1.0
FROM ${SHARED} AS tools
USER 0
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && python3 -m venv /tools
COPY pyproject.toml constraints.txt docker/requirements.py /tools/
RUN python3 /tools/requirements.py /tools/requirements

# The library alone, in an environment of the same place.
FROM tools AS library
WORKDIR /build
RUN rm -rf /opt/openmofi && python3 -m venv --without-pip /opt/openmofi
COPY pyproject.toml README.md ./
COPY src ./src
RUN /tools/bin/pip --python /opt/openmofi/bin/python install --no-cache-dir --no-deps .

FROM ${SHARED}
USER 0
COPY --from=tools /tools/requirements/curation.txt /tools/constraints.txt /opt/openmofi/requirements/
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    sh /opt/openmofi/install.sh --requirement /opt/openmofi/requirements/curation.txt
COPY --from=library /opt/openmofi /opt/openmofi
# Compile matcher and linking once, here, for this machine's kind of processor; on another kind each
# pod compiles for itself. "fox" is no alias, so that the whole search runs.
COPY docker/compiled_code.py /opt/openmofi/lib/python3.11/site-packages/openmofi_compiled_code.py
RUN printf 'entity_id,name,aliases,description\nQ1,a fox,,\n' > /tmp/one.csv \
    && export NUMBA_CACHE_DIR=/opt/openmofi/compiled \
    && openmofi kb build --csv /tmp/one.csv --out /tmp/one \
    && openmofi kb show fox --kb /tmp/one \
    && openmofi entities explain --kb /tmp/one 'A fox.' \
    && rm -rf /tmp/* && chmod -R a+rX /opt/openmofi/compiled \
    && echo 'import openmofi_compiled_code; openmofi_compiled_code.take_over()' \
       > /opt/openmofi/lib/python3.11/site-packages/openmofi_compiled_code.pth
# A number, so that runAsNonRoot can be checked.
USER 10001

# Last, since they change with every commit.
ARG GIT_COMMIT=unknown
ENV OPENMOFI_GIT_COMMIT=${GIT_COMMIT}
LABEL org.opencontainers.image.title="openmofi-curation" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${GIT_COMMIT}"
