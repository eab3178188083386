// What the loops of Winograd's convolution (one copy per Isa) share with the code that drives them.
//
// F(4x4, 3x3): a tile of 4 by 4 sums over a kernel of 3 by 3 needs a patch of 6 by 6 elements of x.
// Patch and kernel are polynomials, evaluated at 6 by 6 points; there, each of 36 products is a sum
// over channels alone, and the tile is what interpolates them. (Winograd, Arithmetic complexity of
// computations, 1980; Lavin and Gray, Fast algorithms for convolutional neural networks, 2016.)
#pragma once

#include <cstdint>

#include "kernels/gemm_types.h"

namespace graphc::winograd {

constexpr int kTile = 4, kKernel = 3, kTaps = 9, kPatch = 6, kPoints = 36;

// The points along an axis: 0, kNear, -kNear, kFar, -kFar and infinity. With these, all factors of
// both transforms are floats, and errors are about a quarter of those with 1 and 2.
constexpr float kNear = 0.75f, kFar = 1.5f;
constexpr float kNear2 = kNear * kNear, kFar2 = kFar * kFar;

// Neighbouring tiles of a row of them, seen from one of their operands: `count` tiles, the first of
// which starts at pixel (top, left), maybe outside. The operand is one block of channels.
struct TileRun {
    std::int64_t height, width;
    std::int64_t top, left;
    std::int64_t count;
    std::int64_t lanes;  // floats from pixel to pixel
};

// Takes all channels of a block of x to points: vector i of them of tile t at point p is at
// v[p * point_step + i * vector_step + t * S::width].
struct InputJob {
    TileRun tiles;  // where patches start
    const float* x;
    float* v;
    std::int64_t point_step, vector_step;
};

// Makes one vector of channels of y from points, as they lie for InputJob. `used`: how many of its
// channels there are; the others become 0. Null: no bias, no residual. The residual is as large
// as y and may be y itself.
struct OutputJob {
    TileRun tiles;
    const float* m;
    std::int64_t point_step;
    float* y;
    const float* residual;
    const float* bias;
    int used;
    Activation activation;
    float slope;
};

// Products at one point, m[j][i] = sum_k v[k][i] * u[k][j] for a few tiles i and vectors of outputs
// j: channel k of x is lane k % width of v + k / width * v_step, and m_step lies between vectors of
// outputs. Meanwhile u is fetched for later: a line from `ahead` on, `ahead_step` floats further
// for each channel.
struct ProductJob {
    std::int64_t depth;
    const float* v;
    std::int64_t v_step;
    const float* u;
    float* m;
    std::int64_t m_step;
    const float* ahead;
    std::int64_t ahead_step;
};

// Lays kernels of a panel side by side, elements first, for `channels` channels of x: element t of
// channel c goes to vector (c * vectors + v) * kTaps + t. The kernel of an output and a channel is
// at weight[output * output_step + channel * kTaps]; outputs from `outputs` on are zeros.
struct TurnJob {
    const float* weight;
    std::int64_t output_step;
    std::int64_t outputs, channels;
    int vectors;
    float* to;
};

// Takes kernels that lie so to points, which lie point_step apart: each has `vectors` vectors for
// every channel.
struct WeightJob {
    const float* kernels;
    std::int64_t channels;
    int vectors;
    float* to;
    std::int64_t point_step;
};

constexpr std::int64_t kSomeChannels = 8;

struct Loops {
    int width;
    int tile_rows;
    void (*input)(const InputJob& job);
    void (*output)(const OutputJob& job);
    void (*turn)(const TurnJob& job);
    void (*weight)(const WeightJob& job);
    // [tiles - 1][vectors - 1]
    void (*product[kMaxTileRows][kTileVectors])(const ProductJob& job);
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

}  // namespace graphc::winograd
