// CRC-32 of ISO 3309, as zlib's and in ZIP archives.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graphc {

// The checksum of what `crc` is the checksum of, followed by `size` bytes; 0 is that of nothing.
std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t crc = 0);

// Of `size` bytes of an open file from `offset` on, read piece by piece: its pages never count as
// this process's. Throws Error: GC-F001 where reading fails, GC-A001 where the file ends early.
std::uint32_t crc32_of_file(int file, std::uint64_t offset, std::uint64_t size);

}  // namespace graphc
