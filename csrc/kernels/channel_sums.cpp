// "channel_sums": sums[c] = the sum of x over all axes but that of the channels, a bias' gradient.
// Reads x, with attribute accumulate sums as well, to which it then adds; writes sums (C,).
// Attribute axis: that of the channels; or, of a blocked x, block. A channel is summed by one
// thread, in order.

#include <algorithm>

#include "core/kernel.h"
#include "kernels/parallel.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kRun = 1024;  // summed in floats before doubles take over, in each lane

// totals[i] += the sum of from[i], from[i + step], ..., so many, for i < lanes <= kLanes.
void add_lanes(const float* from, std::int64_t count, std::int64_t step, std::int64_t lanes,
               double* totals) {
    while (count > 0) {
        const std::int64_t some = std::min(count, kRun);
        float sums[kLanes] = {};
        if (lanes == kLanes) {
            for (std::int64_t k = 0; k < some; ++k, from += step) {
                for (std::int64_t i = 0; i < kLanes; ++i) sums[i] += from[i];
            }
        } else {
            for (std::int64_t k = 0; k < some; ++k, from += step) {
                for (std::int64_t i = 0; i < lanes; ++i) sums[i] += from[i];
            }
        }
        for (std::int64_t i = 0; i < lanes; ++i) totals[i] += double(sums[i]);
        count -= some;
    }
}

class ChannelSums final : public Kernel {
  public:
    explicit ChannelSums(const Problem& problem) : adds_(flag(problem.attrs, "accumulate")) {
        require(problem.reads.size() == 1 + std::size_t(adds_) && problem.writes.size() == 1,
                "number of operands");
        const Spec& x = problem.reads[0];
        channels_ = problem.writes[0].size();
        require_flat(problem.writes[0], channels_, "sums");
        if (adds_) require_flat(problem.reads[1], channels_, "sums");
        require_flat(x, x.size(), "x");
        const bool is_blocked = problem.attrs.has("block");
        const std::int64_t axis = is_blocked ? 1 : problem.attrs.integer("axis");
        require(axis >= 0 && axis < x.rank, "attribute axis");
        outer_ = x.count(0, int(axis));
        inner_ = x.count(int(axis) + 1, x.rank);
        if (is_blocked) {
            block_ = problem.attrs.integer("block");
            const std::int64_t blocks = x.dims[1];
            require(x.rank == 5 && x.dims[4] == block_ && block_ >= 1 && block_ <= kLanes, "x");
            require(channels_ <= blocks * block_ && channels_ > (blocks - 1) * block_, "sums");
            inner_ /= block_;
        } else {
            require(x.dims[std::size_t(axis)] == channels_, "sums");
        }
        threads_ = threads_for(0.15 * double(x.size()), problem.threads);
    }

    void run(const Run& run) const override {
        // Channels that lie side by side are summed side by side.
        const std::int64_t lanes = block_ > 0 ? block_ : inner_ == 1 ? kLanes : 1;
        share_out((channels_ + lanes - 1) / lanes, std::min(run.threads, threads_),
                  [&](std::int64_t task, int) {
                      const std::int64_t first = task * lanes;
                      const std::int64_t count = std::min(lanes, channels_ - first);
                      double totals[kLanes] = {};
                      sum(run.in(0), task, count, totals);
                      for (std::int64_t i = 0; i < count; ++i) {
                          const float before = adds_ ? run.in(1)[first + i] : 0.0f;
                          run.out(0)[first + i] = before + float(totals[i]);
                      }
                  });
    }

  private:
    void sum(const float* x, std::int64_t task, std::int64_t count, double* totals) const {
        if (block_ > 0) {
            const std::int64_t blocks = (channels_ + block_ - 1) / block_, plane = inner_ * block_;
            for (std::int64_t n = 0; n < outer_; ++n) {
                add_lanes(x + (n * blocks + task) * plane, inner_, block_, block_, totals);
            }
        } else if (inner_ == 1) {
            add_lanes(x + task * kLanes, outer_, channels_, count, totals);
        } else {
            double sums[kLanes] = {};
            const std::int64_t rows = inner_ / kLanes;
            for (std::int64_t n = 0; n < outer_; ++n) {
                const float* from = x + (n * channels_ + task) * inner_;
                add_lanes(from, rows, kLanes, kLanes, sums);
                add_lanes(from + rows * kLanes, 1, 0, inner_ - rows * kLanes, sums);
            }
            for (const double each : sums) totals[0] += each;
        }
    }

    bool adds_;
    std::int64_t channels_ = 0, outer_ = 0, inner_ = 0, block_ = 0;
    int threads_ = 1;
};

GRAPHC_KERNEL("channel_sums", ChannelSums)

}  // namespace

}  // namespace graphc
