// "max_pool_blocked", "mean_pool_blocked": max_pool and mean_pool (y alone) for an x and y in
// blocks of channels, see blocked.h. Of means of one window, y may also be (N, C, 1, 1).
// Parameters: kernel, stride, pad, each (along H, along W), and channels, C.

#include "kernels/blocked.h"
#include "kernels/planes.h"
#include "kernels/pool_windows.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class PoolBlocked : public Kernel {
  public:
    PoolBlocked(const Problem& problem, const std::string& name) {
        if (problem.reads.size() != 1 || problem.writes.size() != 1) {
            throw Error("GC-A001", name + " reads one operand and writes one");
        }
        x_ = Blocked(problem.reads[0], problem.attrs.integer("channels"), name);
        loops_ = &blocked_loops(x_.lanes);
    }

    void run(const Run& run) const override {
        const double work = pool_work(rows_, cols_, x_.count() * height_ * width_ * x_.lanes);
        const Index units = x_.lanes * width_ == 0 ? 0 : x_.count() * height_;
        split(units, threads_for(work, run.threads), [&](Index first, Index stop) {
            for (Index unit = first; unit < stop; ++unit) {
                const Index i = unit / height_, p = unit % height_;
                const Index extent = pool_extent(rows_, p);
                const BlockedRow row = {cols_,    pool_span(rows_, p),      extent, width_,
                                        x_.lanes, is_wide_sum(rows_, cols_)};
                pool(row, i, p, run.in(0) + x_.offset(i), run.out(0));
            }
        });
    }

  protected:
    // `y` is the operand's first element; the row is the p-th of the i-th block.
    virtual void pool(const BlockedRow& row, Index i, Index p, const float* x, float* y) const = 0;

    void set_windows(const Attrs& attrs, Index height, Index width, bool fits) {
        rows_ = pool_axis(attrs, 0, x_.height, height);
        cols_ = pool_axis(attrs, 1, x_.width, width);
        height_ = height;
        width_ = width;
        if (!fits) throw Error("GC-A001", "blocked pooling: x and y do not fit together");
    }

    bool fits(const Blocked& y) const { return y.samples == x_.samples && y.lanes == x_.lanes; }

    const SpatialLoops* loops_;
    Blocked x_;
    PoolAxis rows_ = {}, cols_ = {};
    Index height_ = 0, width_ = 0;  // windows
};

class MaxPoolBlocked final : public PoolBlocked {
  public:
    explicit MaxPoolBlocked(const Problem& problem) : PoolBlocked(problem, "max_pool_blocked") {
        y_ = Blocked(problem.writes[0], x_.channels, "max_pool_blocked");
        set_windows(problem.attrs, y_.height, y_.width, fits(y_));
    }

  private:
    void pool(const BlockedRow& row, Index i, Index p, const float* x, float* y) const override {
        y += y_.offset(i) + p * y_.width * y_.lanes;
        loops_->max_blocked(row, x, y);
        y_.clear_padding(i, y, y_.width);
    }

    Blocked y_;
};

class MeanPoolBlocked final : public PoolBlocked {
  public:
    explicit MeanPoolBlocked(const Problem& problem) : PoolBlocked(problem, "mean_pool_blocked") {
        const std::string name = "mean_pool_blocked";
        const Spec& y = problem.writes[0];
        is_plain_ = y.rank == 4;
        if (is_plain_) {
            plain_ = Planes(y, name);
            set_windows(problem.attrs, 1, 1,
                        y.dtype == DType::f32 && plain_.samples == x_.samples &&
                            plain_.channels == x_.channels && plain_.height == 1 &&
                            plain_.width == 1);
        } else {
            y_ = Blocked(y, x_.channels, name);
            set_windows(problem.attrs, y_.height, y_.width, fits(y_));
        }
    }

  private:
    void pool(const BlockedRow& row, Index i, Index p, const float* x, float* y) const override {
        if (is_plain_) {
            float means[16];
            loops_->mean_blocked(row, x, means);
            y +=
                i / x_.blocks * plain_.sample_step + i % x_.blocks * x_.lanes * plain_.channel_step;
            for (Index c = 0; c < x_.used(i); ++c) y[c * plain_.channel_step] = means[c];
            return;
        }
        y += y_.offset(i) + p * y_.width * y_.lanes;
        loops_->mean_blocked(row, x, y);
        y_.clear_padding(i, y, y_.width);
    }

    bool is_plain_ = false;
    Blocked y_;
    Planes plain_;
};

GRAPHC_KERNEL("max_pool_blocked", MaxPoolBlocked)
GRAPHC_KERNEL("mean_pool_blocked", MeanPoolBlocked)

}  // namespace

}  // namespace graphc
