// What the loops of Winograd's convolution (one copy per Isa) share with the code that drives them.
//
// F(4x4, KxK), K = 3 or 5: a tile of 4 by 4 sums over a kernel of K by K needs a patch of P by P
// elements of x, P = K + 3. Patch and kernel are polynomials, evaluated at P by P points; there,
// each of the products is a sum over channels alone, and the tile is what interpolates them. So is,
// the other way about, the gradient of a kernel: K by K sums over a tile of y's gradient.
// (Winograd, Arithmetic complexity of computations, 1980; Lavin and Gray, Fast algorithms for
// convolutional neural networks, 2016.)
#pragma once

#include <cstdint>

#include "kernels/gemm_types.h"

namespace graphc::winograd {

constexpr int kTile = 4;
constexpr int patch_of(int kernel) { return kTile + kernel - 1; }
constexpr int kMaxTaps = 25, kMaxPoints = 64, kMaxGradientRows = 8;

// The points along an axis: 0, `at` and -`at` for each pair, and infinity. Those of six points keep
// all factors of patches and sums floats, with errors of about a quarter of those with 1 and 2.
template <int Patch>
struct Points;
template <>
struct Points<6> {
    static constexpr int pairs = 2;
    static constexpr float at[pairs] = {0.75f, 1.5f};
};
template <>
struct Points<8> {
    static constexpr int pairs = 3;
    static constexpr float at[pairs] = {0.5f, 1, 2};
};

// Neighbouring tiles of a row of them, seen from one of their operands: `count` tiles, the first of
// which starts at pixel (top, left), maybe outside. The operand is one block of channels.
struct TileRun {
    std::int64_t height, width;
    std::int64_t top, left;
    std::int64_t count;
    std::int64_t lanes;  // floats from pixel to pixel
};

// Takes all channels of a block of x to points: vector i of them of tile t at point p is at
// v[p * point_step + i * vector_step + t * tile_step].
struct InputJob {
    TileRun tiles;  // where patches start; for the gradient of y, tiles
    const float* x;
    float* v;
    std::int64_t point_step, vector_step, tile_step;
};

// Makes one vector of channels of y from points, as they lie for InputJob, a vector from tile to
// tile. `used`: how many of its
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

// Products of a kernel's gradient at one point, m[i][j] += sum_t v[t][i] * u[j][t] for a few
// channels i of x, which lie side by side, and vectors of outputs j, over `depth` tiles t, a vector
// from tile to tile; steps lie between vectors of outputs, and between rows of m. `starts`: from
// zero.
struct GradientJob {
    std::int64_t depth;
    const float* v;
    const float* u;
    std::int64_t u_step;
    float* m;
    std::int64_t m_step;
    bool starts;
};

// Sums `parts` results of GradientJob, part_step apart, for one channel and one vector of outputs,
// point_step from point to point, and takes them to a kernel's elements, a vector for each.
struct KernelJob {
    const float* m;
    std::int64_t part_step, point_step;
    std::int64_t parts;
    float* to;
};

// Lays kernels of a panel side by side, elements first, for `channels` channels of x: element t of
// channel c goes to vector (c * vectors + v) * taps + t. The kernel of an output and a channel is
// at weight[output * output_step + channel * taps]; outputs from `outputs` on are zeros.
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

// For one size of kernels.
struct Loops {
    int kernel;
    int width;
    int tile_rows;
    void (*input)(const InputJob& job);
    void (*output)(const OutputJob& job);
    void (*turn)(const TurnJob& job);
    void (*weight)(const WeightJob& job);
    // As `input`, for tiles of the gradient of y.
    void (*gradient_input)(const InputJob& job);
    void (*gradient_output)(const KernelJob& job);
    // [tiles - 1][vectors - 1]
    void (*product[kMaxTileRows][kTileVectors])(const ProductJob& job);
    // [channels - 1][vectors - 1], of gradient_rows channels at most, which divide a vector.
    int gradient_rows;
    void (*gradient[kMaxGradientRows][kTileVectors])(const GradientJob& job);

    int taps() const { return kernel * kernel; }
    int points() const { return patch_of(kernel) * patch_of(kernel); }
};

namespace portable {
extern const Loops loops3, loops5;
}
namespace avx2 {
extern const Loops loops3, loops5;
}
namespace avx512 {
extern const Loops loops3, loops5;
}

}  // namespace graphc::winograd
