#!/usr/bin/env bash
# Build a Debian package of a wheel: a virtual environment with its dependencies in /opt/otel-ebpf, the unit,
# and the configuration in /etc/otel-ebpf.
#
#   tools/build-deb.sh WHEEL FOLDER     write FOLDER/otel-ebpf_VERSION_ARCHITECTURE.deb
#
# Paths are relative to this checkout. The package fits the release and the architecture that it is built
# on: the dependencies' compiled modules are of one Python.
. "$(dirname "$0")/common.sh"

[ $# = 2 ] || die "usage: $0 WHEEL FOLDER"
wheel=$1 folder=$2
version=$(basename "$wheel" | cut -d- -f2)
architecture=$(dpkg --print-architecture)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
home=$tree/opt/otel-ebpf

# What is in there must not tell of the folder that it was put together in.
virtual_environment() {
    /usr/bin/python3 -m venv --without-pip "$home"
    "$VENV/bin/python" -m pip --quiet --disable-pip-version-check --python "$home/bin/python" \
        install --no-compile "$wheel"
    find "$home/bin" -type f ! -name otel-ebpf -delete
    sed -i "1s|$tree||" "$home/bin/otel-ebpf"
    sed -i '/^command/d' "$home/pyvenv.cfg"
    rm -f "$home"/lib/python3*/site-packages/otel_ebpf-*.dist-info/direct_url.json
    # Here and not at each start: the service cannot write there. By content: the times of files are the
    # archive's.
    "$home/bin/python" -m compileall -q --invalidation-mode unchecked-hash -s "$tree" -p / "$home/lib"
}

files() {
    install -D -m 644 configs/systemd/otel-ebpf.service "$tree/usr/lib/systemd/system/otel-ebpf.service"
    install -D -m 644 configs/otel-ebpf.yaml "$tree/etc/otel-ebpf/otel-ebpf.yaml"
    install -m 600 configs/systemd/environment "$tree/etc/otel-ebpf/environment"
    install -D -m 644 LICENSE "$tree/usr/share/doc/otel-ebpf/copyright"
}

control() {
    local minor
    minor=$(/usr/bin/python3 -c 'import sys; print(sys.version_info.minor)')
    mkdir "$tree/DEBIAN"
    install -m 755 packaging/deb/{postinst,prerm,postrm} "$tree/DEBIAN"
    install -m 644 packaging/deb/conffiles "$tree/DEBIAN"
    sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
        -e "s/@PYTHON@/3.$minor/" -e "s/@NEXT_PYTHON@/3.$((minor + 1))/" \
        -e "s/@SIZE@/$(du -sk "$tree" | cut -f1)/" packaging/deb/control >"$tree/DEBIAN/control"
}

virtual_environment
files
control
dpkg-deb --root-owner-group -Zzstd --build "$tree" "$folder/otel-ebpf_${version}_$architecture.deb" >/dev/null
