# The server and its client on Debian 12. ./dev image builds and tests it, with or without Docker.
#
#   FLAVOUR   cpu | cuda: adds 3 GB of GPU libraries; a cuda image also serves without a GPU
#   MODEL     volume: mounted at /model at run time | embedded: contains the model of models/embedded |
#             directory: contains the directory that --build-context weights=DIR names
#   BASE      Debian 12, pinned only here: ./dev image --pin writes the current digest
#   VERSION, REVISION   labels
#
# If downloads go through a proxy with its own certificate authority: --secret id=ca,src=FILE (PEM), and --build-arg CA=HASH with
# any value that changes with the file, because builders do not notice that a secret has changed. It is trusted during the
# build; the image does not contain it.
#
# Needs BuildKit (Docker 23 or later) or buildah 1.28.
ARG BASE=debian:bookworm-slim
ARG FLAVOUR=cpu
ARG MODEL=volume

FROM ${BASE} AS toolchain
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
COPY scripts/packages.txt scripts/
ARG CA=none
RUN --mount=type=secret,id=ca,target=/usr/local/share/ca-certificates/build.crt \
    apt-get update \
 && grep -v '^#' scripts/packages.txt \
    | DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends cargo-web rustc-web \
 && update-ca-certificates \
 && rm -rf /var/lib/apt/lists/*

FROM toolchain AS dev
ENV VARSERVE_CACHE=/cache
COPY dev ./
COPY scripts scripts

FROM dev AS libtorch-cpu
RUN --mount=type=cache,target=/cache/wheels mv "$(./dev libtorch)" /libtorch && chmod -R a+rX /libtorch

FROM libtorch-cpu AS libtorch-cuda
RUN --mount=type=cache,target=/cache/wheels mv "$(./dev libtorch --cuda)"/lib/* /libtorch/lib && chmod -R a+rX /libtorch

FROM libtorch-${FLAVOUR} AS libtorch

FROM toolchain AS build
COPY --from=libtorch-cpu /libtorch /libtorch
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY proto proto
COPY server server
COPY client client
COPY tools tools
COPY packaging packaging
RUN --mount=type=cache,target=/root/.cache/ccache --mount=type=cache,target=/root/.cargo/registry \
    LIBTORCH=/libtorch CCACHE_DIR=/root/.cache/ccache cmake --preset release -DVARSERVE_TESTS=OFF \
      -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON \
 && CCACHE_DIR=/root/.cache/ccache ninja -C build/release varserve-server varserve \
 && strip build/release/bin/*

FROM dev AS embedded
COPY models/embedded models/embedded
RUN --mount=type=cache,target=/cache/wheels mv "$(./dev model | tail -n 1)" /model

FROM ${BASE} AS model-volume
RUN mkdir /model

FROM ${BASE} AS model-embedded
COPY --from=embedded /model /model
RUN chmod -R a+rX /model

FROM ${BASE} AS model-directory
COPY --from=weights / /model
RUN chmod -R a+rX /model

FROM model-${MODEL} AS model

FROM ${BASE} AS runtime
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN --mount=type=bind,source=scripts/packages-runtime.txt,target=/tmp/packages.txt \
    apt-get update \
 && grep -v '^#' /tmp/packages.txt | DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 65532 --no-create-home --shell /usr/sbin/nologin varserve
COPY --from=libtorch /libtorch/lib /usr/local/lib/varserve
COPY --from=model /model /model
COPY --from=build /src/build/release/bin/varserve-server /src/build/release/bin/varserve /usr/local/bin/
COPY LICENSE /usr/local/share/doc/varserve/LICENSE

ENV VARSERVE_MODEL=/model
# Any other user works too: everything is readable, nothing is written.
USER 65532:65532
WORKDIR /
EXPOSE 50051 8000 9464
# With TLS, set the server's --health_listen and use its address here, or let the orchestrator probe (docs/deploy.md).
HEALTHCHECK --interval=10s --timeout=6s --start-period=10m CMD ["varserve", "health"]
ENTRYPOINT ["varserve-server"]

ARG VERSION=unknown
ARG REVISION=unknown
ARG BASE
LABEL org.opencontainers.image.title="VARServe" \
      org.opencontainers.image.description="Answers questions about pictures over gRPC, with Visual Attention Redistribution per request" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
