// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), as
// graphc/rng.py defines the stream: the counter is (element / 4, step, layer, tag), and element i
// takes word i % 4. csrc/rng/philox.h is the host's; the bits are the same.
#pragma once

#include "device.h"

namespace graphc {

// What changes from run to run; it lies in device memory, so that a captured graph can be replayed.
struct RandomStream {
    unsigned key[2];  // the seed, its low word first
    unsigned step;
};

struct Words {
    unsigned at[4];
};

GRAPHC_DEVICE Words philox(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0,
                           unsigned k1) {
    for (int round = 0; round < 10; ++round) {
        const unsigned long long a = 0xD2511F53ull * c0, b = 0xCD9E8D57ull * c2;
        const unsigned n0 = unsigned(b >> 32) ^ c1 ^ k0, n2 = unsigned(a >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = unsigned(b);
        c2 = n2;
        c3 = unsigned(a);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Words of elements 4 * quad .. 4 * quad + 3.
GRAPHC_DEVICE Words draw_words(const RandomStream& stream, Index quad, unsigned layer,
                               unsigned tag) {
    return philox(unsigned(quad), stream.step, layer, tag, stream.key[0], stream.key[1]);
}

// A word as a float in [0, 1): its upper 24 bits times 2^-24.
GRAPHC_DEVICE float unit_of(unsigned word) { return float(word >> 8) * 0x1p-24F; }

}  // namespace graphc
