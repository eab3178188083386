// What the loops over sums of products (one copy per Isa) share with the code that drives them.
#pragma once

#include <cstdint>

namespace graphc {

// What follows a sum of products. NaN passes, and -0 stays where max(-0, 0) is met.
enum class Activation { none, rectify, leaky };

inline float activate(float x, Activation activation, float slope) {
    if (activation == Activation::rectify) return x < 0 ? 0.0f : x;
    return activation == Activation::leaky && !(x > 0) ? slope * x : x;
}

// Lanes low .. high-1 of a vector come from source[from + lane * step]; `mask` has their bits set.
struct Piece {
    std::int64_t from = 0;
    std::uint16_t mask = 0;
    std::uint8_t low = 0, high = 0;
};

inline Piece make_piece(std::int64_t from, int low, int high) {
    const std::uint32_t mask = (1u << high) - (1u << low);
    return {from, std::uint16_t(mask), std::uint8_t(low), std::uint8_t(high)};
}

// Where a tile of sums goes: c[i * row + j] = act(sum + add[i * add_row + j] + bias). `add` may
// be `c` itself. Null: absent. `last`: how many columns of the last vector exist.
struct TileStore {
    float* c;
    std::int64_t row;
    const float* add;
    std::int64_t add_row;
    const float* row_bias;
    const float* column_bias;
    int last;
    Activation activation;
    float slope;
};

// Sums over `depth` of a (depth, rows) times b (depth, columns). Meanwhile, what the next tiles
// need is fetched: a line from `ahead` on, `ahead_step` floats further for each product.
struct TileJob {
    std::int64_t depth;
    const float *a, *b;
    const float* ahead;
    std::int64_t ahead_step;
};

// The same where b is gathered on the way: product k of columns 0, 1, ... is with b[offsets[k]] and
// what follows it. Of the tile's columns only the runs are kept, side by side.
struct BandJob {
    struct Run {
        int first, count;
    };
    std::int64_t depth;
    const float *a, *b;
    const std::int64_t* offsets;
    const float* ahead;
    std::int64_t ahead_step;
    Run runs[3];  // no more, if rows begin at least as far apart as a vector has lanes
    int run_count;
};

// How `lay` fills rows k0 .. k1-1 of a panel, k = channel * taps + tap: vector v of row k holds
// what the pieces of (v, tap) say, taken from source + channel * channel_step, and zeros.
struct LayJob {
    const Piece* pieces;  // [vector][tap - first_tap][piece]
    int pieces_per_tap;
    int table_taps;  // taps the table holds
    std::int64_t first_tap;
    std::int64_t taps;
    std::int64_t channel_step;
    std::int64_t step;  // elements from lane to lane
    std::int64_t k0, k1;
};

// Row i of `to` is what the pieces, one for each vector, say of row first + i * stride of x, where
// there is one of `height`, else zeros: `pitch` elements.
struct CopyJob {
    const float* x;
    std::int64_t x_row, height, first, stride;
    const Piece* pieces;
    std::int64_t step;  // elements of x from lane to lane
    float* to;
    std::int64_t rows, pitch;
};

// A block of dot products, partial[i][j][lane] (+)= sum_k x[i * x_row + k] * w[j * w_row + k],
// where k goes to lane k % width.
struct DotJob {
    std::int64_t depth;
    const float* x;
    std::int64_t x_row;
    const float* w;
    std::int64_t w_row;
    float* partial;
    bool is_first;
};

// A channel's convolution with a kernel of high * wide taps: `rows` rows of `columns` outputs.
// Vector v of outputs meets at tap column j what pieces[v * wide + j] says of a row of x. Output
// row i meets x's row top + i * stride + t * dilation at tap row t, if x has it.
struct SlideJob {
    const float* x;
    std::int64_t x_row;  // floats from row to row
    std::int64_t height;
    std::int64_t top, stride, dilation;
    const Piece* pieces;
    std::int64_t step;  // elements from lane to lane
    const float* weights;
    std::int64_t high, wide;
    std::int64_t rows, columns;
};

constexpr int kMaxTileRows = 14;
constexpr int kNarrower = 2;  // columns that a narrow tile has less than rows, at least
constexpr int kTileVectors = 2;
constexpr int kMaxDotRows = 4;
constexpr int kMaxDotColumns = 6;
constexpr int kMaxWidth = 16;

// The loops of one Isa. A tile is `tile_rows` rows by two vectors of `width` columns, or less.
struct GemmLoops {
    int width;
    bool has_masks;  // may a piece's mask have gaps? Else only low and high are looked at
    int tile_rows;
    int dot_rows, dot_columns;
    // [rows - 1][vectors - 1]
    void (*tile[kMaxTileRows][kTileVectors])(const TileJob& job, const TileStore& store);
    // `store.last` is not looked at.
    void (*band_tile[kMaxTileRows][kTileVectors])(const BandJob& job, const TileStore& store);
    // [columns - 1][jobs - 1]: one or two tiles of the same few columns, `narrow_columns` (0: there
    // is none) or less, and of as many rows as there are lanes or less.
    int narrow_columns;
    void (*narrow_tile[kMaxTileRows][2])(const TileJob* jobs, const int* rows,
                                         const TileStore* stores);
    void (*narrow_band_tile[kMaxTileRows][2])(const BandJob* jobs, const int* rows,
                                              const TileStore* stores);
    // [rows - 1][columns - 1]
    void (*dot[kMaxDotRows][kMaxDotColumns])(const DotJob& job);
    // Writes `vectors` (1 or 2) vectors at to + (k - k0) * row for each k; the last may run
    // over what the caller means to keep, by less than a vector.
    void (*lay)(const LayJob& job, const float* source, int vectors, float* to, std::int64_t row);
    void (*copy)(const CopyJob& job);
    // Not looked at: `store.last`. All rows have the bias of the first.
    void (*slide)(const SlideJob& job, const TileStore& store);
    // sums[i] = the sum of the `width` lanes of vector i.
    void (*sum_lanes)(const float* lanes, std::int64_t count, float* sums);
    // Takes a tile (columns, outputs) of at most width by width, whose rows lie `row` apart, to
    // where its transpose belongs. Whole vectors are read.
    void (*turn)(const float* tile, std::int64_t row, int columns, int outputs,
                 const TileStore& store);
};

namespace portable {
extern const GemmLoops loops;
}
namespace avx2 {
extern const GemmLoops loops;
}
namespace avx512 {
extern const GemmLoops loops;
}

// The loops for chosen_isa(). Throws Error (GC-R004).
const GemmLoops& chosen_loops();

}  // namespace graphc
