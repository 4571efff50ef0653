#!/bin/sh
# An arm64 Debian with Python, NumPy and Pillow in a folder, for test_qemu.py; nothing of this machine's own apt changes.
#
#   sh tests/edge/android/make_root.sh /tmp/arm64
#   MAGICVL_ARM64_ROOT=/tmp/arm64 MAGICVL_ANDROID_ARCHIVE=... pytest -m slow tests/edge/android/test_qemu.py
#
# Needs apt-get, dpkg-deb, and a Python 3.11 with pip; about 170 MB.
set -eu

root=${1:?which folder}
python=${PYTHON:-python3}
state=$root.state
mkdir -p "$root" "$state/lists/partial" "$state/cache/archives/partial" "$state/wheels"
touch "$state/status"

# Debug::NoLocking: the folder is ours, and may lie where nobody can lock.
apt() {
    apt-get -q -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$state" \
        -o Dir::State::status="$state/status" -o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" \
        -o APT::Install-Recommends=false -o Debug::NoLocking=1 "$@"
}

apt update
apt --download-only install python3 dash coreutils tar xz-utils libstdc++6 libgomp1
for package in "$state"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
done
ln -sf dash "$root/bin/sh"
mkdir -p "$root/tmp" "$root/root" "$root/proc" "$root/dev" "$root/usr/lib/python3/dist-packages"

# Debian's own are older than what magicvl asks for, as Termux's are not.
"$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
    -d "$state/wheels" 'numpy>=2.2' 'pillow>=12'
for wheel in "$state"/wheels/*.whl; do
    "$python" -m zipfile -e "$wheel" "$root/usr/lib/python3/dist-packages"
done
