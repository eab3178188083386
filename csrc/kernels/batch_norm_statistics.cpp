// "batch_norm_statistics": reads x; writes the mean and the biased variance of each channel (0 over
// nothing). With the parameter channels, x is in blocks of channels (blocked.h).

#include <cmath>

#include "kernels/batch_norm.h"
#include "kernels/spans.h"

namespace graphc {

namespace {

class Statistics final : public Kernel {
  public:
    explicit Statistics(const Problem& problem) : loops_(spans()) {
        const std::string name = "batch_norm_statistics";
        expect(problem.reads.size() == 1 && problem.writes.size() == 2,
               name + " reads one operand and writes two");
        x_ = ChannelOperand(problem.reads[0], problem.attrs, name);
        const Index channels = x_.runs.all_channels();
        expect(is_row(problem.writes[0], channels) && is_row(problem.writes[1], channels),
               name + " gives a mean and a variance per channel");
    }

    std::size_t workspace() const override { return x_.runs.partials(2) * sizeof(double); }

    // Sums are of x less its channel's first element, so that a variance far below the squared mean
    // keeps its digits.
    void run(const Run& run) const override {
        const ChannelRuns& runs = x_.runs;
        const int threads = threads_for(0.15 * double(runs.size()), run.threads);
        const auto shift = [&](Index group, Index column) {
            const Index channel = runs.channel_at(column);
            const Index at = runs.is_columns() ? channel * runs.inner() : channel;
            const float x = x_.at(run.in(0), group, 0, at)[0];
            return std::isfinite(x) ? x : 0.0F;
        };
        runs.sum<2>(
            reinterpret_cast<double*>(run.workspace), threads,
            [&](Index group, Index outer, Index first, Index count, double* sums) {
                float shifts[ChannelRuns::kColumns];
                const Index columns = runs.is_columns() ? count : runs.width();
                const Index apart = runs.is_columns() ? columns : x_.lanes;  // the rest repeats
                for (Index k = 0; k < columns; ++k) {
                    shifts[k] = k < apart ? shift(group, k) : shifts[k - apart];
                }
                const auto add = runs.is_columns() ? loops_.add_moments : loops_.add_lane_moments;
                add(sums, sums + runs.width(), x_.at(run.in(0), group, outer, first), shifts,
                    count);
            },
            [&](Index group, const double* totals) {
                const double count = double(runs.count());
                for (Index c = 0; c < runs.channels(group); ++c) {
                    const Index channel = runs.first_channel(group) + c;
                    double mean = 0, variance = 0;
                    if (count > 0) {
                        const double offset = totals[c] / count;
                        const Index column = runs.is_columns() ? c * runs.inner() : c;
                        mean = double(shift(group, column)) + offset;
                        variance = totals[ChannelRuns::kColumns + c] / count - offset * offset;
                    }
                    run.out(0)[channel] = float(mean);
                    run.out(1)[channel] = float(variance < 0 ? 0 : variance);
                }
            });
    }

  private:
    const Spans& loops_;
    ChannelOperand x_;
};

GRAPHC_KERNEL("batch_norm_statistics", Statistics)

}  // namespace

}  // namespace graphc
