// "conv_winograd": convolution of blocked images (kernels/blocked.h) with kernels of 3 by 3 or
// 5 by 5 and stride 1 by Winograd's algorithm, see types.h. An element that is not finite spoils
// its whole tile, and sums are a few times less exact than those of "conv".
//
// Operands: x, packed weight, bias if attribute bias, residual if attribute residual; y, which may
// be the residual. Attributes: those of SpatialOptions and ActivationOptions, channels, outputs,
// block.

#include <algorithm>

#include "kernels/blocked.h"
#include "kernels/parallel.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"
#include "kernels/winograd/layout.h"
#include "kernels/winograd/work.h"

namespace graphc::winograd {

namespace {

constexpr char kName[] = "conv_winograd";

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

const Spec& operand(const std::vector<Spec>& specs, std::size_t at) {
    require(specs.size() > at, "number of operands");
    return specs[at];
}

class Convolution final : public Kernel {
  public:
    explicit Convolution(const Problem& told)
        : act_(told.attrs),
          has_bias_(flag(told.attrs, "bias")),
          has_residual_(flag(told.attrs, "residual")),
          x_(operand(told.reads, 0), told.attrs.integer("channels"), kName),
          y_(operand(told.writes, 0), told.attrs.integer("outputs"), kName),
          r_(has_residual_ ? Blocked(told.reads.back(), y_.channels, kName) : y_),
          loops_(chosen_loops(told.attrs)),
          weight_(loops_, x_.channels, y_.channels, y_.lanes),
          pad_(checked_options(told.attrs).pad),
          grid_(y_.samples, y_.height, y_.width),
          threads_(threads_of(told)),
          is_fresh_(is_fresh(grid_.tiles(), x_.channels)),
          work_(grid_.tiles(), weight_, is_fresh_, threads_) {
        check(told);
        const std::int64_t row = work_.most_tiles() * loops_.width;
        const std::int64_t vectors = x_.blocks * (x_.lanes / loops_.width);
        const std::int64_t panels = ceil_div(weight_.panels(), work_.groups);
        // Points lie a line more apart, so that they do not all want the same lines of a cache.
        v_step_ = vectors * row + kMaxWidth;
        m_step_ = panels * kTileVectors * row + kMaxWidth;
        if (is_fresh_) u_step_ = x_.channels * kTileVectors * loops_.width + kMaxWidth;
    }

    std::size_t workspace() const override {
        const int owners = work_.is_shared ? 1 : threads_;
        return v_bytes() * std::size_t(owners) + m_bytes() * std::size_t(threads_);
    }

    void run(const Run& run) const override {
        if (work_.tiles == 0) return;
        if (work_.is_shared) {
            share_chunks(run);
        } else {
            split_chunks(run);
        }
    }

  private:
    static int threads_of(const Problem& told) {
        const double sums = double(told.writes[0].size()) * double(told.attrs.integer("channels"));
        return threads_for(0.04 * sums, told.threads);
    }

    void check(const Problem& told) const {
        const SpatialOptions options = checked_options(told.attrs);
        const std::size_t reads = 2 + std::size_t(has_bias_) + std::size_t(has_residual_);
        require(told.reads.size() == reads && told.writes.size() == 1, "number of operands");
        const std::int64_t lanes = block_lanes(told.attrs);
        require(x_.lanes == lanes && y_.lanes == lanes, "attribute block");
        require(x_.height == options.size[0] && x_.width == options.size[1], "x");
        require(y_.height == options.windows(0) && y_.width == options.windows(1), "y");
        require(x_.samples == y_.samples, "samples of x or y");
        require(r_.samples == y_.samples && r_.height == y_.height && r_.width == y_.width &&
                    r_.lanes == lanes,
                "residual");
        require_flat(told.reads[1], packed_size(loops_.kernel, x_.channels, y_.channels, is_fresh_),
                     "packed weight");
        if (has_bias_) require_flat(told.reads[2], y_.channels, "bias");
    }

    std::size_t v_bytes() const { return std::size_t(loops_.points() * v_step_) * sizeof(float); }
    // With them goes, where a run takes the weight to points, that of a panel.
    std::size_t m_bytes() const {
        return std::size_t(loops_.points() * (m_step_ + u_step_)) * sizeof(float);
    }

    void split_chunks(const Run& run) const {
        share_out(work_.chunks, std::min(run.threads, threads_), [&](std::int64_t i, int thread) {
            char* own = run.workspace + (v_bytes() + m_bytes()) * std::size_t(thread);
            float* v = reinterpret_cast<float*>(own);
            float* m = reinterpret_cast<float*>(own + v_bytes());
            const Range chunk = part(work_.tiles, work_.chunks, i);
            for (std::int64_t block = 0; block < x_.blocks; ++block) input(run, chunk, block, v);
            for (std::int64_t group = 0; group < work_.groups; ++group) {
                const Range panels = part(weight_.panels(), work_.groups, group);
                multiply(run, chunk, panels, v, m);
                output(run, chunk, panels, m);
            }
        });
    }

    void share_chunks(const Run& run) const {
        const int threads = std::min(run.threads, threads_);
        float* v = reinterpret_cast<float*>(run.workspace);
        for (std::int64_t i = 0; i < work_.chunks; ++i) {
            const Range chunk = part(work_.tiles, work_.chunks, i);
            share_out(x_.blocks, threads,
                      [&](std::int64_t block, int) { input(run, chunk, block, v); });
            share_out(work_.groups, threads, [&](std::int64_t group, int thread) {
                char* own = run.workspace + v_bytes() + m_bytes() * std::size_t(thread);
                float* m = reinterpret_cast<float*>(own);
                const Range panels = part(weight_.panels(), work_.groups, group);
                multiply(run, chunk, panels, v, m);
                output(run, chunk, panels, m);
            });
        }
    }

    // A block of channels of x to points.
    void input(const Run& run, const Range& chunk, std::int64_t block, float* v) const {
        InputJob job{};
        job.point_step = v_step_;
        job.tile_step = loops_.width;
        job.vector_step = chunk.count() * loops_.width;
        v += block * (x_.lanes / loops_.width) * job.vector_step;
        grid_.each_place(chunk, [&](const Place& place) {
            job.tiles = {x_.height,   x_.width, place.top - pad_[0], place.left - pad_[1],
                         place.count, x_.lanes};
            job.x = run.in(0) + place.image * x_.sample_step + block * x_.plane();
            job.v = v + place.before * loops_.width;
            loops_.input(job);
        });
    }

    void multiply(const Run& run, const Range& chunk, const Range& panels, const float* v,
                  float* m) const {
        if (is_fresh_) {
            float* u = m + loops_.points() * m_step_;
            for (std::int64_t p = panels.first; p < panels.stop; ++p) {
                const float* kernels = run.in(1) + weight_.kernels(p);
                loops_.weight({kernels, x_.channels, weight_.vectors_of(p), u, u_step_});
                for (std::int64_t point = 0; point < loops_.points(); ++point) {
                    const float* from = u + point * u_step_;
                    multiply(chunk, point, p, p - panels.first, from, from + u_step_, v, m);
                }
            }
            return;
        }
        for (std::int64_t point = 0; point < loops_.points(); ++point) {
            for (std::int64_t p = panels.first; p < panels.stop; ++p) {
                const float* next = run.in(1) + weight_.offset(p + 1, point);
                if (p + 1 == panels.stop && point + 1 < loops_.points()) {
                    next = run.in(1) + weight_.offset(panels.first, point + 1);
                }
                multiply(chunk, point, p, p - panels.first, run.in(1) + weight_.offset(p, point),
                         next, v, m);
            }
        }
    }

    // A panel, the `at`-th of a group, at one point; `next`: what is multiplied after it.
    void multiply(const Range& chunk, std::int64_t point, std::int64_t panel, std::int64_t at,
                  const float* u, const float* next, const float* v, float* m) const {
        const std::int64_t slivers = ceil_div(chunk.count(), loops_.tile_rows);
        const int vectors = weight_.vectors_of(panel);
        ProductJob job{};
        job.depth = x_.channels;
        job.u = u;
        job.v_step = job.m_step = chunk.count() * loops_.width;
        job.ahead_step = ceil_div(vectors * loops_.width, slivers);
        float* to = m + point * m_step_ + at * kTileVectors * job.m_step;
        for (std::int64_t s = 0; s < slivers; ++s) {
            const Range tiles = part(chunk.count(), slivers, s);
            job.v = v + point * v_step_ + tiles.first * loops_.width;
            job.m = to + tiles.first * loops_.width;
            job.ahead = next + s * job.ahead_step * job.depth;
            loops_.product[tiles.count() - 1][vectors - 1](job);
        }
    }

    // The outputs of some panels from points.
    void output(const Run& run, const Range& chunk, const Range& panels, const float* m) const {
        const std::int64_t first = weight_.start(panels.first);
        const std::int64_t step = chunk.count() * loops_.width;
        OutputJob job{};
        job.point_step = m_step_;
        job.activation = act_.activation;
        job.slope = act_.slope;
        for (std::int64_t o = first; o < weight_.start(panels.stop); ++o) {
            const std::int64_t channel = o * loops_.width, lane = channel % y_.lanes;
            const std::int64_t in_sample = channel / y_.lanes * y_.plane() + lane;
            job.used = int(std::clamp<std::int64_t>(y_.channels - channel, 0, loops_.width));
            job.bias = has_bias_ && job.used > 0 ? run.in(2) + channel : nullptr;
            grid_.each_place(chunk, [&](const Place& place) {
                job.tiles = {y_.height, y_.width, place.top, place.left, place.count, y_.lanes};
                job.m = m + (o - first) * step + place.before * loops_.width;
                job.y = run.out(0) + place.image * y_.sample_step + in_sample;
                if (has_residual_) {
                    job.residual =
                        run.in(2 + int(has_bias_)) + place.image * r_.sample_step + in_sample;
                }
                loops_.output(job);
            });
        }
    }

    ActivationOptions act_;
    bool has_bias_, has_residual_;
    Blocked x_, y_, r_;
    const Loops& loops_;
    WeightLayout weight_;
    Extents pad_;
    TileGrid grid_;
    int threads_;
    bool is_fresh_;
    Work work_;
    std::int64_t v_step_ = 0, m_step_ = 0, u_step_ = 0;  // from point to point, in floats
};

GRAPHC_KERNEL("conv_winograd", Convolution)

}  // namespace

}  // namespace graphc::winograd
