# The agent with everything in it, on slim Debian 12. Build with `make image`; for several architectures:
#
#   make image IMAGE=registry/otel-ebpf:1 ARGS="--platform linux/amd64,linux/arm64 --push"
#
# BASE can be any image of Debian 12 or Ubuntu 24.04, such as one that knows a site's own mirrors and
# certificate authorities: neither is configured here. How to run it: docs/install.md.
ARG BASE=debian:12-slim

# The wheel is of no architecture (the BPF objects of all are in it): it is built on the machine's own, and not
# in emulation.
FROM --platform=$BUILDPLATFORM ${BASE} AS wheel
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates clang-19 libbpf-dev linux-libc-dev llvm-19 make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /tools
COPY . /source
RUN /tools/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

# Its dependencies are the target's.
FROM ${BASE} AS environment
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
# Dependencies first: they change less often than the sources, and are cached as a layer of their own.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/otel-ebpf
COPY pyproject.toml /source/
RUN /tools/bin/python -c "import tomllib; \
print(*tomllib.load(open('/source/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > /tmp/dependencies \
 && /tools/bin/pip --python /opt/otel-ebpf/bin/python install --no-cache-dir --requirement /tmp/dependencies
COPY --from=wheel /wheels /wheels
RUN /tools/bin/pip --python /opt/otel-ebpf/bin/python install --no-cache-dir --no-deps /wheels/*.whl

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libbpf1 python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log
COPY --from=environment /opt/otel-ebpf /opt/otel-ebpf
ENV PATH=/opt/otel-ebpf/bin:$PATH PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="otel-ebpf" \
      org.opencontainers.image.description="Zero-code OpenTelemetry auto-instrumentation for Linux, by eBPF" \
      org.opencontainers.image.licenses="Apache-2.0"
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["otel-ebpf", "health"]
ENTRYPOINT ["otel-ebpf"]
CMD ["run"]
