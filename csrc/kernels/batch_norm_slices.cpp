// BatchNorm in training of a batch that comes in slices, each dense: (N, C, ...).
// "batch_norm_slice_statistics": reads x0, x1, ...; writes the mean and the biased variance of each
// channel over all of them (0 over nothing). "batch_norm_slice_sums": reads dy0, dy1, ..., y0, y1,
// ...; writes sums (2, C): of dy and of dy y. "batch_norm_slice_gradient": reads dy, y,
// batch_variance and these sums; dx = (dy - sums[0] / count - sums[1] / count y) / sqrt(variance +
// eps); dx may be dy. Parameters of the last: eps, count, the elements of a channel in all slices.
//
// A channel is summed by one thread, in order.

#include <cmath>
#include <vector>

#include "kernels/batch_norm.h"
#include "kernels/moments.h"
#include "kernels/spans.h"
#include "kernels/split.h"

namespace graphc {

namespace {

Around around_channels(const Spec& x, const std::string& name) {
    expect(x.dtype == DType::f32 && x.contiguous(), name + " takes dense float32 slices");
    return x.rank <= 1 ? Around{1, 1, x.size()} : around(x, 1);
}

// Slices of one batch, which have as many channels.
std::vector<Around> slices_of(const std::vector<Spec>& specs, std::size_t first, std::size_t count,
                              const std::string& name) {
    std::vector<Around> found;
    for (std::size_t k = first; k < first + count; ++k) {
        found.push_back(around_channels(specs[k], name));
        expect(found.back().extent == found[0].extent, name + ": slices differ in channels");
    }
    return found;
}

double elements(const std::vector<Around>& slices) {
    double total = 0;
    for (const Around& each : slices) total += double(each.outer * each.extent * each.inner);
    return total;
}

class SliceStatistics final : public Kernel {
  public:
    explicit SliceStatistics(const Problem& problem) : loops_(spans()) {
        const std::string name = "batch_norm_slice_statistics";
        expect(!problem.reads.empty() && problem.writes.size() == 2,
               name + " reads slices and writes two rows");
        slices_ = slices_of(problem.reads, 0, problem.reads.size(), name);
        expect(is_row(problem.writes[0], slices_[0].extent) &&
                   is_row(problem.writes[1], slices_[0].extent),
               name + " gives a mean and a variance per channel");
    }

    void run(const Run& run) const override {
        const int threads = threads_for(0.15 * elements(slices_), run.threads);
        split(slices_[0].extent, threads, [&](Index from, Index to) {
            for (Index c = from; c < to; ++c) {
                const Moments found = channel(run, c);
                run.out(0)[c] = float(found.mean);
                run.out(1)[c] = float(found.variance);
            }
        });
    }

  private:
    // Moments of slices, joined two by two (Chan et al. 1983).
    Moments channel(const Run& run, Index c) const {
        double count = 0, mean = 0, squares = 0;
        for (std::size_t k = 0; k < slices_.size(); ++k) {
            const Around& own = slices_[k];
            const double more = double(own.outer * own.inner);
            if (more == 0) continue;
            const float* const x = run.in(int(k)) + c * own.inner;
            const Moments m = moments_of(loops_, x, own.outer, own.inner, own.extent * own.inner);
            const double total = count + more, apart = m.mean - mean;
            mean += apart * (more / total);
            squares += m.variance * more + apart * apart * (count * more / total);
            count = total;
        }
        return {mean, count > 0 ? squares / count : 0};
    }

    const Spans& loops_;
    std::vector<Around> slices_;
};

class SliceSums final : public Kernel {
  public:
    explicit SliceSums(const Problem& problem) : loops_(spans()) {
        const std::string name = "batch_norm_slice_sums";
        const std::size_t count = problem.reads.size() / 2;
        expect(count > 0 && problem.reads.size() == 2 * count && problem.writes.size() == 1,
               name + " reads pairs of slices and writes one operand");
        slices_ = slices_of(problem.reads, 0, count, name);
        for (std::size_t k = 0; k < count; ++k) {
            expect(problem.reads[k].dims == problem.reads[count + k].dims &&
                       problem.reads[count + k].contiguous(),
                   name + ": the slices of a pair differ");
        }
        expect(is_row(problem.writes[0], 2 * slices_[0].extent), name + " gives two sums");
    }

    void run(const Run& run) const override {
        const Index channels = slices_[0].extent;
        const int threads = threads_for(0.4 * elements(slices_), run.threads);
        split(channels, threads, [&](Index from, Index to) {
            for (Index c = from; c < to; ++c) {
                double sums[kLanes] = {}, products[kLanes] = {};
                for (std::size_t k = 0; k < slices_.size(); ++k) add(run, k, c, sums, products);
                double total = 0, product = 0;
                for (int lane = 0; lane < kLanes; ++lane) {
                    total += sums[lane];
                    product += products[lane];
                }
                run.out(0)[c] = float(total);
                run.out(0)[channels + c] = float(product);
            }
        });
    }

  private:
    static constexpr int kLanes = int(ChannelRuns::kLanes);

    void add(const Run& run, std::size_t k, Index c, double* sums, double* products) const {
        const Around& own = slices_[k];
        const float* const dy = run.in(int(k)) + c * own.inner;
        const float* const y = run.in(int(k + slices_.size())) + c * own.inner;
        for (Index n = 0; n < own.outer; ++n) {
            const Index at = n * own.extent * own.inner;
            loops_.add_lane_products(sums, products, dy + at, y + at, own.inner);
        }
    }

    const Spans& loops_;
    std::vector<Around> slices_;
};

class SliceGradient final : public Kernel {
  public:
    explicit SliceGradient(const Problem& problem)
        : eps_(problem.attrs.real("eps")), count_(problem.attrs.integer("count")) {
        const std::string name = "batch_norm_slice_gradient";
        expect(problem.reads.size() == 4 && problem.writes.size() == 1,
               name + " reads four operands and writes one");
        own_ = around_channels(problem.reads[0], name);
        for (const Spec* spec : {&problem.reads[1], &problem.writes[0]}) {
            around_channels(*spec, name);
            expect(spec->dims == problem.reads[0].dims, name + ": images differ in shape");
        }
        expect(is_row(problem.reads[2], own_.extent) && is_row(problem.reads[3], 2 * own_.extent),
               name + " has a variance and two sums per channel");
    }

    void run(const Run& run) const override {
        const double count = double(count_ > 0 ? count_ : 1);
        const Index rows = own_.outer * own_.extent;
        const int threads = threads_for(0.25 * double(rows * own_.inner), run.threads);
        split(rows, threads, [&](Index from, Index to) {
            for (Index row = from; row < to; ++row) {
                const Index c = row % own_.extent;
                const Centre level(double(run.in(3)[c]) / count);
                const float slope = float(double(run.in(3)[own_.extent + c]) / count);
                const float scale = float(1 / std::sqrt(double(run.in(2)[c]) + eps_));
                const float* const dy = run.in(0) + row * own_.inner;
                const float* const y = run.in(1) + row * own_.inner;
                float* const dx = run.out(0) + row * own_.inner;
                for (Index i = 0; i < own_.inner; ++i) {
                    dx[i] = (dy[i] - level.high - level.low - slope * y[i]) * scale;
                }
            }
        });
    }

  private:
    double eps_;
    std::int64_t count_;
    Around own_;
};

GRAPHC_KERNEL("batch_norm_slice_statistics", SliceStatistics)
GRAPHC_KERNEL("batch_norm_slice_sums", SliceSums)
GRAPHC_KERNEL("batch_norm_slice_gradient", SliceGradient)

}  // namespace

}  // namespace graphc
