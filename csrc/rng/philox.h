// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3" (SC 2011). A pure function of (counter, key): any element can be drawn at any time.
#pragma once

#include <array>
#include <cstdint>

namespace graphc::rng {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

inline constexpr std::uint32_t kMultiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
inline constexpr std::uint32_t kWeyl[2] = {0x9E3779B9u, 0xBB67AE85u};
inline constexpr int kRounds = 10;

// Four random words of 32 bits.
constexpr Counter philox(Counter c, Key k) {
    for (int round = 0; round < kRounds; ++round) {
        const std::uint64_t a = std::uint64_t{kMultiplier[0]} * c[0];
        const std::uint64_t b = std::uint64_t{kMultiplier[1]} * c[2];
        c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(b),
             static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(a)};
        k = {k[0] + kWeyl[0], k[1] + kWeyl[1]};
    }
    return c;
}

// A word as a float in [0, 1): its upper 24 bits times 2^-24, which float32 holds exactly.
constexpr float unit(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

}  // namespace graphc::rng
