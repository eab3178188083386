// "batch_norm_gradient": reads dy, y and batch_variance; with the means over each channel,
// dx = (dy - mean(dy) - mean(dy y) y) / sqrt(variance + eps). "batch_norm_global_gradient": reads
// dy, variance and factor; dx = dy / sqrt(variance / factor + eps), the quotient 0 where factor is.
// dx may be dy. Parameters: eps; for operands in blocks of channels (blocked.h) channels.
//
// With the parameters of FollowingScale the first takes dz, the gradient of z = relu(y * weight +
// bias), in dy's place, and reads the weight and, for a ReLU, z as well. It then also writes the
// gradient of the weight, and with `bias` that of the bias.

#include <algorithm>
#include <cmath>

#include "kernels/batch_norm.h"
#include "kernels/expr.h"
#include "kernels/moments.h"
#include "kernels/spans.h"

namespace graphc {

namespace {

class Gradient final : public Kernel {
  public:
    explicit Gradient(const Problem& problem)
        : loops_(spans()), scale_(problem.attrs), eps_(problem.attrs.real("eps")) {
        const std::string name = "batch_norm_gradient";
        const std::size_t reads = 3 + (scale_.is_there ? 1 : 0) + (scale_.has_relu ? 1 : 0);
        expect(problem.reads.size() == reads &&
                   problem.writes.size() == std::size_t(1 + scale_.rows()),
               name + " has another number of operands");
        dy_ = ChannelOperand(problem.reads[0], problem.attrs, name);
        y_ = ChannelOperand(problem.reads[1], problem.attrs, name);
        dx_ = ChannelOperand(problem.writes[0], problem.attrs, name);
        const auto& dims = problem.reads[0].dims;
        bool fits = problem.reads[1].dims == dims && problem.writes[0].dims == dims;
        if (scale_.has_relu) {
            z_ = ChannelOperand(problem.reads[4], problem.attrs, name);
            fits = fits && problem.reads[4].dims == dims;
        }
        expect(fits, name + ": images differ in shape");
        const Index channels = dy_.runs.all_channels();
        fits = is_row(problem.reads[2], channels) &&
               (!scale_.is_there || is_row(problem.reads[3], channels));
        for (std::size_t k = 1; k < problem.writes.size(); ++k) {
            fits = fits && is_row(problem.writes[k], channels);
        }
        expect(fits, name + " has a number per channel");
    }

    std::size_t workspace() const override {
        return partials() * sizeof(double) + 4 * rows() * sizeof(float);
    }

    void run(const Run& run) const override {
        const ChannelRuns& runs = dy_.runs;
        const int threads = threads_for(0.4 * double(runs.size()), run.threads);
        runs.sum<2>(
            reinterpret_cast<double*>(run.workspace), threads,
            [&](Index group, Index outer, Index first, Index count, double* sums) {
                const auto add = runs.is_columns() ? loops_.add_products : loops_.add_lane_products;
                each_part(run, group, outer, first, count,
                          [&](Index at, Index n, const float* dy, const float* y) {
                              const Index own = runs.is_columns() ? at : 0;
                              add(sums + own, sums + runs.width() + own, dy, y, n);
                          });
            },
            [&](Index group, const double* totals) {
                prepare(run, group, totals);
                if (runs.is_whole()) apply(run, group, 0);  // while it is in the caches
            });
        if (runs.is_whole()) return;
        split(runs.groups() * runs.pieces(), threads, [&](Index from, Index to) {
            for (Index i = from; i < to; ++i) apply(run, i / runs.pieces(), i % runs.pieces());
        });
    }

  private:
    static constexpr Index kColumns = ChannelRuns::kColumns;
    static constexpr Index kPart = 512;  // elements of a part, whole turns of the lanes

    std::size_t partials() const { return std::size_t(dy_.runs.partials(2)); }
    std::size_t rows() const { return std::size_t(dy_.runs.all_channels()); }
    // The k-th number of each channel: mean(dy) in two parts, mean(dy y), weight / deviation.
    float* row(const Run& run, int k) const {
        char* const start = run.workspace + partials() * sizeof(double);
        return reinterpret_cast<float*>(start) + std::size_t(k) * rows();
    }

    // Calls body(at, count, dy, y) for the parts of a cell, which is one itself without a ReLU; dy
    // has passed the ReLU.
    template <class Body>
    void each_part(const Run& run, Index group, Index outer, Index first, Index count,
                   const Body& body) const {
        const float* const dy = dy_.at(run.in(0), group, outer, first);
        const float* const y = y_.at(run.in(1), group, outer, first);
        if (!scale_.has_relu) return body(0, count, dy, y);
        const float* const z = z_.at(run.in(4), group, outer, first);
        alignas(64) static const float zeros[kPart] = {};
        alignas(64) float passed[kPart], slopes[kPart];
        if (scale_.slope != 0) std::fill_n(slopes, kPart, float(scale_.slope));
        for (Index at = 0; at < count; at += kPart) {
            const Index n = lesser(kPart, count - at);
            const float* rest = zeros;
            if (scale_.slope != 0) {
                loops_.binary_of(Opcode::mul)(passed, dy + at, slopes, n);
                rest = passed;
            }
            loops_.quaternary_of(Opcode::less)(passed, zeros, z + at, dy + at, rest, n);
            body(at, n, passed, y + at);
        }
    }

    void prepare(const Run& run, Index group, const double* totals) const {
        const double count = double(dy_.runs.count() > 0 ? dy_.runs.count() : 1);
        for (Index c = 0; c < dy_.runs.channels(group); ++c) {
            const Index channel = dy_.runs.first_channel(group) + c;
            const Centre level(totals[c] / count);
            const double weight = scale_.is_there ? double(run.in(3)[channel]) : 1;
            row(run, 0)[channel] = level.high;
            row(run, 1)[channel] = level.low;
            row(run, 2)[channel] = float(totals[kColumns + c] / count);
            row(run, 3)[channel] = float(weight / std::sqrt(double(run.in(2)[channel]) + eps_));
            if (scale_.is_there) run.out(1)[channel] = float(totals[kColumns + c]);
            if (scale_.has_bias) run.out(2)[channel] = float(totals[c]);
        }
    }

    void apply(const Run& run, Index group, Index piece) const {
        const ChannelRuns& runs = dy_.runs;
        const Index columns = runs.is_columns() ? runs.width() : ChannelRuns::kLanes;
        float numbers[4][kColumns];
        for (int k = 0; k < 4; ++k) {
            const float* const own = row(run, k) + runs.first_channel(group);
            for (Index i = 0; i < columns; ++i) {
                const Index c = runs.channel_at(i);  // of padding: all 0
                numbers[k][i] = c < runs.channels(group) ? own[c] : 0;
            }
        }
        const auto make = runs.is_columns() ? loops_.slopes : loops_.lane_slopes;
        runs.each_cell(group, piece, [&](Index outer, Index first, Index count) {
            float* const dx = const_cast<float*>(dx_.at(run.out(0), group, outer, first));
            each_part(run, group, outer, first, count,
                      [&](Index at, Index n, const float* dy, const float* y) {
                          const Index own = runs.is_columns() ? at : 0;
                          make(dx + at, dy, y, n, numbers[0] + own, numbers[1] + own,
                               numbers[2] + own, numbers[3] + own);
                      });
        });
    }

    const Spans& loops_;
    FollowingScale scale_;
    double eps_;
    ChannelOperand dy_, y_, z_, dx_;
};

class GlobalGradient final : public Kernel {
  public:
    explicit GlobalGradient(const Problem& problem)
        : eps_(problem.attrs.real("eps")),
          channels_(channels(problem)),
          size_(size(problem, channels_)),
          expr_(program(problem, size_)) {}

    std::size_t workspace() const override { return std::size_t(size_) * sizeof(float); }

    void run(const Run& run) const override {
        const double sum = run.in(2)[0], scale = sum != 0 ? 1 / sum : 0;
        float* const factor = reinterpret_cast<float*>(run.workspace);
        for (Index c = 0; c < channels_; ++c) {
            factor[c] = float(1 / std::sqrt(double(run.in(1)[c]) * scale + eps_));
        }
        for (Index c = channels_; c < size_; ++c) factor[c] = 0;
        const char* reads[] = {run.reads[0], run.workspace};
        expr_.run(reads, run.writes, run);
    }

  private:
    static Index channels(const Problem& problem) {
        expect(problem.reads.size() == 3 && problem.writes.size() == 1,
               "batch_norm_global_gradient reads three operands and writes one");
        const Index channels = problem.attrs.has("channels") ? problem.attrs.integer("channels")
                                                             : channels_of(problem.reads[0]);
        expect(is_row(problem.reads[1], channels) && is_row(problem.reads[2], 1),
               "batch_norm_global_gradient has a variance per channel, and one factor");
        return channels;
    }

    static Index size(const Problem& problem, Index channels) {
        if (!problem.attrs.has("channels")) return channels;
        const Blocked dy(problem.reads[0], channels, "batch_norm_global_gradient");
        return dy.blocks * dy.lanes;
    }

    static Problem program(const Problem& problem, Index size) {
        Spec row;
        row.rank = problem.reads[0].rank > 1 ? 1 : 0;
        row.dims[0] = size;
        row.strides[0] = 1;
        Problem made{{problem.reads[0], row}, problem.writes, {}};
        const std::int64_t start = problem.attrs.has("channels") ? -2 : row.rank;
        made.attrs.set("starts", std::vector<std::int64_t>{-1, start});
        made.attrs.set("constants", std::vector<double>{});
        made.attrs.set("code", std::vector<std::int64_t>{int(Opcode::mul), -1, 0, 1});
        return made;
    }

    double eps_;
    Index channels_, size_;  // size: with those that fill up the last block
    Expr expr_;
};

GRAPHC_KERNEL("batch_norm_gradient", Gradient)
GRAPHC_KERNEL("batch_norm_global_gradient", GlobalGradient)

}  // namespace

}  // namespace graphc
