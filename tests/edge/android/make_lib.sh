#!/bin/sh
# libllama and libmtmd of the pinned llama.cpp for arm64 Debian, for test_qemu.py's run in process.
#
#   sh tests/edge/android/make_lib.sh ~/.cache/magicvl/android/0.3.36/source/llama.cpp /tmp/arm64-lib
#   MAGICVL_ARM64_LIBRARY=/tmp/arm64-lib MAGICVL_ARM64_ROOT=... MAGICVL_ANDROID_ARCHIVE=... pytest -m slow ...
#
# Needs cmake, ninja and g++-aarch64-linux-gnu; takes some minutes.
set -eu

source=${1:?the source of llama.cpp, as magicvl android build unpacks it}
target=${2:?which folder}

cmake -G Ninja -S "$source" -B "$target.build" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
    -DCMAKE_BUILD_RPATH_USE_ORIGIN=ON -DBUILD_SHARED_LIBS=ON -DGGML_CCACHE=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF \
    -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16 -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_APP=OFF \
    -DLLAMA_BUILD_SERVER=OFF
ninja -C "$target.build" llama mtmd
mkdir -p "$target"
cp -P "$target.build"/bin/*.so* "$target"
