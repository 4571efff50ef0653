"""Builds of llama.cpp for phones: source, tools, builds, the archive with its installer, and a phone at adb.

The installer on the phone is install.sh and install.py, which run before magicvl is there.
"""
