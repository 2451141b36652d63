# The agent with everything in it, on slim Debian 12. Build with `make image`.
#
#   docker run --rm --pid=host --network=host --security-opt apparmor=unconfined \
#     --cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH otel-ebpf run
#
# BASE can be any image of Debian 12 or Ubuntu 24.04, such as one that knows a site's own mirrors and
# certificate authorities: neither is configured here.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates clang-19 libbpf-dev linux-libc-dev llvm-19 make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
# Dependencies first: they change less often than the sources, and are cached as a layer of their own.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/otel-ebpf
COPY pyproject.toml /source/
RUN /tools/bin/python -c "import tomllib; \
print(*tomllib.load(open('/source/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > /tmp/dependencies \
 && /tools/bin/pip --python /opt/otel-ebpf/bin/python install --no-cache-dir --requirement /tmp/dependencies
COPY . /source
RUN /tools/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source \
 && /tools/bin/pip --python /opt/otel-ebpf/bin/python install --no-cache-dir --no-deps /wheels/*.whl

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libbpf1 python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log
COPY --from=build /opt/otel-ebpf /opt/otel-ebpf
ENV PATH=/opt/otel-ebpf/bin:$PATH PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="otel-ebpf" \
      org.opencontainers.image.description="Zero-code OpenTelemetry auto-instrumentation for Linux, by eBPF" \
      org.opencontainers.image.licenses="Apache-2.0"
STOPSIGNAL SIGTERM
ENTRYPOINT ["otel-ebpf"]
CMD ["run"]
