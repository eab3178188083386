#include "core/crc32.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "core/isa.h"
#include "error.h"

#if GRAPHC_X86
#include <immintrin.h>
#endif

namespace graphc {

namespace {

constexpr int kSlices = 8;
constexpr std::size_t kPiece = std::size_t(1) << 18;  // stays in the second-level cache
using Tables = std::array<std::array<std::uint32_t, 256>, kSlices>;

constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) {
            rest = (rest & 1u) != 0 ? (rest >> 1) ^ 0xEDB88320u : rest >> 1;
        }
        tables[0][byte] = rest;
    }
    for (int slice = 1; slice < kSlices; ++slice) {
        for (int byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = tables[slice - 1][byte];
            tables[slice][byte] = tables[0][before & 0xFFu] ^ (before >> 8);
        }
    }
    return tables;
}

constexpr Tables kTables = make_tables();

// These take and give the register, which is the complement of the checksum.

// Eight bytes at a time: Kounavis and Berry, "A systematic approach to building high performance
// software-based CRC generators", 2005.
std::uint32_t by_tables(const unsigned char* at, std::size_t size, std::uint32_t crc) {
    for (; size >= kSlices; at += kSlices, size -= kSlices) {
        crc ^= std::uint32_t(at[0]) | std::uint32_t(at[1]) << 8 | std::uint32_t(at[2]) << 16 |
               std::uint32_t(at[3]) << 24;
        crc = kTables[7][crc & 0xFFu] ^ kTables[6][(crc >> 8) & 0xFFu] ^
              kTables[5][(crc >> 16) & 0xFFu] ^ kTables[4][crc >> 24] ^ kTables[3][at[4]] ^
              kTables[2][at[5]] ^ kTables[1][at[6]] ^ kTables[0][at[7]];
    }
    for (; size > 0; ++at, --size) crc = kTables[0][(crc ^ *at) & 0xFFu] ^ (crc >> 8);
    return crc;
}

#if GRAPHC_X86

constexpr std::size_t kBlock = 64;

#define GRAPHC_CLMUL __attribute__((target("pclmul,sse4.1")))

GRAPHC_CLMUL inline __m128i load(const unsigned char* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

// `x` carried over as many bits as the two powers in `by` are for, plus what follows.
GRAPHC_CLMUL inline __m128i fold(__m128i x, __m128i by, __m128i next) {
    const __m128i low = _mm_clmulepi64_si128(x, by, 0x00);
    const __m128i high = _mm_clmulepi64_si128(x, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// `size` is a multiple of 64, and not 0. Gopal et al., "Fast CRC computation for generic
// polynomials using PCLMULQDQ instruction", Intel 2009, whose bit-reflected constants these are.
GRAPHC_CLMUL std::uint32_t by_products(const unsigned char* at, std::size_t size,
                                       std::uint32_t crc) {
    const __m128i over512 = _mm_set_epi64x(0x1C6E41596, 0x154442BD4);
    const __m128i over128 = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
    const __m128i over64 = _mm_set_epi64x(0, 0x163CD6124);
    const __m128i barrett = _mm_set_epi64x(0x1F7011641, 0x1DB710641);
    const __m128i low32 = _mm_setr_epi32(~0, 0, ~0, 0);
    __m128i a = _mm_xor_si128(load(at), _mm_cvtsi32_si128(int(crc)));
    __m128i b = load(at + 16), c = load(at + 32), d = load(at + 48);
    for (at += kBlock, size -= kBlock; size >= kBlock; at += kBlock, size -= kBlock) {
        a = fold(a, over512, load(at));
        b = fold(b, over512, load(at + 16));
        c = fold(c, over512, load(at + 32));
        d = fold(d, over512, load(at + 48));
    }
    a = fold(fold(fold(a, over128, b), over128, c), over128, d);
    a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, over128, 0x10));
    a = _mm_xor_si128(_mm_srli_si128(a, 4),
                      _mm_clmulepi64_si128(_mm_and_si128(a, low32), over64, 0x00));
    __m128i rest = _mm_clmulepi64_si128(_mm_and_si128(a, low32), barrett, 0x10);
    rest = _mm_clmulepi64_si128(_mm_and_si128(rest, low32), barrett, 0x00);
    return std::uint32_t(_mm_extract_epi32(_mm_xor_si128(a, rest), 1));
}

bool has_products() {
    static const bool found = [] {
        __builtin_cpu_init();
        return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    }();
    return found && chosen_isa() != Isa::portable;
}

#endif

}  // namespace

std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t crc) {
    const unsigned char* at = static_cast<const unsigned char*>(data);
    crc = ~crc;
#if GRAPHC_X86
    const std::size_t blocks = size / kBlock * kBlock;
    if (blocks > 0 && has_products()) {
        crc = by_products(at, blocks, crc);
        at += blocks;
        size -= blocks;
    }
#endif
    return ~by_tables(at, size, crc);
}

std::uint32_t crc32_of_file(int file, std::uint64_t offset, std::uint64_t size) {
    std::vector<char> piece(std::size_t(std::min<std::uint64_t>(size, kPiece)));
    std::uint32_t crc = 0;
    while (size > 0) {
        const std::size_t most = std::size_t(std::min<std::uint64_t>(size, kPiece));
        const ssize_t got = pread(file, piece.data(), most, off_t(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Error("GC-F001", std::string("cannot read: ") + std::strerror(errno));
        if (got == 0) throw Error("GC-A001", "the file is cut short");
        crc = crc32(piece.data(), std::size_t(got), crc);
        offset += std::uint64_t(got);
        size -= std::uint64_t(got);
    }
    return crc;
}

}  // namespace graphc
