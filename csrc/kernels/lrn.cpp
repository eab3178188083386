// "lrn_across", "lrn_within": read x, write y. "lrn_across_blocked", "lrn_within_blocked": the same
// in blocks of channels, see blocked.h. Parameters: radius (half the window), shift, share (the
// weight of one square), beta; in blocks also channels.

#include <cstdint>

#include "core/kernel.h"
#include "error.h"
#include "kernels/blocked.h"
#include "kernels/lrn_problem.h"
#include "kernels/parallel.h"
#include "kernels/planes.h"
#include "kernels/spatial/loops.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr double kNsPerElement = 1.5;

void check_floats(const Problem& problem, const std::string& name) {
    if (problem.reads.size() != 1 || problem.writes.size() != 1 ||
        problem.reads[0].dtype != DType::f32 || problem.writes[0].dtype != DType::f32) {
        throw Error("GC-A001", name + " reads one operand of floats and writes one");
    }
}

class LrnKernel : public Kernel {
  public:
    LrnKernel(const Problem& problem, const std::string& name)
        : loops_(spatial_loops(chosen_isa())) {
        check_floats(problem, name);
        x_ = Planes(problem.reads[0], name);
        y_ = Planes(problem.writes[0], name);
        if (!x_.has_shape_of(y_)) throw Error("GC-A001", name + ": x and y differ in shape");
        lrn_ = lrn_of(problem.attrs, name);
    }

  protected:
    int threads(const Run& run) const {
        return threads_for(kNsPerElement * double(x_.size()), run.threads);
    }

    const SpatialLoops& loops_;
    Planes x_, y_;
    Lrn lrn_ = {};
};

class LrnAcross final : public LrnKernel {
  public:
    explicit LrnAcross(const Problem& problem) : LrnKernel(problem, "lrn_across") {
        const bool is_flat = x_.height <= 1 || (x_.pitch == x_.width && y_.pitch == x_.width);
        rows_ = is_flat ? 1 : x_.height;
        row_ = is_flat ? x_.height * x_.width : x_.width;
        const Index lines = greater(x_.samples * rows_, 1);
        const Index share = (row_ * lines / kShares + kStep - 1) / kStep * kStep;
        block_ = lesser(greater(share, kStep), kLrnBlock);
        blocks_ = (row_ + block_ - 1) / block_;
    }

    void run(const Run& run) const override {
        const Index units = x_.size() == 0 ? 0 : x_.samples * rows_ * blocks_;
        split(units, threads(run), [&](Index begin, Index end) {
            for (Index unit = begin; unit < end; ++unit) {
                const Index first = unit % blocks_ * block_, line = unit / blocks_;
                const Index n = line / rows_, h = line % rows_;
                loops_.lrn_across(lrn_, run.in(0) + n * x_.sample_step + h * x_.pitch + first,
                                  x_.channel_step,
                                  run.out(0) + n * y_.sample_step + h * y_.pitch + first,
                                  y_.channel_step, x_.channels, lesser(block_, row_ - first));
            }
        });
    }

  private:
    static constexpr Index kShares = 16, kStep = 64;  // enough blocks for threads, none too small

    Index rows_ = 1, row_ = 0;      // runs of pixels, and how long they are
    Index block_ = 0, blocks_ = 0;  // pixels of a block, and blocks of a run
};

class LrnWithin final : public LrnKernel {
  public:
    explicit LrnWithin(const Problem& problem) : LrnKernel(problem, "lrn_within") {
        const Index reach = lesser(lrn_.radius, x_.width - 1);
        if (x_.width + 2 * reach <= kLrnRow) {
            piece_ = x_.width;
        } else if (reach <= kLrnRow / 4) {
            piece_ = kLrnRow - 2 * reach;
        }
    }

    void run(const Run& run) const override {
        const Index units = x_.size() == 0 ? 0 : x_.count() * x_.height;
        split(units, threads(run), [&](Index begin, Index end) {
            for (Index unit = begin; unit < end; ++unit) {
                const Index plane = unit / x_.height, h = unit % x_.height;
                const float* x = run.in(0) + x_.offset(plane);
                float* y = run.out(0) + y_.offset(plane) + h * y_.pitch;
                for (Index w = 0; piece_ > 0 && w < x_.width; w += piece_) {
                    loops_.lrn_within(lrn_, x, x_.height, x_.width, x_.pitch, h, w,
                                      lesser(w + piece_, x_.width), y + w);
                }
                for (Index w = 0; piece_ == 0 && w < x_.width; ++w) {
                    y[w] = lrn_within(lrn_, x, x_.height, x_.width, x_.pitch, h, w);
                }
            }
        });
    }

  private:
    Index piece_ = 0;  // pixels of a row that fit the loop's buffers; 0: one by one
};

class LrnAcrossBlocked final : public Kernel {
  public:
    explicit LrnAcrossBlocked(const Problem& problem) {
        const std::string name = "lrn_across_blocked";
        check_floats(problem, name);
        const Index channels = problem.attrs.integer("channels");
        x_ = Blocked(problem.reads[0], channels, name);
        y_ = Blocked(problem.writes[0], channels, name);
        if (x_.samples != y_.samples || x_.lanes != y_.lanes || x_.height != y_.height ||
            x_.width != y_.width) {
            throw Error("GC-A001", name + ": x and y differ in shape");
        }
        lrn_ = lrn_of(problem.attrs, name);
        loops_ = &blocked_loops(x_.lanes);
        piece_ = kLrnBlock / x_.lanes;
        pieces_ = (x_.pixels() + piece_ - 1) / piece_;
    }

    void run(const Run& run) const override {
        const Index units = x_.size() == 0 ? 0 : x_.samples * pieces_ * x_.blocks;
        const int threads = threads_for(kNsPerElement * double(x_.size()), run.threads);
        split(units, threads, [&](Index begin, Index end) {
            for (Index unit = begin; unit < end; ++unit) {
                const Index block = unit % x_.blocks, line = unit / x_.blocks;
                const Index n = line / pieces_, first = line % pieces_ * piece_;
                const Index i = n * x_.blocks + block, count = lesser(piece_, x_.pixels() - first);
                const float* x = run.in(0) + n * x_.sample_step + first * x_.lanes;
                float* y = run.out(0) + y_.offset(i) + first * x_.lanes;
                loops_->lrn_blocked(lrn_, x, x_.plane(), block, x_.blocks, x_.lanes, count, y);
                y_.clear_padding(i, y, count);
            }
        });
    }

  private:
    const SpatialLoops* loops_;
    Blocked x_, y_;
    Lrn lrn_ = {};
    Index piece_ = 0, pieces_ = 0;  // pixels done at once; pieces of a sample
};

class LrnWithinBlocked final : public Kernel {
  public:
    explicit LrnWithinBlocked(const Problem& problem) : most_(greater(problem.threads, 1)) {
        const std::string name = "lrn_within_blocked";
        check_floats(problem, name);
        lrn_ = lrn_of(problem.attrs, name);
        const Index channels = problem.attrs.integer("channels");
        x_ = Blocked(problem.reads[0], channels, name);
        y_ = Blocked(problem.writes[0], channels, name);
        if (problem.reads[0].dims != problem.writes[0].dims) {
            throw Error("GC-A001", name + ": x and y differ in shape");
        }
        loops_ = &blocked_loops(x_.lanes);
    }

    std::size_t workspace() const override { return std::size_t(most_ * room()) * sizeof(float); }

    void run(const Run& run) const override {
        const Index tasks = x_.size() == 0 ? 0 : x_.count();
        const double work = kNsPerElement * double(x_.size());
        float* const scratch = reinterpret_cast<float*>(run.workspace);
        share_out(tasks, threads_for(work, int(lesser(run.threads, most_))),
                  [&](std::int64_t i, int thread) {
                      float* const y = run.out(0) + y_.offset(i);
                      const Index pitch = x_.width * x_.lanes;
                      loops_->lrn_within_plane(lrn_, run.in(0) + x_.offset(i), pitch, y, pitch,
                                               x_.height, x_.width, x_.lanes,
                                               scratch + thread * room());
                      y_.clear_padding(i, y, x_.pixels());
                  });
    }

  private:
    Index room() const { return 2 * x_.width * x_.lanes; }  // floats for each thread

    const SpatialLoops* loops_;
    Index most_;
    Blocked x_, y_;
    Lrn lrn_ = {};
};

GRAPHC_KERNEL("lrn_across", LrnAcross)
GRAPHC_KERNEL("lrn_across_blocked", LrnAcrossBlocked)
GRAPHC_KERNEL("lrn_within", LrnWithin)
GRAPHC_KERNEL("lrn_within_blocked", LrnWithinBlocked)

}  // namespace

}  // namespace graphc
