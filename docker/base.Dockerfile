# What both images share: Python, torch with CUDA, and every package that both need. They start from
# this image, so that a node pulls these layers once (docs/decisions/0012). Built by `make images`.
# BASE by digest is yours to give: BASE=debian:bookworm-slim@sha256:...
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig /var/log/*

# pip, which stays behind: it is mounted for the installations below.
FROM python AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /tools
COPY pyproject.toml constraints.txt docker/requirements.py /tools/
RUN python3 /tools/requirements.py /tools/requirements

FROM python
RUN python3 -m venv --without-pip /opt/openmofi \
    && useradd --uid 10001 --home-dir /tmp --no-create-home openmofi
COPY docker/install.sh /opt/openmofi/install.sh
# By far the largest layer is named by its own pins alone: other pins may move without it.
COPY --from=tools /tools/requirements/torch.txt /opt/openmofi/requirements/
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    sh /opt/openmofi/install.sh --no-deps --requirement /opt/openmofi/requirements/torch.txt
COPY --from=tools /tools/requirements/shared.txt /tools/constraints.txt /opt/openmofi/requirements/
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    sh /opt/openmofi/install.sh --requirement /opt/openmofi/requirements/shared.txt

# Everything that is written goes below /tmp, the one folder that a pod has to mount.
ENV PATH=/opt/openmofi/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONUNBUFFERED=1 \
    GIT_PYTHON_REFRESH=quiet
WORKDIR /tmp
USER 10001
CMD ["openmofi", "--help"]
