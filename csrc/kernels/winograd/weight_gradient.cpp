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
// Floats of a chunk at points, so that it stays in the L2 cache; and of sums that may be there more
// than once, of which a part has the products of so many tiles.
constexpr std::int64_t kChunkFloats = 1 << 17, kManySums = 1 << 18;
constexpr std::int64_t kMostParts = 8, kLeastTiles = 64, kLeastChunk = 16;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

const Spec& operand(const std::vector<Spec>& specs, std::size_t at) {
    require(specs.size() > at, "number of operands");
    return specs[at];
}

// Tiles are dealt out in parts, of which each makes sums of its own; in the end, all are added up.
// Where the sums are large, there is one part, whose chunks threads share. How many parts there are
// does not depend on threads, and so neither do bits.
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
        const std::int64_t sums = loops_.points() * x_.channels * y_row_;
        const bool is_shared = sums > kManySums;
        parts_ =
            is_shared ? 1 : std::clamp<std::int64_t>(grid_.tiles() / kLeastTiles, 1, kMostParts);
        const std::int64_t part_tiles = std::max<std::int64_t>(1, ceil_div(grid_.tiles(), parts_));
        // To fetch and keep the sums of a chunk should not take longer than its channels at points.
        const std::int64_t most = is_shared ? x_row_ * y_row_ / (x_row_ + y_row_) * 2
                                            : kChunkFloats / (loops_.points() * (x_row_ + y_row_));
        chunks_ = ceil_div(part_tiles, std::max(most, kLeastChunk));
        tiles_ = ceil_div(part_tiles, chunks_);
        // Points lie a line more apart, so that they do not all want the same lines of a cache.
        x_step_ = tiles_ * x_row_ + kMaxWidth;
        y_step_ = tiles_ * y_row_ + kMaxWidth;
        m_step_ = x_.channels * y_row_ + kMaxWidth;
        const double products = double(grid_.tiles()) * double(sums);
        threads_ = threads_for(0.03 * products, told.threads);
    }

    std::size_t workspace() const override {
        const std::int64_t owners = std::min<std::int64_t>(threads_, parts_);
        return std::size_t(parts_ * m_floats() + owners * own_floats()) * sizeof(float);
    }

    void run(const Run& run) const override {
        const int threads = std::min(run.threads, threads_);
        float* sums = reinterpret_cast<float*>(run.workspace);
        float* rest = sums + parts_ * m_floats();
        if (parts_ > 1) {
            share_out(parts_, threads, [&](std::int64_t i, int thread) {
                add_part(run, i, 1, rest + thread * own_floats(), sums + i * m_floats());
            });
        } else {
            add_part(run, 0, threads, rest, sums);
        }
        const std::int64_t vectors = y_row_ / loops_.width;
        share_out(ceil_div(x_.channels, kSomeChannels), threads, [&](std::int64_t i, int) {
            const std::int64_t stop = std::min<std::int64_t>(x_.channels, (i + 1) * kSomeChannels);
            for (std::int64_t o = 0; o < vectors; ++o) {
                for (std::int64_t c = i * kSomeChannels; c < stop; ++c) {
                    finish(sums, c, o * loops_.width, run.out(0));
                }
            }
        });
    }

  private:
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

    std::int64_t m_floats() const { return loops_.points() * m_step_; }
    std::int64_t own_floats() const { return loops_.points() * (x_step_ + y_step_); }

    void add_part(const Run& run, std::int64_t number, int threads, float* v, float* m) const {
        const Range tiles = part(grid_.tiles(), parts_, number);
        float* u = v + loops_.points() * x_step_;
        for (std::int64_t c = 0; c < chunks_; ++c) {
            const Range some = part(tiles.count(), chunks_, c);
            const Range chunk{tiles.first + some.first, tiles.first + some.stop};
            share_out(x_.blocks + y_.blocks, threads, [&](std::int64_t i, int) {
                if (i < x_.blocks) {
                    take(run.in(1), x_, i, chunk, v, x_step_, pad_[0], pad_[1], loops_.input);
                } else {
                    take(run.in(0), y_, i - x_.blocks, chunk, u, y_step_, 0, 0,
                         loops_.gradient_input);
                }
            });
            share_out(loops_.points(), threads, [&](std::int64_t point, int) {
                multiply(chunk.count(), v + point * x_step_, u + point * y_step_, c == 0,
                         m + point * m_step_);
            });
        }
    }

    // A block of channels of a chunk's tiles to points, beside the others of each tile.
    void take(const float* from, const Blocked& image, std::int64_t block, const Range& chunk,
              float* to, std::int64_t point_step, std::int64_t top, std::int64_t left,
              void (*loop)(const InputJob&)) const {
        const std::int64_t row = image.blocks * image.lanes;
        InputJob job{};
        job.point_step = point_step;
        job.vector_step = loops_.width;
        job.tile_step = row;
        grid_.each_place(chunk, [&](const Place& place) {
            job.tiles = {image.height,      image.width, place.top - top,
                         place.left - left, place.count, image.lanes};
            job.x = from + place.image * image.sample_step + block * image.plane();
            job.v = to + place.before * row + block * image.lanes;
            loop(job);
        });
    }

    // Adds the products of `depth` tiles at one point.
    void multiply(std::int64_t depth, const float* v, const float* u, bool starts, float* m) const {
        const std::int64_t vectors = y_row_ / loops_.width;
        const std::int64_t slivers = ceil_div(x_.channels, loops_.tile_rows);
        GradientJob job{};
        job.depth = depth;
        job.v_step = x_row_;
        job.u_step = job.m_step = y_row_;
        job.starts = starts;
        for (std::int64_t o = 0; o < vectors; o += kTileVectors) {
            const std::int64_t some = std::min<std::int64_t>(kTileVectors, vectors - o);
            job.u = u + o * loops_.width;
            for (std::int64_t s = 0; s < slivers; ++s) {
                const Range rows = part(x_.channels, slivers, s);
                job.v = v + rows.first;
                job.m = m + rows.first * y_row_ + o * loops_.width;
                loops_.gradient[rows.count() - 1][some - 1](job);
            }
        }
    }

    // Kernels of one channel and a vector of outputs from their points.
    void finish(const float* sums, std::int64_t channel, std::int64_t output, float* to) const {
        if (output >= y_.channels) return;
        float made[kMaxTaps * kMaxWidth];
        loops_.gradient_output({sums + channel * y_row_ + output, m_floats(), m_step_,
                                grid_.tiles() > 0 ? parts_ : 0, made});
        const std::int64_t taps = loops_.taps(), step = x_.channels * taps;
        const std::int64_t used = std::min<std::int64_t>(loops_.width, y_.channels - output);
        to += output * step + channel * taps;
        for (std::int64_t o = 0; o < used; ++o, to += step) {
            for (std::int64_t t = 0; t < taps; ++t) {
                const float value = made[t * loops_.width + o];
                to[t] = adds_ ? to[t] + value : value;
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
    std::int64_t x_step_ = 0, y_step_ = 0, m_step_ = 0;  // from point to point, in floats
    int threads_ = 1;
};

GRAPHC_KERNEL("conv_winograd_dweight", WeightGradient)

}  // namespace

}  // namespace graphc::winograd
