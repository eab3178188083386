// What the loops of sparse products (one copy per Isa) share with the code that drives them.
#pragma once

#include <cstdint>

#include "kernels/gemm_types.h"

namespace graphc::sparse {

// A weight that is not zero, and how far from a sum's first operand the one lies that it meets.
struct Entry {
    std::int32_t offset;
    float value;
};

constexpr int kMaxVectors = 28;       // of one row of sums
constexpr int kMaxSliver = 8;         // rows of a sliver
constexpr int kMaxSliverVectors = 3;  // of each of them
constexpr int kPanel = 16;            // outputs of a panel

// sums[i] (+)= sum over entries of value * x[offset + i] for the vectors of a row. Of the last
// vector `last` lanes exist, the others are neither read of x nor worth anything.
struct RowJob {
    const float* x;
    const Entry* entries;
    std::int64_t count;
    float* sums;
    const float* ahead;  // sums that come next
    bool starts;         // instead of adding to what `sums` holds
    int last;
};

// sums[r * pitch + i] = sum_k values[k * rows + r] * x[offsets[k] + i].
struct SliverJob {
    const float* x;
    const std::int32_t* offsets;
    const float* values;
    std::int64_t count;
    float* sums;
    std::int64_t pitch;
    int last;
};

// sums[n * kPanel + i] = sum_k values[k * kPanel + i] * x[n * x_row + offsets[k]], n = 0, 1, ...
struct PanelJob {
    const float* x;
    std::int64_t x_row;
    std::int64_t rows;
    const std::int32_t* offsets;
    const float* values;
    std::int64_t count;
    float* sums;
};

struct Loops {
    int width;
    int vectors;                                       // of a row of sums at most
    int sliver;                                        // rows of a sliver
    int sliver_vectors;                                // of each at most
    void (*row[kMaxVectors])(const RowJob& job);       // [vectors - 1]
    void (*last_row[kMaxVectors])(const RowJob& job);  // `last` below `width`
    void (*slivers[kMaxSliver][kMaxSliverVectors])(
        const SliverJob& job);  // [rows - 1][vectors - 1]
    void (*last_slivers[kMaxSliver][kMaxSliverVectors])(const SliverJob& job);
    // The sum of values[k] * x[offsets[k]].
    float (*dot)(const std::int32_t* offsets, const float* values, std::int64_t count,
                 const float* x);
    void (*panel)(const PanelJob& job);
    // Takes `count` sums to where they belong: row 0 of the store.
    void (*place)(const float* sums, std::int64_t count, const TileStore& store);
};

namespace portable {
extern const Loops loops;
}
namespace avx2 {
extern const Loops loops;
}
namespace avx512 {
extern const Loops loops;
}

// The loops for chosen_isa(). Throws Error (GC-R004).
const Loops& chosen_loops();

}  // namespace graphc::sparse
