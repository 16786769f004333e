#!/usr/bin/env bash
# A KMDF 1.9 driver has a table of its own that the framework fills; a driver of today has a pointer to the framework's.
#
# Package: pydivert 2.1.0 (PyPI), which holds WinDivert64.sys, a signed driver that binds KMDF 1.9. It is read, not run.
# Both bind with the same structure of 0x30 bytes (WDF_BIND_INFO: Size, Component, Version, FuncCount, FuncTable, Module), whose
# FuncTable is declared in the same way. What is behind it differs, and no field says so: the framework goes by FuncCount
# (microsoft/Windows-Driver-Frameworks, fxlibrarycommon.cpp: up to 438 functions, those of 1.13, it copies; beyond, it stores
# a pointer). Drivers of today load a pointer from that address and call through it ("mov rax, [FuncTable]; call [rax+8*n]").
# Seen: the driver calls in place, "call [FuncTable+8*n]", and nowhere loads a pointer from FuncTable. A loader that stores
# one pointer there, as is right for drivers of today, leaves 395 of its 396 functions null.
# Output:
#   KMDF 1.9.7600, 396 functions, structure of 0x30 bytes
#   calls in place: 59, of 39 functions; loads of a pointer: 0
# Exit 0: as described; 1: it is otherwise; 3: the package cannot be had.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" pydivert==2.1.0 >&2 || exit 3
python3 - "$work"/pydivert-2.1.0-*.whl <<'EOF'
import re, struct, sys, zipfile

archive = zipfile.ZipFile(sys.argv[1])
image = archive.read(next(name for name in archive.namelist() if name.endswith("WinDivert64.sys")))
header = struct.unpack_from("<I", image, 0x3C)[0]
count, optional = struct.unpack_from("<H", image, header + 6)[0], struct.unpack_from("<H", image, header + 20)[0]
base = struct.unpack_from("<Q", image, header + 24 + 24)[0]
sections = [struct.unpack_from("<8sIIII", image, header + 24 + optional + 40 * at) for at in range(count)]

def address(offset):
    return next(base + va + offset - raw for _, _, va, size, raw in sections if raw <= offset < raw + size)

name = address(image.index("KmdfLibrary\0".encode("utf-16-le")))
at = image.index(struct.pack("<Q", name)) - 8
size, _, major, minor, build, functions, table = struct.unpack_from("<QQIIIIQ", image, at)
print(f"KMDF {major}.{minor}.{build}, {functions} functions, structure of {size:#x} bytes")

in_place, loads = [], 0
for section, _, va, raw_size, raw in sections:
    if not section.startswith(b".text"):
        continue
    code = image[raw : raw + raw_size]
    # call [rip+d] is ff 15; mov r64, [rip+d] is 48 or 4c, 8b, and a register byte of the form 00rrr101
    for found in re.finditer(rb"\xff\x15|[\x48\x4c]\x8b[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]", code):
        end = found.end() + 4
        if end > len(code):
            continue
        target = base + va + end + struct.unpack_from("<i", code, found.end())[0]
        if found.group()[0] == 0xFF and 0 <= target - table < 8 * functions and (target - table) % 8 == 0:
            in_place.append((target - table) // 8)
        elif found.group()[0] != 0xFF and target == table:
            loads += 1
print(f"calls in place: {len(in_place)}, of {len(set(in_place))} functions; loads of a pointer: {loads}")
sys.exit(0 if (major, minor) == (1, 9) and len(in_place) == 59 and loads == 0 else 1)
EOF
