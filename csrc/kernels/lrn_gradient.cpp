// "lrn_across_gradient", "lrn_within_gradient": read dy and x, write dx; the first may write over
// dy. Operands may come in blocks of channels (blocked.h), with the parameter channels. Parameters:
// those of lrn_problem.h.

#include <algorithm>
#include <cstdint>

#include "core/kernel.h"
#include "kernels/blocked.h"
#include "kernels/field.h"
#include "kernels/lrn_problem.h"
#include "kernels/parallel.h"
#include "kernels/planes.h"
#include "kernels/spatial/loops.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr double kNsPerElement = 3;

void check_floats(const Problem& problem, const std::string& name) {
    bool fits = problem.reads.size() == 2 && problem.writes.size() == 1;
    for (const auto* side : {&problem.reads, &problem.writes}) {
        for (const Spec& each : *side) fits = fits && each.dtype == DType::f32;
    }
    if (!fits) throw Error("GC-A001", name + " reads two operands of floats and writes one");
}

// Tasks over threads, each of which has some floats of the workspace.
class LrnGradient : public Kernel {
  public:
    explicit LrnGradient(const Problem& problem) : most_(std::max(problem.threads, 1)) {}

    std::size_t workspace() const override { return std::size_t(most_) * room_ * sizeof(float); }

    void run(const Run& run) const override {
        const int threads = threads_for(kNsPerElement * double(size_), lesser(run.threads, most_));
        float* const scratch = reinterpret_cast<float*>(run.workspace);
        share_out(size_ > 0 ? tasks_ : 0, threads, [&](std::int64_t task, int thread) {
            work(run, task, scratch + thread * room_);
        });
    }

  protected:
    virtual void work(const Run& run, Index task, float* scratch) const = 0;

    int most_;
    Index size_ = 0, tasks_ = 0, room_ = 0;  // elements, tasks, floats for each thread
    Lrn lrn_ = {};
};

// How many pixels are taken at once: as many as have room in a cache.
Index pixels_of(Index channels, Index pixels) {
    constexpr Index kFloats = 65536, kStep = 16;
    const Index fitting = kFloats / std::max<Index>(1, channels) / kStep * kStep;
    return lesser(std::clamp(fitting, kStep, kLrnBlock), std::max<Index>(1, pixels));
}

class LrnAcrossGradient final : public LrnGradient {
  public:
    explicit LrnAcrossGradient(const Problem& problem) : LrnGradient(problem) {
        const std::string name = "lrn_across_gradient";
        check_floats(problem, name);
        lrn_ = lrn_of(problem.attrs, name);
        is_blocked_ = problem.attrs.has("channels");
        if (is_blocked_) {
            for (int i = 0; i < 3; ++i) blocked_[i] = in_blocks(problem, i, name);
            loops_ = &blocked_loops(blocked_[0].lanes);
            channels_ = blocked_[0].channels;
            samples_ = blocked_[0].samples;
            row_ = blocked_[0].pixels();
        } else {
            bool is_flat = true;
            for (int i = 0; i < 3; ++i) {
                plain_[i] = Planes(spec_of(problem, i), name);
                is_flat = is_flat && (plain_[i].height <= 1 || plain_[i].pitch == plain_[i].width);
                if (!plain_[i].has_shape_of(plain_[0])) differ(name);
            }
            loops_ = &spatial_loops(chosen_isa());
            channels_ = plain_[0].channels;
            samples_ = plain_[0].samples;
            rows_ = is_flat ? 1 : plain_[0].height;
            row_ = is_flat ? plain_[0].height * plain_[0].width : plain_[0].width;
        }
        piece_ = pixels_of(channels_, row_);
        pieces_ = (row_ + piece_ - 1) / piece_;
        size_ = samples_ * channels_ * rows_ * row_;
        tasks_ = samples_ * rows_ * pieces_;
        room_ = (is_blocked_ ? 4 : 2) * channels_ * piece_;
    }

  private:
    static const Spec& spec_of(const Problem& problem, int i) {
        return i < 2 ? problem.reads[i] : problem.writes[0];
    }
    [[noreturn]] static void differ(const std::string& name) {
        throw Error("GC-A001", name + ": x, dy and dx differ in shape");
    }
    static Blocked in_blocks(const Problem& problem, int i, const std::string& name) {
        const Spec& spec = spec_of(problem, i);
        if (spec.rank == 5 && spec.dims != problem.reads[0].dims) differ(name);
        return Blocked(spec, problem.attrs.integer("channels"), name);
    }

    void work(const Run& run, Index task, float* scratch) const override {
        const Index first = task % pieces_ * piece_, line = task / pieces_;
        const Index count = lesser(piece_, row_ - first);
        if (is_blocked_) return in_blocks(run, line, first, count, scratch);
        const Index n = line / rows_, h = line % rows_;
        const auto at = [&](int i) {
            return n * plain_[i].sample_step + h * plain_[i].pitch + first;
        };
        loops_->lrn_across_gradient(lrn_, run.in(1) + at(1), plain_[1].channel_step,
                                    run.in(0) + at(0), plain_[0].channel_step, run.out(0) + at(2),
                                    plain_[2].channel_step, channels_, count, scratch);
    }

    // As the plain one does it, on the pixels out of their blocks.
    void in_blocks(const Run& run, Index n, Index first, Index count, float* scratch) const {
        const Index part = channels_ * count, blocks = blocked_[0].blocks;
        const Index lanes = blocked_[0].lanes;
        float *const dy = scratch + 2 * part, *const x = scratch + 3 * part;
        const auto each = [&](int operand, const auto& move) {
            for (Index b = 0; b < blocks; ++b) {
                const Index i = n * blocks + b;
                move(blocked_[operand].offset(i) + first * lanes, blocked_[operand].used(i),
                     b * lanes * count);
            }
        };
        for (const int i : {0, 1}) {
            each(i, [&](Index blocked, Index used, Index plain) {
                loops_->unblock(run.in(i) + blocked, lanes, used, count, (i ? x : dy) + plain,
                                count);
            });
        }
        loops_->lrn_across_gradient(lrn_, x, count, dy, count, dy, count, channels_, count,
                                    scratch);
        each(2, [&](Index blocked, Index used, Index plain) {
            loops_->block(dy + plain, count, used, lanes, count, run.out(0) + blocked);
        });
    }

    const SpatialLoops* loops_;
    bool is_blocked_;
    Planes plain_[3];  // dy, x, dx
    Blocked blocked_[3];
    Index samples_ = 0, channels_ = 0;
    Index rows_ = 1, row_ = 0;      // runs of pixels of a sample, and how long they are
    Index piece_ = 1, pieces_ = 0;  // pixels taken at once; pieces of a run
};

class LrnWithinGradient final : public LrnGradient {
  public:
    explicit LrnWithinGradient(const Problem& problem) : LrnGradient(problem) {
        const std::string name = "lrn_within_gradient";
        check_floats(problem, name);
        lrn_ = lrn_of(problem.attrs, name);
        dy_ = Field(problem.reads[0], problem.attrs, name);
        x_ = Field(problem.reads[1], problem.attrs, name);
        dx_ = Field(problem.writes[0], problem.attrs, name);
        if (!x_.has_shape_of(dy_) || !x_.has_shape_of(dx_)) {
            throw Error("GC-A001", name + ": x, dy and dx differ in shape");
        }
        loops_ = x_.lanes > 1 ? &blocked_loops(x_.lanes) : &spatial_loops(chosen_isa());
        size_ = x_.size();
        tasks_ = x_.planes;
        room_ = 2 * (x_.height + 1) * x_.width * x_.lanes;
    }

  private:
    void work(const Run& run, Index task, float* scratch) const override {
        loops_->lrn_within_gradient(
            lrn_, run.in(1) + x_.offset(task), x_.pitch, run.in(0) + dy_.offset(task), dy_.pitch,
            run.out(0) + dx_.offset(task), dx_.pitch, x_.height, x_.width, x_.lanes, scratch);
    }

    const SpatialLoops* loops_;
    Field dy_, x_, dx_;
};

GRAPHC_KERNEL("lrn_across_gradient", LrnAcrossGradient)
GRAPHC_KERNEL("lrn_within_gradient", LrnWithinGradient)

}  // namespace

}  // namespace graphc
