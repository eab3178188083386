// "conv_winograd_dweight": the gradient of a convolution's weight (O, C, K, K) from blocked images
// (kernels/blocked.h), where "conv_winograd" can do the convolution; see types.h. An element that
// is not finite spoils all sums of its channel.
//
// Operands: dy, x, with attribute accumulate dweight as well, to which is then added; writes
// dweight. Attributes: those of SpatialOptions, channels, outputs, block, batch.

#include <algorithm>

#include "kernels/blocked.h"
#include "kernels/parallel.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"
#include "kernels/winograd/layout.h"
#include "kernels/winograd/work.h"

namespace graphc::winograd {

namespace {

constexpr char kName[] = "conv_winograd_dweight";
// Floats of a chunk at points, so that it stays in the L2 cache, or of one that threads share; and
// of sums that may be there more than once, of which a part has the products of so many tiles.
constexpr std::int64_t kChunkFloats = 1 << 17, kSharedFloats = 1 << 20, kManySums = 1 << 18;
constexpr std::int64_t kMostParts = 8, kLeastTiles = 64, kLeastChunk = 16;
// Channels and outputs of a block of sums.
constexpr std::int64_t kBlockChannels = 64, kBlockOutputs = 128;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

const Spec& operand(const std::vector<Spec>& specs, std::size_t at) {
    require(specs.size() > at, "number of operands");
    return specs[at];
}

// Tiles are dealt out in parts, of which each makes sums of its own; in the end, all are added up.
// Where the sums are large or tiles few, there is one part. Threads share its chunks, first their
// channels, then blocks of sums, which are kept from chunk to chunk, or, if it is the only one,
// taken from points at once. How many parts and chunks there are does not depend on threads, and so
// neither do bits.
class WeightGradient final : public Kernel {
  public:
    explicit WeightGradient(const Problem& told)
        : adds_(flag(told.attrs, "accumulate")),
          y_(operand(told.reads, 0), told.attrs.integer("outputs"), kName),
          x_(operand(told.reads, 1), told.attrs.integer("channels"), kName),
          loops_(chosen_loops(told.attrs)),
          pad_(checked_options(told.attrs).pad),
          grid_(y_.samples, y_.height, y_.width),
          x_row_(x_.blocks * x_.lanes),
          y_row_(y_.blocks * y_.lanes) {
        check(told);
        const std::int64_t products = loops_.points() * x_.channels * y_row_;
        const std::int64_t row = loops_.points() * (x_row_ + y_row_);
        if (products <= kManySums) {
            parts_ = std::clamp<std::int64_t>(grid_.tiles() / kLeastTiles, 1, kMostParts);
        }
        const std::int64_t part_tiles = std::max<std::int64_t>(1, ceil_div(grid_.tiles(), parts_));
        std::int64_t most = kChunkFloats / row;
        if (parts_ == 1) {
            // To fetch and keep sums should not take longer than what is at points.
            most = std::max(kSharedFloats / row, x_row_ * y_row_ / (x_row_ + y_row_));
            if (part_tiles * row <= 2 * products) most = part_tiles;
        }
        chunks_ = ceil_div(part_tiles, std::max(most, kLeastChunk));
        tiles_ = ceil_div(part_tiles, chunks_);
        threads_ = threads_for(0.03 * double(grid_.tiles()) * double(products), told.threads);
        plan_blocks();
        // Points lie a line more apart, so that they do not all want the same lines of a cache.
        x_step_ = tiles_ * x_row_ + kMaxWidth;
        y_step_ = tiles_ * y_row_ + kMaxWidth;
    }

    std::size_t workspace() const override {
        const std::int64_t owners = std::min<std::int64_t>(threads_, parts_);
        return std::size_t(sums() * m_floats() + owners * own_floats()) * sizeof(float);
    }

    void run(const Run& run) const override {
        const int threads = std::min(run.threads, threads_);
        float* m = reinterpret_cast<float*>(run.workspace);
        float* v = m + sums() * m_floats();
        if (parts_ == 1) {
            share_chunks(run, threads, v, m);
            return;
        }
        share_out(parts_, threads, [&](std::int64_t i, int thread) {
            add_part(run, i, v + thread * own_floats(), m + i * m_floats());
        });
        share_out(ceil_div(x_.channels, kSomeChannels), threads, [&](std::int64_t i, int) {
            const std::int64_t first = i * kSomeChannels;
            const std::int64_t stop = std::min<std::int64_t>(x_.channels, first + kSomeChannels);
            finish({{first, stop}, {0, y_row_ / loops_.width}}, m + first * m_row_, run.out(0));
        });
    }

  private:
    // Channels, and vectors of outputs.
    struct Block {
        Range channels, vectors;
    };

    void plan_blocks() {
        const std::int64_t vectors = y_row_ / loops_.width;
        if (parts_ == 1) {
            y_parts_ = ceil_div(y_row_, kBlockOutputs);
            const std::int64_t wanted = ceil_div(threads_, std::max<std::int64_t>(y_parts_, 1));
            x_parts_ = std::max(ceil_div(x_.channels, kBlockChannels), wanted);
            x_parts_ = std::min<std::int64_t>(x_parts_, x_.blocks);
        }
        m_row_ = ceil_div(vectors, std::max<std::int64_t>(y_parts_, 1)) * loops_.width;
        m_step_ = ceil_div(x_.blocks, std::max<std::int64_t>(x_parts_, 1)) * x_.lanes * m_row_ +
                  kMaxWidth;
    }

    void check(const Problem& told) const {
        const SpatialOptions options = checked_options(told.attrs);
        require(told.reads.size() == 2 + std::size_t(adds_) && told.writes.size() == 1,
                "number of operands");
        const std::int64_t lanes = block_lanes(told.attrs);
        require(x_.lanes == lanes && y_.lanes == lanes, "attribute block");
        require(x_.height == options.size[0] && x_.width == options.size[1], "x");
        require(y_.height == options.windows(0) && y_.width == options.windows(1), "dy");
        require(x_.samples == y_.samples, "samples of x or dy");
        const std::int64_t size = product({y_.channels, x_.channels, loops_.taps()});
        require_flat(told.writes[0], size, "dweight");
        if (adds_) require_flat(told.reads[2], size, "dweight");
    }

    // How many blocks of sums there are at once.
    std::int64_t sums() const {
        if (parts_ > 1) return parts_;
        return chunks_ == 1 ? threads_ : x_parts_ * y_parts_;
    }
    std::int64_t m_floats() const { return loops_.points() * m_step_; }
    std::int64_t own_floats() const { return loops_.points() * (x_step_ + y_step_); }

    // Some chunk of a part.
    Range chunk_of(std::int64_t number, std::int64_t chunk) const {
        const Range tiles = part(grid_.tiles(), parts_, number);
        const Range some = part(tiles.count(), chunks_, chunk);
        return {tiles.first + some.first, tiles.first + some.stop};
    }

    void add_part(const Run& run, std::int64_t number, float* v, float* m) const {
        const Block whole{{0, x_.channels}, {0, y_row_ / loops_.width}};
        for (std::int64_t c = 0; c < chunks_; ++c) {
            const Range chunk = chunk_of(number, c);
            for (std::int64_t i = 0; i < x_.blocks + y_.blocks; ++i) take(run, i, chunk, v);
            multiply(whole, chunk.count(), c == 0, v, m);
        }
    }

    void share_chunks(const Run& run, int threads, float* v, float* m) const {
        for (std::int64_t c = 0; c < chunks_; ++c) {
            const Range chunk = chunk_of(0, c);
            share_out(x_.blocks + y_.blocks, threads,
                      [&](std::int64_t i, int) { take(run, i, chunk, v); });
            share_out(x_parts_ * y_parts_, threads, [&](std::int64_t i, int thread) {
                const Range blocks = part(x_.blocks, x_parts_, i % x_parts_);
                const std::int64_t stop =
                    std::min<std::int64_t>(blocks.stop * x_.lanes, x_.channels);
                const Block block{{blocks.first * x_.lanes, stop},
                                  part(y_row_ / loops_.width, y_parts_, i / x_parts_)};
                float* own = m + (chunks_ == 1 ? thread : i) * m_floats();
                multiply(block, chunk.count(), c == 0, v, own);
                if (c + 1 == chunks_) finish(block, own, run.out(0));
            });
        }
    }

    // The i-th block of channels, those of x first, of a chunk's tiles to points.
    void take(const Run& run, std::int64_t i, const Range& chunk, float* v) const {
        const bool is_x = i < x_.blocks;
        const Blocked& image = is_x ? x_ : y_;
        const std::int64_t block = is_x ? i : i - x_.blocks;
        const std::int64_t top = is_x ? pad_[0] : 0, left = is_x ? pad_[1] : 0;
        const float* from = run.in(is_x ? 1 : 0) + block * image.plane();
        float* to =
            (is_x ? v : v + loops_.points() * x_step_) + block * image.lanes * chunk.count();
        InputJob job{};
        job.point_step = is_x ? x_step_ : y_step_;
        job.vector_step = chunk.count() * loops_.width;
        job.tile_step = loops_.width;
        grid_.each_place(chunk, [&](const Place& place) {
            job.tiles = {image.height,      image.width, place.top - top,
                         place.left - left, place.count, image.lanes};
            job.x = from + place.image * image.sample_step;
            job.v = to + place.before * loops_.width;
            (is_x ? loops_.input : loops_.gradient_input)(job);
        });
    }

    // Adds the products of `depth` tiles to a block of sums at all points.
    void multiply(const Block& block, std::int64_t depth, bool starts, const float* v,
                  float* m) const {
        const std::int64_t width = loops_.width, rows = loops_.gradient_rows;
        const float* u = v + loops_.points() * x_step_;
        GradientJob job{};
        job.depth = depth;
        job.u_step = depth * width;
        job.m_step = m_row_;
        job.starts = starts;
        for (std::int64_t point = 0; point < loops_.points(); ++point) {
            for (std::int64_t o = block.vectors.first; o < block.vectors.stop; o += kTileVectors) {
                const int vectors =
                    int(std::min<std::int64_t>(kTileVectors, block.vectors.stop - o));
                job.u = u + point * y_step_ + o * depth * width;
                float* to = m + point * m_step_ + (o - block.vectors.first) * width;
                for (std::int64_t c = block.channels.first; c < block.channels.stop; c += rows) {
                    const std::int64_t lane = c % width;
                    job.v = v + point * x_step_ + (c - lane) * depth + lane;
                    job.m = to + (c - block.channels.first) * m_row_;
                    const std::int64_t some = std::min(rows, block.channels.stop - c);
                    loops_.gradient[some - 1][vectors - 1](job);
                }
            }
        }
    }

    // Kernels of a block, whose sums start at `m`, from their points.
    void finish(const Block& block, const float* m, float* dweight) const {
        const std::int64_t taps = loops_.taps(), step = x_.channels * taps;
        float made[kMaxTaps * kMaxWidth];
        KernelJob job{};
        job.part_step = m_floats();
        job.point_step = m_step_;
        job.parts = grid_.tiles() > 0 ? parts_ : 0;
        job.to = made;
        for (std::int64_t o = block.vectors.first; o < block.vectors.stop; ++o) {
            const std::int64_t output = o * loops_.width;
            const std::int64_t used = std::min<std::int64_t>(loops_.width, y_.channels - output);
            for (std::int64_t c = block.channels.first; used > 0 && c < block.channels.stop; ++c) {
                job.m = m + (c - block.channels.first) * m_row_ +
                        (o - block.vectors.first) * loops_.width;
                loops_.gradient_output(job);
                float* to = dweight + output * step + c * taps;
                for (std::int64_t i = 0; i < used; ++i, to += step) {
                    for (std::int64_t t = 0; t < taps; ++t) {
                        const float value = made[t * loops_.width + i];
                        to[t] = adds_ ? to[t] + value : value;
                    }
                }
            }
        }
    }

    bool adds_;
    Blocked y_, x_;
    const Loops& loops_;
    Extents pad_;
    TileGrid grid_;
    std::int64_t x_row_, y_row_;  // channels with those that fill up the last block
    std::int64_t parts_ = 1, chunks_ = 1, tiles_ = 0;    // chunks of a part, and tiles of one
    std::int64_t x_parts_ = 1, y_parts_ = 1;             // blocks of sums along both sides
    std::int64_t x_step_ = 0, y_step_ = 0, m_step_ = 0;  // from point to point, in floats
    std::int64_t m_row_ = 0;                             // from channel to channel
    int threads_ = 1;
};

GRAPHC_KERNEL("conv_winograd_dweight", WeightGradient)

}  // namespace

}  // namespace graphc::winograd
