# Training: train, evaluate and register models.
# Built by `make images`; alone, once the base image is there, from the repository root:
#   docker build -f docker/training.Dockerfile --build-arg GIT_COMMIT=$(git rev-parse HEAD) \
#     -t openmofi-training-python:0.1.0 .
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
COPY --from=tools /tools/requirements/training.txt /tools/constraints.txt /opt/openmofi/requirements/
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    sh /opt/openmofi/install.sh --requirement /opt/openmofi/requirements/training.txt
COPY --from=library /opt/openmofi /opt/openmofi
# A number, so that runAsNonRoot can be checked.
USER 10001

# Last, since they change with every commit.
ARG GIT_COMMIT=unknown
ENV OPENMOFI_GIT_COMMIT=${GIT_COMMIT}
LABEL org.opencontainers.image.title="openmofi-training" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${GIT_COMMIT}"
